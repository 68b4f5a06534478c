"""The last pass of weigh: the weights of every document, and the exact sums that say what they are worth."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation import io, schema, synthetic
from curation.jobs import shares, stages
from curation.jobs.leaving import Documents
from curation.mixing import balance, gate, sampling
from curation.mixing import report as mix_report
from curation.mixing.base import Base
from curation.mixing.features import Standard, held_out_matrix, scalars
from curation.plan import Context, Job, Shard

FIXED = 1 << 20  # a weight of 1 in the sums
KINDS = {"source": "source", "language": "lang", "group": "group"}  # of groups, and their columns in signals

#: by kind and name: documents, and their weight in FIXED parts
Groups = dict[str, dict[str, tuple[int, int]]]


class Item(NamedTuple):
    """A batch of documents with what their weights are made of."""

    documents: Documents
    base: Base
    q: np.ndarray  # float64[docs], base measure inside the coverage, 0 outside
    matrix: np.ndarray  # float64[docs, d]
    inside: np.ndarray  # bool[docs]


class Totals(NamedTuple):
    """Exact sums over documents; merge with `merge`."""

    sums: balance.Sums  # at the solution whose weights were written
    kept: int
    mass: tuple[int, int, int]  # weight at the cap, below it inside the coverage, and outside, in FIXED parts
    tokens: int
    summary: mix_report.Summary | None
    groups: Groups
    scores: dict[str, Any] | None


class Weighed(NamedTuple):
    """What the pass found, and what turns the written weights into final ones of mean 1."""

    totals: Totals
    solution: balance.Solution
    free: float  # factor of weights below the cap, inside the coverage
    top: float  # the largest weight inside the coverage
    scale: float  # factor of all
    search: sampling.Selection | None = None  # where the search for a budget's rate begins


def nothing(features: int) -> Totals:
    """The sums of no documents."""
    return Totals(balance.empty_sums(features, second=False), 0, (0, 0, 0), 0, None, {kind: {} for kind in KINDS}, None)


def write(
    job: Job,
    shard: Shard,
    context: Context,
    items: Iterable[Item],
    solution: balance.Solution,
    cover: gate.Coverage | None,
    standard: Standard | None,
) -> Totals:
    """Write decisions/weights of a shard at `solution`; returns the sums.

    Without a cover nothing was balanced, and with a standard the documents are still compared with the reference.
    """
    totals = nothing(len(solution.b))
    top = largest(solution, cover)
    url = stages.decisions_path(job, "weights", shard)
    with io.atomic(url) as file, pq.ParquetWriter(file, schema.WEIGHTS_SCHEMA, compression="zstd") as writer:
        for item in items:
            raw = balance.weights(item.matrix, item.q, solution)
            if cover is not None:
                raw = gate.blend(raw, item.base.plain, item.inside, cover)
            raw = np.where(item.documents.size > 0, raw, 0.0)
            totals = merge(totals, _sums(job, shard, context, item, raw, solution, top, standard))
            writer.write_batch(_table(item, raw))
    return totals


def largest(solution: balance.Solution, cover: gate.Coverage | None) -> float:
    """The largest weight inside the coverage once the mean over all documents is 1."""
    return solution.cap if cover is None or cover.mean <= 0 else solution.cap * (cover.inside / cover.mean)


def _sums(
    job: Job,
    shard: Shard,
    context: Context,
    item: Item,
    raw: np.ndarray,
    solution: balance.Solution,
    top: float,
    standard: Standard | None,
) -> Totals:
    signals, kept = item.documents.signals, item.documents.size > 0
    tokens = signals.column("tokens").to_numpy()
    mass = np.rint(raw * FIXED).astype(np.int64)
    capped = item.inside & (raw >= top)
    held_out = held_out_matrix(signals, standard) if standard is not None else np.zeros((len(raw), 0))
    compared = scalars(signals, standard) if standard is not None and not item.matrix.shape[1] else item.matrix
    summary = mix_report.summarise(
        raw, item.base.plain, tokens, signals.column("group"), compared, held_out, item.inside,
        max(solution.cap, top),
    )  # fmt: skip
    scored = job.config.detect.enabled
    return Totals(
        balance.pass_sums(item.matrix, item.q, solution, second=False),
        int(kept.sum()),
        (int(mass[capped].sum()), int(mass[item.inside & ~capped].sum()), int(mass[~item.inside].sum())),
        int(tokens[kept].sum()),
        summary,
        {kind: _by_name(signals.column(column), kept, mass) for kind, column in KINDS.items()},
        shares.scored(item.documents, shard, context, raw, item.inside) if scored else None,
    )


def _by_name(column: Any, kept: np.ndarray, mass: np.ndarray) -> dict[str, tuple[int, int]]:
    coded = column.cast(pa.string()).fill_null("").dictionary_encode()
    names, codes = coded.dictionary.to_pylist(), coded.indices.to_numpy(zero_copy_only=False)
    sums = np.zeros((2, len(names)), np.int64)
    np.add.at(sums[0], codes, kept.astype(np.int64))
    np.add.at(sums[1], codes, mass)
    return {name: (int(n), int(w)) for name, n, w in zip(names, *sums, strict=True) if n}


def _table(item: Item, raw: np.ndarray) -> pa.RecordBatch:
    documents = item.documents
    names = pa.array([r or None for r in synthetic.REASONS], pa.string())
    columns = {
        "row": documents.signals.column("row"),
        "p_synthetic": documents.p,
        "synthetic_label": pa.array(schema.LABELS, pa.string()).take(pa.array(documents.label)),
        "synthetic_reason": names.take(pa.array(documents.why)),
        "weight": pa.array(raw),
        "balanced": pc.and_(pa.array(item.inside), pa.array(documents.size > 0)),
        "filter_reason": documents.reason,
    }
    return pa.RecordBatch.from_arrays([columns[n] for n in schema.WEIGHTS_SCHEMA.names], schema=schema.WEIGHTS_SCHEMA)


def merge(a: Totals, b: Totals) -> Totals:
    """The sums over the documents of both."""
    return Totals(
        balance.merge(a.sums, b.sums),
        a.kept + b.kept,
        (a.mass[0] + b.mass[0], a.mass[1] + b.mass[1], a.mass[2] + b.mass[2]),
        a.tokens + b.tokens,
        _either(mix_report.summary_merge, a.summary, b.summary),
        {kind: _merged(a.groups[kind], b.groups[kind]) for kind in KINDS},
        _either(shares.add, a.scores, b.scores),
    )


def _merged(a: dict[str, tuple[int, int]], b: dict[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
    none, names = (0, 0), sorted({*a, *b})
    both = {name: (a.get(name, none), b.get(name, none)) for name in names}
    return {name: (x[0] + y[0], x[1] + y[1]) for name, (x, y) in both.items()}


def _either(combine: Any, a: Any, b: Any) -> Any:
    """The merge of two values of which either may be None."""
    return b if a is None else a if b is None else combine(a, b)


def finish(
    totals: Totals, targets: np.ndarray, errors: np.ndarray, solution: balance.Solution, cover: gate.Coverage | None
) -> Weighed:
    """The verdict on the solution, and the factors that bring the weights that were written to mean 1."""
    done = balance.finish(totals.sums, targets, errors, solution)
    at_top, below, outside = totals.mass
    mass = at_top + below * done.scale + outside
    scale = totals.kept * FIXED / mass if mass else 0.0
    return Weighed(totals, done, done.scale, largest(done, cover), scale)


def final(raw: np.ndarray, balanced: np.ndarray, free: float, top: float, scale: float) -> np.ndarray:
    """float64[docs]: final weights of mean 1 from those that were written: raw float64[docs], balanced bool[docs]."""
    return np.where(balanced, balance.rescale(raw, free, top), raw) * scale
