"""Mix: the weights of `curation.mixing.mix` for a whole PCollection of batches.

The work is the list of reductions that `mix` runs in memory (`curation.mixing.weighing`), the passes one after another
in the graph. Signals of the batches are made once for all passes, and once more where the weights are written: neither
text nor weights cross a shuffle, and nothing is joined.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.pvalue import AsSingleton

from curation import diversity, schema, synthetic
from curation.annotate import Settings, annotate
from curation.batch import MAX_ROWS, as_strings
from curation.beam.batches import (
    PerBatch,
    check_bounded,
    check_columns,
    column_name,
    column_of,
    displayed,
    know_columns,
    lacks,
    typed,
    with_column,
)
from curation.beam.passes import add_steps
from curation.jobs import stages
from curation.mixing.columns import chosen
from curation.mixing.steps import Context
from curation.mixing.weighing import Item, Weighing
from curation.text import gate, text_buffer, tokenise

_FEATURES = ("id", "source", "gate", "lang", "tokens", "group", "logit", "style", "words", "bins", "core")
_MODES = ("balance", "soft", "cluster", "none")
_NO_SCORES = "mode soft needs the column p_synthetic: apply DetectSynthetic before Mix"
_NO_CLUSTERS = "the weight of clusters needs the column cluster_size: apply Deduplicate before Mix"


@dataclass(kw_only=True, eq=False)
class Mix(beam.PTransform):
    """Every batch with `weight` (float64, mean 1 over the kept rows), equal to `curation.mixing.mix` on all batches
    together, however they are cut. In a stream every window is a mix of its own.

    The arguments are those of the `mix` section of the configuration; `reference` is the path of a reference profile
    (`default`: the one in the package), read when the transform is made, and `model` scores the text as for the
    reference. `source` names the column that `multipliers` and the human factor go by;
    `columns` maps columns to be balanced too, which the reference was built with, to how many numbers each holds.

    Reads `text`, `id` and `source`, and what stands there from the stages before: `filter_reason` (rows with one weigh
    0), `p_synthetic` of DetectSynthetic (mode soft needs it, balance takes it where it is), `cluster_size` of
    Deduplicate (cluster, and gamma above 0). Only mode balance, and for classes of text soft, look at the text.

    Across the shuffle go sums: of a pass at most 2 MB a bundle, of the sample of `reservoir` documents 1.4 kB for each
    document in it (28 MB in all). The side input is the solution and its curvature, about 1 MB. Signals that the
    passes read take 0.9 kB a document between the stages. `with_report` gives (batches, the report of the mix, a dict).
    """

    reference: str | None = None
    text: str = "text"
    id: str | None = None
    source: str | None = None
    mode: str = "balance"
    slack: float = 1.0
    min_ess: float = 0.0
    kappa: float = 1.0
    gamma: float = 0.0
    cap: float = 20.0
    gate: bool = True
    reservoir: int = 20_000
    passes: int = 3
    multipliers: Mapping[str, float] | None = None
    columns: Mapping[str, int] = field(default_factory=dict)
    seed: int = 1
    model: str = "shipped"
    min_words: int = synthetic.MIN_WORDS
    with_report: bool = False

    def __post_init__(self) -> None:
        super().__init__()
        column_name(self.text, "text")
        for name in ("id", "source"):
            column_name(getattr(self, name), name, optional=True)
        if self.mode not in _MODES:
            raise ValueError(f"mode must be one of {', '.join(_MODES)} in a pipeline, not {self.mode!r}")
        for name, least in (("reservoir", 100), ("passes", 1), ("min_words", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, not {getattr(self, name)}")
        for name in ("kappa", "gamma"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be at least 0, not {getattr(self, name)}")
        if self.multipliers and self.source is None:
            raise ValueError("multipliers go by source: name its column with source=")
        if self.columns and self.mode != "balance":
            raise ValueError(f"columns are balanced in mode balance only, not in {self.mode}")
        profile = None
        if self.mode == "balance" and self.reference is not None:
            profile = _profile(self.reference, self.model, self.columns)
        self._weighing = Weighing(
            profile, self.mode, self.slack, self.kappa, self.gamma, self.cap, self.gate, self.reservoir, self.passes,
            None if self.multipliers is None else dict(self.multipliers), self.seed, columns=tuple(self.columns),
            min_ess=self.min_ess,
        )  # fmt: skip

    def expand(self, batches: beam.PCollection) -> Any:
        check_bounded(batches, "Mix", windowed=True)
        weighing = self._weighing
        text = self.text if weighing.balances or weighing.judges else None
        check_columns(batches, "Mix", (text, self.id, self.source, *self.columns))
        if self.mode == "soft" and weighing.judges and lacks(batches, "p_synthetic"):
            raise ValueError(_NO_SCORES)
        if weighing.weighs_clusters and lacks(batches, "cluster_size"):
            raise ValueError(_NO_CLUSTERS)
        columns = tuple(self.columns.items())
        measure = _Measure(weighing, self.text, self.id, self.source, self.model, self.min_words, columns)
        steps = weighing.steps(with_report=self.with_report)
        context = None
        if steps:
            parts = batches | "Slices" >> beam.FlatMap(_slices).with_output_types(pa.RecordBatch)
            signals = parts | "Signals" >> beam.ParDo(PerBatch(measure, "mix", False))
            context = add_steps(typed(signals, pa.RecordBatch), steps, _item)
        side = [] if context is None else [AsSingleton(context)]
        weighed = batches | "Weigh" >> beam.Map(_weigh, measure, *side).with_output_types(pa.RecordBatch)
        know_columns(weighed, batches, ["weight"])
        if not self.with_report:
            return weighed
        assert context is not None
        return weighed, context | "Report" >> beam.Map(_report).with_output_types(dict[str, Any])

    def display_data(self) -> dict[str, Any]:
        names = ("reference", "text", "id", "source", "mode", "slack", "min_ess", "kappa", "gamma", "cap", "gate")
        more = ("reservoir", "passes", "multipliers", "columns", "seed", "model", "min_words", "with_report")
        return displayed(self, *names, *more)


def _profile(reference: str, model: str, columns: Mapping[str, int]) -> Any:
    """What a mix reads of a profile, small enough to travel with every function of the graph."""
    profile = stages.load_profile(reference)
    again = "build the reference again with `curation reference build`"
    if profile.ruler != diversity.load_ruler().version:
        raise ValueError(f"{reference} was measured on another ruler than this release's; {again}")
    if profile.model not in ("", synthetic.load_model(model).version):
        raise ValueError(f"the human text of {reference} was scored by another detector; {again}")
    try:
        extras = chosen(profile.columns, columns)
    except ValueError as error:
        raise ValueError(f"{reference}: {error}; {again}") from None
    none = np.zeros(0)
    return profile._replace(
        columns=extras,
        scalars_mean=none, scalars_products=none, held_out_mean=none, held_out_products=none, anchors={},
        statistics=b"", blocks={}, human={}, ratio={},
    )  # fmt: skip


@dataclass(frozen=True)
class _Measure:
    """The signals of a batch that the mode reads, with `p_synthetic` and `cluster_size` beside them."""

    weighing: Weighing
    text: str
    id: str | None
    source: str | None
    model: str
    min_words: int
    columns: tuple[tuple[str, int], ...]

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        found = {} if self.weighing.mode == "none" else self._signals(batch)
        found["p_synthetic"] = self._p(batch)
        found["cluster_size"] = self._size(batch)
        return pa.RecordBatch.from_arrays(list(found.values()), list(found))

    def _signals(self, batch: pa.RecordBatch) -> dict[str, pa.Array]:
        if self.weighing.balances:
            settings = Settings(
                text=self.text, id=self.id, source=self.source, bands=0, rows=0, model=self.model,
                min_words=self.min_words, measure=False, columns=self.columns,
            )  # fmt: skip
            signals = annotate(batch, np.arange(batch.num_rows), "default", settings).signals
            more = (schema.COLUMN + name for name, _ in self.columns)
            return {name: signals.column(name) for name in (*_FEATURES, *more)}
        source = pa.repeat("default", batch.num_rows)
        if self.source is not None:
            source = as_strings(column_of(batch, self.source)).fill_null("default")
        if not self.weighing.judges:
            return {"source": source, "gate": pa.nulls(batch.num_rows, pa.string())}
        text = column_of(batch, self.text)
        data, starts = text_buffer(text)
        kinds = gate.gate(tokenise(text), data, starts).code
        return {"source": source, "gate": pa.array(gate.GATES, pa.string()).take(pa.array(kinds))}

    def _p(self, batch: pa.RecordBatch) -> pa.Array:
        if not self.weighing.judges:
            return pa.nulls(batch.num_rows, pa.float32())
        if "p_synthetic" in batch.schema.names:
            return batch.column("p_synthetic").cast(pa.float32())
        if self.weighing.mode == "soft":
            raise ValueError(_NO_SCORES)
        return pa.nulls(batch.num_rows, pa.float32())

    def _size(self, batch: pa.RecordBatch) -> pa.Array:
        size = np.ones(batch.num_rows, np.int64)
        if self.weighing.weighs_clusters:
            if "cluster_size" not in batch.schema.names:
                raise ValueError(_NO_CLUSTERS)
            size = batch.column("cluster_size").fill_null(1).to_numpy(zero_copy_only=False).astype(np.int64)
        return pa.array(np.where(kept(batch), size, 0))


def kept(batch: pa.RecordBatch) -> np.ndarray:
    """bool[rows]: no stage before gave a reason to leave the row out."""
    if "filter_reason" not in batch.schema.names:
        return np.ones(batch.num_rows, bool)
    return np.asarray(batch.column("filter_reason").is_null())


def _slices(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The batch in parts that short documents do not make too wide."""
    for start in range(0, batch.num_rows, MAX_ROWS):
        yield batch.slice(start, MAX_ROWS)


def _item(batch: pa.RecordBatch) -> Item:
    return Item(batch, batch.column("p_synthetic"), batch.column("cluster_size").to_numpy())


def _weigh(batch: pa.RecordBatch, measure: _Measure, context: Context | None = None) -> pa.RecordBatch:
    parts = [measure.weighing.weights(_item(measure(part)), context or {}) for part in _slices(batch)]
    return with_column(batch, "weight", pa.array(np.concatenate([np.zeros(0), *parts])))


def _report(context: Context) -> dict[str, Any]:
    report: dict[str, Any] = context["report"]
    return report
