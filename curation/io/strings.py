"""Records that are nothing but strings (CSV, web archives, plain text) gathered to batches."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from curation.batch import MAX_ROWS
from curation.io.requests import Delivered, Request, chosen


class Record(NamedTuple):
    """Physical number, values in the order of the columns, and bytes that these take about."""

    row: int
    values: Sequence[str | None]
    size: int


def schema_of(names: Iterable[str]) -> pa.Schema:
    """Every column a string."""
    return pa.schema([(name, pa.string()) for name in names])


def gather(records: Iterable[Record], names: Sequence[str], request: Request) -> Iterator[Delivered]:
    """Batches of at most `batch_bytes` and MAX_ROWS records; a longer record is a batch of its own."""
    schema = schema_of(names)
    keep = chosen(schema, request.text, request.columns)
    held: list[Record] = []
    size = 0
    for record in records:
        if held and (size + record.size > request.batch_bytes or len(held) == MAX_ROWS):
            yield _batch(held, schema, keep)
            held, size = [], 0
        held.append(record)
        size += record.size
    if held:
        yield _batch(held, schema, keep)


def _batch(held: list[Record], schema: pa.Schema, keep: list[str] | None) -> Delivered:
    columns = [pa.array(values, pa.string()) for values in zip(*(record.values for record in held), strict=True)]
    batch = pa.RecordBatch.from_arrays(columns, schema=schema)
    return (batch if keep is None else batch.select(keep)), np.array([record.row for record in held], np.int64)
