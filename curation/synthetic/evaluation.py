"""How well scores separate the classes, with clustered intervals, and what a model keeps of that.

Everything here is meant for scores of documents from sources that the scoring model never saw.
"""

from typing import Any, NamedTuple

import numpy as np

from curation.kernels.hashing import mix64_array

#: lower ends of the length bins, in words; the last is open
LENGTHS = (50, 100, 150, 250)
#: false-positive rates of the fallback thresholds
FPR_GRID = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3)
#: rates at which prevalence counts, see `prevalence`
RATES = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3)
REPLICATES = 200
#: human documents of a source and length below which its highest scores set no fallback threshold
LEAST_OF_SOURCE = 50
#: such sources from which their spread says how far a new one may lie
LEAST_SOURCES = 5


class HeldOut(NamedTuple):
    """Scores of documents by models that did not see their source, all arrays [docs].

    variant: name of what was done to a document, "" for nothing; such documents are measured apart. trained: was it
    among what the model is trained on, but for the folds left out? The others are only measured.
    """

    logit: np.ndarray
    logit_check: np.ndarray
    label: np.ndarray
    source: np.ndarray
    fold: np.ndarray
    words: np.ndarray
    cluster: np.ndarray
    key: np.ndarray
    prose: np.ndarray
    variant: np.ndarray
    trained: np.ndarray


def comparable(data: HeldOut, among: np.ndarray | None = None) -> np.ndarray:
    """bool[docs]: prose without a variant whose human and synthetic texts may be compared within their fold.

    In a fold that holds sources of both classes these are their documents; where it holds none, all. `among` bool[docs]
    are the only ones to look at, if given.
    """
    plain = data.prose & (data.variant == "") & (True if among is None else among)
    chosen = np.zeros(len(plain), bool)
    for fold in sorted(set(data.fold.tolist())):
        here = plain & (data.fold == fold)
        both = set(data.source[here & (data.label == 0)].tolist()) & set(data.source[here & (data.label == 1)].tolist())
        chosen |= here & (np.isin(data.source, sorted(both)) if both else True)
    return chosen


def length_bin(words: np.ndarray) -> np.ndarray:
    """Index into LENGTHS of each document; documents below the first bin share it."""
    return np.maximum(np.searchsorted(np.array(LENGTHS), words, side="right") - 1, 0)


def weighted_auroc(human: np.ndarray, synthetic: np.ndarray, u: np.ndarray, v: np.ndarray) -> float | None:
    """Probability that a synthetic score exceeds a human one (ties half), documents weighing u and v."""
    if u.sum() <= 0 or v.sum() <= 0:
        return None
    values = np.concatenate([human, synthetic])
    distinct, codes = np.unique(values, return_inverse=True)
    below_h = np.bincount(codes[: len(human)], u, len(distinct))
    at_s = np.bincount(codes[len(human) :], v, len(distinct))
    wins = (np.cumsum(below_h) - below_h / 2) * at_s
    return float(wins.sum() / (u.sum() * v.sum()))


def weighted_tpr(human: np.ndarray, synthetic: np.ndarray, u: np.ndarray, v: np.ndarray, fpr: float) -> float | None:
    """Share of synthetic documents above the order statistic floor(fpr (n + 1)) of the human ones.

    None where there are fewer than 1 / fpr - 1 human documents.
    """
    total = u.sum()
    allowed = np.floor(fpr * (total + 1))
    if allowed < 1 or v.sum() <= 0:
        return None
    order = np.argsort(-human, kind="stable")
    place = int(np.searchsorted(np.cumsum(u[order]), allowed))
    return float(v[synthetic > human[order][place]].sum() / v.sum())


def replicates(
    logit: np.ndarray, label: np.ndarray, cluster: np.ndarray, fprs: tuple[float, ...] = (0.01,)
) -> tuple[np.ndarray, np.ndarray]:
    """(point float64[1 + fprs], draws float64[200, 1 + fprs]) of AUROC and detection rates; NaN where there is none.

    Draws are a Poisson bootstrap over clusters (Hanley and MacGibbon 2006), by hash. Means over sets of documents take
    the means of draws of equal number.
    """
    scored = np.isfinite(logit)
    logit, label, cluster = logit[scored], label[scored], cluster[scored]
    human, synthetic = label == 0, label == 1
    h, s = logit[human].astype(np.float64), logit[synthetic].astype(np.float64)

    def measures(u: np.ndarray, v: np.ndarray) -> list[float]:
        values = [weighted_auroc(h, s, u, v), *(weighted_tpr(h, s, u, v, f) for f in fprs)]
        return [np.nan if value is None else value for value in values]

    draws = []
    for replicate in range(REPLICATES):
        weight = poisson(cluster, replicate)
        draws.append(measures(weight[human], weight[synthetic]))
    return np.array(measures(np.ones(len(h)), np.ones(len(s)))), np.array(draws)


def intervals(point: np.ndarray, draws: np.ndarray) -> list[list[float] | None]:
    """[estimate, low, high] (95 %) of each measure; None where it or most of its draws are missing."""
    rows: list[list[float] | None] = []
    for value, drawn in zip(point, draws.T, strict=True):
        known = drawn[np.isfinite(drawn)]
        if np.isfinite(value) and len(known) > REPLICATES // 2:
            rows.append([_round(float(value)), *(_round(float(q)) for q in np.quantile(known, [0.025, 0.975]))])
        else:
            rows.append(None)
    return rows


def separation(
    logit: np.ndarray, label: np.ndarray, cluster: np.ndarray, fprs: tuple[float, ...] = (0.01,)
) -> dict[str, Any]:
    """AUROC and detection rates, each as [estimate, low, high] (95 %, see `replicates`) or None, with the counts behind
    them."""
    rows = intervals(*replicates(logit, label, cluster, fprs))
    scored = np.isfinite(logit)
    result: dict[str, Any] = {f"{n}": int((label[scored] == v).sum()) for v, n in ((0, "human"), (1, "synthetic"))}
    result["auroc"] = rows[0]
    result.update({f"tpr@{f:g}": row for f, row in zip(fprs, rows[1:], strict=True)})
    return result


def poisson(cluster: np.ndarray, replicate: int) -> np.ndarray:
    """Poisson(1) counts float64[docs], equal inside a cluster, by hash of (replicate, cluster code)."""
    salt = np.uint64((replicate + 1) * 0xD1B54A32D192ED03 & 0xFFFFFFFFFFFFFFFF)
    uniform = mix64_array(mix64_array(cluster.astype(np.uint64) + np.uint64(1)) ^ salt) / 2.0**64
    ladder = np.cumsum(np.exp(-1.0) / np.array([1, 1, 2, 6, 24, 120, 720, 5040], np.float64))
    return np.searchsorted(ladder, uniform, side="right").astype(np.float64)


def source_quantile(value: np.ndarray, weight: np.ndarray, level: float) -> float:
    """Smallest value with at least `level` of the weight at or below it."""
    order = np.argsort(value, kind="stable")
    reached = np.cumsum(weight[order])
    return float(value[order][min(np.searchsorted(reached, level * reached[-1]), len(value) - 1)])


def worst_source(logit: np.ndarray, source: np.ndarray, rates: tuple[float, ...] = FPR_GRID) -> np.ndarray:
    """Scores float64[rates] that every source of human text exceeds with at most that rate; rates ascend.

    logit and source (codes), both [docs]: human documents of one length, one at least. The highest of the order
    statistics floor(rate (n + 1)) of the sources that have one and LEAST_OF_SOURCE documents, of their mean and three
    deviations between sources (a source that nobody has seen may be worse than the worst so far; from LEAST_SOURCES
    sources), of the quantile of all sources (each weighing n^1/2), and of the scores at larger rates.
    """
    names, codes, counts = np.unique(source, return_inverse=True, return_counts=True)
    found = np.array([source_quantile(logit, counts[codes] ** -0.5, 1 - rate) for rate in rates])
    each: list[list[float]] = [[] for _ in rates]
    for code in range(len(names)):
        ranked = -np.sort(-logit[codes == code].astype(np.float64))
        if len(ranked) < LEAST_OF_SOURCE:
            continue
        for r, rate in enumerate(rates):
            allowed = int(np.floor(rate * (len(ranked) + 1)))
            if allowed:
                each[r].append(float(ranked[allowed - 1]))
    for r, values in enumerate(each):
        if len(values) >= LEAST_SOURCES:
            values = [*values, float(np.mean(values) + 3 * np.std(values, ddof=1))]
        found[r] = max(found[r], *values) if values else found[r]
    return np.maximum.accumulate(found[::-1])[::-1]


def measure(held_out: HeldOut) -> dict[str, Any]:
    """What the model keeps of the left-out scores, for each of logit and logit_check.

    thresholds[length][fpr] over FPR_GRID (see `worst_source`) and medians[length], in which each human source
    weighs n^1/2: the fallback without anchors; slope and intercept of log odds on (logit - human median of the
    source and length), at equal classes; tpr[fold][rate] over RATES: synthetic documents of a fold above that quantile
    of its own humans. Missing values are None. What is only measured counts in tpr, which says how much detection
    differs between groups, and in nothing else.
    """
    return {name: _measure_one(held_out, np.asarray(getattr(held_out, name))) for name in ("logit", "logit_check")}


def _measure_one(data: HeldOut, logit: np.ndarray) -> dict[str, Any]:
    usable = np.isfinite(logit) & data.prose & (data.variant == "") & (data.words >= LENGTHS[0])
    paired = usable & comparable(data)
    human, bins = usable & data.trained & (data.label == 0), length_bin(data.words)
    thresholds: list[list[float] | None] = []
    medians: list[float | None] = []
    for length in range(len(LENGTHS)):
        rows = np.flatnonzero(human & (bins == length))
        if len(rows) < 20:
            rows = np.flatnonzero(human)
        if len(rows) < 20:
            thresholds.append(None)
            medians.append(None)
            continue
        _, codes, counts = np.unique(data.source[rows], return_inverse=True, return_counts=True)
        weight = counts[codes] ** -0.5
        thresholds.append([_round(x) for x in worst_source(logit[rows], codes)])
        medians.append(_round(source_quantile(logit[rows], weight, 0.5)))
    slope, intercept = _platt(data, logit, usable & comparable(data, data.trained), bins)
    tpr: dict[str, list[float]] = {}
    for fold in sorted({str(f) for f in data.fold[paired]}):
        inside = paired & (data.fold == fold)
        h, s = logit[inside & (data.label == 0)], logit[inside & (data.label == 1)]
        if len(h) >= 100 and len(s) >= 100:
            ranked = -np.sort(-h)
            tpr[fold] = [_round(float((s > ranked[int(f * (len(h) + 1)) - 1]).mean())) for f in RATES]
    return {"thresholds": thresholds, "medians": medians, "slope": slope, "intercept": intercept, "tpr": tpr}


def _platt(data: HeldOut, logit: np.ndarray, usable: np.ndarray, bins: np.ndarray) -> tuple[float, float]:
    """(slope, intercept) by Newton's method (Platt 1999); classes and folds count equally."""
    shifted, label, weight = [], [], []
    for fold in sorted({str(f) for f in data.fold[usable]}):
        inside = usable & (data.fold == fold)
        for length in range(len(LENGTHS)):
            here = inside & (bins == length)
            h, s = logit[here & (data.label == 0)], logit[here & (data.label == 1)]
            if len(h) >= 30 and len(s) >= 30:
                x = np.concatenate([h, s]).astype(np.float64) - float(np.median(h))
                shifted.append(x)
                label.append(np.repeat([0.0, 1.0], [len(h), len(s)]))
                weight.append(np.repeat([0.5 / len(h), 0.5 / len(s)], [len(h), len(s)]))
    if not shifted:
        # too small a training set: log odds rise by 1 a unit and are even at 1 above the human median
        return 1.0, -1.0
    x, y, w = np.concatenate(shifted), np.concatenate(label), np.concatenate(weight)
    design = np.stack([x, np.ones_like(x)], axis=1)
    beta = np.zeros(2)
    for _ in range(50):
        p = 1 / (1 + np.exp(-design @ beta))
        hessian = (design * (w * p * (1 - p))[:, None]).T @ design + 1e-9 * np.eye(2)
        step = np.linalg.solve(hessian, design.T @ (w * (y - p)))
        beta += step
        if np.abs(step).max() < 1e-9:
            break
    return _round(max(float(beta[0]), 1e-3)), _round(float(beta[1]))


def _round(value: float) -> float:
    return round(float(value), 6)
