"""A second score before and after weighing, as a diagnostic: nothing is decided by it.

`logit_check` reads only n-gram buckets of its own weights, and mixing balances the main score, not this one. So a mix
that was brought to human text should move it toward that of human text too. It is no independent measure: scores of
human texts correlate across disjoint buckets, so it moves with the main one even where nothing was gained, and no share
of synthetic text is derived from it.
"""

from typing import Any

import numpy as np

from curation.synthetic.histogram import GRID, KINDS, Anchors

_WEIGHT = 1 << 10  # parts of a weight of 1
_SCORE = 1 << 7  # parts of a score of 1
_MOST = 64.0  # of a score
TOP = 0.05  # share of human text above the threshold


def empty() -> np.ndarray:
    """int64[2, 3]: before and after weighing, the weight, weight times score and weight above the threshold."""
    return np.zeros((2, 3), np.int64)


def threshold(anchors: Anchors) -> float | None:
    """The score that 5 % of the human anchors exceed at most; None without anchors."""
    value, number = _human(anchors)
    if not len(value):
        return None
    at = int(np.searchsorted(np.cumsum(number), (1 - TOP) * number.sum()))
    return float(value[at])


def sums(score: np.ndarray, weight: np.ndarray, kept: np.ndarray, above: float | None) -> np.ndarray:
    """The exact sums of a batch: score float32[docs] with NaN, weight float64[docs], kept bool[docs]; add to merge."""
    rows = kept & np.isfinite(score)
    values = np.clip(score[rows].astype(np.float64), -_MOST, _MOST)
    fixed = np.rint(values * _SCORE).astype(np.int64)
    over = values > (np.inf if above is None else above)
    found = empty()
    for side, weights in enumerate((np.ones(len(values)), np.clip(weight[rows], 0, 1e4))):
        mass = np.rint(weights * _WEIGHT).astype(np.int64)
        found[side] = mass.sum(), (mass * fixed).sum(), mass[over].sum()
    return found


def result(found: np.ndarray, anchors: Anchors) -> dict[str, Any]:
    """`before`, `after` and `human`, each with `mean` and `above` (share beyond the 95th percentile of human text).

    None where there are no scored documents or no anchors.
    """
    out: dict[str, Any] = {}
    limit = threshold(anchors)
    for side, (mass, scored, over) in zip(("before", "after"), found.tolist(), strict=True):
        share = over / mass if mass and limit is not None else None
        out[side] = {"mean": scored / mass / _SCORE, "above": share} if mass else None
    value, number = _human(anchors)
    out["human"] = None
    if limit is not None:
        total = int(number.sum())
        exact = int((np.rint(value / GRID).astype(np.int64) * number).sum()) * GRID
        out["human"] = {"mean": exact / total, "above": int(number[value > limit].sum()) / total}
    return out


def _human(anchors: Anchors) -> tuple[np.ndarray, np.ndarray]:
    """Scores float64 of the human anchors in order, and how many have each, int64."""
    mine = anchors.kind == KINDS.index("logit_check")
    value, number = anchors.value[mine].astype(np.float64) * GRID, anchors.number[mine]
    order = np.argsort(value, kind="stable")
    return value[order], number[order]
