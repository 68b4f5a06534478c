"""Documents to RecordBatches: kernels want thousands of documents at once, datatrove's steps see them one by one."""

from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
from datatrove.data import Document

MOST_DOCUMENTS = 2048


def in_batches(data: Iterable[Any] | None, batch_mb: float) -> Iterator[list[Document] | pa.RecordBatch]:
    """Consecutive documents with about `batch_mb` MB of text (counted in characters), at most 2,048 of them;
    RecordBatches, as `ArrowReader` yields them, as they are."""
    held: list[Document] = []
    size = 0
    for document in data or ():
        if isinstance(document, pa.RecordBatch):
            yield document
            continue
        held.append(document)
        size += len(document.text or "")
        if size >= batch_mb * 1e6 or len(held) >= MOST_DOCUMENTS:
            yield held
            held, size = [], 0
    if held:
        yield held


def texts(documents: list[Document]) -> pa.Array:
    """The texts as a string array; lone surrogates, which are no text, as question marks."""
    values = [document.text for document in documents]
    try:
        return pa.array(values, pa.large_string())
    except UnicodeEncodeError:
        return pa.array([v and v.encode("utf-8", "replace").decode() for v in values], pa.large_string())


def check_column(value: Any, argument: str) -> None:
    """Raise ValueError unless the value can be a column's name or a key of the metadata."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"{argument} must be the name of a column, not {value!r}")


def check_batch(batch_mb: float) -> None:
    """Raise ValueError unless this can be the size of a batch."""
    if not 0 < batch_mb <= 1024:
        raise ValueError(f"batch_mb must lie between 0 and 1024, not {batch_mb}")
