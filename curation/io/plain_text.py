"""Folders of plain text: a file is a document, its path below the input is its id, and many files are one shard."""

from collections.abc import Iterator

import pyarrow as pa

from curation.io import files
from curation.io.lines import decompress
from curation.io.opening import READ_ERRORS, UTF8_MARK, opened_at
from curation.io.quarantine import RAW_BYTES, BadRecord
from curation.io.requests import Delivered, Request
from curation.io.strings import Record, gather, schema_of
from curation.layout import format_of, packing
from curation.plan import Shard


def peek(shard: Shard, text: str) -> pa.Schema | None:
    """`id` and the text."""
    return schema_of(["id", text])


def schema(shard: Shard, text: str, longest: int) -> pa.Schema:
    """`id` and the text."""
    return schema_of(["id", text])


def read(shard: Shard, request: Request) -> Iterator[Delivered]:
    """Batches of whole files; the physical number of a record is the place of its file among the shard's."""
    yield from gather(_records(shard, request), ["id", request.text], request)


def _records(shard: Shard, request: Request) -> Iterator[Record]:
    for row, member in enumerate(shard.members):
        data = _content(files.join(shard.url, member), row, request)
        if data is None:
            continue
        try:
            text = data.removeprefix(UTF8_MARK).decode()
        except UnicodeDecodeError as error:
            message = f"{member}: {error}"
            request.on_bad(BadRecord(row, error.start, 1, "invalid_utf8", message, data[:RAW_BYTES]))
            continue
        yield Record(row, (member, text), len(data) + len(member))


def _content(url: str, row: int, request: Request) -> bytes | None:
    """The bytes of one file, or None after it went to the quarantine."""
    parts: list[bytes] = []
    size = 0

    def fail(code: str, message: str) -> None:
        request.on_bad(BadRecord(row, size, 1, code, f"{url}: {message}", b"".join(parts)[:RAW_BYTES]))

    bad: list[BadRecord] = []
    with opened_at(url, format_of(url) or "txt", bad.append, row) as file:
        for problem in bad:
            request.on_bad(problem)
            return None
        try:
            for piece in decompress(file, packing(url)):
                parts.append(piece)
                size += len(piece)
                if size > request.longest:
                    most = f"more than {request.longest} bytes (limits.document_mb)"
                    fail("document_too_long", f"the document has {most}")
                    return None
        except ValueError as error:
            fail("broken_compression", str(error))
            return None
        except READ_ERRORS as error:
            fail("unreadable_file", str(error))
            return None
    return b"".join(parts)
