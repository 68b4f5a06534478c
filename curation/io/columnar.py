"""What Parquet and Arrow files share: batches that came whole, cut to size, without records that are not UTF-8."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation import batch as batches
from curation.io.quarantine import RAW_BYTES, BadRecord
from curation.io.requests import Request


def is_text(kind: pa.DataType) -> bool:
    """Can a column of this type be the text: string, large_string, string_view or a dictionary of these?"""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def cut(
    found: Iterable[pa.RecordBatch], row: int, request: Request, sound: bool = False
) -> Iterator[tuple[pa.RecordBatch, np.ndarray]]:
    """The batches in slices of at most `batch_bytes` of text, each with the physical numbers of its records.

    The first record is number `row`. Records that are not valid UTF-8, in any string column, or whose text is longer
    than `longest` bytes, go to on_bad. sound: the buffers make sense and strings are known to be UTF-8.
    """
    for whole in found:
        for batch in batches.slice_by_bytes(whole, request.text, request.batch_bytes):
            good, rows = _valid(batch, row, request, sound)
            row += batch.num_rows
            if len(rows):
                yield good, rows


def _valid(
    batch: pa.RecordBatch, row: int, request: Request, sound: bool
) -> tuple[pa.RecordBatch, np.ndarray]:
    """The records of a batch whose strings are UTF-8 and whose text has at most `longest` bytes, and their numbers;
    the first of the batch is record `row`.
    """
    on_bad, longest = request.on_bad, request.longest
    rows = np.arange(row, row + batch.num_rows, dtype=np.int64)
    sizes = batches.text_bytes(batch.column(request.text))
    too_long = sizes > longest
    if not too_long.any() and (sound or _is_valid(batch)):
        return _without_unused(batch), rows
    bad = [i for i in range(batch.num_rows) if too_long[i] or not _is_valid(batch.slice(i, 1))]
    for i in bad:
        one = batch.slice(i, 1)
        if too_long[i]:
            message = f"the text has {sizes[i]} bytes, more than {longest} (limits.document_mb)"
            on_bad(BadRecord(row + i, None, 1, "document_too_long", message, _head(one.column(request.text))))
            continue
        names = [
            name
            for name, column in zip(one.schema.names, one.columns, strict=True)
            if not is_valid_array(column)
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


def _without_unused(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with dictionaries anew where one holds an entry that is not UTF-8 and that no record uses."""
    for i, column in enumerate(batch.columns):
        if pa.types.is_dictionary(column.type) and not is_valid_array(column.dictionary):
            batch = batch.set_column(i, batch.schema.field(i), batches.combine([column]))
    return batch


def _is_valid(batch: pa.RecordBatch) -> bool:
    return all(is_valid_array(column) for column in batch.columns)


def is_valid_array(array: Any) -> bool:
    """Do the buffers of an array make sense, and are its strings UTF-8?"""
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
