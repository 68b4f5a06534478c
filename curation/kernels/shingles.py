"""Sets of shingle hashes, for similarities that are counted instead of estimated."""

import numpy as np
from numba import njit

from curation.kernels.hashing import mix64
from curation.kernels.tokens import WORD

_ROLL = np.uint64(0x9E3779B97F4A7C15)


@njit(nogil=True, cache=True)
def shingle_kernel(hashes, kinds, offsets, ngram, words, out, bounds):
    """The distinct shingles of every document in ascending order: 64 bits of what `minhash` takes 32 of.

    hashes uint64[t], kinds uint8[t], offsets int64[docs + 1] as the tokeniser makes them; ngram words make a shingle.
    words uint64[t] is room for the words of one document. Filled: out uint64[t], of which the first bounds[docs] are
    used, and bounds int64[docs + 1]; a document with fewer words than a shingle has none.
    """
    used = np.int64(0)
    bounds[0] = 0
    for d in range(len(offsets) - 1):
        count = 0
        for t in range(offsets[d], offsets[d + 1]):
            if kinds[t] & WORD:
                words[count] = hashes[t]
                count += 1
        shingles = max(count - ngram + 1, 0)
        for s in range(shingles):
            value = np.uint64(0)
            for k in range(s, s + ngram):
                value = value * _ROLL + words[k]
            out[used + s] = mix64(value)
        mine = out[used : used + shingles]
        mine.sort()
        for s in range(shingles):
            if s == 0 or mine[s] != out[used - 1]:
                out[used] = mine[s]
                used += 1
        bounds[d + 1] = used


@njit(nogil=True, cache=True)
def jaccard(values, spans, a, b):
    """Jaccard similarity of the sorted sets values[spans[a, 0]:spans[a, 1]] and that of b; 0 when one is empty."""
    i, last_i = spans[a, 0], spans[a, 1]
    j, last_j = spans[b, 0], spans[b, 1]
    total = (last_i - i) + (last_j - j)
    shared = np.int64(0)
    while i < last_i and j < last_j:
        x, y = values[i], values[j]
        shared += np.int64(x == y)
        i += np.int64(x <= y)
        j += np.int64(y <= x)
    return shared / (total - shared) if shared else 0.0
