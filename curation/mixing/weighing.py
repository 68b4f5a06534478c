"""A whole mix as steps over batches: every mode of weights, from the base measure to the report.

The context holds, as far as a mode needs them: `human` (sums of the human factors), `goal` (what the reference covers
and what to match), `point` (where the search stands; about 1 MB with its curvature), and in the end `report`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa

from curation.mixing import balance, gate, report
from curation.mixing.base import Base, HumanSums, base_measure, human_merge, human_sums
from curation.mixing.columns import moments_of
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
from curation.mixing.reservoir import (
    Reservoir,
    key_limit,
    reservoir_empty,
    reservoir_merge,
    reservoir_of,
    wanted,
)
from curation.mixing.steps import Context, Step

if TYPE_CHECKING:
    from curation.diversity.reference import Profile

T = TypeVar("T")

MODES = ("balance", "ratio", "soft", "cluster", "none")
_CAP_PASSES = 8  # scalar passes beyond those asked for that bring a capped base measure to mean 1


@dataclass(frozen=True)
class Item:
    """One batch: its signals, what was decided on it, and what steps keep of it for the next ones."""

    signals: pa.RecordBatch
    p: pa.Array  # calibrated probability of machine text, null without a verdict
    size: np.ndarray  # int64[docs], documents that one stands for, 0 where it is not kept
    made: dict[str, Any] = field(default_factory=dict)

    def once(self, name: str, make: Callable[[], T]) -> T:
        """What `make` gives, made when it is first asked for."""
        if name not in self.made:
            self.made[name] = make()
        found: T = self.made[name]
        return found


class Goal(NamedTuple):
    """What is matched, and where."""

    cover: gate.Coverage
    targets: np.ndarray  # float64[d]
    errors: np.ndarray  # float64[d]
    extras: list[Extra]
    documents: int  # inside the coverage


@dataclass(frozen=True)
class Weighing:
    """The settings of a mix, with the names of `mix`; `steps` and then `weights` carry it out.

    Raises ValueError for an unknown mode, one without what it needs, and settings outside their range.
    """

    profile: "Profile | None" = None
    mode: str = "balance"
    slack: float = 1.0
    kappa: float = 1.0
    gamma: float = 0.0
    cap: float = 20.0
    gated: bool = True
    reservoir: int = 20_000
    passes: int = 3
    multipliers: Mapping[str, float] | None = None
    seed: int = 1
    ratio: Mapping[str, Any] | None = None
    columns: Sequence[str] = ()
    min_ess: float = 0.0

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"mix.mode must be {', '.join(MODES[:-1])} or {MODES[-1]}, not {self.mode!r}")
        if self.balances and self.profile is None:
            raise ValueError(f"mix.mode {self.mode} needs a reference profile: give one, or use soft, cluster or none")
        if self.mode == "ratio" and self.ratio is None:
            raise ValueError("mix.mode ratio needs the report of the fit that gave signals their column ratio_logit")
        if self.mode != "none":
            balance.start(0, self.cap, self.slack)
        if not 0 <= self.min_ess < 1:
            raise ValueError(f"mix.min_ess is a share of the documents, from 0 to below 1, not {self.min_ess}")

    @property
    def balances(self) -> bool:
        """Are features brought to those of a reference?"""
        return self.mode in ("balance", "ratio")

    @property
    def judges(self) -> bool:
        """Does the probability of machine text weigh?"""
        return self.mode in ("balance", "soft") and self.kappa != 0

    @property
    def weighs_clusters(self) -> bool:
        """Does the size of a cluster weigh?"""
        return (self.balances or self.mode == "cluster") and self.gamma != 0

    def steps(self, *, with_report: bool = True) -> list[Step]:
        """The reductions that the mode needs; without the report those that the weights need."""
        if self.mode == "none":
            return [Step("count", self._count, _nothing, _add, self._unchanged)] if with_report else []
        found = [Step("base", self._human, _nobody, human_merge, _human_found)] if self.judges else []
        if self.balances:
            merge = partial(reservoir_merge, size=self.reservoir)
            found += [
                Step("coverage", self._cells, self._no_cells, gate.cell_merge, self._cover),
                Step("solve", self._sample, _no_sample, merge, self._solve),
            ]
        passes = self.passes if self.balances else self.passes + _CAP_PASSES
        for number in range(1, passes):
            second = not self.balances or balance.wants_curvature(number)
            part, empty = partial(self._sums, second=second), partial(self._no_sums, second=second)
            found.append(Step(f"pass {number}", part, empty, balance.merge, self._newton))
        second = not self.balances
        part, empty = partial(self._sums, second=second), partial(self._no_sums, second=second)
        found.append(Step("finish", part, empty, balance.merge, self._finish))
        if with_report and self.balances:
            found.append(Step("report", self._summary, _nothing, _either, self._report))
        return found

    def weights(self, item: Item, context: Context) -> np.ndarray:
        """float64[docs]: the final weights of an item, of mean 1 over all documents that are kept."""
        return item.once("weights", lambda: self._weights(item, context))

    def _weights(self, item: Item, context: Context) -> np.ndarray:
        if self.mode == "none":
            return (item.size > 0).astype(np.float64)
        solution = self._point(context).solution
        weighed = balance.weights(self._matrix(item, context), self._q(item, context), solution)
        goal = context.get("goal")
        if goal is None:
            return weighed
        return gate.blend(weighed, self._base(item, context).plain, self._inside(item, context), goal.cover)

    # what steps read of an item

    def _base(self, item: Item, context: Context) -> Base:
        gamma = self.gamma if self.weighs_clusters else 0.0
        ratio = item.signals.column("ratio_logit") if self.mode == "ratio" else None
        return item.once(
            "base",
            lambda: base_measure(
                item.signals, item.p, item.size, context.get("human", {}), kappa=self.kappa if self.judges else 0.0,
                gamma=gamma, multipliers=self.multipliers, ratio=ratio,
            ),
        )  # fmt: skip

    def _cell(self, item: Item) -> np.ndarray:
        profile = self._profile
        return item.once(
            "cell",
            lambda: gate.cells(
                item.signals, scalars(item.signals, profile.standard), profile.centroids, profile.language
            ),
        )

    def _inside(self, item: Item, context: Context) -> np.ndarray:
        covered: np.ndarray = context["goal"].cover.covered[self._cell(item)]
        return covered

    def _q(self, item: Item, context: Context) -> np.ndarray:
        base = self._base(item, context)
        if not self.balances:
            return base.q
        hopeless = "point" in context and context["point"].solution.status == "hopeless"
        # then its scores say nothing about this crawl either
        return np.where(self._inside(item, context), base.plain if hopeless else base.q, 0.0)

    def _matrix(self, item: Item, context: Context) -> np.ndarray:
        goal = context.get("goal")
        if goal is None:
            return np.zeros((len(item.size), 0))
        return item.once("matrix", lambda: design_matrix(item.signals, self._profile.standard, goal.extras))

    @property
    def _profile(self) -> "Profile":
        assert self.profile is not None
        return self.profile

    # the steps

    def _count(self, item: Item, context: Context) -> int:
        return int((item.size > 0).sum())

    def _unchanged(self, kept: int | None, context: Context) -> Context:
        return {"report": {"status": "unchanged", "reason": "mix.mode is none", "documents": kept or 0}}

    def _human(self, item: Item, context: Context) -> HumanSums:
        return human_sums(item.signals, item.p, item.size > 0, self.kappa)

    def _cells(self, item: Item, context: Context) -> gate.CellSums:
        base = self._base(item, context)
        return gate.cell_sums(self._cell(item), base.q, base.plain, gate.cell_count(self._profile.centroids))

    def _no_cells(self, context: Context) -> gate.CellSums:
        none = np.zeros(0)
        return gate.cell_sums(np.zeros(0, np.int64), none, none, gate.cell_count(self._profile.centroids))

    def _cover(self, crawl: gate.CellSums, context: Context) -> Context:
        profile = self._profile
        cover = gate.coverage(crawl, profile.cell_documents, self.gated)
        means, squares, extras = moments_of(profile, self.columns)
        targets, errors = gate.cell_targets(cover, profile.cell_documents, means, squares)
        if self.mode == "ratio" and self.ratio is not None and cover.share >= RATIO_COVERAGE:
            extras.append(ratio_extra(self.ratio))
            more = ratio_goal(self.ratio)
            targets, errors = np.concatenate([targets, more[0]]), np.concatenate([errors, more[1]])
        return {"goal": Goal(cover, targets, errors, extras, int(crawl.documents[cover.covered].sum()))}

    def _sample(self, item: Item, context: Context) -> Reservoir:
        goal, q, size = context["goal"], self._q(item, context), self.reservoir
        none = reservoir_empty(len(goal.targets))
        limit = key_limit(size, goal.documents)
        rows, keys = wanted(none, item.signals.column("id"), q, seed=self.seed, size=size, limit=limit)
        return reservoir_of(keys, self._matrix(item, context)[rows], q[rows])

    def _solve(self, sample: Reservoir, context: Context) -> Context:
        goal = context["goal"]
        solution = balance.solve_reservoir(
            sample, goal.targets, goal.errors, cap=self.cap, slack=self.slack, min_ess=self.min_ess
        )
        return {"point": balance.Point(solution)}

    def _point(self, context: Context) -> balance.Point:
        found: balance.Point = context.get("point") or balance.Point(balance.start(0, self.cap, 0.0))
        return found

    def _sums(self, item: Item, context: Context, second: bool) -> balance.Sums:
        solution = self._point(context).solution
        return balance.pass_sums(self._matrix(item, context), self._q(item, context), solution, second)

    def _no_sums(self, context: Context, second: bool) -> balance.Sums:
        return balance.empty_sums(len(self._point(context).solution.b), second)

    def _newton(self, merged: balance.Sums, context: Context) -> Context:
        return {"point": balance.newton_step(merged, *_targets(context), self._point(context))}

    def _finish(self, merged: balance.Sums, context: Context) -> Context:
        solution = balance.finish(merged, *_targets(context), self._point(context).solution)
        found: dict[str, Any] = {"point": balance.Point(solution)}
        if not self.balances:
            found["report"] = {
                "status": solution.status,
                "reason": solution.reason,
                "documents": int(merged.counts[0]),
                "ess": solution.ess,
                "cap": self.cap,
            }
        return found

    def _summary(self, item: Item, context: Context) -> report.Summary:
        cover, signals = context["goal"].cover, item.signals
        top = self.cap * max(1.0, cover.inside / cover.mean if cover.mean > 0 else 1.0)
        tokens = signals.column("tokens").fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
        return report.summarise(
            self.weights(item, context), self._base(item, context).plain, tokens, signals.column("group"),
            self._matrix(item, context), held_out_matrix(signals, self._profile.standard),
            self._inside(item, context), top,
        )  # fmt: skip

    def _report(self, summary: report.Summary | None, context: Context) -> Context:
        if summary is None:
            return {"report": {"status": "unchanged", "reason": "no documents", "documents": 0}}
        goal, solution = context["goal"], self._point(context).solution
        names, kinds = feature_names(goal.extras), gate.cell_names(self._profile.centroids)
        return {"report": report.report(summary, solution, goal.targets, goal.errors, goal.cover, names, kinds)}


def _targets(context: Context) -> tuple[np.ndarray, np.ndarray]:
    """Targets and standard errors; of no feature where nothing is balanced."""
    goal = context.get("goal")
    return (goal.targets, goal.errors) if goal is not None else (np.zeros(0), np.zeros(0))


def _human_found(sums: HumanSums, context: Context) -> Context:
    return {"human": sums}


def _nobody(context: Context) -> HumanSums:
    return {}


def _no_sample(context: Context) -> Reservoir:
    return reservoir_empty(len(context["goal"].targets))


def _nothing(context: Context) -> None:
    return None


def _add(a: int | None, b: int | None) -> int:
    return (a or 0) + (b or 0)


def _either(a: report.Summary | None, b: report.Summary | None) -> report.Summary | None:
    """The merge of two summaries of which either may be of no documents."""
    return b if a is None else a if b is None else report.summary_merge(a, b)
