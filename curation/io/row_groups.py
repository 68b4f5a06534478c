"""How many rows of a row group may be decoded at once, so that a small file cannot become a huge batch.

A column of strings may be stored as a dictionary and places in it. A dictionary of one entry of a megabyte and a
million places takes a few kilobytes on disk and a terabyte decoded. The footer does not tell; the header of the
dictionary page does.
"""

from typing import IO, Any

import pyarrow.parquet as pq

HEADER_BYTES = 64
_COMPACT_I32 = 5  # type of a 32-bit integer in Thrift's compact protocol


def rows_at_once(parquet: pq.ParquetFile, file: IO[bytes], group: int, most_rows: int, most_bytes: int) -> int:
    """Rows of a row group whose flat string columns cannot exceed most_bytes when decoded; at least 1.

    Moves the position of `file`. A dictionary is never larger than its page, so no value from it is either.
    """
    rows = most_rows
    metadata = parquet.metadata.row_group(group)
    for i in range(metadata.num_columns):
        column = metadata.column(i)
        if column.physical_type != "BYTE_ARRAY" or column.dictionary_page_offset is None:
            continue
        if min(metadata.num_rows, rows) * max(column.total_uncompressed_size, 0) <= most_bytes:
            continue
        file.seek(column.dictionary_page_offset)
        largest = page_bytes(file.read(HEADER_BYTES))
        if largest is not None and largest > 0:
            rows = min(rows, max(1, most_bytes // largest))
    return rows


def page_bytes(header: bytes) -> int | None:
    """The uncompressed size that a Parquet page header states, its second field; None where it is not one.

    Apache Parquet format, PageHeader: 1 type, 2 uncompressed_page_size, in Thrift's compact protocol.
    """
    at = 0
    for field in (1, 2):
        if at >= len(header) or header[at] != (1 << 4 | _COMPACT_I32):  # the next field, an i32
            return None
        value, at = _varint(header, at + 1)
        if field == 2:
            return None if value is None else (value >> 1) ^ -(value & 1)
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
