"""The whole mix in memory: the steps that a distributed host runs, over a list of batches of signals."""

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa

from curation.mixing import balance, gate, report
from curation.mixing.base import Base, HumanSums, base_measure, human_merge, human_sums
from curation.mixing.features import (
    RATIO_COVERAGE,
    Extra,
    design_matrix,
    feature_names,
    held_out_matrix,
    ratio_extra,
    ratio_goal,
    scalars,
)
from curation.mixing.reservoir import reservoir_empty, reservoir_merge, reservoir_update

if TYPE_CHECKING:
    from curation.diversity.reference import Profile

T = TypeVar("T")


def mix(
    signals: Sequence[pa.RecordBatch],
    profile: "Profile | None",
    *,
    p: Sequence[pa.Array] | None = None,
    cluster_size: Sequence[np.ndarray] | None = None,
    mode: str = "balance",
    slack: float = 1.0,
    kappa: float = 1.0,
    gamma: float = 0.0,
    cap: float = 20.0,
    gated: bool = True,
    reservoir: int = 20_000,
    passes: int = 3,
    multipliers: Mapping[str, float] | None = None,
    seed: int = 1,
    ratio: Mapping[str, Any] | None = None,
) -> tuple[list[np.ndarray], dict[str, Any]]:
    """Weights of mean 1 for every document of `signals`, and the report.

    p: per batch the calibrated probability of machine text, null without a verdict (None: no verdicts).
    cluster_size: per batch int64[docs], documents that one stands for, 0 where it is not kept (None: all 1).
    mode: `balance` (needs a profile), `ratio` (balance with the column `ratio_logit` of the signals in the base measure
    and among the features; needs a profile and `ratio`, the report of `synthetic.fit_ratio`), `soft` ((1 - p)^kappa),
    `cluster` (size^gamma) or `none` (weight 1, whatever else is set); the others are as in the `mix` section of the
    configuration. Returns one float64[docs] a batch, which do not depend on how documents are ordered or batched.
    Raises ValueError for an unknown mode, or one without what it needs.
    """
    if mode not in ("balance", "ratio", "soft", "cluster", "none"):
        raise ValueError(f"mix.mode must be balance, ratio, soft, cluster or none, not {mode!r}")
    if mode in ("balance", "ratio") and profile is None:
        raise ValueError(f"mix.mode {mode} needs a reference profile: give one, or use soft, cluster or none")
    if mode == "ratio" and ratio is None:
        raise ValueError("mix.mode ratio needs the report of the fit that gave the signals their column ratio_logit")
    sizes = cluster_size if cluster_size is not None else [np.ones(b.num_rows, np.int64) for b in signals]
    if mode == "none":
        kept = sum(int((s > 0).sum()) for s in sizes)
        out = {"status": "unchanged", "reason": "mix.mode is none", "documents": kept}
        return [(s > 0).astype(np.float64) for s in sizes], out
    balanced = mode in ("balance", "ratio")
    kappa = kappa if mode in ("balance", "soft") else 0.0
    gamma = gamma if balanced or mode == "cluster" else 0.0
    verdicts = p if p is not None else [pa.nulls(b.num_rows, pa.float32()) for b in signals]

    nobody: HumanSums = {}
    totals = _fold(
        human_merge, nobody, (human_sums(b, v, s > 0, kappa) for b, v, s in zip(signals, verdicts, sizes, strict=True))
    )
    bases = [
        base_measure(
            b, v, s, totals, kappa=kappa, gamma=gamma, multipliers=multipliers,
            ratio=b.column("ratio_logit") if mode == "ratio" else None,
        )  # fmt: skip
        for b, v, s in zip(signals, verdicts, sizes, strict=True)
    ]
    if not balanced or profile is None:
        return _without_features(bases, cap, passes)

    cells = [
        gate.cells(b, scalars(b, profile.standard), profile.centroids, profile.language) for b in signals
    ]
    count = gate.cell_count(profile.centroids)
    none = np.zeros(0)
    crawl = _fold(
        gate.cell_merge,
        gate.cell_sums(np.zeros(0, np.int64), none, none, count),
        (gate.cell_sums(c, base.q, base.plain, count) for c, base in zip(cells, bases, strict=True)),
    )
    cover = gate.coverage(crawl, profile.cell_documents, gated)
    targets, errors = gate.cell_targets(cover, profile.cell_documents, profile.cell_means, profile.cell_squares)
    extras: list[Extra] = []
    if mode == "ratio" and ratio is not None and cover.share >= RATIO_COVERAGE:
        extras.append(ratio_extra(ratio))
        goal = ratio_goal(ratio)
        targets, errors = np.concatenate([targets, goal[0]]), np.concatenate([errors, goal[1]])
    matrices = [design_matrix(b, profile.standard, extras) for b in signals]
    d = len(targets)
    inside = [cover.covered[c] for c in cells]
    q = [np.where(rows, base.q, 0.0) for rows, base in zip(inside, bases, strict=True)]

    sample = reservoir_empty(d)
    for batch, matrix, base in zip(signals, matrices, q, strict=True):
        part = reservoir_update(reservoir_empty(d), batch.column("id"), matrix, base, seed=seed, size=reservoir)
        sample = reservoir_merge(sample, part, size=reservoir)
    solution = balance.solve_reservoir(sample, targets, errors, cap=cap, slack=slack)
    if solution.status == "hopeless":  # then its scores say nothing about this crawl either
        q = [np.where(rows, base.plain, 0.0) for rows, base in zip(inside, bases, strict=True)]
    point = balance.Point(solution)
    for number in range(1, passes):
        second = balance.wants_curvature(number)
        sums = [balance.pass_sums(m, base, point.solution, second) for m, base in zip(matrices, q, strict=True)]
        merged = _fold(balance.merge, balance.empty_sums(d, second), sums)
        point = balance.newton_step(merged, targets, errors, point)
    solution = point.solution
    sums = [balance.pass_sums(m, base, solution, second=False) for m, base in zip(matrices, q, strict=True)]
    merged = _fold(balance.merge, balance.empty_sums(d, second=False), sums)
    solution = balance.finish(merged, targets, errors, solution)

    weighed = [
        gate.blend(balance.weights(m, base, solution), whole.plain, rows, cover)
        for m, base, whole, rows in zip(matrices, q, bases, inside, strict=True)
    ]
    top = cap * max(1.0, cover.inside / cover.mean if cover.mean > 0 else 1.0)
    parts = [
        report.summarise(
            w, base.plain, _tokens(b), b.column("group"), m, held_out_matrix(b, profile.standard), rows, top
        )
        for w, base, b, m, rows in zip(weighed, bases, signals, matrices, inside, strict=True)
    ]
    if not parts:
        return [], {"status": "unchanged", "reason": "no documents", "documents": 0}
    summary = reduce(report.summary_merge, parts)
    names, kinds = feature_names(extras), gate.cell_names(profile.centroids)
    return weighed, report.report(summary, solution, targets, errors, cover, names, kinds)


def _without_features(bases: list[Base], cap: float, passes: int) -> tuple[list[np.ndarray], dict[str, Any]]:
    """The capped base measure: the same steps without a feature."""
    point = balance.Point(balance.start(0, cap, 0.0))
    none = np.zeros(0)
    for step in range(passes + 8):
        sums = [balance.pass_sums(np.zeros((len(b.q), 0)), b.q, point.solution) for b in bases]
        merged = _fold(balance.merge, balance.empty_sums(0), sums)
        if step < passes + 7:
            point = balance.newton_step(merged, none, none, point)
    solution = balance.finish(merged, none, none, point.solution)
    weighed = [balance.weights(np.zeros((len(b.q), 0)), b.q, solution) for b in bases]
    return weighed, {
        "status": solution.status,
        "reason": solution.reason,
        "documents": int(merged.counts[0]),
        "ess": solution.ess,
        "cap": cap,
    }


def _tokens(batch: pa.RecordBatch) -> np.ndarray:
    return batch.column("tokens").fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)


def _fold(merge: Callable[[T, T], T], empty: T, parts: Any) -> T:
    return reduce(merge, parts, empty)
