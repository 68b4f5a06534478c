"""Lines of a file that may be compressed, cut short or damaged: what stands before the damage is always
delivered.
"""

import zlib
from collections.abc import Iterator
from typing import IO, NamedTuple

import zstandard

READ_BYTES = 1 << 20
ZSTD_STEP = 8_192
SAMPLE_BYTES = 65_536  # what is kept of a line that is too long


class Line(NamedTuple):
    """A line without its newline; `size` is its length in bytes where `data` holds only the start of it."""

    offset: int
    data: bytes
    size: int


class Broken(NamedTuple):
    """The file cannot be read beyond this byte of its decompressed content; data is the start of the line
    cut off.
    """

    offset: int
    message: str
    data: bytes


def decompress(file: IO[bytes], packing: str) -> Iterator[bytes]:
    """The content of a file, piece by piece; packing is `gz`, `zst` or empty.

    Raises ValueError when the content is damaged or ends early, after everything before that was delivered.
    Many members or frames after each other are one content (RFC 1952, RFC 8878); zeros that pad a gzip file
    are ignored.
    """
    if not packing:
        while piece := file.read(READ_BYTES):
            yield piece
        return
    yield from _unzip(file) if packing == "gz" else _unzstd(file)


def _unzip(file: IO[bytes]) -> Iterator[bytes]:
    engine = zlib.decompressobj(wbits=31)
    fresh = True  # nothing of the current member was read yet
    data = b""
    while True:
        data = data or file.read(READ_BYTES)
        if not data:
            break
        if fresh and not (data := data.lstrip(b"\0")):
            continue
        fresh = False
        try:
            piece = engine.decompress(data, READ_BYTES)
        except zlib.error as error:
            raise ValueError(f"the gzip data is damaged: {error}") from None
        if piece:
            yield piece
        data = engine.unconsumed_tail
        if engine.eof:
            data, engine, fresh = engine.unused_data, zlib.decompressobj(wbits=31), True
    if not fresh:
        raise ValueError("the gzip data ends early")


def _unzstd(file: IO[bytes]) -> Iterator[bytes]:
    # pieces are small, and smaller still while much comes out, since a block of 4 bytes may stand for 128 kB
    step = ZSTD_STEP
    engine = zstandard.ZstdDecompressor(max_window_size=1 << 31).decompressobj()
    fresh = True
    while data := file.read(READ_BYTES):
        start = 0
        while start < len(data):
            part = data[start : start + step]
            fresh = False
            try:
                piece = engine.decompress(part)
            except zstandard.ZstdError as error:
                raise ValueError(f"the zstd data is damaged: {error}") from None
            # lines are split piece by piece, so a large one of nothing but newlines would be many
            for at in range(0, len(piece), READ_BYTES):
                yield piece[at : at + READ_BYTES]
            start += len(part)
            step = max(64, step // 8) if len(piece) > READ_BYTES else ZSTD_STEP
            if engine.eof:
                start -= len(engine.unused_data)
                engine, fresh = zstandard.ZstdDecompressor(max_window_size=1 << 31).decompressobj(), True
    if not fresh:
        raise ValueError("the zstd data ends early")


def read_lines(file: IO[bytes], packing: str, longest: int, blank: bool = False) -> Iterator[Line | Broken]:
    """Every line that holds more than white space, or with `blank` every line, then a Broken if the file is damaged.

    Of a line of more than `longest` bytes only the first SAMPLE_BYTES are held in memory and delivered.
    """
    offset = 0  # of the line that `parts` begin
    parts: list[bytes] = []
    length = 0
    pieces = decompress(file, packing)
    while True:
        try:
            piece = next(pieces, None)
        except (ValueError, OSError) as error:
            yield Broken(offset, str(error), b"".join(parts)[:SAMPLE_BYTES])
            return
        if piece is None:
            break
        lines = piece.split(b"\n")
        for line in lines[:-1]:
            length += len(line)
            data = b"".join([*parts, line]) if parts else line
            if length > longest:
                data = data[:SAMPLE_BYTES]
            if blank or (data and not data.isspace()):
                yield Line(offset, data, length)
            offset, parts, length = offset + length + 1, [], 0
        length += len(lines[-1])
        parts.append(lines[-1])
        if length > longest:
            parts = [b"".join(parts)[:SAMPLE_BYTES]]
    data = b"".join(parts)
    if data and (blank or not data.isspace()):
        yield Line(offset, data, length)
