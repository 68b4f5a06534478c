"""Select: the documents of a budget, by order sampling over a whole PCollection, as the job selects them."""

from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.pvalue import AsSingleton

from curation import dedup
from curation.annotate import public_ids, token_counts, word_counts
from curation.batch import as_strings
from curation.beam.batches import (
    PerBatch,
    check_bounded,
    check_columns,
    column_name,
    column_of,
    displayed,
    know_columns,
    typed,
    with_column,
)
from curation.beam.mix import kept
from curation.beam.passes import add_steps
from curation.mixing import sampling
from curation.mixing.selecting import Candidates, Selecting
from curation.mixing.steps import Context
from curation.text import tokenise


@dataclass(kw_only=True, eq=False)
class Select(beam.PTransform):
    """Every batch with `copies`, the `weight` that is left for the documents selected, and in `filter_reason`
    `not_selected` for those that are not; no row is removed. In a stream every window has the budget.

    One of `tokens`, `documents` and `rate` (a share of the kept documents) is the budget, `max_repeats` the most copies
    of a document. A document's lot is a hash of `seed` and its id, so the same ids, weights and budget give what
    `curation run` selects, however the batches are cut. copies * weight has the weight of the mix for expectation.

    Reads `weight` (of Mix; every kept row weighs 1 where the column is missing), `filter_reason` (rows with one are not
    selected), the column `id` (None: a hash of `text`), and for a budget of tokens `tokens_column` (None: the words of
    `text`). Five sums of at most 129 numbers cross the shuffle; the side input is as small. Between the stages the
    passes read 24 bytes a document.
    """

    tokens: int | None = None
    documents: int | None = None
    rate: float | None = None
    max_repeats: int = 1
    id: str | None = None
    tokens_column: str | None = None
    text: str = "text"
    seed: int = 1

    def __post_init__(self) -> None:
        super().__init__()
        column_name(self.text, "text")
        for name in ("id", "tokens_column"):
            column_name(getattr(self, name), name, optional=True)
        self._selecting = Selecting(self.tokens, self.documents, self.rate, self.max_repeats)

    def expand(self, batches: beam.PCollection) -> beam.PCollection:
        check_bounded(batches, "Select", windowed=True)
        by_tokens = self.tokens is not None
        text = self.text if self.id is None or by_tokens else None
        check_columns(batches, "Select", (text, self.id, self.tokens_column if by_tokens else None))
        look = _Look(self.id, self.tokens_column, self.text, self.seed, by_tokens)
        candidates = typed(batches | "Candidates" >> beam.ParDo(PerBatch(look, "select", False)), pa.RecordBatch)
        context = add_steps(candidates, self._selecting.steps(), _candidates)
        decided = beam.Map(_decide, look, self._selecting, AsSingleton(context))
        selected = batches | "Decide" >> decided.with_output_types(pa.RecordBatch)
        return know_columns(selected, batches, ("weight", "copies", "filter_reason"))

    def display_data(self) -> dict[str, Any]:
        names = ("tokens", "documents", "rate", "max_repeats", "id", "tokens_column", "text", "seed")
        return displayed(self, *names)


@dataclass(frozen=True)
class _Look:
    """The columns `weight` (0 for rows that are not kept), `u` and `size` of a batch."""

    id: str | None
    tokens_column: str | None
    text: str
    seed: int
    by_tokens: bool

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        for name in (self.id, self.tokens_column if self.by_tokens else None):
            if name is not None:
                column_of(batch, name)
        columns = {
            "weight": pa.array(self._weights(batch)),
            "u": pa.array(sampling.uniforms(self._ids(batch), self.seed)),
            "size": self._size(batch) if self.by_tokens else pa.array(np.ones(batch.num_rows, np.int64)),
            "kept": pa.array(kept(batch)),
        }
        return pa.RecordBatch.from_arrays(list(columns.values()), list(columns))

    def _weights(self, batch: pa.RecordBatch) -> np.ndarray:
        weights = np.ones(batch.num_rows)
        if "weight" in batch.schema.names:
            weights = batch.column("weight").cast(pa.float64()).fill_null(0.0).to_numpy(zero_copy_only=False)
        return np.where(kept(batch) & np.isfinite(weights) & (weights > 0), weights, 0.0)

    def _ids(self, batch: pa.RecordBatch) -> pa.Array:
        if self.id is not None and not batch.column(self.id).null_count:
            return as_strings(batch.column(self.id))
        return public_ids(batch, self.id, dedup.content_hashes(column_of(batch, self.text)))

    def _size(self, batch: pa.RecordBatch) -> pa.Array:
        words = word_counts(tokenise(column_of(batch, self.text)))
        return token_counts(batch, self.tokens_column, words)


def _candidates(batch: pa.RecordBatch) -> Candidates:
    weight, u, size = (batch.column(name).to_numpy() for name in ("weight", "u", "size"))
    return Candidates(weight, u, size, batch.column("kept").true_count)


def _decide(batch: pa.RecordBatch, look: _Look, selecting: Selecting, context: Context) -> pa.RecordBatch:
    copies, weights = selecting.decide(_candidates(look(batch)), context)
    before = pa.nulls(batch.num_rows, pa.string())
    if "filter_reason" in batch.schema.names:
        before = batch.column("filter_reason").cast(pa.string())
    left_out = pc.if_else(pa.array(copies == 0), "not_selected", pa.scalar(None, pa.string()))
    batch = with_column(batch, "weight", pa.array(weights))
    batch = with_column(batch, "copies", pa.array(copies))
    return with_column(batch, "filter_reason", pc.coalesce(before, left_out))
