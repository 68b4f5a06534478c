"""Parquet: a row group is read whole or quarantined whole.

It is decoded in pieces the size of a batch: what has just been decoded is still in the processor's cache when the batch
is worked on, and its memory serves the next piece again.
"""

from collections.abc import Callable, Iterator
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from curation import batch as batches
from curation.config import ConfigError
from curation.io import files, fixed_lists
from curation.io.columnar import cut, is_text
from curation.io.opening import READ_ERRORS, opened
from curation.io.quarantine import RAW_BYTES, BadRecord
from curation.io.requests import Delivered, Request, chosen
from curation.io.row_groups import rows_at_once
from curation.plan import Shard

#: a row group of more bytes is decoded twice, first to see that all of it can be read, and not held in memory
HELD_ROW_GROUP = 256 << 20
MOST_DECODED = 512 << 20  # bytes of a string column in one batch, whatever its dictionary stands for
FILL = 0.75  # of a batch that a piece fills on average, so that few pieces have to be cut
MARK = b"PAR1"


def peek(shard: Shard, text: str) -> pa.Schema | None:
    """The schema in the footer; None when it cannot be read."""
    try:
        with files.open_file(shard.url) as file:
            return pq.ParquetFile(file).schema_arrow
    except READ_ERRORS:
        return None


def schema(shard: Shard, text: str, longest: int) -> pa.Schema:
    """The file's schema; the text column alone when it cannot be read."""
    return peek(shard, text) or pa.schema([(text, pa.string())])


def read(shard: Shard, request: Request) -> Iterator[Delivered]:
    """Batches of the file; raises ConfigError when it has no such text column."""
    text, on_bad = request.text, request.on_bad
    with opened(shard, on_bad) as file:
        if not file.read(1):
            return
        file.seek(0)
        try:
            parquet = pq.ParquetFile(file, page_checksum_verification=True)
            found = parquet.schema_arrow
        except READ_ERRORS as error:
            file.seek(0)
            raw, message = file.read(RAW_BYTES), str(error)
            if raw.startswith(MARK):
                message = f"the file begins as Parquet but its footer cannot be read, as if cut short: {message}"
            on_bad(BadRecord(0, None, 1, "unreadable_file", message, raw))
            return
        if text not in found.names or not is_text(found.field(text).type):
            raise ConfigError(f"columns.text: {shard.url} has no string column {text!r}", "wrong-column-type")
        row = 0
        for group in range(parquet.num_row_groups):
            count = parquet.metadata.row_group(group).num_rows
            try:
                pieces = _row_group(parquet, file, group, request, chosen(found, text, request.columns))
                yield from cut(pieces, row, request, request.sound)
            except _BrokenRowGroup as error:
                message = f"row group {group}, records {row} to {row + count - 1}: {error}"
                on_bad(BadRecord(row, None, count, "broken_row_group", message))
            row += count


class _BrokenRowGroup(Exception):
    pass


def _row_group(
    parquet: pq.ParquetFile, file: IO[bytes], group: int, request: Request, columns: list[str] | None
) -> Iterator[pa.RecordBatch]:
    """The batches of a row group, none if any of it cannot be read: then _BrokenRowGroup is raised before
    the first. Where an earlier reading found all sound, they come while the file is read.
    """
    metadata = parquet.metadata.row_group(group)
    try:
        most = rows_at_once(parquet, file, group, batches.MAX_ROWS, MOST_DECODED)
    except READ_ERRORS as error:
        raise _BrokenRowGroup(str(error)) from None
    rows = min(most, _rows_of_a_batch(metadata, request))

    def plain() -> Iterator[pa.RecordBatch]:
        return parquet.iter_batches(batch_size=rows, row_groups=[group], columns=columns, use_threads=False)

    def with_null_lists() -> Iterator[pa.RecordBatch]:
        return fixed_lists.batches(parquet, file, group, columns, rows)

    lists = fixed_lists.names_of(parquet.schema_arrow, columns)
    if request.sound and not lists:
        return _told(plain())
    try:
        return _whole(plain, metadata.num_rows)
    except _BrokenRowGroup:
        if not lists:
            raise
    return _whole(with_null_lists, metadata.num_rows)


def _rows_of_a_batch(metadata: pq.RowGroupMetaData, request: Request) -> int:
    """Rows of a row group whose text fills most of a batch, by the sizes in the footer; at least 1."""
    sizes = (metadata.column(i) for i in range(metadata.num_columns))
    size = sum(column.total_uncompressed_size for column in sizes if column.path_in_schema == request.text)
    return max(1, int(FILL * request.batch_bytes * metadata.num_rows // max(size, 1)))


def _told(stream: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The stream, whose errors of reading are raised as _BrokenRowGroup."""
    try:
        yield from stream
    except READ_ERRORS as error:
        raise _BrokenRowGroup(str(error)) from None


def _whole(stream: Callable[[], Iterator[pa.RecordBatch]], count: int) -> Iterator[pa.RecordBatch]:
    """The batches that `stream` gives, after all of them could be read and had `count` rows together."""
    held: list[pa.RecordBatch] = []
    found = size = 0
    for batch in _told(stream()):
        found += batch.num_rows
        size += batch.nbytes
        if size <= HELD_ROW_GROUP:
            held.append(batch)
        else:
            held.clear()
    if found != count:
        raise _BrokenRowGroup(f"it holds {found} records where the footer says {count}")
    return iter(held) if size <= HELD_ROW_GROUP else stream()
