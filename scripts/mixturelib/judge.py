"""How far a weighted crawl is from human text on never-balanced features, in multiples of an oracle's distance."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from curation.mixing.features import HELD_OUT_STYLE
from mixturelib.rules import World, ess

REPLICATES = 100
SUBSAMPLES = 20  # of the human documents, whose mean distance is the oracle's
RIDGE = 1e-3
MARKERS = len(HELD_OUT_STYLE)  # features of the Frechet distance, the last ones: a covariance of all needs more text


class Judged(NamedTuple):
    """A rule: value, lower and upper end of a 90 % bootstrap interval each."""

    human: tuple[float, float, float]  # share of the weight
    ess: float
    frechet: tuple[float, float, float]  # times the oracle's
    moments: tuple[float, float, float]  # root mean square error of means, times the oracle's


def judge(found: World, human: np.ndarray, w: np.ndarray, seed: int = 1) -> Judged:
    """The rule with weights float64[docs] on the mixture whose human documents are bool[docs] `human`.

    The oracle takes human documents only, as many as the rule is worth: it has the error of its size and no other.
    What the sampling of the human text measured against adds to both distances is taken off. Intervals resample the
    documents of the crawl and of that text.
    """
    rng = np.random.default_rng(seed)
    size = ess(w)
    point = _distances(found, human, w, size, np.arange(len(w)), np.arange(len(found.target)), 1, rng)
    draws = [
        _distances(
            found, human, w, size, rng.integers(0, len(w), len(w)),
            rng.integers(0, len(found.target), len(found.target)), 2, rng,
        )
        for _ in range(REPLICATES)
    ]  # fmt: skip
    ends = np.quantile(np.array(draws), [0.05, 0.95], axis=0)
    values = [(float(v), float(a), float(b)) for v, a, b in zip(point, *ends, strict=True)]
    return Judged(values[0], size, values[1], values[2])


def _distances(
    found: World,
    human: np.ndarray,
    w: np.ndarray,
    size: float,
    rows: np.ndarray,
    others: np.ndarray,
    sampled: int,
    rng: np.random.Generator,
) -> tuple[float, float, float]:
    target, crawl, weight = found.target[others], found.held_out[rows], w[rows]
    people = np.flatnonzero(human[rows])
    count = min(len(people), max(2, round(size * len(w))))
    sets = [rng.choice(people, count, replace=False) for _ in range(SUBSAMPLES)]
    found_here = []
    for measure in (_frechet(target, sampled), _moment_error(target, sampled)):
        oracle = np.mean([measure(crawl[chosen], np.ones(count)) for chosen in sets])
        found_here.append(measure(crawl, weight) / max(oracle, 1e-12))
    found_here[1] = np.sqrt(max(found_here[1], 0.0))
    return float(weight[human[rows]].sum() / weight.sum()), found_here[0], found_here[1]


def _moment_error(target: np.ndarray, sampled: int) -> Callable[[np.ndarray, np.ndarray], float]:
    """Mean squared error of means; `sampled`: how often the target was sampled (2 in a bootstrap)."""
    mean, noise = target.mean(0), sampled * target.var(0) / len(target)

    def measure(matrix: np.ndarray, w: np.ndarray) -> float:
        return float(np.mean((w @ matrix / w.sum() - mean) ** 2 - noise))

    return measure


def _frechet(target: np.ndarray, sampled: int) -> Callable[[np.ndarray, np.ndarray], float]:
    """Frechet distance of Gaussians with the mean and covariance of both sides (Dowson and Landau 1982)."""
    target = target[:, -MARKERS:]
    scale = np.maximum(target.std(0), 1e-9)
    mean, covariance = _gaussian(target / scale, np.ones(len(target)))
    noise = sampled * MARKERS / len(target)
    values, vectors = np.linalg.eigh(covariance)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T

    def measure(matrix: np.ndarray, w: np.ndarray) -> float:
        other, theirs = _gaussian(matrix[:, -MARKERS:] / scale, w)
        cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ theirs @ root), 0)).sum()
        return float(((other - mean) ** 2).sum() + np.trace(covariance) + np.trace(theirs) - 2 * cross) - noise

    return measure


def _gaussian(matrix: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean = w @ matrix / w.sum()
    centred = matrix - mean
    return mean, (centred * w[:, None]).T @ centred / w.sum() + RIDGE * np.eye(matrix.shape[1])
