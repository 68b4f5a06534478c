"""The fixed detector of the published rules: told human text from output of generation 0, and never fitted again.

A logistic regression on the hashed n-grams of the package's synthetic-text model, as its own training fits it.
Probabilities are read off scores of text that the fit has not seen (Platt 2000).
"""

from typing import NamedTuple

import numpy as np

from collapselib.corpus import Texts, Vocabulary, as_tokens, join, take
from curation.kernels.logistic import fit_kernel, predict_kernel
from curation.kernels.score import BUCKETS
from curation.synthetic.training import EPOCHS, PENALTY, RATE, features


class Detector(NamedTuple):
    """Weights of buckets, and the logistic curve from scores to probabilities."""

    weights: np.ndarray
    bias: float
    slope: float
    intercept: float
    common: np.ndarray

    def probability(self, texts: Texts, vocabulary: Vocabulary) -> np.ndarray:
        """float64[docs]: the probability that a model wrote each document, at even odds."""
        score = _scores(texts, vocabulary, self.common, self.weights, self.bias)
        return 1 / (1 + np.exp(-(self.slope * score + self.intercept)))


def fit(human: Texts, machine: Texts, vocabulary: Vocabulary, common: np.ndarray) -> Detector:
    """The detector of two lots of text; three quarters of the documents fit the weights, the others the curve."""
    n = min(len(human.genre), len(machine.genre))
    texts = join([take(human, np.arange(n)), take(machine, np.arange(n))])
    label = (np.arange(2 * n) >= n).astype(np.float32)
    held_out = np.arange(2 * n) % 4 == 3
    weights, squares, bias = np.zeros(BUCKETS, np.float32), np.zeros(BUCKETS, np.float32), np.zeros(2)
    buckets, ends = _buckets(texts, vocabulary, common)
    order = _alternate(held_out, n)
    for epoch in range(EPOCHS):
        fit_kernel(
            buckets, ends, label, np.ones(2 * n, np.float32), np.full(2 * n, -1, np.int32), order,
            RATE * (1 - epoch / EPOCHS), PENALTY, weights, squares, np.zeros((1, 2)), bias,
        )  # fmt: skip
    score = _scores(take(texts, np.flatnonzero(held_out)), vocabulary, common, weights, float(bias[0]))
    slope, intercept = _platt(score, label[held_out])
    return Detector(weights, float(bias[0]), slope, intercept, common)


def _alternate(held_out: np.ndarray, n: int) -> np.ndarray:
    rows = np.arange(2 * n).reshape(2, n).T.ravel()  # human, machine, human, ...
    return rows[~held_out[rows]]


def _buckets(texts: Texts, vocabulary: Vocabulary, common: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return features(as_tokens(texts, vocabulary), texts.offsets[:-1], texts.offsets[1:], common)


def _scores(
    texts: Texts, vocabulary: Vocabulary, common: np.ndarray, weights: np.ndarray, bias: float
) -> np.ndarray:
    buckets, ends = _buckets(texts, vocabulary, common)
    out = np.empty(len(texts.genre), np.float32)
    predict_kernel(buckets, ends, np.arange(len(out)), weights, bias, out)
    return out.astype(np.float64)


def _platt(score: np.ndarray, label: np.ndarray) -> tuple[float, float]:
    """Slope and intercept of a logistic regression on one number, by Newton's method."""
    x = np.column_stack([score, np.ones(len(score))])
    b = np.zeros(2)
    for _ in range(50):
        p = 1 / (1 + np.exp(-(x @ b)))
        hessian = (x * (p * (1 - p))[:, None]).T @ x + 1e-3 * np.eye(2)
        step = np.linalg.solve(hessian, x.T @ (label - p) - 1e-3 * b)
        b += step
        if np.abs(step).max() < 1e-9:
            break
    return float(b[0]), float(b[1])
