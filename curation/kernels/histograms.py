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
    marker,
    pack_markers,
    pair_hash,
)
from curation.kernels.hashing import mix64
from curation.kernels.tokens import CHAR, LINE, NUMBER, UPPER, WORD

NEGATION_REACH = 4  # tokens after a negator that it is taken to negate
CONTENT_LENGTH = 3  # least code points of a word whose polarity is counted
SAMPLE = 1 << 14  # most keys of a sample
SLOTS = 1 << 15  # slots of the open-addressed table in which a batch is sampled
SAMPLES = 3  # words, runs of 4 words, runs of 8 words


def _power(base, exponent):
    return np.uint64(pow(int(base), exponent, 1 << 64))


_STEP4, _STEP8 = _power(STEP, 4), _power(STEP, 8)


@njit(inline="always")
def _below(h, level):
    """Whether a hash belongs to the sample of 1 in 2^level."""
    return level == 0 or (h >> np.uint64(64 - level)) == 0


@njit(nogil=True, cache=True)
def _thin(table, level):
    """Leave only keys of the sample of `level` in an open-addressed table; returns how many there are."""
    n = 0
    kept = np.empty(table.shape, np.uint64)
    for i in range(len(table)):
        if table[i, 1] and _below(table[i, 0], level):
            kept[n] = table[i]
            n += 1
    table[:] = 0
    mask = np.uint64(len(table) - 1)
    for j in range(n):
        i = kept[j, 0] & mask
        while table[i, 1]:
            i = (i + np.uint64(1)) & mask
        table[i] = kept[j]
    return n


@njit(inline="always")
def _count(table, h, d):
    """Count an occurrence of h in document d; returns 1 for a key that was not there.

    table uint64[SLOTS, 4], open-addressed: key, occurrences, documents, last document + 1; a row is in one cache line.
    """
    mask = np.uint64(len(table) - 1)
    document = np.uint64(d + 1)
    i = h & mask
    while table[i, 1]:
        if table[i, 0] == h:
            table[i, 1] += np.uint64(1)
            if table[i, 3] != document:
                table[i, 2] += np.uint64(1)
                table[i, 3] = document
            return 0
        i = (i + np.uint64(1)) & mask
    table[i, 0] = h
    table[i, 1] = table[i, 2] = np.uint64(1)
    table[i, 3] = document
    return 1


@njit(inline="always")
def _content(entry, code, kind, length):
    """Whether a word is one whose polarity is counted."""
    return (
        (code == NO_CLASS) & (entry & COMMON == 0) & (kind & (NUMBER | CHAR) == 0) & (length >= CONTENT_LENGTH)
    )


@njit(nogil=True, cache=True)
def mentions_kernel(hashes, kinds, lengths, offsets, threads, marker_keys, marker_values, keys, documents, signs):
    """Mentions of content words in documents with a thread (uint64[documents], 0 for none), as `count_kernel` counts
    them; returns how many.

    Fills keys uint64[tokens], a hash of thread and word, documents int64[tokens] and signs uint8[tokens], 1 for a
    mention that is negated.
    """
    packed = pack_markers(marker_keys, marker_values)
    n = 0
    for d in range(len(offsets) - 1):
        if threads[d] == 0:
            continue
        negated = offsets[d] - NEGATION_REACH - 1
        for t in range(offsets[d], offsets[d + 1]):
            entry, kind = marker(packed, hashes[t]), np.int64(kinds[t])
            code = (entry >> CLASS_SHIFT) & CLASS_MASK
            if not kind & WORD:
                if ends_sentence(code):
                    negated = offsets[d] - NEGATION_REACH - 1
            elif code == NEGATION:
                negated = t
            elif _content(entry, code, kind, lengths[t]):
                keys[n] = pair_hash(threads[d], hashes[t])
                documents[n] = d
                signs[n] = t - negated <= NEGATION_REACH
                n += 1
    return n


@njit(nogil=True, cache=True)
def count_kernel(
    hashes, kinds, lengths, offsets, skip, marker_keys, marker_values, unigram, opener, polarity, levels,
    keys, counts, documents, last,
):  # fmt: skip
    """Add the documents of a batch that are not skipped to the tables of a state, and sample their n-grams.

    unigram uint32[2^20], opener uint32[2^16], polarity uint32[2^17, 2]; keys uint64[3, SLOTS] and
    counts, documents, last int64[3, SLOTS] are the samples, zero on entry; levels int64[3] rises whenever a
    sample would hold more than SAMPLE keys. Returns (words, tokens).
    """
    # A document is read once, which gives its words and the cells that they count in; the cells are then counted in
    # loops without branches, so that the processor waits for many of them at a time.
    packed = pack_markers(marker_keys, marker_values)
    longest = 0
    for d in range(len(offsets) - 1):
        longest = max(longest, offsets[d + 1] - offsets[d])
    word, mention = np.empty(longest, np.uint64), np.empty(longest, np.uint32)
    signed = polarity.reshape(polarity.size)
    tables = np.zeros((SAMPLES, SLOTS, 4), np.uint64)
    filled = np.zeros(SAMPLES, np.int64)
    low20, low17 = np.uint64((1 << 20) - 1), np.uint64((1 << 17) - 1)
    words = tokens = 0
    for d in range(len(offsets) - 1):
        if skip[d]:
            continue
        start, end = offsets[d], offsets[d + 1]
        tokens += end - start
        n_words = n_mentions = 0
        sentence, ended = 0, False
        first = np.uint64(0)
        negated = start - NEGATION_REACH - 1
        for t in range(start, end):
            h, kind = hashes[t], np.int64(kinds[t])
            entry = marker(packed, h)
            code = (entry >> CLASS_SHIFT) & CLASS_MASK
            if ended and kind & (UPPER | LINE | CHAR):
                sentence, ended = 0, False
            if not kind & WORD:
                if ends_sentence(code):
                    ended = True
                    negated = start - NEGATION_REACH - 1
                continue
            ended = False
            word[n_words] = h
            n_words += 1
            if sentence == 0:
                first = h
            elif sentence == 1:
                opener[pair_hash(first, h) >> np.uint64(48)] += np.uint32(1)
            sentence += 1
            if code == NEGATION:
                negated = t
            content = _content(entry, code, kind, lengths[t])
            sign = np.uint64(t - negated <= NEGATION_REACH)
            mention[n_mentions] = np.uint32(((h >> np.uint64(20)) & low17) << np.uint64(1) | sign)
            n_mentions += content
        words += n_words
        for i in range(n_words):
            unigram[word[i] & low20] += np.uint32(1)
        for i in range(n_mentions):
            signed[mention[i]] += np.uint32(1)
        _sample(word, n_words, d, tables, filled, levels)
    for s in range(SAMPLES):
        for i in range(SLOTS):
            if tables[s, i, 1]:
                keys[s, i] = tables[s, i, 0]
                counts[s, i], documents[s, i] = np.int64(tables[s, i, 1]), np.int64(tables[s, i, 2])
                last[s, i] = np.int64(tables[s, i, 3]) - 1
    return words, tokens


@njit(nogil=True, cache=True)
def _sample(word, n, d, tables, filled, levels):
    """Count those of the n words of document d, and of its runs of 4 and 8 words, that belong to the samples."""
    table = tables[0]
    for i in range(n):
        if _below(word[i], levels[0]):
            filled[0] += _count(table, word[i], d)
            while filled[0] > SAMPLE:
                levels[0] += 1
                filled[0] = _thin(table, levels[0])
    # runs are polynomials in the word hashes, rolled on by one word
    run4 = run8 = np.uint64(0)
    for i in range(n):
        run4 = run4 * STEP + word[i]
        run8 = run8 * STEP + word[i]
        if i >= 4:
            run4 -= word[i - 4] * _STEP4
            if i >= 8:
                run8 -= word[i - 8] * _STEP8
        if i >= 3:
            g = mix64(run4)
            if _below(g, levels[1]):
                filled[1] += _count(tables[1], g, d)
                while filled[1] > SAMPLE:
                    levels[1] += 1
                    filled[1] = _thin(tables[1], levels[1])
        if i >= 7:
            g = mix64(run8)
            if _below(g, levels[2]):
                filled[2] += _count(tables[2], g, d)
                while filled[2] > SAMPLE:
                    levels[2] += 1
                    filled[2] = _thin(tables[2], levels[2])


@njit(nogil=True, cache=True)
def merge_samples(keys_a, values_a, keys_b, values_b, level, limit):
    """Union of two samples (keys uint64[n] ascending, values int64[n, k] added) and the level it needs.

    The level is the least one, not below `level`, at which at most `limit` keys are left.
    """
    n_a, n_b = len(keys_a), len(keys_b)
    columns = values_a.shape[1]
    keys, values = np.empty(n_a + n_b, np.uint64), np.empty((n_a + n_b, columns), np.int64)
    i = j = n = 0
    while i < n_a or j < n_b:
        if j >= n_b or (i < n_a and keys_a[i] <= keys_b[j]):
            keys[n] = keys_a[i]
            for k in range(columns):
                values[n, k] = values_a[i, k]
            if j < n_b and keys_a[i] == keys_b[j]:
                for k in range(columns):
                    values[n, k] += values_b[j, k]
                j += 1
            i += 1
        else:
            keys[n] = keys_b[j]
            for k in range(columns):
                values[n, k] = values_b[j, k]
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
