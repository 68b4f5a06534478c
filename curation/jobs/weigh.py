"""Weigh: what every document weighs in the mix, and with a budget, at which rate it is selected.

Each question is a pass over the signals that adds up exact sums, so neither sharding nor order can change a weight.
The text is not read; another budget, mode or reference runs from here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from curation import device, schema
from curation.dedup.shuffle import ROW_BITS
from curation.jobs import budget, leaving, lines, ratio, shares, stages, weights
from curation.jobs.decisions import Final
from curation.jobs.leaving import Documents
from curation.jobs.variance import variance
from curation.mixing import balance, gate
from curation.mixing import report as mix_report
from curation.mixing.base import Base, base_measure, human_merge, human_sums
from curation.mixing.columns import moments_of
from curation.mixing.features import (
    RATIO_COVERAGE,
    design_matrix,
    feature_names,
    ratio_extra,
    ratio_goal,
    scalars,
)
from curation.mixing.reservoir import key_limit, reservoir_empty, reservoir_merge, reservoir_of, wanted
from curation.plan import Context, Job, Progress, Shard, Step

SUMMARY = "decisions/weights.json"
_CAP_PASSES = 8  # scalar passes that bring a capped base measure to mean 1


def steps(job: Job) -> list[Step]:
    """The passes that the mode and the budget need; only the last one when an earlier run has weighed all this."""
    if stages.finished(job, "weigh", SUMMARY, "weights") is not None:
        return [Step("weigh", "weigh", finish=_load)]
    found = [Step("base", "weigh", work=_human, merge=human_merge, finish=_or_empty)]
    if balances(job):
        found += [
            Step("coverage", "weigh", work=_cells, merge=_add_crawl, finish=_coverage),
            Step("solve", "weigh", work=_sample, merge=_Merge(job.config.mix.reservoir), finish=_solve),
        ]
        passes = job.config.mix.passes
    else:
        found += [Step("solve", "weigh", finish=_start)]
        capped = mode(job) in ("ratio", "soft", "cluster") or job.config.mix.multipliers or _weighs_clusters(job)
        passes = _CAP_PASSES if capped else 1
    for number in range(1, passes):
        work = _sums if not balances(job) or balance.wants_curvature(number) else _first_sums
        found.append(Step(f"pass {number}", "weigh", work=work, merge=balance.merge, finish=_newton, gpu=balances(job)))
    # the last pass writes the weights and measures them: what it finds wrong is reported, not mended
    found.append(Step("weights", "weigh", work=_weights, merge=weights.merge, finish=_weighed))
    return [*found, *budget.steps(job), Step("weigh", "weigh", finish=_finish)]


def mode(job: Job) -> str:
    """The mode that is run: `auto` balances when there is a reference and else weighs nothing."""
    asked = job.config.mix.mode
    if asked != "auto":
        return asked
    return "balance" if job.config.reference else "none"


def balances(job: Job) -> bool:
    """Are features brought to those of a reference?"""
    return mode(job) == "balance" or (mode(job) == "ratio" and job.config.reference is not None)


def compares(job: Job) -> bool:
    """Is the variance of the mix compared with that of a reference? It is in every mode, balanced or not."""
    return job.config.reference is not None and job.config.signals.features


# what is known of a document before it is weighed


def documents(job: Job, shard: Shard, context: Context, columns: list[str]) -> Iterator[Documents]:
    """The documents of a shard in batches, with p, label and the reason of those that leave, and some more columns."""
    columns = [*columns, *(["ratio_logit"] if mode(job) == "ratio" else [])]
    return leaving.documents(job, shard, context, columns, emptied=lines.wanted(job.config) == "remove")


def _kappa(job: Job, context: Context) -> float:
    """The exponent of the human factor: 0 where no anchors say what a score means here."""
    found = context["calibrate"]
    if found is None or mode(job) not in ("balance", "soft"):  # ratio mode has its own verdict
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
        gamma=mix.gamma if balances(job) or mode(job) == "cluster" or _shared(job) else 0.0,
        multipliers=mix.multipliers,
        rehydration=mix.rehydration,
        shared=_shared(job),
        ratio=item.signals.column("ratio_logit") if mode(job) == "ratio" else None,
    )


def _features(job: Job) -> list[str]:
    """Columns of signals that the design matrix is made of, besides the logits."""
    return ["core", "words", "bins", *(schema.COLUMN + name for name in job.config.mix.columns)]


# passes


def _human(job: Job, shard: Shard, context: Context, progress: Progress) -> Any:
    sums: Any = {}
    kappa = _kappa(job, context)
    for item in documents(job, shard, context, []) if kappa else ():
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
    tokens = 0
    for item in documents(job, shard, context, ["core"]):
        base = _base(job, item, context)
        cell = gate.cells(item.signals, scalars(item.signals, profile.standard), profile.centroids, profile.language)
        sums = gate.cell_merge(sums, gate.cell_sums(cell, base.q, base.plain, count))
        tokens += int(item.signals.column("tokens").to_numpy()[base.plain > 0].sum())
    return sums, tokens


def _add_crawl(a: tuple[gate.CellSums, int], b: tuple[gate.CellSums, int]) -> tuple[gate.CellSums, int]:
    return gate.cell_merge(a[0], b[0]), a[1] + b[1]


def _coverage(job: Job, crawl: tuple[gate.CellSums, int] | None, context: Context) -> Any:
    profile = _profile(job)
    if crawl is None:
        none = np.zeros(0)
        crawl = gate.cell_sums(np.zeros(0, np.int64), none, none, gate.cell_count(profile.centroids)), 0
    merged, tokens = crawl
    cover = gate.coverage(merged, profile.cell_documents, job.config.mix.gate)
    means, squares, extras = moments_of(profile, job.config.mix.columns)
    targets, errors = gate.cell_targets(cover, profile.cell_documents, means, squares)
    inside = int(merged.documents[cover.covered].sum())
    fitted = ratio.load(job)
    if fitted is not None and cover.share >= RATIO_COVERAGE:
        extras.append(ratio_extra(fitted.report))
        goal = ratio_goal(fitted.report)
        targets, errors = np.concatenate([targets, goal[0]]), np.concatenate([errors, goal[1]])
    cap = budget.largest_weight(job, int(merged.documents.sum()), tokens)
    return {"cover": cover, "targets": targets, "errors": errors, "documents": inside, "extras": extras, "cap": cap}


def _inside(job: Job, item: Documents, base: Base, context: Context) -> tuple[np.ndarray, np.ndarray]:
    """(bool[docs] inside the reference's coverage, q float64[docs] there and 0 elsewhere)."""
    profile = _profile(job)
    cell = gate.cells(item.signals, scalars(item.signals, profile.standard), profile.centroids, profile.language)
    inside = context["coverage"]["cover"].covered[cell]
    solved = context.get("solve")
    hopeless = solved is not None and solved.solution.status == "hopeless"  # its scores say nothing either
    return inside, np.where(inside, base.plain if hopeless else base.q, 0.0)


def balanced(job: Job, shard: Shard, context: Context, columns: Sequence[str] = ()) -> Iterator[weights.Item]:
    """The documents of a shard in batches, with base measure, coverage and features; none of these in other modes."""
    found = context.get("coverage")
    for item in documents(job, shard, context, [*(_features(job) if found else ()), *columns]):
        base = _base(job, item, context)
        if found is None:
            n = len(base.q)
            yield weights.Item(item, base, base.q, np.zeros((n, 0)), np.ones(n, bool))
            continue
        inside, q = _inside(job, item, base, context)
        matrix = design_matrix(item.signals, _profile(job).standard, found["extras"])
        yield weights.Item(item, base, q, matrix, inside)


def _sample(job: Job, shard: Shard, context: Context, progress: Progress) -> Any:
    size, standard, found = job.config.mix.reservoir, _profile(job).standard, context["coverage"]
    limit = key_limit(size, found["documents"])
    sample, pending = reservoir_empty(len(found["targets"])), []
    for item in documents(job, shard, context, _features(job)):
        _, q = _inside(job, item, _base(job, item, context), context)
        rows, keys = wanted(sample, item.signals.column("id"), q, seed=job.config.run.seed, size=size, limit=limit)
        if not len(rows):
            continue
        matrix = design_matrix(item.signals.take(pa.array(rows)), standard, found["extras"])
        pending.append(reservoir_of(keys, matrix, q[rows]))
        if sum(len(part.keys) for part in pending) >= size:  # merging copies the whole sample
            sample, pending = reservoir_merge(sample, *pending, size=size), []
    return reservoir_merge(sample, *pending, size=size)


@dataclass(frozen=True)
class _Merge:
    """Merge of two reservoirs of `size` documents; a class, so that it can be pickled."""

    size: int

    def __call__(self, a: Any, b: Any) -> Any:
        return reservoir_merge(a, b, size=self.size)


def _solve(job: Job, merged: Any, context: Context) -> balance.Point:
    mix, found = job.config.mix, context["coverage"]
    sample = merged if merged is not None else reservoir_empty(len(found["targets"]))
    solution = balance.solve_reservoir(
        sample, found["targets"], found["errors"], cap=found["cap"], slack=mix.slack, min_ess=mix.min_ess
    )
    return balance.Point(solution)


def _start(job: Job, _: Any, context: Context) -> balance.Point:
    return balance.Point(balance.start(0, job.config.mix.cap, 0.0))


def _point(context: Context) -> balance.Point:
    last = max((int(name[5:]) for name in context if name.startswith("pass ")), default=0)
    return context[f"pass {last}"] if last else context["solve"]


def _goal(context: Context) -> tuple[np.ndarray, np.ndarray]:
    """Targets and standard errors; of no feature in other modes."""
    found = context.get("coverage")
    return (found["targets"], found["errors"]) if found else (np.zeros(0), np.zeros(0))


def _sums(job: Job, shard: Shard, context: Context, progress: Progress, second: bool = True) -> balance.Sums:
    solution = _point(context).solution
    card = device.choose(job.config.run.device) if solution.b else None
    if card is not None:
        batches = ((item.matrix, item.q) for item in balanced(job, shard, context))
        return device.total_sums(card, batches, solution, second)
    sums = balance.empty_sums(len(solution.b), second)
    for item in balanced(job, shard, context):
        sums = balance.merge(sums, balance.pass_sums(item.matrix, item.q, solution, second))
    return sums


def _first_sums(job: Job, shard: Shard, context: Context, progress: Progress) -> balance.Sums:
    return _sums(job, shard, context, progress, second=False)


def _newton(job: Job, merged: Any, context: Context) -> balance.Point:
    """A step of the dual from the exact sums of a pass."""
    point = _point(context)
    return balance.newton_step(merged, *_goal(context), point) if merged is not None else point


def _weights(job: Job, shard: Shard, context: Context, progress: Progress) -> weights.Totals:
    """Write the weights of a shard's documents and add up what the report says of them."""
    found = context.get("coverage")
    standard = _profile(job).standard if compares(job) else None
    columns = ["style", *([] if found else ["core", "bins"])] if standard is not None else []
    return weights.write(
        job, shard, context, balanced(job, shard, context, columns), _point(context).solution,
        found["cover"] if found else None, standard,
    )  # fmt: skip


def _weighed(job: Job, merged: weights.Totals | None, context: Context) -> weights.Weighed:
    solution = _point(context).solution
    totals = merged if merged is not None else weights.nothing(len(solution.b))
    cover = (context.get("coverage") or {}).get("cover")
    found = weights.finish(totals, *_goal(context), solution, cover)
    return found._replace(search=budget.begin(job, totals.kept))


def _finish(job: Job, _: Any, context: Context) -> dict[str, Any]:
    """Write what was found to decisions/weights.json and hand on what select needs."""
    weighed, found = context["weights"], context.get("coverage")
    totals, solution = weighed.totals, weighed.solution
    report: dict[str, Any] = {"status": solution.status, "reason": solution.reason}
    if totals.summary is not None:
        extras = found["extras"] if found else ()
        cover = found["cover"] if found else None
        kinds = gate.cell_names(_profile(job).centroids) if found else ()
        report = mix_report.report(totals.summary, solution, *_goal(context), cover, feature_names(extras), kinds)
        if compares(job):
            report["variance"] = variance(totals.summary, _profile(job))
    search = budget.search(context)
    high = (report.get("weight_quantiles") or {}).get("0.95")
    final = Final(
        scale=weighed.scale,
        free=weighed.free,
        top=weighed.top,
        rate=None if search is None else search.low,
        max_repeats=job.config.select.max_repeats,
        # a draw by weight takes all of the heaviest twentieth, so that it is not too small to measure
        drawn=1.0 if not high else min(1.0, 1.0 / (high * weighed.scale)),
    )
    stages.write_json(
        f"{job.config.output}/{SUMMARY}",
        {
            "hash": job.hashes["weigh"],
            "mode": mode(job),
            "weighs_clusters": _weighs_clusters(job),
            "kept": totals.kept,
            "tokens": totals.tokens,
            "final": final._asdict(),
            "selection": None if search is None else search._asdict(),
            "groups": {
                kind: {name: {"documents": n, "weight": m / weights.FIXED} for name, (n, m) in found.items()}
                for kind, found in totals.groups.items()
            },
            "synthetic": shares.estimates(totals.scores, context),
            "mix": report,
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
