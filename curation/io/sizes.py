"""Bytes of data of each row of an Arrow array, which depend on the row alone and not on the batch that it
came in.
"""

from typing import Any

import numpy as np
import pyarrow as pa

from curation.batch import text_bytes


def row_bytes(batch: pa.RecordBatch) -> np.ndarray:
    """Bytes of every row over all columns, int64[rows]; a null counts only its fixed width."""
    total = np.zeros(batch.num_rows, np.int64)
    fixed = 0
    for column in batch.columns:
        if pa.types.is_primitive(column.type) or pa.types.is_fixed_size_binary(column.type):
            fixed += _width(column.type)
        else:
            total += _bytes(column)
    return total + fixed


def _width(kind: pa.DataType) -> int:
    """Bytes of a value of fixed width; 8 where a type has none."""
    try:
        return (kind.bit_width + 7) // 8
    except ValueError:  # null and the like
        return 8


def _bytes(array: Any) -> np.ndarray:
    kind = array.type
    if isinstance(array, pa.ExtensionArray):
        return _bytes(array.storage)
    if pa.types.is_dictionary(kind):
        inner = np.append(_bytes(array.dictionary), 0)
        return inner[array.indices.fill_null(len(inner) - 1).to_numpy(zero_copy_only=False).astype(np.int64)]
    if pa.types.is_struct(kind):
        return sum((_bytes(inner) for inner in array.flatten()), np.zeros(len(array), np.int64))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_map(kind):
        lengths = (
            array.value_lengths() if not pa.types.is_map(kind) else array.cast(_as_list(kind)).value_lengths()
        )
        counts = lengths.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
        items = array.cast(_as_list(kind)).flatten() if pa.types.is_map(kind) else array.flatten()
        return _by_row(_bytes(items), counts)
    if pa.types.is_fixed_size_list(kind):
        counts = np.where(array.is_valid().to_numpy(zero_copy_only=False), kind.list_size, 0).astype(np.int64)
        return _by_row(_bytes(array.flatten()), counts)
    try:
        return text_bytes(array)
    except TypeError:
        pass
    return np.full(len(array), _width(kind), np.int64)


def _as_list(kind: pa.MapType) -> pa.DataType:
    return pa.list_(pa.struct([pa.field("key", kind.key_type, nullable=False), kind.item_field]))


def _by_row(items: np.ndarray, counts: np.ndarray) -> np.ndarray:
    ends = np.concatenate([[0], np.cumsum(items)])[np.cumsum(counts)]
    return np.diff(ends, prepend=0)
