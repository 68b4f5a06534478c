"""Entropy balancing as a sequence of pure steps over exact, mergeable sums.

The weights are the closest in Kullback-Leibler divergence to a base measure q, with mean 1 and none above `cap`, for
which the mean of every feature is within `slack` standard errors of the reference's mean:

    w_i = min(cap, q_i exp(offset + b . x_i)),    |b_j| <= 2

(Hainmueller 2012 for balancing, Wang and Zubizarreta 2020 for the tolerance; the cap is an I-projection, Csiszar 1975.)
The dual is convex in (offset, b): mean potential - offset - b . t + slack * sum se_j |b_j|. Bounded coefficients mean
that a target which no weighting reaches is missed by as little as its coefficient can do, at a price of 2 for each
standard deviation that it is missed by (an exact penalty, Han and Mangasarian 1979), while all others are met as if it
were not there. A Newton step needs only sums over documents, so a host makes a step from one reduction:

    point = Point(solve_reservoir(reservoir, targets, errors, ...))
    for number in range(1, passes):
        sums = merge of pass_sums(matrix, q, point.solution, second=wants_curvature(number)) over all batches
        point = newton_step(sums, targets, errors, point)
    sums = merge of pass_sums(matrix, q, solution, second=False)
    solution = finish(sums, targets, errors, solution)
    weights(matrix, q, solution)
"""

import math
from typing import NamedTuple

import numpy as np

from curation.kernels import moments
from curation.mixing.reservoir import Reservoir

LARGEST = 2.0  # coefficient: no feature tilts a document by more than e^2 for each standard deviation
OFF_TARGET = 3.0  # standard errors beyond which a feature is called unreachable
FAR = 0.1  # standard deviations by which a feature is missed that no weighting brings near
HOPELESS = 1 / 3  # share of such features above which the reference says nothing about the crawl
ERROR_FLOOR = 1e-3  # standard deviations: a huge reference is not matched more closely than this
SMALL_EFFECTIVE = 0.05  # share of effective documents below which a mix is called thin
FEWEST = 50  # documents below which nothing is balanced
_LEAST_SLACK = 0.25  # where a search for more slack begins
_DOUBLINGS, _HALVINGS = 16, 3  # of the slack, and then of the last octave
_RIDGE = 1e-6
_TOLERANCE = 1e-7  # decrease of the dual that is noise of the rounded weights
_SAMPLED = 1e-4  # decrease that is noise of a sample: d / 2n of it is, and exact passes follow
_NEAR = 0.02  # decrease below which the curvature hardly changes
_WEIGHT_BITS = 20
_FIRST_ROWS = 4096


class Sums(NamedTuple):
    """Exact sums of one pass. Every array merges by addition; weights count in `UNITS` parts of the cap."""

    counts: np.ndarray  # int64[3]: documents with a base weight, capped documents, documents of weight zero
    mass: np.ndarray  # int64[3]: units, units below the cap, squared units
    first: np.ndarray  # int64[2, d] limbs: units * feature, 2^-10
    first_free: np.ndarray  # int64[2, d] limbs: the same below the cap
    second: np.ndarray  # int64[2, d + 1, d + 1] limbs: products of (1, features) below the cap, 2^-20; or [2, 0, 0]
    value: np.ndarray  # int64[2, 2] limbs: potential below the cap (the exact weight) and at it, 2^-32 of the cap


class Solution(NamedTuple):
    """A point of the dual, in plain numbers."""

    b: tuple[float, ...]  # one coefficient a feature
    offset: float  # minus the logarithm of the normaliser
    cap: float  # largest weight, in multiples of the mean
    slack: float  # standard errors allowed
    scale: float = 1.0  # last correction of the weights below the cap, so that the mean is 1
    status: str = "started"  # started, moving, converged, unreachable, hopeless or unchanged; see `finish`
    reason: str | None = None
    imbalance: tuple[float, ...] = ()  # weighted mean minus target, in standard errors, at the last finished pass
    attained: tuple[float, ...] = ()  # weighted mean of every feature at the last finished pass
    unreachable: tuple[int, ...] = ()  # features more than three standard errors off
    ess: float | None = None  # effective documents, (sum w)^2 / sum w^2
    accepted: tuple[float, ...] = ()  # offset and b of the last accepted point
    dual: float | None = None  # its dual value
    history: tuple[tuple[float, ...], ...] = ()  # by pass: dual, largest imbalance, norm of b, slack
    asked: float | None = None  # the slack before it was widened for min_ess


class Point(NamedTuple):
    """Where the search stands between two passes."""

    solution: Solution
    curvature: np.ndarray | None = None  # float64[d + 1, d + 1], the last exact Hessian of the dual


def wants_curvature(number: int) -> bool:
    """Does pass `number` (from 1) measure the Hessian? The reservoir leaves so little to do that every second pass can
    steer by that of the pass before, at a tenth of the cost; the gradient is exact in all of them."""
    return number % 2 == 1


def start(features: int, cap: float, slack: float) -> Solution:
    """The point where weights are the base measure, below the cap. Raises ValueError for a cap of at most 1."""
    if not cap > 1:
        raise ValueError(f"mix.cap must be above 1, not {cap}: weights have mean 1")
    if not slack >= 0:
        raise ValueError(f"mix.slack must be at least 0, not {slack}")
    return Solution((0.0,) * features, 0.0, float(cap), float(slack))


def pass_sums(matrix: np.ndarray, q: np.ndarray, solution: Solution, second: bool = True) -> Sums:
    """The exact sums of one batch at `solution`: matrix float64[docs, d] on the grid, q float64[docs].

    Any partition of the documents gives the same totals, bit for bit. `second=False` leaves out the second moments,
    which only `newton_step` needs.
    """
    units = np.zeros(len(matrix))
    free = np.zeros(len(matrix))
    matrix = np.ascontiguousarray(matrix, np.float64)
    base = np.ascontiguousarray(q, np.float64)
    value = np.zeros((2, 2), np.int64)
    capped = moments.tilt(matrix, np.array(solution.b), solution.offset, base, solution.cap, units, free, value)
    whole = units.astype(np.int64)
    first = moments.first_moments(matrix, units)
    at_cap = np.flatnonzero(units != free)
    return Sums(
        np.array([np.count_nonzero(base > 0), capped, np.count_nonzero((base > 0) & (units == 0))], np.int64),
        np.array([whole.sum(), free.astype(np.int64).sum(), (whole * whole).sum()], np.int64),
        first,
        moments.carry(first - moments.first_moments(matrix[at_cap], units[at_cap])),
        # curvature only steers the steps: with the nearest squares for weights it costs half
        moments.gram(matrix, np.rint(np.sqrt(free)), constant=True) if second else np.zeros((2, 0, 0), np.int64),
        moments.carry(value),
    )


def merge(a: Sums, b: Sums) -> Sums:
    """The sums over the documents of both, in canonical limbs."""
    return Sums(
        a.counts + b.counts, a.mass + b.mass, *(moments.carry(x + y) for x, y in zip(a[2:], b[2:], strict=True))
    )


def empty_sums(features: int, second: bool = True) -> Sums:
    """The sums of no documents."""
    d = features + 1 if second else 0
    return Sums(
        np.zeros(3, np.int64), np.zeros(3, np.int64), np.zeros((2, features), np.int64),
        np.zeros((2, features), np.int64), np.zeros((2, d, d), np.int64), np.zeros((2, 2), np.int64),
    )  # fmt: skip


def solve_reservoir(
    reservoir: Reservoir,
    targets: np.ndarray,
    errors: np.ndarray,
    *,
    cap: float = 20.0,
    slack: float = 1.0,
    min_ess: float = 0.0,
) -> Solution:
    """A first solution from a hash sample of the documents, by damped Newton steps with an l1 penalty.

    targets and errors float64[d]: the reference's means and their standard errors. When more than a third of the
    features miss their tolerance and stay a tenth of a standard deviation off, the reference is of other text than the
    crawl: documents are not balanced, with status `hopeless`, and should keep their weight. So should fewer than 50
    documents, with status `unchanged`.

    min_ess: the share of the sample that should count at least. Where the balance leaves less, the slack is widened as
    far as it takes, to an eighth of an octave; where the base measure leaves less, it is not.
    """
    first = start(len(targets), cap, slack)
    if len(reservoir.q) < FEWEST:
        reason = f"{len(reservoir.q)} documents have a base weight inside the reference's coverage; {FEWEST} are needed"
        return first._replace(status="unchanged", reason=reason)
    matrix = reservoir.features.astype(np.float64)
    few = min(len(matrix), _FIRST_ROWS)
    goal = Goal(targets, np.maximum(errors, ERROR_FLOOR))
    near = _descend(matrix[:few], reservoir.q[:few], goal, first)  # cheap steps on a prefix, itself a hash sample
    found = near if few == len(matrix) else _descend(matrix, reservoir.q, goal, near)
    off = np.abs(_imbalance(pass_sums(matrix, reservoir.q, found, second=False), goal, cap)) * goal.errors
    lost = int((off > np.maximum(FAR, 1.1 * slack * goal.errors)).sum())
    if lost <= HOPELESS * len(off):
        return _widened(matrix, reservoir.q, goal, found, min_ess)._replace(dual=None, accepted=())
    flat = _descend(matrix[:, :0], reservoir.q, Goal(targets[:0], errors[:0]), start(0, cap, slack))
    reason = f"{lost} of {len(off)} features cannot be brought near the reference: weights are kept"
    return first._replace(offset=flat.offset, status="hopeless", reason=reason)


def _widened(matrix: np.ndarray, q: np.ndarray, goal: "Goal", solution: Solution, least: float) -> Solution:
    """The solution, or where less than a share `least` of the documents counts, one with as much slack as it takes.

    Where the base measure itself is too uneven no slack helps: the solution stays as it is and says so.
    """

    def share(at: Solution) -> float:
        mass = pass_sums(matrix[:, : len(at.b)], q, at, second=False).mass
        return int(mass[0]) ** 2 / (int(mass[2]) * len(q))

    if least == 0 or share(solution) >= least:
        return solution
    none = Goal(goal.targets[:0], goal.errors[:0])
    flat = share(_descend(matrix[:, :0], q, none, start(0, solution.cap, 0.0)))
    if flat < least:
        reason = f"mix.min_ess {least:g} is out of reach: the base measure alone leaves {flat:.3g} of the documents"
        return solution._replace(reason=reason)
    low, high, found = solution.slack, max(solution.slack, _LEAST_SLACK), solution
    for _ in range(_DOUBLINGS):
        low, high = high, 2 * high
        found = _descend(matrix, q, goal, found._replace(slack=high, asked=solution.slack))
        if share(found) >= least:
            break
    for _ in range(_HALVINGS):
        middle = math.sqrt(low * high)
        trial = _descend(matrix, q, goal, found._replace(slack=middle))
        if share(trial) >= least:
            found, high = trial, middle
        else:
            low = middle
    return found


class Goal(NamedTuple):
    """What to match: float64[d] targets and the standard errors of the reference, floored."""

    targets: np.ndarray
    errors: np.ndarray


def _descend(matrix: np.ndarray, q: np.ndarray, goal: Goal, solution: Solution) -> Solution:
    """Newton steps with backtracking on documents in memory, until they are near the optimum."""
    curvature, before = None, math.inf
    for _ in range(40):
        sums = pass_sums(matrix, q, solution, second=curvature is None)
        curvature = _curvature(sums, solution.cap) if curvature is None else curvature
        value = dual_value(sums, goal, solution)
        step, decrease = _direction(sums, goal, solution, curvature)
        if decrease < _SAMPLED:
            return _move(solution, step, 1.0)
        length = 1.0
        for _ in range(12):
            trial = _move(solution, step, length)
            low = dual_value(pass_sums(matrix, q, trial, second=False), goal, trial)
            if low <= value - 1e-3 * length * decrease:
                break
            length /= 2
        else:
            return solution  # the rounded weights leave nothing to gain
        solution = trial
        if decrease > _NEAR or decrease > before / 3:  # far away, or slowing down: look at the curvature again
            curvature = None
        before = decrease
    return solution


def newton_step(sums: Sums, targets: np.ndarray, errors: np.ndarray, point: Point) -> Point:
    """The next point of the dual from the exact sums at `point`; sums without curvature take that of the point.

    A point whose exact dual value is above that of the last accepted one is taken back halfway.
    """
    solution = point.solution
    if solution.status in ("unchanged", "hopeless") or int(sums.counts[0]) == 0:
        return point
    goal = Goal(targets, np.maximum(errors, ERROR_FLOOR))
    curvature = _curvature(sums, solution.cap) if sums.second.size else point.curvature
    if curvature is None:
        raise ValueError("the first pass must measure the curvature (second=True)")
    value = dual_value(sums, goal, solution)
    if solution.dual is not None and value > solution.dual + _TOLERANCE:
        here = np.array([solution.offset, *solution.b])
        half = (here + np.array(solution.accepted)) / 2
        back = solution._replace(offset=float(half[0]), b=tuple(half[1:].tolist()), status="moving")
        return Point(back, curvature)
    step, decrease = _direction(sums, goal, solution, curvature)
    moved = _move(solution, step, 1.0)
    worst = _imbalance(sums, goal, solution.cap)
    record = (value, float(np.abs(worst).max(initial=0.0)), _norm(solution), solution.slack)
    moved = moved._replace(
        accepted=(solution.offset, *solution.b),
        dual=value,
        status="converged" if decrease < _TOLERANCE else "moving",
        history=(*solution.history, record),
    )
    return Point(moved, curvature)


def finish(sums: Sums, targets: np.ndarray, errors: np.ndarray, solution: Solution) -> Solution:
    """The solution with what the last pass measured: imbalance, unreachable features, effective documents.

    Status: `converged`; `unreachable` when a feature stays more than three standard errors off (`attained` holds the
    value it reaches); `hopeless` or `unchanged` without a balance, see `solve_reservoir`.
    """
    n, mass = int(sums.counts[0]), int(sums.mass[0])
    if n == 0 or mass == 0:
        return solution._replace(status="unchanged", reason=solution.reason or "no document has a base weight")
    below, above = _masses(sums, solution.cap)
    scale = (1.0 - above) / below if below > 0 and above < 1 else 1.0
    if solution.status == "unchanged":
        return solution._replace(scale=scale)
    goal = Goal(targets, np.maximum(errors, ERROR_FLOOR))
    first_free, first_capped = _firsts(sums, solution.cap)
    attained = (first_capped + scale * first_free) / (above + scale * below)
    off = (attained - goal.targets) / goal.errors
    bound = _bound(solution.slack)
    unreachable = tuple(int(j) for j in np.flatnonzero(np.abs(off) > bound))
    status = "hopeless" if solution.status == "hopeless" else "unreachable" if unreachable else "converged"
    reason = solution.reason
    if unreachable and reason is None:
        reason = f"{len(unreachable)} features stay more than {bound:g} standard errors from the reference"
    record = (dual_value(sums, goal, solution), float(np.abs(off).max(initial=0.0)), _norm(solution), solution.slack)
    return solution._replace(
        scale=float(scale),
        status=status,
        reason=reason,
        imbalance=tuple(off.tolist()),
        attained=tuple(attained.tolist()),
        unreachable=unreachable,
        ess=mass * mass / int(sums.mass[2]),
        history=(*solution.history, record),
    )


def weights(matrix: np.ndarray, q: np.ndarray, solution: Solution) -> np.ndarray:
    """float64[docs]: the weights at a solution, multiples of 2^-20 of the cap, 0 where q is not above 0.

    At a solution that is not finished the scale is still 1: `rescale` with that of `finish` gives the final weights.
    """
    shares = np.zeros(len(matrix))
    moments.tilted_shares(
        np.ascontiguousarray(matrix, np.float64), np.array(solution.b), solution.offset,
        np.ascontiguousarray(q, np.float64), solution.cap, shares,
    )  # fmt: skip
    shares = np.where(shares < 1.0, np.minimum(shares * solution.scale, 1.0), 1.0)
    return np.rint(shares * (1 << _WEIGHT_BITS)) / (1 << _WEIGHT_BITS) * solution.cap


def rescale(raw: np.ndarray, scale: float, top: float) -> np.ndarray:
    """float64[docs]: the weights with those below `top` multiplied by `scale`, none beyond `top`."""
    return np.where(raw >= top, raw, np.minimum(raw * scale, top))


def dual_value(sums: Sums, goal: Goal, solution: Solution) -> float:
    """The dual at the point where the sums were taken, a document; what a step must not increase."""
    b = np.array(solution.b)
    potential = float(moments.to_float(sums.value.sum(1), moments.VALUE)) * solution.cap / int(sums.counts[0])
    penalty = solution.slack * _sum(goal.errors * np.abs(b)) + 0.5 * _RIDGE * _sum(b * b)
    return potential - solution.offset - _sum(b * goal.targets) + penalty


def _curvature(sums: Sums, cap: float) -> np.ndarray:
    """float64[d + 1, d + 1] Hessian of the dual in (offset, b)."""
    hessian = moments.to_float(sums.second, 2 * moments.GRID)
    if hessian[0, 0] > 0:
        hessian *= _masses(sums, cap)[0] / hessian[0, 0]
    inner = np.arange(1, len(hessian))
    hessian[inner, inner] += _RIDGE
    return hessian


def _direction(sums: Sums, goal: Goal, solution: Solution, hessian: np.ndarray) -> tuple[np.ndarray, float]:
    """Proximal Newton step of (offset, b) and the decrease of the dual that it promises."""
    d = len(goal.targets)
    b = np.array(solution.b)
    below, above = _masses(sums, solution.cap)
    first_free, first_capped = _firsts(sums, solution.cap)
    gradient = np.empty(d + 1)
    gradient[0] = below + above - 1.0
    gradient[1:] = first_free + first_capped - goal.targets + _RIDGE * b
    penalty = np.concatenate([[0.0], solution.slack * goal.errors])
    at = np.concatenate([[solution.offset], b])
    largest = np.concatenate([[math.inf], np.full(d, LARGEST)])  # the offset is free
    step = moments.lasso_step(hessian, gradient, at, penalty, largest, 400, 1e-6)
    decrease = -_sum(gradient * step) - _sum(penalty * (np.abs(at + step) - np.abs(at)))
    return step, decrease


def _move(solution: Solution, step: np.ndarray, length: float) -> Solution:
    b = np.array(solution.b) + length * step[1:]
    return solution._replace(offset=float(solution.offset + length * step[0]), b=tuple(b.tolist()))


def _masses(sums: Sums, cap: float) -> tuple[float, float]:
    """Mean weight a document below and at the cap, exact to 2^-32 of the cap a document."""
    n = int(sums.counts[0])
    return float(moments.to_float(sums.value[:, 0], moments.VALUE)) * cap / n, int(sums.counts[1]) * cap / n


def _unit(sums: Sums, cap: float) -> float:
    """What a unit below the cap is worth a document: rounding to units may shift the mass, but not the mean."""
    below, _ = _masses(sums, cap)
    return below / int(sums.mass[1]) if int(sums.mass[1]) else 0.0


def _firsts(sums: Sums, cap: float) -> tuple[np.ndarray, np.ndarray]:
    """float64[d] sums of weight * feature a document, below and at the cap."""
    free = moments.to_float(sums.first_free, moments.GRID)
    capped = (moments.to_float(sums.first, moments.GRID) - free) * cap / moments.UNITS / int(sums.counts[0])
    return free * _unit(sums, cap), capped


def _imbalance(sums: Sums, goal: Goal, cap: float) -> np.ndarray:
    free, capped = _firsts(sums, cap)
    mass = sum(_masses(sums, cap))
    return ((free + capped) / mass - goal.targets) / goal.errors if mass > 0 else np.zeros(len(goal.targets))


def _bound(slack: float) -> float:
    """Standard errors beyond which a feature counts as out of reach."""
    return max(OFF_TARGET, 1.5 * slack)


def _norm(solution: Solution) -> float:
    return math.sqrt(math.fsum(x * x for x in solution.b))


def _sum(values: np.ndarray) -> float:
    return math.fsum(values.tolist())  # correctly rounded, so independent of how NumPy would have split it
