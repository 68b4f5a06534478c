"""Where human documents lie: how far a document is from the middle of a reference, and how far is far.

Distances are Mahalanobis distances of the 16 standardised scalars, taken of the first kilobyte of a document on both
sides, since short texts stray further than long ones. The middle and the covariance come from one half of the
reference's documents and the distances that count as far from the other half, which these have not seen.
"""

from typing import NamedTuple

import numpy as np

from curation.diversity.features import features
from curation.diversity.ruler import Ruler
from curation.text import Tokens

LEAST = 400  # documents of a reference, below which its far distances are not known
RIDGE = 1e-3  # added to the variances, which are about 1
QUANTILES = (0.5, 0.95, 0.99)
CLIP = 6.5


class Human(NamedTuple):
    """mean float64[16] and precision float64[16, 16] of standardised scalars of human documents, and the squared
    distances float64[3] that half, 95 % and 99 % of human documents stay within."""

    mean: np.ndarray
    precision: np.ndarray
    radius: np.ndarray


def scalars(tokens: Tokens, ruler: Ruler) -> np.ndarray:
    """float64[documents with words, 16]: the scalars of each, standardised by the ruler and clipped."""
    found = features(tokens, ruler)
    spoken = found.style[:, 1] > 0
    return np.clip((found.core[spoken].astype(np.float64) - ruler.core_mean) / ruler.core_sd, -CLIP, CLIP)


def squared_distances(values: np.ndarray, mean: np.ndarray, precision: np.ndarray) -> np.ndarray:
    """Squared Mahalanobis distances of rows (Mahalanobis 1936)."""
    centred = values - mean
    return np.asarray(np.einsum("ij,jk,ik->i", centred, precision, centred))


def human_of(values: np.ndarray) -> Human | None:
    """The Human of `scalars` of a reference, rows in an order that says nothing; None below LEAST documents."""
    if len(values) < LEAST:
        return None
    a, b = values[::2], values[1::2]
    covariance = np.cov(a.T) + RIDGE * np.eye(a.shape[1])
    mean, precision = a.mean(0), np.linalg.inv(covariance)
    return Human(mean, precision, np.quantile(squared_distances(b, mean, precision), QUANTILES))
