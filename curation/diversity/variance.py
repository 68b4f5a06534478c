"""Variance retention: how much of the variance of a reference a corpus keeps, in every direction at once.

Never the trace: mixing two populations with different means inflates it while whole directions are lost, so a
corpus can gain trace and lose variance. Read `vr_min` and `ffd` first, against the floor that two halves of
the reference give.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import digamma

RIDGE = 1e-3
#: documents for each feature below which no number is given
LEAST_PER_FEATURE = 2

NUMBERS = ("vr_min", "vr_ld", "vr_max", "shift", "ffd")


class Moments(NamedTuple):
    """n documents (effective ones where weighted), their mean float64[d] and covariance float64[d, d]."""

    n: float
    mean: np.ndarray
    covariance: np.ndarray


def moments_of(values: np.ndarray, weights: np.ndarray | None = None) -> Moments:
    """Moments of rows float64[n, d]; with weights float64[n] >= 0, n is Kish's size (sum w)^2 / sum w^2."""
    values = np.asarray(values, np.float64)
    w = np.ones(len(values)) if weights is None else np.asarray(weights, np.float64)
    total, square = float(w.sum()), float((w * w).sum())
    if total <= 0:
        d = values.shape[1]
        return Moments(0.0, np.zeros(d), np.zeros((d, d)))
    n = total * total / square
    mean = w @ values / total
    centred = values - mean
    scale = total * (1 - 1 / n) if n > 1 else total
    return Moments(n, mean, (centred * w[:, None]).T @ centred / scale)


def variance_retention(
    corpus: Moments, reference: Moments, ridge: float = RIDGE
) -> dict[str, float | int | str | None]:
    """How the variance of a corpus compares with that of a reference, over the same d features.

    Features are standardised by the reference, those without variance in it left out, and `ridge` (in those
    units) is added to both diagonals. With A = R^-1/2 S R^-1/2 the covariance S of the corpus seen by that of
    the reference: vr_min and vr_max, the least and greatest eigenvalue of A (1 = as in the reference); vr_ld,
    det(A)^(1/d) with the bias of log-determinants of Gaussian samples taken off; shift, |R^-1/2 (mean
    difference)| / sqrt(d); ffd, the Frechet distance of the two Gaussians over d. Also `features`, the d that
    counted, and `reason`: None, or why there are no numbers (fewer than 2 documents a feature). Sources:
    Dowson and Landau 1982 (distance), Cai et al. 2015 (log-determinant). Raises ValueError for moments of
    different features.
    """
    if corpus.mean.shape != reference.mean.shape:
        raise ValueError(
            f"moments of {len(corpus.mean)} features cannot be compared with {len(reference.mean)}"
        )
    deviation = np.sqrt(np.maximum(np.diag(reference.covariance), 0.0))
    used = deviation > 1e-9
    d = int(used.sum())
    answer: dict[str, float | int | str | None] = dict.fromkeys(NUMBERS)
    answer |= {"features": d, "reason": None}
    if d == 0:
        return answer | {"reason": "the reference has no feature that varies"}
    for name, n in (("corpus", corpus.n), ("reference", reference.n)):
        if n < LEAST_PER_FEATURE * d:
            needed = LEAST_PER_FEATURE * d
            return answer | {"reason": f"the {name} has {n:.0f} documents, {d} features need {needed}"}
    scale = np.outer(deviation[used], deviation[used])
    eye = ridge * np.eye(d)
    r = reference.covariance[np.ix_(used, used)] / scale + eye
    s = corpus.covariance[np.ix_(used, used)] / scale + eye
    difference = (corpus.mean - reference.mean)[used] / deviation[used]
    if not (np.isfinite(r).all() and np.isfinite(s).all() and np.isfinite(difference).all()):
        return answer | {"reason": "a mean or covariance is not finite"}
    values, vectors = np.linalg.eigh(r)
    values = np.maximum(values, ridge if ridge > 0 else 1e-12)
    half_inverse = (vectors / np.sqrt(values)) @ vectors.T
    half = (vectors * np.sqrt(values)) @ vectors.T
    ratios = np.maximum(np.linalg.eigvalsh(half_inverse @ s @ half_inverse), 0.0)
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(half @ s @ half), 0.0)).sum()
    distance = float(difference @ difference + np.trace(s) + np.trace(r) - 2 * cross)
    bias = (_log_determinant_bias(corpus.n, d) - _log_determinant_bias(reference.n, d)) / d
    least = float(ratios.min())
    return answer | {
        "vr_min": least,
        "vr_ld": float(np.exp(np.log(ratios).mean() - bias)) if least > 0 else 0.0,
        "vr_max": float(ratios.max()),
        "shift": float(np.linalg.norm(half_inverse @ difference) / np.sqrt(d)),
        "ffd": max(distance, 0.0) / d,
    }


def floor(half_a: Moments, half_b: Moments, ridge: float = RIDGE) -> dict[str, float | int | str | None]:
    """What sampling alone does to the numbers: each half of a reference against the other, the worse of the
    two.

    A corpus as good as the reference scores about this; nothing finer can be read from the numbers.
    """
    ways = variance_retention(half_a, half_b, ridge), variance_retention(half_b, half_a, ridge)
    for way in ways:
        if way["reason"] is not None:
            return way
    worse: dict[str, float | int | str | None] = dict(ways[0])
    for name in NUMBERS:
        pair = [float(way[name]) for way in ways]  # type: ignore[arg-type]
        worse[name] = min(pair) if name in ("vr_min", "vr_ld") else max(pair)
    return worse


def effective_rank(moments: Moments) -> float | None:
    """exp of the entropy of the normalised eigenvalues of the covariance (Roy and Vetterli 2007): 1 to d.

    None without variance.
    """
    values = np.maximum(np.linalg.eigvalsh(moments.covariance), 0.0)
    total = float(values.sum())
    if not total > 1e-12:
        return None
    p = values[values > 1e-12 * total] / total
    return float(np.exp(-(p * np.log(p)).sum()))


def _log_determinant_bias(n: float, d: int) -> float:
    """Expected log-determinant of a Gaussian sample covariance, less that of the true one."""
    i = np.arange(1, d + 1)
    return float(digamma((n - i) / 2).sum() + d * np.log(2 / (n - 1)))
