"""Lines and paragraphs that many documents share: found, counted exactly, and cut.

Counting is in two passes: the hashes of every document's units go to partitions by their first bits, each of which
is counted on its own, so memory is bounded by a partition. Compare CCNet (Wenzek et al. 2020) and Lee et al. (2022).
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from curation.kernels.lines import units_kernel
from curation.text import text_buffer

HASH_BYTES = 16
NEWLINE = 10


class Units(NamedTuple):
    """Units of documents in order: spans uint32[units, 2], start and end in bytes of the document; hashes
    uint64[units, 2]; offsets int64[docs + 1] into them; short int32[docs], units too short to count."""

    spans: np.ndarray
    hashes: np.ndarray
    offsets: np.ndarray
    short: np.ndarray


def find_units(text: pa.Array, *, unit: str, min_chars: int) -> Units:
    """The lines or paragraphs (`unit`) of each text that have at least `min_chars` code points.

    A paragraph is a run of lines that hold more than white space. Two units are equal when their bytes are, without
    the spaces, tabs and carriage returns around them. Raises ValueError for another unit.
    """
    if unit not in ("line", "paragraph"):
        raise ValueError(f"unknown unit {unit!r}: use line or paragraph")
    data, starts = text_buffer(text)
    newlines = np.flatnonzero(data[starts[0] : starts[-1]] == NEWLINE) + starts[0]
    documents = len(starts) - 1
    most = len(newlines) + documents
    spans, hashes = np.empty((most, 2), np.uint32), np.empty((most, 2), np.uint64)
    offsets, short = np.empty(documents + 1, np.int64), np.empty(documents, np.int32)
    n = units_kernel(data, starts, newlines, unit == "paragraph", min_chars, spans, hashes, offsets, short)
    return Units(spans[:n], hashes[:n], offsets, short)


def reference_units(text: bytes, *, unit: str, min_chars: int) -> tuple[list[tuple[int, int, bytes]], int]:
    """What `find_units` must find in one text, in plain Python: ([(start, end, content)], units too short)."""
    lines, start = [], 0
    while start < len(text):
        end = text.find(b"\n", start)
        end = len(text) if end < 0 else end + 1
        lines.append((start, end))
        start = end
    groups: list[list[tuple[int, int]]] = []
    blanks: list[int] = []  # blank lines after each group
    for start, end in lines:
        blank = not text[start:end].strip(b" \t\r\n")
        if blank:
            if blanks:
                blanks[-1] = end
        elif groups and unit == "paragraph" and blanks[-1] == 0:
            groups[-1].append((start, end))
        else:
            groups.append([(start, end)])
            blanks.append(0)
    found, short = [], 0
    for group, blank_end in zip(groups, blanks, strict=True):
        start, end = group[0][0], group[-1][1]
        content = text[start:end].strip(b" \t\r\n")
        if sum(byte & 0xC0 != 0x80 for byte in content) < min_chars:
            short += 1
            continue
        found.append((start, blank_end if unit == "paragraph" and blank_end else end, content))
    return found, short


def pack_units(units: Units) -> pa.Array:
    """The units of each document as one binary value: records of two uint32 and two uint64, little-endian."""
    records = np.empty(len(units.spans), RECORD)
    records["span"], records["hash"] = units.spans, units.hashes
    sizes = (units.offsets * RECORD.itemsize).astype(np.int64)
    buffers = [None, pa.py_buffer(sizes), pa.py_buffer(records)]
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(sizes) - 1, buffers)


RECORD = np.dtype([("span", "<u4", 2), ("hash", "<u8", 2)])


def unpack_units(column: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """(records RECORD[units], offsets int64[docs + 1]) of a column that `pack_units` made."""
    column = column.cast(pa.large_binary())
    _, offsets, data = column.buffers()
    if len(column) == 0 or offsets is None:
        return np.empty(0, RECORD), np.zeros(len(column) + 1, np.int64)
    starts = np.frombuffer(offsets, np.int64)[column.offset : column.offset + len(column) + 1]
    held = np.frombuffer(data if data is not None else b"", np.uint8)[starts[0] : starts[-1]]
    return held.view(RECORD), (starts - starts[0]) // RECORD.itemsize


def emit_units(records: np.ndarray, offsets: np.ndarray, partitions: int) -> dict[int, np.ndarray]:
    """The distinct hashes of each document as raw bytes by partition: {partition: uint8[16 * hashes]}.

    records, offsets as `unpack_units` gives them. Raises ValueError when partitions is below 1.
    """
    if partitions < 1:
        raise ValueError(f"partitions must be at least 1, not {partitions}")
    hashes = records["hash"]
    document = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    order = np.lexsort((hashes[:, 1], hashes[:, 0], document))
    hashes, document = hashes[order], document[order]
    again = (hashes[1:] == hashes[:-1]).all(axis=1) & (document[1:] == document[:-1])
    hashes = hashes[np.concatenate([[True], ~again])] if len(hashes) else hashes
    place = partition_of(hashes, partitions)
    order = np.argsort(place, kind="stable")
    ends = np.cumsum(np.bincount(place, minlength=partitions))
    parts = np.split(np.ascontiguousarray(hashes[order]), ends[:-1])
    return {p: part.astype("<u8", copy=False).reshape(-1).view(np.uint8) for p, part in enumerate(parts) if len(part)}


def partition_of(hashes: np.ndarray, partitions: int) -> np.ndarray:
    """The partition int64[n] of each hash uint64[n, 2]."""
    return ((hashes[:, 0] >> np.uint64(32)) * np.uint64(partitions) >> np.uint64(32)).astype(np.int64)


def count_units(chunks: Iterable[np.ndarray], max_repeats: int) -> tuple[np.ndarray, np.ndarray]:
    """(hashes uint64[n, 2], documents int64[n]) of the units in more than `max_repeats` documents of one partition.

    Sorted by hash. Memory: about 40 bytes per unit of the partition. Raises ValueError for a chunk cut short.
    """
    parts = []
    for chunk in chunks:
        if len(chunk) % HASH_BYTES:
            raise ValueError(f"a chunk of {len(chunk)} bytes is no whole number of {HASH_BYTES}-byte hashes")
        parts.append(np.frombuffer(chunk, "<u8").reshape(-1, 2))
    hashes = np.concatenate(parts) if parts else np.empty((0, 2), np.uint64)
    if len(hashes) == 0:
        return hashes.astype(np.uint64), np.zeros(0, np.int64)
    hashes = hashes[np.lexsort((hashes[:, 1], hashes[:, 0]))]
    starts = np.flatnonzero(np.concatenate([[True], (hashes[1:] != hashes[:-1]).any(axis=1)]))
    counts = np.diff(np.append(starts, len(hashes)))
    many = counts > max_repeats
    return hashes[starts[many]].astype(np.uint64), counts[many]


def is_repeated(hashes: np.ndarray, repeated: np.ndarray) -> np.ndarray:
    """bool[n]: is each hash uint64[n, 2] among `repeated` uint64[m, 2], sorted as `count_units` sorts them?"""
    if len(repeated) == 0 or len(hashes) == 0:
        return np.zeros(len(hashes), bool)
    # equal first words are next to each other; more than one is a coincidence of 64 bits
    place = np.searchsorted(repeated[:, 0], hashes[:, 0])
    found = np.zeros(len(hashes), bool)
    for step in range(int(np.unique(repeated[:, 0], return_counts=True)[1].max())):
        at = np.minimum(place + step, len(repeated) - 1)
        found |= (repeated[at] == hashes).all(axis=1)
    return found


def cut_spans(text: pa.Array, spans: pa.Array) -> pa.Array:
    """Each text without its spans, a list of start and end in bytes, as `repeated_spans` holds them; null: untouched.

    The type of the text column stays.
    """
    index = np.flatnonzero(np.asarray(spans.is_valid()))
    if len(index) == 0:
        return text
    data, starts = text_buffer(text)
    values = text.to_pylist()
    for i, cuts in zip(index.tolist(), spans.take(pa.array(index)).to_pylist(), strict=True):
        whole = data[starts[i] : starts[i + 1]].tobytes()
        edges = [0, *cuts, len(whole)]
        values[i] = b"".join(whole[a:b] for a, b in zip(edges[::2], edges[1::2], strict=True)).decode("utf-8")
    plain = pa.array(values, pa.large_string())
    if pa.types.is_dictionary(text.type):
        return plain.cast(text.type.value_type).dictionary_encode().cast(text.type)
    return plain.cast(text.type)
