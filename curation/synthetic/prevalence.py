"""How much of a shard or a source is synthetic: a share with an interval, measured against human anchors.

Counting labels is wrong by the detector's errors. Instead: of f of the human documents pass a threshold by
construction, and a share TPR of the synthetic ones does, so the share of passing documents c gives (c - f) /
(TPR - f) (adjusted count, Forman 2008); the estimate is the median over several f. TPR is not known for a new
corpus: how far that of one more source may lie from those left out of training is part of the interval, as is the
sampling of anchors and documents, both in squares, as they have nothing to do with each other.
"""

from typing import Any, NamedTuple

import numpy as np

from curation.synthetic.calibration import BASES, Calibration, stratum_rows
from curation.synthetic.evaluation import LENGTHS, RATES, length_bin
from curation.synthetic.histogram import GRID, KINDS

UNIT = 1 << 20  # weights are summed as integers of this fraction
P_BINS = 256
_INTERVAL_AT = RATES.index(0.1)
_Z = 1.96
#: documents are resampled by host or page in the wild, so the sampling variance of single documents is
# doubled
_DESIGN_EFFECT = 2.0


class Passing(NamedTuple):
    """Weight that passes each threshold, by group and stratum; rows distinct, sorted by (group, stratum).

    group str; stratum int32 (row of the calibration x lengths + length, -1 for documents without a score);
    weight and square int64 in units of 1 / UNIT (sums of w and w^2); above int64[rows, rates], weight above
    each threshold.
    """

    group: np.ndarray
    stratum: np.ndarray
    weight: np.ndarray
    square: np.ndarray
    above: np.ndarray


def passing(
    calibration: Calibration,
    logit: np.ndarray,
    words: np.ndarray,
    source: np.ndarray,
    group: np.ndarray,
    mask: np.ndarray,
    weight: np.ndarray | None = None,
    kind: str = "logit",
) -> Passing:
    """Count the documents of a batch; `mask` is English prose, `group` the shard or source that is reported.

    All arrays [docs]; weight float64 (mean 1; default 1 each) must not depend on the score: for a mix that was
    weighed by p there is `share_after`. kind `logit`, or `logit_check` with its scores. Integer sums: merging in
    any order gives equal results.
    """
    docs, k = len(logit), KINDS.index(kind)
    names = np.asarray(group, np.str_)
    w = np.ones(docs) if weight is None else np.clip(np.asarray(weight, np.float64), 0, 1e4)
    row, length = stratum_rows(calibration, source), length_bin(np.asarray(words))
    usable = np.asarray(mask, bool) & np.isfinite(logit)
    stratum = np.where(usable, row * len(LENGTHS) + length, -1).astype(np.int32)
    score = np.rint(np.where(usable, logit, 0).astype(np.float64) / GRID) * GRID
    hit = (score[:, None] > calibration.threshold[k][row, length][:, 1:]) & usable[:, None]
    mass = np.rint(w * UNIT).astype(np.int64)
    square = np.rint(w * w * UNIT).astype(np.int64)
    return _group(Passing(names, stratum, mass, square, hit * mass[:, None]))


def merge_passing(*states: Passing) -> Passing:
    """The sum of the states; any order or grouping gives equal arrays. At least one state."""
    return _group(Passing(*(np.concatenate(parts) for parts in zip(*states, strict=True))))


def _group(state: Passing) -> Passing:
    if not len(state.group):
        return state
    order = np.lexsort((state.stratum, state.group))
    group, stratum, weight, square, above = (part[order] for part in state)
    new = np.ones(len(group), bool)
    new[1:] = (group[1:] != group[:-1]) | (np.diff(stratum) != 0)
    first = np.flatnonzero(new)
    return Passing(group[first], stratum[first], *(np.add.reduceat(x, first, axis=0) for x in (weight, square, above)))


def prevalence(state: Passing, calibration: Calibration, kind: str = "logit") -> dict[str, dict[str, Any]]:
    """Share of synthetic text among the scored documents of each group and of all of them (key `""`).

    Each value has estimate, low and high (95 %), lower_bound (of the share even if every synthetic document
    were detected), documents, scored (summed weights), anchors, and reason. Without enough human anchors of
    the same source or length the shares are None and `reason` says why.
    """
    found = {"": _share(state, calibration, KINDS.index(kind))}
    for name in np.unique(state.group):
        rows = state.group == name
        found[str(name)] = _share(Passing(*(part[rows] for part in state)), calibration, KINDS.index(kind))
    return found


def _share(state: Passing, calibration: Calibration, k: int) -> dict[str, Any]:
    scored = state.stratum >= 0
    total = float(state.weight[scored].sum()) / UNIT
    result: dict[str, Any] = {
        "estimate": None,
        "low": None,
        "high": None,
        "lower_bound": None,
        "documents": float(state.weight.sum()) / UNIT,
        "scored": total,
        "anchors": 0,
        "reason": None,
    }
    if total <= 0:
        return result | {"reason": "no document could be scored"}
    row, length = np.divmod(state.stratum[scored], len(LENGTHS))
    basis = calibration.basis[k][row, length]
    weight = state.weight[scored] / UNIT
    if (basis == BASES.index("model")).any():
        return result | {"reason": "too few human anchors: the share of human text above a threshold is not known"}
    share = weight / total
    level = (share[:, None] * calibration.level[k][row, length][:, 1:]).sum(axis=0)
    passed = state.above[scored].sum(axis=0) / UNIT / total
    anchors, anchor_variance = _anchors(calibration, k, row, length, basis, share)
    result["anchors"] = anchors
    effective = total * total / max(float(state.square[scored].sum()) / UNIT, 1e-12)
    f, c = level[_INTERVAL_AT], passed[_INTERVAL_AT]
    error = _Z * float(np.sqrt(_DESIGN_EFFECT * c * (1 - c) / effective + f * (1 - f) * anchor_variance))
    # one document more or less, so that a share of 0 or 1 does not claim certainty
    error += 1 / effective
    low = min(max((c - f - error) / (1 - f), 0.0), 1.0)
    result |= {"low": _round(low), "lower_bound": _round(low)}
    middle, least, most = calibration.tpr[k], calibration.tpr_low[k], calibration.tpr_high[k]
    if not np.isfinite(middle).all():
        return result | {"reason": "the model has no detection rates from left-out sources: a lower bound only"}
    estimates = (passed - level) / np.maximum(middle - level, 0.05)
    estimate = min(max(float(np.median(estimates)), 0.0), 1.0)
    # sampling and the unknown detection rate are independent, so their distances from the estimate add in squares
    rates = np.maximum(np.array([most[_INTERVAL_AT], middle[_INTERVAL_AT], least[_INTERVAL_AT]]) - f, 0.05)
    below, around, beyond = (c - f) / rates
    sampling = error / float(rates[1])
    low = max(estimate - float(np.hypot(around - below, sampling)), 0.0)
    high = min(estimate + float(np.hypot(beyond - around, sampling)), 1.0)
    return result | {"estimate": _round(estimate), "low": _round(low), "high": _round(high)}


def _anchors(
    calibration: Calibration,
    k: int,
    row: np.ndarray,
    length: np.ndarray,
    basis: np.ndarray,
    share: np.ndarray,
) -> tuple[int, float]:
    """(anchors in use, sum over pools of share^2 / anchors): strata that share a pool share its sampling
    error."""
    pools: dict[tuple[int, int, int], list[float]] = {}
    for r, at, code, part in zip(row.tolist(), length.tolist(), basis.tolist(), share.tolist(), strict=True):
        key = (code, r if code == 0 else -1, at if code <= 1 else -1)
        pool = pools.setdefault(key, [0.0, float(calibration.anchors[k, r, at])])
        pool[0] += part
    return int(sum(n for _, n in pools.values())), float(sum(s * s / n for s, n in pools.values()))


def _round(value: float) -> float:
    return round(float(value), 6)


def weighed(p: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """int64[257, 2]: documents, and their weights in units of 1 / UNIT, by p rounded to 1 / 256; add to merge.

    p float32, NaN where there is none (such documents are left out), and weight float64, both [docs].
    """
    known = np.isfinite(p)
    place = np.rint(p[known].astype(np.float64) * P_BINS).astype(np.int64)
    mass = np.rint(np.clip(np.asarray(weight, np.float64)[known], 0, 1e4) * UNIT).astype(np.int64)
    state = np.zeros((P_BINS + 1, 2), np.int64)
    np.add.at(state, place, np.stack([np.ones_like(mass), mass], axis=1))
    return state


def share_after(state: np.ndarray, share: float | None) -> float | None:
    """Share of synthetic text after weighing, from `weighed` and the `share` before; None without either.

    Weights that follow the score make scores useless for counting: passing documents are the ones that were weighed
    down, human ones among them. What a score says about one document is not touched by such a weight. So p, which
    holds at equal classes, is moved to the share before by Bayes' rule, averaged under the weights, and scaled to
    agree with that share at equal weights.
    """
    documents, weights = state[:, 0].astype(np.float64), state[:, 1].astype(np.float64)
    if share is None or not weights.sum() > 0:
        return None
    if share <= 0:
        return 0.0
    p = np.arange(P_BINS + 1) / P_BINS
    q = share * p / np.maximum(share * p + (1 - share) * (1 - p), 1e-12)
    plain = float(documents @ q / documents.sum())
    return _round(min(float(weights @ q / weights.sum()) * share / plain, 1.0)) if plain > 0 else 0.0
