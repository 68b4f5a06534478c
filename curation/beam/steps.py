"""AsBeam: any datatrove filter or formatter as a stage over batches."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.internal import pickler
from apache_beam.metrics import Metrics

from curation.batch import with_text
from curation.beam.batches import NAMESPACE, check_columns, column_name, column_of, displayed, per_batch, with_column

REASON = "filter_reason"


@dataclass(kw_only=True, eq=False)
class AsBeam(beam.PTransform):
    """`batches | AsBeam(step=GopherQualityFilter())`: every batch with what the datatrove step says of its rows.

    `step` is a filter, a formatter, or another step that passes on the documents it is given. Rows with a
    `filter_reason` already, and those without text, are not shown to it. The text column takes the text that the step
    leaves; `filter_reason` becomes STEP or STEP:REASON for a row that it drops (`drop=True` removes these rows, which
    are counted as `as-beam-dropped-REASON`); `columns` maps keys of the metadata that it sets to the types of columns
    that are added. All other columns are the metadata that the step sees, `url` under the name `url`. Raises TypeError
    for what is no step, and ValueError for a step that cannot be pickled.
    """

    step: Any
    text: str = "text"
    id: str | None = None
    url: str | None = None
    columns: Mapping[str, pa.DataType] = field(default_factory=dict)
    drop: bool = False
    with_errors: bool = False

    def __post_init__(self) -> None:
        super().__init__()
        try:
            from datatrove.pipeline.base import PipelineStep
        except ImportError:
            raise ValueError("AsBeam runs steps of datatrove: pip install 'curation[datatrove,filters]'") from None
        if not isinstance(self.step, PipelineStep):
            raise TypeError(f"step must be a datatrove step such as GopherQualityFilter(), not {self.step!r}")
        column_name(self.text, "text")
        column_name(self.id, "id", optional=True)
        column_name(self.url, "url", optional=True)
        for name, kind in self.columns.items():
            if not isinstance(kind, pa.DataType):
                raise TypeError(f"columns[{name!r}] must be a pyarrow.DataType, not {kind!r}")
        try:
            pickler.dumps(self.step)
        except Exception as error:
            raise ValueError(
                f"{type(self.step).__name__} cannot be sent to workers ({type(error).__name__}: {error}): make what it "
                "holds when it is first used"
            ) from None

    def expand(self, batches: beam.PCollection) -> Any:
        check_columns(batches, "AsBeam", (self.text, self.id, self.url))
        run = _Run(self.step, self.text, self.id, self.url, tuple(self.columns.items()), self.drop)
        return per_batch(batches, run, name="as-beam", with_errors=self.with_errors, added=(REASON, *self.columns))

    def display_data(self) -> dict[str, Any]:
        return {"step": type(self.step).__name__, **displayed(self, "text", "id", "url", "drop", "with_errors")}


@dataclass(frozen=True)
class _Run:
    step: Any
    text: str
    id: str | None
    url: str | None
    columns: tuple[tuple[str, pa.DataType], ...]
    drop: bool

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        from curation.datatrove import steps

        for name in (self.text, self.id, self.url):
            if name is not None:
                column_of(batch, name)
        before = pa.nulls(batch.num_rows, pa.string())
        if REASON in batch.schema.names:
            before = batch.column(REASON).cast(pa.string())
        shown = pc.and_(before.is_null(), batch.column(self.text).is_valid())
        part = batch.filter(shown)
        rows = pc.indices_nonzero(shown)
        ids = rows.to_pylist() if self.id is None else part.column(self.id).to_pylist()
        done = steps.apply([self.step], steps.documents(part, self.text, ids, self.url))
        place = pc.index_in(pa.array(range(batch.num_rows), pa.uint64()), value_set=rows.cast(pa.uint64()))
        batch = with_text(batch, self.text, done.text.take(place))
        for name, kind in self.columns:
            found = pa.array([document.metadata.get(name) for document in done.documents], kind)
            batch = with_column(batch, name, found.take(place))
        batch = with_column(batch, REASON, pc.coalesce(before, done.reason.take(place)))
        for entry in pc.value_counts(done.reason.drop_null()).to_pylist():
            Metrics.counter(NAMESPACE, f"as-beam-dropped-{entry['values']}").inc(entry["counts"])
        return batch.filter(batch.column(REASON).is_null()) if self.drop else batch
