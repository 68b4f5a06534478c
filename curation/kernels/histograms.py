"""One pass over tokens that fills the count tables of a shard, and the integer moments of its documents.

Everything added here is an integer, so tables of parts add up to the table of the whole, bit for bit.
"""

import math

import numpy as np
from numba import njit

from curation.kernels.features import (
    CLASS_MASK,
    CLASS_SHIFT,
    COMMON,
    NEGATION,
    NO_CLASS,
    STEP,
    ends_sentence,
    lookup,
    pair_hash,
)
from curation.kernels.hashing import mix64
from curation.kernels.tokens import CHAR, LINE, NUMBER, UPPER, WORD

NEGATION_REACH = 4  # tokens after a negator that it is taken to negate
CONTENT_LENGTH = 3  # least code points of a word whose polarity is counted
SAMPLE = 1 << 15  # most keys of a sample
SLOTS = 1 << 16  # slots of the open-addressed table in which a batch is sampled
SAMPLES = 3  # words, runs of 4 words, runs of 8 words


def _power(base, exponent):
    return np.uint64(pow(int(base), exponent, 1 << 64))


_STEP4, _STEP8 = _power(STEP, 4), _power(STEP, 8)


@njit(inline="always")
def _below(h, level):
    """Whether a hash belongs to the sample of 1 in 2^level."""
    return level == 0 or (h >> np.uint64(64 - level)) == 0


@njit(nogil=True, cache=True)
def _thin(keys, counts, documents, last, level):
    """Leave only keys of the sample of `level` in an open-addressed table; returns how many there are."""
    n = 0
    kept_keys, kept = np.empty(len(keys), np.uint64), np.empty((len(keys), 3), np.int64)
    for i in range(len(keys)):
        if counts[i] and _below(keys[i], level):
            kept_keys[n] = keys[i]
            kept[n, 0], kept[n, 1], kept[n, 2] = counts[i], documents[i], last[i]
            n += 1
    counts[:] = 0
    mask = np.uint64(len(keys) - 1)
    for j in range(n):
        i = kept_keys[j] & mask
        while counts[i]:
            i = (i + np.uint64(1)) & mask
        keys[i] = kept_keys[j]
        counts[i], documents[i], last[i] = kept[j, 0], kept[j, 1], kept[j, 2]
    return n


@njit(inline="always")
def _count(keys, counts, documents, last, h, d):
    """Count an occurrence of h in document d; returns 1 for a key that was not there."""
    mask = np.uint64(len(keys) - 1)
    i = h & mask
    while counts[i]:
        if keys[i] == h:
            counts[i] += 1
            if last[i] != d:
                documents[i] += 1
                last[i] = d
            return 0
        i = (i + np.uint64(1)) & mask
    keys[i] = h
    counts[i] = documents[i] = 1
    last[i] = d
    return 1


@njit(nogil=True, cache=True)
def count_kernel(
    hashes, kinds, lengths, offsets, skip, marker_keys, marker_values, unigram, bigram, opener, polarity,
    levels, keys, counts, documents, last,
):  # fmt: skip
    """Add the documents of a batch that are not skipped to the tables of a state, and sample their n-grams.

    unigram, bigram uint32[2^20], opener uint32[2^16], polarity uint32[2^17, 2]; keys uint64[3, SLOTS] and
    counts, documents, last int64[3, SLOTS] are the samples, zero on entry; levels int64[3] rises whenever a
    sample would hold more than SAMPLE keys. Returns (words, tokens).
    """
    filled = np.zeros(SAMPLES, np.int64)
    ring = np.zeros(8, np.uint64)
    low20, low17 = np.uint64((1 << 20) - 1), np.uint64((1 << 17) - 1)
    zero = np.uint64(0)
    words = tokens = 0
    for d in range(len(offsets) - 1):
        if skip[d]:
            continue
        start, end = offsets[d], offsets[d + 1]
        tokens += end - start
        seen = 0
        run4 = run8 = zero
        sentence, ended = 0, False
        first = previous = zero
        adjacent = False
        negated = start - NEGATION_REACH - 1
        for t in range(start, end):
            h, kind = hashes[t], np.int64(kinds[t])
            entry = lookup(marker_keys, marker_values, h)
            code = (entry >> CLASS_SHIFT) & CLASS_MASK
            if ended and kind & (UPPER | LINE | CHAR):
                sentence, ended = 0, False
            if not kind & WORD:
                adjacent = False
                if ends_sentence(code):
                    ended = True
                    negated = start - NEGATION_REACH - 1
                continue
            ended = False
            words += 1
            unigram[h & low20] += np.uint32(1)
            if adjacent:
                bigram[pair_hash(previous, h) & low20] += np.uint32(1)
            if sentence == 0:
                first = h
            elif sentence == 1:
                opener[pair_hash(first, h) >> np.uint64(48)] += np.uint32(1)
            sentence += 1
            previous, adjacent = h, True
            if code == NEGATION:
                negated = t
            elif (
                code == NO_CLASS
                and not entry & COMMON
                and not kind & (NUMBER | CHAR)
                and lengths[t] >= CONTENT_LENGTH
            ):
                sign = 1 if t - negated <= NEGATION_REACH else 0
                polarity[(h >> np.uint64(20)) & low17, sign] += np.uint32(1)
            if _below(h, levels[0]):
                filled[0] += _count(keys[0], counts[0], documents[0], last[0], h, d)
            # runs of 4 and 8 words are polynomials in the word hashes, rolled on by one word
            run8 = run8 * STEP + h
            run4 = run4 * STEP + h
            if seen >= 8:
                run8 -= ring[seen & 7] * _STEP8
            if seen >= 4:
                run4 -= ring[(seen - 4) & 7] * _STEP4
            ring[seen & 7] = h
            seen += 1
            if seen >= 4:
                g = mix64(run4)
                if _below(g, levels[1]):
                    filled[1] += _count(keys[1], counts[1], documents[1], last[1], g, d)
            if seen >= 8:
                g = mix64(run8)
                if _below(g, levels[2]):
                    filled[2] += _count(keys[2], counts[2], documents[2], last[2], g, d)
            for s in range(SAMPLES):
                while filled[s] > SAMPLE:
                    levels[s] += 1
                    filled[s] = _thin(keys[s], counts[s], documents[s], last[s], levels[s])
    return words, tokens


@njit(nogil=True, cache=True)
def merge_samples(keys_a, values_a, keys_b, values_b, level, limit):
    """Union of two samples (keys uint64[n] ascending, values int64[n, 2] added) and the level it needs.

    The level is the least one, not below `level`, at which at most `limit` keys are left.
    """
    n_a, n_b = len(keys_a), len(keys_b)
    keys, values = np.empty(n_a + n_b, np.uint64), np.empty((n_a + n_b, 2), np.int64)
    i = j = n = 0
    while i < n_a or j < n_b:
        if j >= n_b or (i < n_a and keys_a[i] <= keys_b[j]):
            keys[n], values[n, 0], values[n, 1] = keys_a[i], values_a[i, 0], values_a[i, 1]
            if j < n_b and keys_a[i] == keys_b[j]:
                values[n, 0] += values_b[j, 0]
                values[n, 1] += values_b[j, 1]
                j += 1
            i += 1
        else:
            keys[n], values[n, 0], values[n, 1] = keys_b[j], values_b[j, 0], values_b[j, 1]
            j += 1
        n += 1
    while n > 0 and not _below(keys[n - 1], level):
        n -= 1
    while n > limit:
        level += 1
        while n > 0 and not _below(keys[n - 1], level):
            n -= 1
    return keys[:n].copy(), values[:n].copy(), level


@njit(nogil=True, cache=True)
def moments_kernel(
    core, words, word_counts, skip, core_mean, core_sd, words_mean, words_sd, sums, products, direction
):
    """Add the standardised features of every document with words to exact sums; returns (documents,
    directions).

    sums int64[16] and products int64[16, 16] of the core scalars, clipped to 6.5 deviations, on a grid of
    2^-10 and 2^-20; direction int64[80] of the unit vector of core scalars and shares of function words,
    clipped to 5 deviations, on a grid of 2^-20. word_counts int64[documents].
    """
    n_core, n_words = len(core_mean), len(words_mean)
    q = np.empty(n_core, np.int64)
    z = np.empty(n_core + n_words, np.float64)
    documents = directions = 0
    for d in range(len(skip)):
        if skip[d] or word_counts[d] == 0:
            continue
        documents += 1
        square = 0.0
        for j in range(n_core):
            value = (np.float64(core[d, j]) - core_mean[j]) / core_sd[j]
            q[j] = np.int64(np.rint(min(max(value, -6.5), 6.5) * 1024.0))
            z[j] = min(max(value, -5.0), 5.0)
            square += z[j] * z[j]
        for j in range(n_words):
            value = (words[d, j] / word_counts[d] - words_mean[j]) / words_sd[j]
            value = min(max(value, -5.0), 5.0)
            z[n_core + j] = value
            square += value * value
        for j in range(n_core):
            sums[j] += q[j]
            for k in range(n_core):
                products[j, k] += q[j] * q[k]
        if square > 0.0:
            directions += 1
            scale = 1048576.0 / math.sqrt(square)
            for j in range(n_core + n_words):
                direction[j] += np.int64(np.rint(z[j] * scale))
    return documents, directions
