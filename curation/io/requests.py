"""What a reader of one format is asked for, and how it delivers."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from curation.io.opening import OnBad

#: a batch and the physical numbers of its records, int64
Delivered = tuple[pa.RecordBatch, np.ndarray]


class Request(NamedTuple):
    """The arguments of `readers.read_shard`, with columns by their own names in the file."""

    text: str
    batch_bytes: int
    schema: pa.Schema | None
    columns: list[str] | None
    on_bad: OnBad
    longest: int
    sound: bool


def chosen(schema: pa.Schema, text: str, columns: list[str] | None) -> list[str] | None:
    """The columns to deliver, in the order of the schema; None for all."""
    return None if columns is None else [name for name in schema.names if name in columns or name == text]
