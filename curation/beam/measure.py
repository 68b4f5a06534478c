"""MeasureDiversity: the statistics of `measure` over a whole PCollection, by their mergeable state."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.metrics import Metrics

from curation import diversity
from curation.beam.batches import NAMESPACE, check_bounded, check_columns, column_name, displayed
from curation.diversity import State
from curation.diversity.measure import add_batch


class StateCoder(beam.coders.Coder):
    """States of the statistics between workers: compressed arrays, some 9 MB before."""

    def encode(self, value: State) -> bytes:
        return diversity.dump(value)

    def decode(self, encoded: bytes) -> State:
        return diversity.load(encoded)

    def is_deterministic(self) -> bool:
        return True


class DiversityFn(beam.CombineFn):
    """CombineFn from batches to {statistic: {value, error, n, below_sample, reason}}; use it with CombinePerKey for
    the statistics of sources or shards. Arguments as of `measure`."""

    def __init__(self, *, text: str = "text", id: str | None = None, ruler: str = "shipped") -> None:
        self._text, self._id, self._ruler = text, id, ruler
        self._documents = Metrics.counter(NAMESPACE, "measure-diversity-documents")

    def create_accumulator(self) -> State:
        return diversity.empty(diversity.load_ruler(self._ruler))

    def add_input(self, accumulator: State, batch: pa.RecordBatch) -> State:
        self._documents.inc(batch.num_rows)
        return add_batch(accumulator, batch, diversity.load_ruler(self._ruler), text=self._text, id=self._id)

    def merge_accumulators(self, accumulators: Iterable[State]) -> State:
        merged: State | None = None
        for state in accumulators:
            merged = state if merged is None else diversity.merge(merged, state)
        return self.create_accumulator() if merged is None else merged

    def compact(self, accumulator: State) -> State:
        return diversity.compact(accumulator)

    def extract_output(self, accumulator: State) -> dict[str, Any]:
        return dict(diversity.result(accumulator, diversity.load_ruler(self._ruler)))

    def get_accumulator_coder(self) -> beam.coders.Coder:
        return StateCoder()


@dataclass(kw_only=True, eq=False)
class MeasureDiversity(beam.PTransform):
    """One dict of diversity statistics for the whole PCollection, the same as `measure` gives for all its batches.

    In a stream it gives one for each window. `text` names the column; `id` one whose hash draws the sample of documents
    behind some statistics (None: the text).
    """

    text: str = "text"
    id: str | None = None
    ruler: str = "shipped"

    def __post_init__(self) -> None:
        super().__init__()
        column_name(self.text, "text")
        column_name(self.id, "id", optional=True)
        diversity.load_ruler(self.ruler)

    def expand(self, batches: beam.PCollection) -> beam.PCollection:
        check_bounded(batches, "MeasureDiversity", windowed=True)
        check_columns(batches, "MeasureDiversity", (self.text, self.id))
        combined = beam.CombineGlobally(DiversityFn(text=self.text, id=self.id, ruler=self.ruler))
        if not batches.windowing.is_default():
            combined = combined.without_defaults()  # an empty window has no statistics
        return batches | "Statistics" >> combined.with_output_types(dict[str, Any])

    def display_data(self) -> dict[str, Any]:
        return displayed(self, "text", "id", "ruler")
