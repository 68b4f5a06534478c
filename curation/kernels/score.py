"""Hashed word n-gram features of tokens: buckets for training, and the linear score in one pass.

A term is a word, a number (only its length counts) or a punctuation mark; a feature is a term or a pair of
adjacent terms, hashed into 2^20 buckets (feature hashing, Weinberger et al. 2009). A long document is read
through two windows, its beginning and its middle, whose scores are averaged, so that its score stays on the
scale of the training crops. Sums are integers, so the score depends on nothing but the tokens.
"""

import numpy as np
from numba import njit

from curation.kernels.hashing import MUL1, MUL2, mix64, mix64_array
from curation.kernels.tokens import NUMBER, WORD

BITS = 20
BUCKETS = 1 << BITS
WINDOW = 800  # tokens of a window: about 4 kB of English
SHAPES = mix64_array(np.arange(1, 17, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15))
START = np.uint64(0x9E3779B97F4A7C15)

_TOP = np.uint64(64 - BITS)


@njit(inline="always")
def term(hash_, kind, length):
    """What the model sees of one token: the hash of a word or mark, a constant by length for a number."""
    if kind & NUMBER:
        return SHAPES[min(length, 16) - 1]
    return hash_


@njit(inline="always")
def single_bucket(current):
    return np.int64(mix64(current ^ START) >> _TOP)


@njit(inline="always")
def pair_bucket(previous, current):
    return np.int64(((previous * MUL1 + current) * MUL2) >> _TOP)


@njit(nogil=True, cache=True)
def bucket_kernel(hashes, kinds, lengths, begin, end, buckets, ends):
    """Buckets of the features of tokens begin[i]:end[i] for each i, one after another.

    begin, end int64[spans]; filled: buckets int32[at least 2 x tokens of all spans], ends int64[spans + 1].
    """
    n = 0
    ends[0] = 0
    for i in range(len(begin)):
        previous = START
        for t in range(begin[i], end[i]):
            current = term(hashes[t], kinds[t], lengths[t])
            buckets[n] = single_bucket(current)
            buckets[n + 1] = pair_bucket(previous, current)
            n += 2
            previous = current
        ends[i + 1] = n
    return n


@njit(nogil=True, cache=True)
def score_kernel(hashes, kinds, lengths, offsets, weights, check, scales, least, logit, logit_check):
    """Score each document with both models in one pass over the tokens of its windows.

    hashes uint64, kinds uint8, lengths uint8, offsets int64[docs + 1] as in `Tokens`; weights int8[2^20] of
    all features, check int8[2^19] of the features in odd buckets only; scales float64[4]: scale and bias of
    each model; least: words below which a score is NaN. Filled: logit and logit_check float32[docs].
    """
    for d in range(len(offsets) - 1):
        first, last = offsets[d], offsets[d + 1]
        words = 0
        for t in range(first, last):
            words += kinds[t] & WORD
            if words >= least:
                break
        if words < least or words == 0:
            logit[d] = np.nan
            logit_check[d] = np.nan
            continue
        windows = 2 if last - first > 2 * WINDOW else 1
        begin = first
        sum_all = 0.0
        sum_check = 0.0
        for _ in range(windows):
            end = min(begin + WINDOW, last)
            total = np.int64(0)
            total_check = np.int64(0)
            odd = np.int64(0)
            previous = START
            for t in range(begin, end):
                current = term(hashes[t], kinds[t], lengths[t])
                a = single_bucket(current)
                b = pair_bucket(previous, current)
                total += np.int64(weights[a]) + np.int64(weights[b])
                # no branch: half of the features would be mispredicted
                total_check += np.int64(check[a >> 1]) * (a & 1) + np.int64(check[b >> 1]) * (b & 1)
                odd += (a & 1) + (b & 1)
                previous = current
            sum_all += total / np.sqrt(2.0 * (end - begin))
            sum_check += total_check / np.sqrt(max(odd, 1))
            begin = first + (last - first - WINDOW) // 2
        logit[d] = np.float32(sum_all / windows * scales[0] + scales[1])
        logit_check[d] = np.float32(sum_check / windows * scales[2] + scales[3])
