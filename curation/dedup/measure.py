"""How alike two documents are: estimated from their minima, or counted on their sets of shingles."""

from typing import NamedTuple

import numpy as np

from curation.dedup.documents import Documents
from curation.dedup.signatures import estimate
from curation.kernels.components import measure_pairs
from curation.kernels.shingles import shingle_kernel
from curation.text import Tokens


class Shingles(NamedTuple):
    """values uint64[total], each document's distinct shingles in ascending order; spans int64[documents, 2], where
    those of a document begin and end."""

    values: np.ndarray
    spans: np.ndarray


def shingles(tokens: Tokens, *, ngram: int) -> Shingles:
    """The sets of runs of `ngram` words of tokenised documents, as 64-bit hashes.

    The Jaccard similarity of two such sets is what MinHash estimates (Broder 1997). Two different shingles are taken
    for one with probability 2^-64: below 1e-7 for any pair among those of two documents of a million words. Documents
    with fewer words than a shingle have none. Raises ValueError when ngram is below 1.
    """
    if ngram < 1:
        raise ValueError(f"ngram must be at least 1, not {ngram}")
    values, room = np.empty(len(tokens.hash), np.uint64), np.empty(len(tokens.hash), np.uint64)
    bounds = np.empty(len(tokens.offsets), np.int64)
    shingle_kernel(tokens.hash, tokens.kind, tokens.offsets, ngram, room, values, bounds)
    return Shingles(values[: bounds[-1]].copy(), np.stack([bounds[:-1], bounds[1:]], axis=1))


class Measure(NamedTuple):
    """What the kernels compare documents by (`kernels.components` describes values and spans), and the least value
    with which two merge: equal minima, or a Jaccard similarity."""

    values: np.ndarray
    spans: np.ndarray
    least: float

    @property
    def counted(self) -> bool:
        """Are these similarities of sets, not of minima?"""
        return self.values.ndim == 1

    def alike(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """int64[pairs] equal minima, or float64[pairs] Jaccard similarities, of documents by place."""
        out = np.empty(len(left), np.float64 if self.counted else np.int64)
        measure_pairs(self.values, self.spans, left, right, out)
        return out

    def similarities(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Jaccard similarities float64[pairs]: counted, or as `signatures.similarity` estimates them."""
        alike = self.alike(left, right)
        return alike if self.counted else estimate(alike, self.values.shape[1])


def by_minima(documents: Documents, verify: float) -> Measure:
    """Documents merge from the number of equal minima from which the estimated similarity is at least `verify`."""
    permutations = documents.minima.shape[1]
    least = int(np.searchsorted(estimate(np.arange(permutations + 1), permutations), verify))
    return Measure(documents.minima, documents.place[:, None], least)


def by_shingles(given: Shingles, order: np.ndarray, verify: float) -> Measure:
    """Documents merge from a Jaccard similarity of `verify`; order int64[n]: rows of `given` in candidate order."""
    return Measure(given.values, given.spans[order], float(verify))
