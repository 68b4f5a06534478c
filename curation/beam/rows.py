"""Between elements that are rows (dicts, NamedTuples, beam.Row) and RecordBatches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Optional

import apache_beam as beam
import pyarrow as pa
from apache_beam.metrics import Metrics
from apache_beam.typehints.row_type import RowTypeConstraint

from curation.beam.batches import ERRORS, NAMESPACE, check_columns, displayed, know_columns, typed

MOST_ROWS = 1000


@dataclass(kw_only=True, eq=False)
class FromRows(beam.PTransform):
    """Rows (dicts, NamedTuples or beam.Row) as batches of `schema`, each with at most `batch_rows` rows.

    A missing key is null; a key that the schema lacks is an error, so that nothing is lost silently. With
    `with_errors` the result is (batches, errors), errors being (row, message).
    """

    schema: pa.Schema
    batch_rows: int = MOST_ROWS
    with_errors: bool = False

    def __post_init__(self) -> None:
        super().__init__()
        if not isinstance(self.schema, pa.Schema):
            raise TypeError(f"schema must be a pyarrow.Schema, not {self.schema!r}")
        if self.batch_rows < 1:
            raise ValueError(f"batch_rows must be at least 1, not {self.batch_rows}")

    def expand(self, rows: beam.PCollection) -> Any:
        batched = rows | "Group" >> beam.BatchElements(self.batch_rows, self.batch_rows, record_metrics=False)
        step = beam.ParDo(_Pack(self.schema, self.with_errors))
        if not self.with_errors:
            packed = batched | "Pack" >> step.with_output_types(pa.RecordBatch)
            return know_columns(packed, self.schema.names)
        found = batched | "Pack" >> step.with_outputs(ERRORS, main="batches")
        packed = know_columns(typed(found["batches"], pa.RecordBatch), self.schema.names)
        return packed, typed(found[ERRORS], tuple[Any, str])

    def display_data(self) -> dict[str, Any]:
        return {"columns": ", ".join(self.schema.names), **displayed(self, "batch_rows", "with_errors")}


class _Pack(beam.DoFn):
    def __init__(self, schema: pa.Schema, with_errors: bool) -> None:
        self._schema, self._with_errors = schema, with_errors
        self._errors = Metrics.counter(NAMESPACE, "from-rows-errors")

    def process(self, rows: Sequence[Any]) -> Iterator[Any]:
        try:
            batch = to_batch(rows, self._schema)
        except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
            if not self._with_errors:
                raise
            if len(rows) == 1:
                self._errors.inc()
                yield beam.pvalue.TaggedOutput(ERRORS, (rows[0], f"{type(error).__name__}: {error}"))
                return
            half = len(rows) // 2
            yield from self.process(rows[:half])
            yield from self.process(rows[half:])
        else:
            yield batch


def to_batch(rows: Sequence[Any], schema: pa.Schema) -> pa.RecordBatch:
    """Rows as a batch of the schema. Raises ValueError for a key that the schema lacks, and Arrow's error, naming the
    column, for a value that does not fit."""
    plain = [row if isinstance(row, dict) else row._asdict() for row in rows]
    known = set(schema.names)
    for row in plain:
        if not known.issuperset(row):
            extra = sorted(set(row) - known)[0]
            raise ValueError(f"a row has the key {extra!r}, which the schema lacks ({', '.join(schema.names)})")
    columns = []
    for field in schema:
        try:
            columns.append(pa.array([row.get(field.name) for row in plain], field.type))
        except (pa.ArrowException, TypeError, OverflowError) as error:
            raise ValueError(f"column {field.name!r} is {field.type}: {error}") from None
    return pa.RecordBatch.from_arrays(columns, schema=schema)


@dataclass(kw_only=True, eq=False)
class ToRows(beam.PTransform):
    """The rows of batches one by one: dicts, or with `schema` (that of the batches) beam.Row of a Beam schema.

    Raises TypeError at construction for a column whose type Beam schemas do not have, naming it: convert or drop it.
    """

    schema: pa.Schema | None = None

    def __post_init__(self) -> None:
        super().__init__()
        self._type = None if self.schema is None else row_type(self.schema)

    def expand(self, batches: beam.PCollection) -> beam.PCollection:
        check_columns(batches, "ToRows", () if self.schema is None else self.schema.names)
        if self._type is None:
            return batches | "Rows" >> beam.FlatMap(_dicts).with_output_types(dict[str, Any])
        return batches | "Rows" >> beam.FlatMap(_rows, self.schema).with_output_types(self._type)

    def display_data(self) -> dict[str, Any]:
        return {} if self.schema is None else {"columns": ", ".join(self.schema.names)}


def _dicts(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    return batch.to_pylist()


def _rows(batch: pa.RecordBatch, schema: pa.Schema) -> Iterator[beam.Row]:
    if not batch.schema.equals(schema):
        raise ValueError(f"a batch has another schema than ToRows was given:\n{batch.schema}\nnot\n{schema}")
    for row in batch.to_pylist():
        yield beam.Row(**row)


def row_type(schema: pa.Schema) -> RowTypeConstraint:
    """The type of a beam.Row with the columns of a schema; every column may be null."""
    return RowTypeConstraint.from_fields([(field.name, _python_type(field.type, field.name)) for field in schema])


def _python_type(kind: pa.DataType, name: str) -> Any:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    tests = (
        (pa.types.is_boolean, bool),
        (lambda k: pa.types.is_signed_integer(k) or k in (pa.uint8(), pa.uint16(), pa.uint32()), int),
        (pa.types.is_floating, float),
        (lambda k: pa.types.is_string(k) or pa.types.is_large_string(k) or k == pa.string_view(), str),
        (lambda k: pa.types.is_binary(k) or pa.types.is_large_binary(k) or pa.types.is_fixed_size_binary(k), bytes),
    )
    for test, python in tests:
        if test(kind):
            return Optional[python]  # noqa: UP045  Beam reads this form
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        inner: Any = _python_type(kind.value_type, name)
        return Optional[Sequence[inner]]  # noqa: UP045
    raise TypeError(f"column {name!r} is {kind}, which Beam schemas do not have: cast or drop it before ToRows")
