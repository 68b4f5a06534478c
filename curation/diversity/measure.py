"""Measure documents in memory."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash

from curation.diversity.ruler import SHIPPED, Ruler, load_ruler
from curation.diversity.state import State, empty, update
from curation.diversity.statistics import result
from curation.text import text_buffer, tokenise

BATCH = 2048  # documents


def hash_ids(ids: pa.Array) -> np.ndarray:
    """uint64[documents]: xxh3 of each id as a string; a null counts as the empty string."""
    strings = ids.cast(pa.large_string()).to_pylist()
    return np.array([xxhash.xxh3_64_intdigest((s or "").encode()) for s in strings], np.uint64)


def hash_texts(data: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """uint64[documents]: xxh3 of each document of a text buffer, for documents without ids."""
    bounds = starts.tolist()
    buffer = np.ascontiguousarray(data).data
    spans = zip(bounds, bounds[1:], strict=False)
    return np.array([xxhash.xxh3_64_intdigest(buffer[a:b]) for a, b in spans], np.uint64)


def measure(
    batches: Iterable[pa.RecordBatch] | pa.Table | pa.RecordBatch,
    *,
    text: str = "text",
    id: str | None = None,
    ruler: str = SHIPPED,
) -> dict[str, Any]:
    """Diversity statistics of documents: {name: {value, error, n, below_sample, reason}} for all of
    STATISTICS.

    batches: record batches, or one batch or table, with a column `text`; id: a column whose hash draws the
    sample of documents behind some statistics, the text itself when None, so results never depend on order or
    batching. Raises KeyError for a column that is not there.
    """
    tables = load_ruler(ruler)
    state: State = empty(tables)
    if isinstance(batches, pa.Table):
        batches = batches.to_batches()
    elif isinstance(batches, pa.RecordBatch):
        batches = [batches]
    for batch in batches:
        add_batch(state, batch, tables, text=text, id=id)
    return dict(result(state, tables))


def add_batch(state: State, batch: pa.RecordBatch, ruler: Ruler, *, text: str = "text", id: str | None = None) -> State:
    """Add the documents of a batch to a state of `ruler`, in place, and return it; columns as `measure` names them.

    Raises KeyError for a column that is not there.
    """
    for name in (text, id):
        if name is not None and name not in batch.schema.names:
            raise KeyError(f"there is no column {name!r}; the columns are {', '.join(batch.schema.names)}")
    for start in range(0, batch.num_rows, BATCH):
        part = batch.slice(start, BATCH)
        column = part.column(text)
        data, starts = text_buffer(column)
        hashes = hash_texts(data, starts) if id is None else hash_ids(part.column(id))
        update(state, ruler=ruler, tokens=tokenise(column), data=data, starts=starts, ids_hash=hashes)
    return state
