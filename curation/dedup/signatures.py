"""MinHash signatures of a batch, their slow reference, and the similarity that signatures estimate."""

import numpy as np

from curation.kernels.hashing import mix64_array
from curation.kernels.minhash import equal_minima, permutations, signature_kernel
from curation.kernels.tokens import WORD
from curation.text import Tokens


def signatures(
    tokens: Tokens, *, bands: int, rows: int, ngram: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(band hashes uint64[docs, bands], minima uint16[docs, bands * rows], valid bool[docs]) of tokenised documents.

    Shingles are `ngram` consecutive words (punctuation is skipped) inside one document. Two documents whose sets of
    shingles have Jaccard similarity s share at least one band hash with probability 1 - (1 - s^rows)^bands
    (Leskovec, Rajaraman & Ullman, Mining of Massive Datasets, ch. 3). A document with fewer than `ngram` words is not
    valid, and its values are zero. Raises ValueError when bands, rows or ngram is below 1.
    """
    if min(bands, rows, ngram) < 1:
        raise ValueError(f"bands, rows and ngram must be at least 1, not {bands}, {rows} and {ngram}")
    documents = len(tokens.offsets) - 1
    band_hashes = np.empty((documents, bands), np.uint64)
    minima = np.empty((documents, bands * rows), np.uint16)
    valid = np.empty(documents, np.bool_)
    factors, summands = permutations(bands * rows, seed)
    signature_kernel(
        tokens.hash, tokens.kind, tokens.offsets, ngram, factors, summands, rows, band_hashes, minima, valid
    )
    return band_hashes, minima, valid


def reference_signature(
    tokens: Tokens, document: int, *, bands: int, rows: int, ngram: int, seed: int
) -> tuple[list[int], list[int]] | None:
    """What `signatures` must give for one document, in plain Python integers; None where it is not valid."""
    span = slice(tokens.offsets[document], tokens.offsets[document + 1])
    words = [int(h) for h, kind in zip(tokens.hash[span], tokens.kind[span], strict=True) if kind & WORD]
    if len(words) < ngram:
        return None
    factor = 0x9E3779B97F4A7C15

    def mixed(value: int) -> int:
        return int(mix64_array(np.array([value % 2**64], np.uint64))[0])

    shingles = set()
    for first in range(len(words) - ngram + 1):
        value = 0
        for word in words[first : first + ngram]:
            value = value * factor + word
        shingles.add(mixed(value) >> 32)
    pairs = zip(*(values.tolist() for values in permutations(bands * rows, seed)), strict=True)
    minima = [min((a * shingle + b) % 2**32 for shingle in shingles) for a, b in pairs]
    hashes = []
    for band in range(bands):
        value = band + 1
        for least in minima[band * rows : (band + 1) * rows]:
            value = mixed(value * factor + least)
        hashes.append(value)
    return hashes, [least % 2**16 for least in minima]


def similarity(minima: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Estimated Jaccard similarity float64[pairs] of the documents `left` and `right` (indices into minima).

    Its standard error is sqrt(s (1 - s) / permutations): .043 at s = .7 and 112 permutations.
    """
    equal = np.empty(len(left), np.uint16)
    equal_minima(minima, left, right, equal)
    return estimate(equal, minima.shape[1])


def estimate(equal: np.ndarray, permutations: int) -> np.ndarray:
    """The Jaccard similarity that a number of equal 16-bit minima stands for: their share, corrected for the 2^-16
    that agree by chance, and never below zero."""
    return np.maximum(0.0, (equal / permutations - 2.0**-16) / (1 - 2.0**-16))
