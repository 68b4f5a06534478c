"""Steps of mixing over a PCollection: a Map of all batches and a global sum for each, their context a side input."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import AsSingleton

from curation.mixing.steps import Context, Step, advance

#: what a step's part takes, from a batch
Itemise = Callable[[pa.RecordBatch], Any]


def add_steps(batches: beam.PCollection, steps: Sequence[Step], itemise: Itemise) -> beam.PCollection:
    """The PCollection of the context after all steps: one element, or one for each window that has batches.

    What crosses the shuffle is the merged parts of a bundle; the passes stand in the graph one after another.
    """
    context: beam.PCollection | None = None
    for step in steps:
        side = [] if context is None else [AsSingleton(context)]
        merged = (
            batches
            | f"{step.name}/Part" >> beam.Map(_part, step, itemise, *side)
            | f"{step.name}/Merge" >> beam.CombineGlobally(_Merge(step)).without_defaults()
        )
        context = merged | f"{step.name}/Finish" >> beam.Map(_finish, step, *side)
    assert context is not None, "there are no steps"
    return context


def _part(batch: pa.RecordBatch, step: Step, itemise: Itemise, context: Context | None = None) -> Any:
    return step.part(itemise(batch), context or {})


def _finish(merged: Any, step: Step, context: Context | None = None) -> Context:
    return advance(step, merged, context or {})


class _Merge(beam.CombineFn):
    """Parts by a step's merge; a list holds what there is so far."""

    def __init__(self, step: Step) -> None:
        self._merge = step.merge

    def create_accumulator(self) -> list[Any]:
        return []

    def add_input(self, accumulator: list[Any], part: Any) -> list[Any]:
        return [self._merge(accumulator[0], part)] if accumulator else [part]

    def merge_accumulators(self, accumulators: Iterable[list[Any]]) -> list[Any]:
        merged: list[Any] = []
        for accumulator in accumulators:
            for part in accumulator:
                merged = self.add_input(merged, part)
        return merged

    def extract_output(self, accumulator: list[Any]) -> Any:
        return accumulator[0]
