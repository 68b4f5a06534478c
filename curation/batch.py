"""RecordBatches: slices bounded by bytes of text, and columns added."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from curation.schema import ADDED, OPTIONAL

#: most records of one batch, so that short documents do not make wide feature tables
MAX_ROWS = 16_384
_JSON = orjson.OPT_NON_STR_KEYS | orjson.OPT_SORT_KEYS


def text_bytes(text: Any) -> np.ndarray:
    """UTF-8 bytes of each document, int64[documents]; 0 for null. Takes every string type and dictionaries
    of them.

    Raises TypeError for any other type.
    """
    if pa.types.is_dictionary(text.type):
        sizes = np.append(text_bytes(text.dictionary), 0)
        return sizes[text.indices.fill_null(len(sizes) - 1).to_numpy(zero_copy_only=False).astype(np.int64)]
    if pa.types.is_string_view(text.type) or pa.types.is_binary_view(text.type):
        text = text.cast(pa.large_binary())
    if pa.types.is_string(text.type) or pa.types.is_binary(text.type):
        width: Any = np.int32
    elif pa.types.is_large_string(text.type) or pa.types.is_large_binary(text.type):
        width = np.int64
    else:
        raise TypeError(f"text must be a string column, not {text.type}")
    offsets = text.buffers()[1]
    if offsets is None or not len(text):
        return np.zeros(len(text), np.int64)
    ends = np.frombuffer(offsets, width, len(text) + 1, text.offset * np.dtype(width).itemsize)
    sizes = np.diff(ends).astype(np.int64)
    if text.null_count:  # there may be bytes under a null
        sizes[np.asarray(text.is_null())] = 0
    return sizes


def as_strings(values: Any) -> Any:
    """A column of any type as strings, value by value where Arrow cannot: nested values as JSON, bytes that are no
    UTF-8 as hex. Null stays null.
    """
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    try:
        return values.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return pa.array([None if value is None else _as_string(value) for value in values.to_pylist()], pa.string())


def _as_string(value: Any) -> str:
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value.hex()
    return value if isinstance(value, str) else orjson.dumps(value, default=str, option=_JSON).decode()


def holds_dates(kind: Any) -> bool:
    """Can a column of this type hold dates: dates, timestamps, strings, or a dictionary of these?"""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    return text or pa.types.is_date(kind) or pa.types.is_timestamp(kind)


def dates(column: Any) -> Any:
    """A column of dates, timestamps or strings that begin with an ISO date as date32; null where there is none."""
    if not holds_dates(column.type):
        return pa.nulls(len(column), pa.date32())
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_date(column.type) or pa.types.is_timestamp(column.type):
        return column.cast(pa.date32(), safe=False)
    days: Any = pc.utf8_slice_codeunits(column.cast(pa.string()), 0, 10)
    return pc.strptime(days, format="%Y-%m-%d", unit="s", error_is_null=True).cast(pa.date32(), safe=False)


def pack(values: np.ndarray) -> pa.Array:
    """Numbers[docs, width] as fixed-size binary, little-endian, one value a document."""
    flat = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    kind = pa.binary(flat.shape[1] * flat.itemsize)
    return pa.FixedSizeBinaryArray.from_buffers(kind, len(flat), [None, pa.py_buffer(flat)])


def unpack(column: Any, kind: np.dtype[Any]) -> np.ndarray:
    """The numbers[docs, width] that `pack` made a column of; what stands under a null is undefined."""
    width: int = column.type.byte_width
    start = column.offset * width
    values = np.frombuffer(column.buffers()[1], np.uint8)[start : start + len(column) * width]
    return values.view(kind.newbyteorder("<")).reshape(len(column), width // kind.itemsize)


def slice_by_bytes(
    batch: pa.RecordBatch, text: str, limit: int, rows: int = MAX_ROWS
) -> Iterator[pa.RecordBatch]:
    """Consecutive zero-copy slices of a batch with at most `limit` bytes of text and `rows` records each.

    text: name of the text column. A document above the limit is a slice of its own. Raises KeyError for a
    column that is not there and TypeError for one that is not text.
    """
    ends = np.cumsum(text_bytes(batch.column(text)))
    start = 0
    while start < batch.num_rows:
        before = int(ends[start - 1]) if start else 0
        end = min(int(np.searchsorted(ends, before + limit, side="right")), start + rows)
        end = max(end, start + 1)
        yield batch.slice(start, end - start)
        start = end


def drop_added(batch: pa.RecordBatch, prefix: str = "") -> pa.RecordBatch:
    """The batch without the columns that an earlier run of curation added under this prefix."""
    ours = {prefix + column.name for column in (*ADDED, *OPTIONAL)}
    if ours.isdisjoint(batch.schema.names):
        return batch
    return batch.select([name for name in batch.schema.names if name not in ours])


def add_columns(
    batch: pa.RecordBatch, columns: Mapping[str, pa.Array | np.ndarray], prefix: str = ""
) -> pa.RecordBatch:
    """The batch with columns appended under prefix + name, in the order given; nothing is copied.

    Columns that an earlier run added are dropped, whether or not they are given anew, so that none is stale;
    one of the same name that is not ours raises ValueError naming the prefix.
    """
    batch = drop_added(batch, prefix)
    for name, values in columns.items():
        if prefix + name in batch.schema.names:
            raise ValueError(
                f"the input already has a column {prefix + name!r}; set columns.prefix to another prefix"
            )
        batch = batch.append_column(
            prefix + name, values if isinstance(values, pa.Array) else pa.array(values)
        )
    return batch


def choose(batch: pa.RecordBatch, mask: pa.Array) -> pa.RecordBatch:
    """The records where the boolean array `mask` is true; also of columns of views, which Arrow cannot filter."""
    if mask.false_count == 0 and mask.null_count == 0:
        return batch
    if mask.true_count == 0:
        return batch.slice(0, 0)
    views = [i for i, field in enumerate(batch.schema) if _is_view(field.type)]
    if not views:
        return batch.filter(mask)
    plain = batch
    for i in views:
        name, kind = batch.schema.names[i], batch.schema.field(i).type
        wide = pa.large_string() if pa.types.is_string_view(kind) else pa.large_binary()
        plain = plain.set_column(i, name, batch.column(i).cast(wide))
    return plain.filter(mask).cast(batch.schema)


def _is_view(kind: pa.DataType) -> bool:
    return pa.types.is_string_view(kind) or pa.types.is_binary_view(kind)


def combine(chunks: list[Any]) -> Any:
    """One array of the chunks, copied; dictionaries anew, with what is used, in order of use."""
    kind = chunks[0].type
    if pa.types.is_dictionary(kind):
        plain = [chunk.dictionary.take(chunk.indices) for chunk in chunks]
        return pa.concat_arrays(plain).dictionary_encode().cast(kind)
    return pa.concat_arrays(chunks) if len(chunks) > 1 else chunks[0]


def with_text(batch: pa.RecordBatch, name: str, changed: Any) -> pa.RecordBatch:
    """The batch with the text column `name` replaced wherever `changed` (large_string) is not null; types stay."""
    if changed.null_count == len(changed):
        return batch
    place = batch.schema.get_field_index(name)
    field = batch.schema.field(place)
    text = pc.if_else(changed.is_valid(), changed, plain_text(batch.column(place)))
    if pa.types.is_dictionary(field.type):
        text = text.cast(field.type.value_type).dictionary_encode().cast(field.type)
    return batch.set_column(place, field, text.cast(field.type))


def plain_text(text: Any) -> Any:
    """A string column of any kind as large_string."""
    if pa.types.is_dictionary(text.type):
        text = text.dictionary_decode()
    return text.cast(pa.large_string())
