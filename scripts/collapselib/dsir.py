"""DSIR: data selection by importance resampling on hashed n-grams (Xie et al. 2023, arXiv 2302.03169)."""

import math

import numpy as np
from numba import njit

from collapselib.corpus import Texts
from collapselib.crawl import Crawl
from collapselib.world import World
from curation.kernels.hashing import MUL1, mix64, mix64_array
from curation.mixing import sampling

BUCKETS = 1 << 14
_SMOOTHING = 1.0


@njit(nogil=True, cache=True)
def _counts(tokens, offsets, hashes, counts):
    for d in range(len(offsets) - 1):
        before = np.uint64(0)
        for t in range(offsets[d], offsets[d + 1]):
            h = hashes[tokens[t]]
            counts[h & np.uint64(len(counts) - 1)] += 1
            if t > offsets[d]:
                counts[mix64(before * MUL1 + h) & np.uint64(len(counts) - 1)] += 1
            before = h


@njit(nogil=True, cache=True)
def _scores(tokens, offsets, hashes, ratio, out):
    for d in range(len(offsets) - 1):
        before = np.uint64(0)
        total = 0.0
        for t in range(offsets[d], offsets[d + 1]):
            h = hashes[tokens[t]]
            total += ratio[h & np.uint64(len(ratio) - 1)]
            if t > offsets[d]:
                total += ratio[mix64(before * MUL1 + h) & np.uint64(len(ratio) - 1)]
            before = h
        out[d] = total


def log_ratios(texts: Texts, reference: Texts, hashes: np.ndarray) -> np.ndarray:
    """float64[docs]: log probability of the uni- and bigrams of each document in the reference less that in `texts`."""
    logs = []
    for part in (reference, texts):
        counts = np.zeros(BUCKETS, np.int64)
        _counts(part.tokens, part.offsets, hashes, counts)
        logs.append(np.log(counts + _SMOOTHING) - math.log(counts.sum() + _SMOOTHING * BUCKETS))
    scores = np.empty(len(texts.genre))
    _scores(texts.tokens, texts.offsets, hashes, logs[0] - logs[1], scores)
    return scores


def select(world: World, crawl: Crawl, tokens: int, seed: int) -> np.ndarray:
    """bool[docs]: Gumbel top-k by log ratio, until `tokens` are reached."""
    hashes = mix64_array(world.vocabulary.hash)
    scores = log_ratios(crawl.texts, world.reference, hashes)
    scores -= np.log(-np.log(sampling.uniforms(crawl.signals.column("id"), seed)))
    order = np.argsort(-scores, kind="stable")
    sizes = np.cumsum(np.diff(crawl.texts.offsets)[order])
    taken = np.zeros(len(scores), bool)
    taken[order[: int(np.searchsorted(sizes, tokens))]] = True
    return taken
