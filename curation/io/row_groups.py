"""How many rows of a row group may be decoded at once, so that a small file cannot become a huge batch.

A column of strings may be stored as a dictionary and places in it. A dictionary of one entry of a megabyte and a
million places takes a few kilobytes on disk and a terabyte decoded. The footer does not tell; the dictionary page does.
"""

from typing import IO, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curation.kernels.pages import longest_value

HEADER_BYTES = 96
MOST_PAGE = 64 << 20  # bytes of a dictionary page that is looked into
_CODECS = ("zstd", "snappy", "gzip", "brotli")  # whose pages are one frame
_TRUE, _FALSE, _I32, _STRUCT = 1, 2, 5, 12  # types of Thrift's compact protocol


class Page(NamedTuple):
    """Sizes that a page header states, in bytes: of the header, and of the page as stored and unpacked."""

    header: int
    stored: int
    unpacked: int


def rows_at_once(parquet: pq.ParquetFile, file: IO[bytes], group: int, most_rows: int, most_bytes: int) -> int:
    """Rows of a row group whose flat string columns cannot exceed most_bytes when decoded; at least 1.

    Moves the position of `file`.
    """
    rows = most_rows
    metadata = parquet.metadata.row_group(group)
    for i in range(metadata.num_columns):
        column = metadata.column(i)
        if column.physical_type != "BYTE_ARRAY" or column.dictionary_page_offset is None:
            continue
        if min(metadata.num_rows, rows) * max(column.total_uncompressed_size, 0) <= most_bytes:
            continue
        largest = _longest_entry(file, column)
        if largest is not None and largest > 0:
            rows = min(rows, max(1, most_bytes // largest))
    return rows


def _longest_entry(file: IO[bytes], column: Any) -> int | None:
    """Bytes that no entry of a column's dictionary exceeds: those of the longest, or of the whole page where it cannot
    be unpacked. None where there is no such page, which is for the decoder to complain about.
    """
    file.seek(column.dictionary_page_offset)
    page = page_header(file.read(HEADER_BYTES))
    if page is None:
        return None
    codec = column.compression.lower()
    if codec not in (*_CODECS, "uncompressed") or not 0 < max(page.stored, page.unpacked) <= MOST_PAGE:
        return page.unpacked
    file.seek(column.dictionary_page_offset + page.header)
    data: Any = file.read(page.stored)
    try:
        if codec != "uncompressed":
            data = pa.decompress(data, page.unpacked, codec)
    except (OSError, ValueError):
        return page.unpacked
    longest = int(longest_value(np.frombuffer(data, np.uint8)))
    return page.unpacked if longest < 0 else longest


def page_header(data: bytes) -> Page | None:
    """What a Parquet page header states of sizes; None where the bytes are none.

    Apache Parquet format, PageHeader: 1 type, 2 uncompressed_page_size, 3 compressed_page_size, in Thrift's compact
    protocol.
    """
    sizes: dict[int, int] = {}
    outer: list[int] = []
    at = number = 0
    while at < len(data):
        step, kind = data[at] >> 4, data[at] & 15
        at += 1
        if kind == 0:  # the end of a struct
            if not outer:
                return Page(at, sizes[3], sizes[2]) if {2, 3} <= sizes.keys() else None
            number = outer.pop()
            continue
        if not step:  # field numbers that do not ascend: no writer has them here
            return None
        number += step
        if kind == _STRUCT:
            outer.append(number)
            number = 0
        elif kind == _I32:
            value, at = _varint(data, at)
            if value is None:
                return None
            if not outer:
                sizes[number] = (value >> 1) ^ -(value & 1)
        elif kind not in (_TRUE, _FALSE):
            return None
    return None


def _varint(data: bytes, at: int) -> tuple[Any, int]:
    value = shift = 0
    while at < len(data) and shift < 35:
        value |= (data[at] & 0x7F) << shift
        at += 1
        if not data[at - 1] & 0x80:
            return value, at
        shift += 7
    return None, at
