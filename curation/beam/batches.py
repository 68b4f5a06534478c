"""What transforms of batches share: one function for each batch, counters, and rows that fail set aside one by one."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.metrics import Metrics

import curation.beam.coder  # noqa: F401  registers the coder of RecordBatch
from curation.config import nearest

NAMESPACE = "curation"
ERRORS = "errors"
#: attribute of a PCollection that holds the names of its batches' columns, where these are known
_COLUMNS = "_curation_columns"
#: an element of the second output: a batch of the one row that failed, and the error
Error = tuple[pa.RecordBatch, str]

Batches = beam.PCollection
Function = Callable[[pa.RecordBatch], Any]


def per_batch(
    batches: beam.PCollection, function: Function, *, name: str, with_errors: bool, added: Iterable[str] | None = None
) -> Any:
    """Apply a picklable function to every batch; (results, errors) with `with_errors`, else the results alone.

    `name` begins the names of the counters `NAME-documents` and `NAME-errors`; `added` are the columns that results
    have beside those of the batches, None where they have others.
    """
    step = beam.ParDo(PerBatch(function, name, with_errors))

    def known(results: beam.PCollection) -> beam.PCollection:
        return results if added is None else know_columns(results, batches, added)

    if not with_errors:
        return known(batches | "Batches" >> step.with_output_types(pa.RecordBatch))
    found = batches | "Batches" >> step.with_outputs(ERRORS, main="results")
    return known(typed(found["results"], pa.RecordBatch)), typed(found[ERRORS], Error)


def typed(collection: beam.PCollection, kind: Any) -> beam.PCollection:
    """The collection with its element type set, which chooses the coder; tagged outputs do not inherit one."""
    collection.element_type = beam.typehints.native_type_compatibility.convert_to_beam_type(kind)
    return collection


class PerBatch(beam.DoFn):
    """Calls a function on each batch. On failure it raises, or with `with_errors` halves the batch until the rows
    that fail stand alone, emits these as `Error` on the output `errors`, and the results of the rest as usual."""

    def __init__(self, function: Function, name: str, with_errors: bool) -> None:
        self._function, self._name, self._with_errors = function, name, with_errors
        self._documents = Metrics.counter(NAMESPACE, f"{name}-documents")
        self._errors = Metrics.counter(NAMESPACE, f"{name}-errors")

    def process(self, batch: pa.RecordBatch) -> Iterator[Any]:
        try:
            result = self._function(batch)
        except Exception as error:
            if not self._with_errors:
                raise
            if batch.num_rows <= 1:
                self._errors.inc()
                yield beam.pvalue.TaggedOutput(ERRORS, (batch, f"{type(error).__name__}: {error}"))
                return
            half = batch.num_rows // 2
            yield from self.process(batch.slice(0, half))
            yield from self.process(batch.slice(half))
        else:
            self._documents.inc(batch.num_rows)
            yield result


def check_bounded(batches: beam.PCollection, stage: str, *, windowed: bool) -> None:
    """Raise ValueError where a stage that looks at all rows together is given a stream without an end.

    windowed: the stage works on each window of a stream by itself, so only the global window is refused.
    """
    if batches.is_bounded or (windowed and not batches.windowing.is_default()):
        return
    way = "put the stream into windows first, or read" if windowed else "read"
    raise ValueError(f"{stage} looks at all rows together and this input has no end: {way} a bounded input")


def check_columns(batches: beam.PCollection, stage: str, names: Iterable[str | None]) -> None:
    """Raise ValueError where it is known that the batches lack one of the columns (None stands for no column), and
    TypeError where the elements are known to be something else than batches.

    What batches have is known where they come from `ReadShards` (then of its first file) or `FromRows` through
    transforms of this package. Elsewhere the first batch tells.
    """
    kind = batches.element_type
    if kind is not None and not beam.typehints.typehints.is_consistent_with(kind, pa.RecordBatch):
        raise TypeError(f"{stage} takes batches (pyarrow.RecordBatch), not {kind}: apply FromRows(schema=...) before")
    known: frozenset[str] | None = getattr(batches, _COLUMNS, None)
    for name in names:
        if known is not None and name is not None and name not in known:
            raise ValueError(f"{stage}: the batches have no column {name!r}{nearest(name, known)}")


def know_columns(
    result: beam.PCollection, given: beam.PCollection | Iterable[str], added: Iterable[str] = ()
) -> beam.PCollection:
    """The result, of which it is now known that it has the columns `given` (names, or those of batches of which they
    are known) and `added`."""
    known = getattr(given, _COLUMNS, None) if isinstance(given, beam.PCollection) else given
    if known is not None:
        setattr(result, _COLUMNS, frozenset(known) | frozenset(added))
    return result


def lacks(batches: beam.PCollection, name: str) -> bool:
    """Is it known that the batches have no column of this name?"""
    known: frozenset[str] | None = getattr(batches, _COLUMNS, None)
    return known is not None and name not in known


def column_name(value: Any, argument: str, *, optional: bool = False) -> None:
    """Raise TypeError or ValueError unless the value can be a column's name (or None, where that is allowed)."""
    if value is None and optional:
        return
    if not isinstance(value, str):
        raise TypeError(f"{argument} must be the name of a column, not {value!r}")
    if not value:
        raise ValueError(f"{argument} is empty: give the name of a column")


def column_of(batch: pa.RecordBatch, name: str) -> pa.Array:
    """A column of a batch; KeyError names those that are there."""
    if name not in batch.schema.names:
        raise KeyError(f"the batch has no column {name!r}; it has {', '.join(batch.schema.names)}")
    return batch.column(name)


def with_column(batch: pa.RecordBatch, name: str, values: pa.Array) -> pa.RecordBatch:
    """The batch with a column, in the place of one of that name where there is one."""
    place = batch.schema.get_field_index(name)
    return batch.append_column(name, values) if place < 0 else batch.set_column(place, name, values)


def displayed(transform: Any, *names: str) -> dict[str, Any]:
    """Display data of the named attributes that are set, as plain values."""
    values = {name: getattr(transform, name) for name in names}
    plain = (str, int, float, bool)
    return {name: v if isinstance(v, plain) else str(v) for name, v in values.items() if v is not None}
