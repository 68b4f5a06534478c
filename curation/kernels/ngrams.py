"""Runs of words as hashes, and the search for those that a table holds."""

import numpy as np
from numba import njit

from curation.kernels.hashing import mix64
from curation.kernels.tokens import WORD

_ROLL = np.uint64(0x9E3779B97F4A7C15)
_BYTE = np.uint64(3)
_BIT = np.uint64(7)


@njit(nogil=True, cache=True)
def ngrams_kernel(hashes, kinds, offsets, ngram, bits, shift, out, document, position):
    """Hashes of runs of `ngram` words whose bit is set, with their document and the number of their first word.

    hashes uint64[t], kinds uint8[t], offsets int64[docs + 1] as the tokeniser makes them. bits uint8[m] is a table of
    2^(64 - shift) bits, looked up by the first bits of a hash. Filled: out uint64[k], document and position int64[k].
    Returns how many there are; beyond k they are counted only.
    """
    window = np.empty(ngram, np.uint64)
    leaving = np.uint64(1)
    for _ in range(ngram):
        leaving *= _ROLL
    found = 0
    for d in range(len(offsets) - 1):
        rolling = np.uint64(0)
        words = place = 0
        for t in range(offsets[d], offsets[d + 1]):
            if (kinds[t] & WORD) == 0:
                continue
            rolling = rolling * _ROLL + hashes[t]
            if words >= ngram:
                rolling -= window[place] * leaving
            window[place] = hashes[t]
            place = place + 1 if place + 1 < ngram else 0
            words += 1
            if words < ngram:
                continue
            h = mix64(rolling)
            slot = h >> shift
            if (bits[slot >> _BYTE] >> np.uint8(slot & _BIT)) & 1:
                if found < len(out):
                    out[found], document[found], position[found] = h, d, words - ngram
                found += 1
    return found
