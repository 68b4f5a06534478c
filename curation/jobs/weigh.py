"""Weigh: what every document weighs in the mix, and with a budget, at which rate it is selected.

Each question is a pass over the signals that adds up exact sums, so neither sharding nor order can change a weight.
The text is not read; another budget, mode or reference runs from here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curation import io, schema, synthetic
from curation.dedup.shuffle import ROW_BITS
from curation.jobs import budget, leaving, lines, shares, stages
from curation.jobs.decisions import Final
from curation.jobs.leaving import Documents
from curation.jobs.variance import variance
from curation.mixing import balance, gate
from curation.mixing import report as mix_report
from curation.mixing.base import Base, base_measure, human_merge, human_sums
from curation.mixing.features import CORE_COLUMNS, FEATURES, design_matrix, held_out_matrix
from curation.mixing.reservoir import reservoir_empty, reservoir_merge, reservoir_update
from curation.plan import Context, Job, Progress, Shard, Step

SUMMARY = "decisions/weights.json"
_CAP_PASSES = 8  # scalar passes that bring a capped base measure to mean 1
_FIXED = 1 << 20
_FEATURES = ["core", "words", "bins", "style"]


def steps(job: Job) -> list[Step]:
    """The passes that the mode and the budget need; only the last one when an earlier run has weighed all this."""
    if stages.finished(job, "weigh", SUMMARY, "weights") is not None:
        return [Step("weigh", "weigh", finish=_load)]
    how = mode(job)
    found = [Step("base", "weigh", work=_human, merge=human_merge, finish=_or_empty)]
    if how == "balance":
        found += [
            Step("coverage", "weigh", work=_cells, merge=gate.cell_merge, finish=_coverage),
            Step("solve", "weigh", work=_sample, merge=_Merge(job.config.mix.reservoir), finish=_solve),
        ]
        passes = job.config.mix.passes
    else:
        found += [Step("solve", "weigh", finish=_start)]
        capped = how in ("soft", "cluster") or job.config.mix.multipliers or _weighs_clusters(job)
        passes = _CAP_PASSES if capped else 1
    for number in range(1, passes):
        found.append(Step(f"pass {number}", "weigh", work=_sums, merge=balance.merge, finish=_Newton(number)))
    found += [
        Step(f"pass {passes}", "weigh", work=_last_sums, merge=balance.merge, finish=_Newton(passes, last=True)),
        Step("weights", "weigh", work=_weights, merge=_add_weights, finish=_totals),
    ]
    return [*found, *budget.steps(job), Step("weigh", "weigh", finish=_finish)]


def mode(job: Job) -> str:
    """The mode that is run: `auto` balances when there is a reference and else weighs nothing."""
    asked = job.config.mix.mode
    if asked != "auto":
        return asked
    return "balance" if job.config.reference else "none"


# what is known of a document before it is weighed


def documents(job: Job, shard: Shard, context: Context) -> Iterator[Documents]:
    """The documents of a shard in batches, with p, label and the reason of those that leave."""
    columns = _FEATURES if mode(job) == "balance" else []
    return leaving.documents(job, shard, context, columns, emptied=lines.wanted(job.config) == "remove")


def _kappa(job: Job, context: Context) -> float:
    """The exponent of the human factor: 0 where no anchors say what a score means here."""
    found = context["calibrate"]
    if found is None or mode(job) not in ("balance", "soft"):
        return 0.0
    return job.config.mix.kappa if (found["calibration"].anchors > 0).any() else 0.0


def _shared(job: Job) -> bool:
    """Do duplicates stay and share the weight of their cluster?"""
    return job.config.dedup.enabled and job.config.dedup.action == "keep"


def _weighs_clusters(job: Job) -> bool:
    return _shared(job) or bool(job.config.mix.rehydration)


def _base(job: Job, item: Documents, context: Context) -> Base:
    mix = job.config.mix
    return base_measure(
        item.signals,
        item.p,
        item.size,
        context["base"],
        kappa=_kappa(job, context),
        gamma=mix.gamma if mode(job) in ("balance", "cluster") or _shared(job) else 0.0,
        multipliers=mix.multipliers,
        rehydration=mix.rehydration,
        shared=_shared(job),
    )


# passes


def _human(job: Job, shard: Shard, context: Context, progress: Progress) -> Any:
    sums: Any = {}
    kappa = _kappa(job, context)
    for item in documents(job, shard, context) if kappa else ():
        sums = human_merge(sums, human_sums(item.signals, item.p, item.size > 0, kappa))
    return sums


def _or_empty(job: Job, merged: Any, context: Context) -> Any:
    return merged or {}


def _profile(job: Job) -> Any:
    assert job.config.reference is not None
    return stages.load_profile(job.config.reference)


def _cells(job: Job, shard: Shard, context: Context, progress: Progress) -> Any:
    profile = _profile(job)
    count = gate.cell_count(profile.centroids)
    sums = gate.cell_sums(np.zeros(0, np.int64), np.zeros(0), np.zeros(0), count)
    for item in documents(job, shard, context):
        base = _base(job, item, context)
        scalars = design_matrix(item.signals, profile.standard)[:, CORE_COLUMNS]
        cell = gate.cells(item.signals, scalars, profile.centroids, profile.language)
        sums = gate.cell_merge(sums, gate.cell_sums(cell, base.q, base.plain, count))
    return sums


def _coverage(job: Job, merged: Any, context: Context) -> Any:
    profile = _profile(job)
    if merged is None:
        none = np.zeros(0)
        merged = gate.cell_sums(np.zeros(0, np.int64), none, none, gate.cell_count(profile.centroids))
    cover = gate.coverage(merged, profile.cell_documents, job.config.mix.gate)
    targets, errors = gate.cell_targets(cover, profile.cell_documents, profile.cell_means, profile.cell_squares)
    return {"cover": cover, "targets": targets, "errors": errors}


def _balanced(
    job: Job, shard: Shard, context: Context
) -> Iterator[tuple[Documents, Base, np.ndarray, np.ndarray, np.ndarray]]:
    """(documents, base, q inside the coverage, feature matrix, bool inside) of each batch; no features in other
    modes."""
    how = mode(job)
    for item in documents(job, shard, context):
        base = _base(job, item, context)
        if how != "balance":
            yield item, base, base.q, np.zeros((len(base.q), 0)), np.ones(len(base.q), bool)
            continue
        profile = _profile(job)
        matrix = design_matrix(item.signals, profile.standard)
        cell = gate.cells(item.signals, matrix[:, CORE_COLUMNS], profile.centroids, profile.language)
        inside = context["coverage"]["cover"].covered[cell]
        yield item, base, np.where(inside, base.q, 0.0), matrix, inside


def _sample(job: Job, shard: Shard, context: Context, progress: Progress) -> Any:
    size, sample = job.config.mix.reservoir, reservoir_empty(FEATURES)
    for item, _, q, matrix, _ in _balanced(job, shard, context):
        sample = reservoir_update(
            sample, item.signals.column("id"), matrix, q, seed=job.config.run.seed, size=size
        )
    return sample


@dataclass(frozen=True)
class _Merge:
    """Merge of two reservoirs of `size` documents; a class, so that it can be pickled."""

    size: int

    def __call__(self, a: Any, b: Any) -> Any:
        return reservoir_merge(a, b, size=self.size)


def _solve(job: Job, merged: Any, context: Context) -> balance.Solution:
    mix, found = job.config.mix, context["coverage"]
    sample = merged if merged is not None else reservoir_empty(FEATURES)
    return balance.solve_reservoir(sample, found["targets"], found["errors"], cap=mix.cap, slack=mix.slack)


def _start(job: Job, _: Any, context: Context) -> balance.Solution:
    return balance.start(0, job.config.mix.cap, 0.0)


def _solution(context: Context) -> balance.Solution:
    last = max((int(name[5:]) for name in context if name.startswith("pass ")), default=0)
    return context[f"pass {last}"] if last else context["solve"]


def _sums(job: Job, shard: Shard, context: Context, progress: Progress, second: bool = True) -> balance.Sums:
    solution = _solution(context)
    sums = balance.empty_sums(len(solution.b), second)
    for _, _, q, matrix, _ in _balanced(job, shard, context):
        sums = balance.merge(sums, balance.pass_sums(matrix, q, solution, second=second))
    return sums


def _last_sums(job: Job, shard: Shard, context: Context, progress: Progress) -> balance.Sums:
    return _sums(job, shard, context, progress, second=False)


@dataclass(frozen=True)
class _Newton:
    """A step of the dual from the exact sums of a pass, or with the last, the verdict on where it ended."""

    number: int
    last: bool = False

    def __call__(self, job: Job, merged: Any, context: Context) -> balance.Solution:
        solution = _solution(context)
        found = context.get("coverage") or {"targets": np.zeros(0), "errors": np.zeros(0)}
        sums = merged if merged is not None else balance.empty_sums(len(solution.b), not self.last)
        step = balance.finish if self.last else balance.newton_step
        return step(sums, found["targets"], found["errors"], solution)


def _weights(job: Job, shard: Shard, context: Context, progress: Progress) -> dict[str, Any]:
    """Write the weights of a shard's documents and add up what the report says of them."""
    solution, cover = _solution(context), (context.get("coverage") or {}).get("cover")
    result: dict[str, Any] = {"kept": 0, "mass": 0, "tokens": 0, "summary": None, "source": {}, "scores": None}
    url = stages.decisions_path(job, "weights", shard)
    with io.atomic(url) as file, pq.ParquetWriter(file, schema.WEIGHTS_SCHEMA, compression="zstd") as writer:
        for item, base, q, matrix, inside in _balanced(job, shard, context):
            weights = balance.weights(matrix, q, solution)
            if cover is not None:
                weights = gate.blend(weights, base.plain, inside, cover)
            kept = item.size > 0
            weights = np.where(kept, weights, 0.0)
            mass = np.rint(weights * _FIXED).astype(np.int64)
            result["kept"] += int(kept.sum())
            result["mass"] += int(mass.sum())
            result["tokens"] += int(item.signals.column("tokens").to_numpy()[kept].sum())
            if cover is not None:
                top = solution.cap * max(1.0, cover.inside / cover.mean if cover.mean > 0 else 1.0)
                summary = mix_report.summarise(
                    weights,
                    base.plain,
                    item.signals.column("tokens").to_numpy(),
                    item.signals.column("group"),
                    matrix,
                    held_out_matrix(item.signals, _profile(job).standard),
                    inside,
                    top,
                )
                result["summary"] = _either(mix_report.summary_merge, result["summary"], summary)
            for source, count, weight in _by_source(item.signals, kept, mass):
                before = result["source"].get(source, (0, 0))
                result["source"][source] = (before[0] + count, before[1] + weight)
            if job.config.detect.enabled:
                scores = shares.scored(item, shard, context, weights, inside)
                result["scores"] = _either(shares.add, result["scores"], scores)
            writer.write_batch(_table(item, weights))
    return result


def _by_source(signals: pa.RecordBatch, kept: np.ndarray, mass: np.ndarray) -> Iterator[tuple[str, int, int]]:
    table = pa.table({"source": signals.column("source"), "kept": kept.astype(np.int64), "mass": mass})
    for row in table.group_by("source").aggregate([("kept", "sum"), ("mass", "sum")]).to_pylist():
        yield row["source"], row["kept_sum"], row["mass_sum"]


def _table(item: Documents, weights: np.ndarray) -> pa.RecordBatch:
    names = pa.array([r or None for r in synthetic.REASONS], pa.string())
    columns = {
        "row": item.signals.column("row"),
        "p_synthetic": item.p,
        "synthetic_label": pa.array(schema.LABELS, pa.string()).take(pa.array(item.label)),
        "synthetic_reason": names.take(pa.array(item.why)),
        "weight": pa.array(weights),
        "filter_reason": item.reason,
    }
    return pa.RecordBatch.from_arrays([columns[n] for n in schema.WEIGHTS_SCHEMA.names], schema=schema.WEIGHTS_SCHEMA)


def _add_weights(a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
    none = (0, 0)
    return {
        **{key: a[key] + b[key] for key in ("kept", "mass", "tokens")},
        "summary": _either(mix_report.summary_merge, a["summary"], b["summary"]),
        "scores": _either(shares.add, a["scores"], b["scores"]),
        "source": {
            s: tuple(x + y for x, y in zip(a["source"].get(s, none), b["source"].get(s, none), strict=True))
            for s in sorted({*a["source"], *b["source"]})
        },
    }


def _either(merge: Any, a: Any, b: Any) -> Any:
    """The merge of two values of which either may be None."""
    return b if a is None else a if b is None else merge(a, b)


def _totals(job: Job, merged: dict[str, Any] | None, context: Context) -> dict[str, Any]:
    """The sums over all shards, the scale that brings the mean weight to 1, and where the search for a rate begins."""
    found = merged or {"kept": 0, "mass": 0, "tokens": 0, "summary": None, "source": {}, "scores": None}
    scale = found["kept"] * _FIXED / found["mass"] if found["mass"] else 0.0
    return found | {"scale": scale, "search": budget.begin(job, found["kept"])}


def _finish(job: Job, _: Any, context: Context) -> dict[str, Any]:
    """Write what was found to decisions/weights.json and hand on what select needs."""
    totals, solution, found = context["weights"], _solution(context), context.get("coverage")
    report: dict[str, Any] = {}
    if found is not None and totals["summary"] is not None:
        report = mix_report.report(totals["summary"], solution, found["targets"], found["errors"], found["cover"])
        report["variance"] = variance(totals["summary"], _profile(job))
    search = budget.search(context)
    high = (report.get("weight_quantiles") or {}).get("0.95")
    final = Final(
        scale=totals["scale"],
        rate=None if search is None else search.low,
        max_repeats=job.config.select.max_repeats,
        # a draw by weight takes all of the heaviest twentieth, so that it is not too small to measure
        drawn=1.0 if not high else min(1.0, 1.0 / (high * totals["scale"])),
    )
    stages.write_json(
        f"{job.config.output}/{SUMMARY}",
        {
            "hash": job.hashes["weigh"],
            "mode": mode(job),
            "weighs_clusters": _weighs_clusters(job),
            "kept": totals["kept"],
            "tokens": totals["tokens"],
            "final": final._asdict(),
            "selection": None if search is None else search._asdict(),
            "sources": {s: {"documents": n, "weight": m / _FIXED} for s, (n, m) in totals["source"].items()},
            "synthetic": shares.estimates(totals["scores"], context),
            "mix": report or {"status": solution.status, "reason": solution.reason, "ess": solution.ess},
        },
    )
    return _load(job, None, context)


def _load(job: Job, _: Any, context: Context) -> dict[str, Any]:
    """What select needs, from decisions/weights.json."""
    found = stages.read_json(f"{job.config.output}/{SUMMARY}")
    clusters = stages.read_json(f"{job.config.output}/decisions/clusters.json")
    wanted: dict[int, list[int]] = {}
    rows = [row for example in clusters["examples"] for row in (example["survivor"], example["duplicate"])]
    for row in [*rows, *(cluster["survivor"] for cluster in clusters["largest"])]:
        if isinstance(row, dict):  # of an earlier run, whose text is not read
            continue
        wanted.setdefault(row >> ROW_BITS, []).append(row & ((1 << ROW_BITS) - 1))
    return {"final": Final(**found["final"]), "examples": wanted}
