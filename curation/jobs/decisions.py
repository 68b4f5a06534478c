"""The decisions on the documents of one shard, read in step with its records."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation import io, schema
from curation.errors import InputChanged
from curation.jobs import lines, stages
from curation.jobs.weights import final as final_weights
from curation.mixing import sampling
from curation.plan import Job, Shard

_SIGNALS = ["row", "id", "source", "group", "lang", "gate", "content_hash", "bytes", "word_count", "tokens"]
_WEIGHTS = ["p_synthetic", "synthetic_label", "synthetic_reason", "weight", "filter_reason"]


class Final(NamedTuple):
    """What turns the weights of the weigh phase into those that are written: one number for the whole corpus each.

    free, top and scale bring the mean to 1 (`weights.final`); rate is that of the selection, None without a
    budget; drawn is the rate at which statistics of a weighted mix draw documents.
    """

    scale: float
    free: float
    top: float
    rate: float | None
    max_repeats: int
    drawn: float


class Decided(NamedTuple):
    """Decisions on consecutive documents: the added columns, the signals they rest on, and for the statistics of the
    weighted mix, which documents a draw by weight takes (bool[documents]); their public ids."""

    columns: dict[str, pa.Array]
    signals: pa.RecordBatch
    drawn: np.ndarray
    ids: pa.Array


class Decisions:
    """Reads signals, weights and clusters of a shard; `take` gives the decisions on the next documents."""

    def __init__(self, job: Job, shard: Shard, final: Final) -> None:
        self._final = final
        self._seed = job.config.run.seed
        self._url = shard.url
        self._measured = job.config.measure.enabled
        self._added = stages.added_columns(job.config)
        found = [c.name for c in schema.CONTAMINATION] if job.config.decontaminate.paths else []
        self._scores = [item.column for item in job.config.models]
        found += [schema.FILTER + name for name in self._scores]
        found += [schema.STEPS[1].name] if job.config.steps else []
        self._signals = Cursor(stages.signals_path(job, shard), [*_SIGNALS, *found])
        self._weights = Cursor(stages.decisions_path(job, "weights", shard), ["row", "balanced", *_WEIGHTS])
        self._clusters = stages.read_table(stages.decisions_path(job, "clusters", shard)).combine_chunks()
        self._cluster_rows = self._clusters.column("row").to_numpy()
        self._spans = lines.Spans(job, shard) if lines.wanted(job.config) == "annotate" else None

    def take(self, rows: np.ndarray) -> Decided:
        """Decisions on the records with these physical numbers, which must follow those taken before.

        Raises RuntimeError when the shard no longer holds the records that were annotated.
        """
        signals, weights = self._signals.take(len(rows)), self._weights.take(len(rows))
        for found in (signals, weights):
            if found.num_rows != len(rows) or not np.array_equal(found.column("row").to_numpy(), rows):
                raise InputChanged(
                    f"{self._url} no longer holds the records that were annotated: it changed during the run. "
                    "Run the same command again; a changed shard is annotated anew"
                )
        columns, ids = self._from_clusters(rows, signals)
        columns |= {name: weights.column(name) for name in _WEIGHTS}
        drawn = self._weigh(columns, signals, weights.column("balanced").to_numpy(zero_copy_only=False))
        columns |= {c.name: signals.column(c.name) for c in schema.CONTAMINATION if c.name in signals.schema.names}
        columns |= {name: signals.column(schema.FILTER + name) for name in self._scores}
        if self._spans is not None:
            columns["repeated_spans"] = self._spans.take(rows)
        ordered = {c.name: columns[c.name].cast(c.type) for c in self._added}
        return Decided(ordered, signals, drawn, ids)

    def _from_clusters(self, rows: np.ndarray, signals: pa.RecordBatch) -> tuple[dict[str, pa.Array], pa.Array]:
        at = np.searchsorted(self._cluster_rows, rows)
        at[at == len(self._cluster_rows)] = 0
        inside = self._cluster_rows[at] == rows if len(self._cluster_rows) else np.zeros(len(rows), bool)
        mine = self._clusters.take(pa.array(at, mask=~inside))
        values = {name: mine.column(name).combine_chunks() for name in ("id", "cluster_id", "cluster_size")}
        own = pc.coalesce(values["id"], signals.column("id"))
        columns = {
            "content_hash": signals.column("content_hash"),
            "cluster_id": pc.coalesce(values["cluster_id"], own),
            "cluster_size": pc.fill_null(values["cluster_size"], 1),
            "duplicate_of": mine.column("duplicate_of").combine_chunks(),
            "similarity": mine.column("similarity").combine_chunks(),
        }
        return columns, own

    def _weigh(self, columns: dict[str, pa.Array], signals: pa.RecordBatch, balanced: np.ndarray) -> np.ndarray:
        """Final weights, copies and the reason of what a budget leaves out, in place; returns what a draw takes."""
        final = self._final
        weights = final_weights(columns["weight"].to_numpy(), balanced, final.free, final.top, final.scale)
        kept = columns["filter_reason"].is_null().to_numpy(zero_copy_only=False)
        weights = np.where(kept, weights, 0.0)
        if final.rate is None:
            copies = kept.astype(np.int64)
            drawn = kept
            if self._measured:  # else nobody asks
                drawn = kept & (sampling.uniforms(signals.column("id"), self._seed) < weights * final.drawn)
        else:
            u = sampling.uniforms(signals.column("id"), self._seed)
            copies = sampling.copies(weights, u, final.rate, final.max_repeats)
            missed = kept & (copies == 0)
            reasons = columns["filter_reason"].to_pylist()
            columns["filter_reason"] = pa.array(
                ["not_selected" if missed[i] else reasons[i] for i in range(len(reasons))], pa.string()
            )
            weights = sampling.select_weights(weights, final.rate, final.max_repeats)
            drawn = copies > 0
        columns["weight"], columns["copies"] = pa.array(weights), pa.array(copies)
        return drawn


class Cursor:
    """Consecutive rows of a Parquet file, any number at a time."""

    def __init__(self, url: str, columns: list[str]) -> None:
        self._columns = columns
        self._batches = _batches(url, columns)
        self._pending: list[pa.RecordBatch] = []

    def take(self, count: int) -> pa.RecordBatch:
        """The next `count` rows, fewer at the end, as one batch of small columns."""
        parts: list[pa.RecordBatch] = []
        missing = count
        while missing > 0:
            batch = self._pending.pop() if self._pending else next(self._batches, None)
            if batch is None:
                break
            parts.append(batch.slice(0, missing))
            if batch.num_rows > missing:
                self._pending.append(batch.slice(missing))
            missing -= parts[-1].num_rows
        if len(parts) == 1:
            return parts[0]
        schema = parts[0].schema if parts else pa.schema([(name, pa.null()) for name in self._columns])
        table = pa.Table.from_batches(parts, schema).combine_chunks()
        return table.to_batches()[0] if table.num_rows else pa.RecordBatch.from_pylist([], schema)


def _batches(url: str, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """Batches of a Parquet file. No method: a generator that knows its cursor would keep cursor, file and batch alive
    until the collector of cycles comes by, which may be never."""
    with io.open_file(url) as file:
        yield from pq.ParquetFile(file).iter_batches(16_384, columns=columns, use_threads=False)
