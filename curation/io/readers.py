"""Shards to RecordBatches. A record that cannot be read is quarantined; it never stops a job and is never
dropped.

Physical record numbers count everything: a bad line takes one number, a row group of n records that cannot be
read takes n, and a break behind which nobody can count takes one. So read = delivered + quarantined, two
reads of a shard give the same numbers, and these do not depend on the size of batches. Blank lines are no
records.
"""

import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation import batch as batches
from curation.config import ConfigError
from curation.io import files, lines, records
from curation.io.inference import arrow_type
from curation.io.quarantine import RAW_BYTES, BadRecord
from curation.layout import format_of
from curation.plan import Shard

LONGEST_LINE = 256 << 20
PEEK_BYTES = 1 << 20
#: a larger row group is decoded twice, first to see that all of it can be read, and not held in memory
HELD_ROW_GROUP = 256 << 20
HEAD_BYTES = 64
PARQUET_MARK = b"PAR1"
#: first bytes of a file, what it is then, and the extension that says so
MARKS = (
    (PARQUET_MARK, "Parquet", ".parquet"),
    (b"\x1f\x8b", "gzip", ".jsonl.gz"),  # RFC 1952
    (b"\x28\xb5\x2f\xfd", "zstd", ".jsonl.zst"),  # RFC 8878
)
READ_ERRORS = (OSError, pa.ArrowException, EOFError)

OnBad = Callable[[BadRecord], None]


def read_shard(
    shard: Shard,
    *,
    text: str,
    batch_bytes: int,
    schema: pa.Schema | None = None,
    columns: list[str] | None = None,
    on_bad: OnBad,
    longest_line: int = LONGEST_LINE,
) -> Iterator[tuple[pa.RecordBatch, np.ndarray]]:
    """Batches of a shard in its order, all in one schema, each with the physical numbers of its records
    (int64).

    text: the text column. batch_bytes: most bytes of text in a batch (of whole lines for JSON lines); a
    longer document is a batch of its own. schema: that of JSON lines as `final_schema` gave it earlier, which
    saves a pass; Parquet has its own. longest_line: bytes of a document, or of a line of JSON, above which it is
    bad. columns: what to deliver, with the text; of Parquet nothing else is read, so that a break in another column
    goes unnoticed. on_bad: called with every BadRecord, in order; one for a file that is empty where it may not be,
    or that is Parquet, gzip or zstd under the extension of another format.

    Records are bad that are not valid UTF-8 (any string column), not a JSON object, or whose text is missing
    or not a string; null text is good. Raises ConfigError when a Parquet file has no such text column, and
    ValueError when JSON lines do not fit the given schema.
    """
    if format_of(shard.url) == "parquet":
        yield from _read_parquet(shard, text, batch_bytes, columns, on_bad, longest_line)
        return
    schema = final_schema(shard, text=text, longest_line=longest_line) if schema is None else schema
    if text not in schema.names:
        schema = schema.append(pa.field(text, pa.string()))
    keep = _chosen(schema, text, columns)
    with _opened(shard, on_bad) as file:
        for block in records.blocks(_lines(file, shard, longest_line), batch_bytes, longest_line, on_bad):
            try:
                batch, rows = records.to_batch(block, text, schema, on_bad)
            except ValueError as error:
                raise ValueError(f"{shard.url}: {error}") from None
            if len(rows):
                yield (batch if keep is None else batch.select(keep)), rows


def final_schema(shard: Shard, *, text: str, longest_line: int = LONGEST_LINE) -> pa.Schema:
    """The schema of every batch of a shard: the file's own for Parquet, inferred from all records for JSON
    lines.

    Rules in `inference`; strings stay strings, dates included. A file that cannot be read has the text column
    only.
    """
    nothing = pa.schema([(text, pa.string())])
    if format_of(shard.url) == "parquet":
        found = peek(shard)
        return nothing if found is None else found
    with _opened(shard, _ignore) as file:
        found_lines = _lines(file, shard, longest_line)
        fields = records.infer(records.blocks(found_lines, 4 << 20, longest_line, _ignore), text)
    return pa.schema([(name, arrow_type(kind)) for name, kind in fields.items()]) if fields else nothing


def peek(shard: Shard) -> pa.Schema | None:
    """The schema by the footer of Parquet or the first megabyte of JSON lines; None when these cannot be
    read.
    """
    try:
        with files.open_file(shard.url) as file:
            if format_of(shard.url) == "parquet":
                return pq.ParquetFile(file).schema_arrow
            fields: dict[str, Any] = {}
            seen: dict[str, type] = {}
            size = 0
            for line in _lines(file, shard, LONGEST_LINE):
                if isinstance(line, lines.Broken) or size > PEEK_BYTES:
                    break
                size += line.size
                records.update(fields, seen, records.objects(line))
            return pa.schema([(name, arrow_type(kind)) for name, kind in fields.items()]) if fields else None
    except READ_ERRORS:
        return None


def has_field(shard: Shard, name: str) -> bool:
    """Does any record of JSON lines have this field? Reads no further than the first that does."""
    with _opened(shard, _ignore) as file:
        found = (line for line in _lines(file, shard, LONGEST_LINE) if isinstance(line, lines.Line))
        return any(name in record for line in found for record in records.objects(line))


def is_text(kind: pa.DataType) -> bool:
    """Can a column of this type be the text: string, large_string, string_view or a dictionary of these?"""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def _ignore(_: BadRecord) -> None:
    return None


def _opened(shard: Shard, on_bad: OnBad) -> Any:
    file: Any = io.BytesIO()
    try:
        file = files.open_file(shard.url)
        head = file.read(HEAD_BYTES)
        message = _mistaken(head, format_of(shard.url) or "")
        if message is None:
            if file.seekable():
                file.seek(0)
                return file
            file.close()
            return files.open_file(shard.url)
        file.close()
        on_bad(BadRecord(0, None, 1, "unreadable_file", message, head))
    except READ_ERRORS as error:
        file.close()
        on_bad(BadRecord(0, None, 1, "unreadable_file", str(error)))
    return io.BytesIO()


def _mistaken(head: bytes, format: str) -> str | None:
    """What a file is that begins with these bytes, if it cannot be what its extension says, and the way out."""
    if format == "parquet" and not head:
        return "the file is empty (0 bytes), where a Parquet file has a footer at least; write it again"
    wanted = {"parquet": "Parquet", "jsonl.gz": "gzip", "jsonl.zst": "zstd"}.get(format, "JSON lines")
    for mark, found, name in MARKS:
        if head.startswith(mark) and found != wanted:
            return f"this is {found}, not {wanted}: rename it to {name}"
    if wanted != "JSON lines" and head.removeprefix(records.UTF8_MARK).lstrip().startswith(b"{"):
        return f"this looks like plain JSON lines, not {wanted}: rename it to .jsonl"
    return None


def _lines(file: Any, shard: Shard, longest: int) -> Iterator[lines.Line | lines.Broken]:
    return lines.read_lines(file, (format_of(shard.url) or "").partition(".")[2], longest)


def _chosen(schema: pa.Schema, text: str, columns: list[str] | None) -> list[str] | None:
    return None if columns is None else [name for name in schema.names if name in columns or name == text]


def _read_parquet(
    shard: Shard, text: str, batch_bytes: int, columns: list[str] | None, on_bad: OnBad, longest: int
) -> Iterator[tuple[pa.RecordBatch, np.ndarray]]:
    with _opened(shard, on_bad) as file:
        if isinstance(file, io.BytesIO) and not file.getbuffer().nbytes:
            return
        try:
            parquet = pq.ParquetFile(file, page_checksum_verification=True)
            schema = parquet.schema_arrow
        except READ_ERRORS as error:
            file.seek(0)
            raw, message = file.read(RAW_BYTES), str(error)
            if raw.startswith(PARQUET_MARK):
                message = f"the file begins as Parquet but its footer cannot be read, as if cut short: {message}"
            on_bad(BadRecord(0, None, 1, "unreadable_file", message, raw))
            return
        if text not in schema.names or not is_text(schema.field(text).type):
            raise ConfigError(f"columns.text: {shard.url} has no string column {text!r}")
        row = 0
        for group in range(parquet.num_row_groups):
            count = parquet.metadata.row_group(group).num_rows
            try:
                found = _row_group(parquet, group, _chosen(schema, text, columns), count)
                for whole in found:
                    for batch in batches.slice_by_bytes(whole, text, batch_bytes):
                        good, rows = _valid(batch, row, text, longest, on_bad)
                        row += batch.num_rows
                        if len(rows):
                            yield good, rows
            except _BrokenRowGroup as error:
                message = f"row group {group}, records {row} to {row + count - 1}: {error}"
                on_bad(BadRecord(row, None, count, "broken_row_group", message))
                row += count


class _BrokenRowGroup(Exception):
    pass


def _row_group(
    parquet: pq.ParquetFile, group: int, columns: list[str] | None, count: int
) -> Iterator[pa.RecordBatch]:
    """The batches of a row group, none if any of it cannot be read: then _BrokenRowGroup is raised before
    the first.
    """

    def stream() -> Iterator[pa.RecordBatch]:
        return parquet.iter_batches(batch_size=batches.MAX_ROWS, row_groups=[group], columns=columns)

    try:
        if parquet.metadata.row_group(group).total_byte_size <= HELD_ROW_GROUP:
            held = parquet.read_row_group(group, columns=columns, use_threads=False).to_batches()
            found = sum(batch.num_rows for batch in held)
            whole = iter(held)
        else:
            found = sum(batch.num_rows for batch in stream())
            whole = stream()
    except READ_ERRORS as error:
        raise _BrokenRowGroup(str(error)) from None
    if found != count:
        raise _BrokenRowGroup(f"it holds {found} records where the footer says {count}")
    return whole


def _valid(
    batch: pa.RecordBatch, row: int, text: str, longest: int, on_bad: OnBad
) -> tuple[pa.RecordBatch, np.ndarray]:
    """The records of a batch whose strings are UTF-8 and whose text has at most `longest` bytes, and their numbers;
    the first of the batch is record `row`.
    """
    rows = np.arange(row, row + batch.num_rows, dtype=np.int64)
    sizes = batches.text_bytes(batch.column(text))
    too_long = sizes > longest
    if not too_long.any() and _is_valid(batch):
        return batch, rows
    bad = [i for i in range(batch.num_rows) if too_long[i] or not _is_valid(batch.slice(i, 1))]
    for i in bad:
        one = batch.slice(i, 1)
        if too_long[i]:
            message = f"the text has {sizes[i]} bytes, more than {longest} (limits.document_mb)"
            on_bad(BadRecord(row + i, None, 1, "document_too_long", message, _head(one.column(text))))
            continue
        names = [
            name
            for name, column in zip(one.schema.names, one.columns, strict=True)
            if not _is_valid_array(column)
        ]
        message = f"column {', '.join(repr(name) for name in names)} is not valid UTF-8"
        on_bad(BadRecord(row + i, None, 1, "invalid_utf8", message, _raw(one.column(names[0]))))
    good = np.setdiff1d(np.arange(batch.num_rows), np.array(bad, np.int64))
    if not len(good):
        return batch.slice(0, 0), rows[good]
    ends = [-1, *bad, batch.num_rows]
    runs = [batch.slice(a + 1, b - a - 1) for a, b in zip(ends[:-1], ends[1:], strict=True) if b > a + 1]
    columns = [batches.combine([run.column(i) for run in runs]) for i in range(batch.num_columns)]
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema), rows[good]


def _is_valid(batch: pa.RecordBatch) -> bool:
    return all(_is_valid_array(column) for column in batch.columns)


def _is_valid_array(array: Any) -> bool:
    if pa.types.is_dictionary(array.type):
        # what no record of the slice uses must not condemn it
        array = (
            array.dictionary.take(array.indices) if len(array) <= len(array.dictionary) else array.dictionary
        )
    try:
        array.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _head(array: Any) -> bytes:
    """The first bytes of a text of any length."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary.take(array.indices)
    return pc.binary_slice(array.cast(pa.large_binary()), 0, RAW_BYTES)[0].as_py()


def _raw(array: Any) -> bytes:
    if pa.types.is_dictionary(array.type):
        array = array.dictionary.take(array.indices)
    if pa.types.is_nested(array.type):
        return b""
    value = array.cast(pa.large_binary())[0].as_py()
    return bytes(value or b"")[:RAW_BYTES]
