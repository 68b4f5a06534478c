"""Hashed n-gram features of tokens: buckets for training, and the linear score in one pass.

A term is a word, a number (only its length counts) or a punctuation mark. Features are terms, pairs of adjacent terms,
and frames: triples of adjacent terms in which words outside a vocabulary of common ones keep only their length, so that
the build of a sentence is left without its subject. They are hashed into buckets (feature hashing, Weinberger et al.
2009). A feature counts once in a text, because repetition tells of the subject more than of the writer. A long document
is read through two windows, its beginning and its middle, whose scores are averaged, so that its score stays on the
scale of the training crops. Sums are integers, so the score depends on nothing but the tokens.
"""

import numpy as np
from numba import njit

from curation.kernels.hashing import MUL1, MUL2, mix64, mix64_array
from curation.kernels.tokens import NUMBER, WORD

BITS = 21
BUCKETS = 1 << BITS
WINDOW = 800  # tokens of a window: about 4 kB of English
WORD_BITS = 16  # a word is common if the bit at the top bits of its hash is set in the vocabulary
START = np.uint64(0x9E3779B97F4A7C15)
SHAPES = mix64_array(np.arange(1, 17, dtype=np.uint64) * START)  # of numbers, by length
BLANKS = mix64_array(np.arange(101, 117, dtype=np.uint64) * START)  # of words that are not common, by length

_TOP = np.uint64(64 - BITS)
_TO_BIT = np.uint64(64 - WORD_BITS)
_TO_BYTE = np.uint64(64 - WORD_BITS + 3)
# what a window has had: a direct-mapped table of 16-bit tags, a turn number above the bucket's upper bits
_SLOT_BITS = 14
SLOTS = 1 << _SLOT_BITS
_TAG_BITS = BITS - _SLOT_BITS
_TURNS = (1 << (16 - _TAG_BITS)) - 1


@njit(inline="always")
def term(hash_, kind, length):
    """What the model sees of one token: the hash of a word or mark, a constant by length for a number."""
    if kind & NUMBER:
        return SHAPES[min(length, 16) - 1]
    return hash_


@njit(inline="always")
def blanked(current, kind, length, vocabulary):
    """The term in a frame: a constant by length for a word that is not in the vocabulary. No branch: it would be
    mispredicted for every third word."""
    known = (vocabulary[current >> _TO_BYTE] >> np.uint8((current >> _TO_BIT) & np.uint64(7))) & 1
    kept = np.uint64(0) - np.uint64(known | (kind & (WORD | NUMBER) != WORD))
    return (current & kept) | (BLANKS[length & 15] & ~kept)


@njit(inline="always")
def single_bucket(current):
    return np.int64(mix64(current ^ START) >> _TOP)


@njit(inline="always")
def pair_bucket(previous, current):
    return np.int64(((previous * MUL1 + current) * MUL2) >> _TOP)


@njit(inline="always")
def frame_bucket(first, second, third):
    return np.int64(((((first * MUL1 + second) ^ START) * MUL2 + third) * MUL1) >> _TOP)


@njit(inline="always")
def _unseen(bucket, seen, turn):
    """1 if the window has not had the bucket, else 0; seen uint16[SLOTS].

    A bucket takes the slot of another with the same lower bits, which then counts again when it repeats: rarely, as a
    full window has 2,400 features for 16,384 slots.
    """
    slot = bucket & (SLOTS - 1)
    tag = np.uint16((turn << _TAG_BITS) | (bucket >> _SLOT_BITS))
    fresh = np.int64(seen[slot] != tag)
    seen[slot] = tag
    return fresh


@njit(inline="always")
def _next_turn(turn, seen):
    if turn == _TURNS:
        seen[:] = 0
        return np.int64(1)
    return turn + 1


@njit(nogil=True, cache=True)
def bucket_kernel(hashes, kinds, lengths, begin, end, vocabulary, buckets, ends):
    """Buckets of the features of tokens begin[i]:end[i] for each i, each once, one span after another.

    begin, end int64[spans]; vocabulary uint8[2^13]; filled: buckets int32[at least 3 x tokens of all spans + 1], ends
    int64[spans + 1]. Returns the number of buckets.
    """
    seen = np.zeros(SLOTS, np.uint16)
    turn = np.int64(0)
    n = 0
    ends[0] = 0
    for i in range(len(begin)):
        turn = _next_turn(turn, seen)
        last = START
        first, second = START, START
        for t in range(begin[i], end[i]):
            current = term(hashes[t], kinds[t], lengths[t])
            third = blanked(current, kinds[t], lengths[t], vocabulary)
            for bucket in (single_bucket(current), pair_bucket(last, current), frame_bucket(first, second, third)):
                buckets[n] = bucket
                n += _unseen(bucket, seen, turn)
            last = current
            first, second = second, third
        ends[i + 1] = n
    return n


@njit(inline="always")
def _windows(kinds, start, stop, least):
    """How many windows a document is read through: its beginning, and its middle if it is long; 0 below `least`
    words."""
    words = 0
    for t in range(start, stop):
        words += kinds[t] & WORD
        if words >= least:
            break
    if words < least or words == 0:
        return 0
    return 2 if stop - start > 2 * WINDOW else 1


@njit(nogil=True, cache=True)
def score_kernel(hashes, kinds, lengths, offsets, vocabulary, weights, check, scales, least, logit, logit_check):
    """Score each document with both models in one pass over the tokens of its windows.

    hashes uint64, kinds uint8, lengths uint8, offsets int64[docs + 1] as in `Tokens`; vocabulary uint8[2^13]; weights
    int8[BUCKETS] of all features, check int8[BUCKETS / 2] of the features in odd buckets only; scales float64[4]: scale
    and bias of each model; least: words below which a score is NaN. Filled: logit and logit_check float32[docs].
    """
    seen = np.zeros(SLOTS, np.uint16)
    turn = np.int64(0)
    for d in range(len(offsets) - 1):
        start, stop = offsets[d], offsets[d + 1]
        windows = _windows(kinds, start, stop, least)
        if windows == 0:
            logit[d] = np.nan
            logit_check[d] = np.nan
            continue
        begin = start
        sum_all = 0.0
        sum_check = 0.0
        for _ in range(windows):
            turn = _next_turn(turn, seen)
            total = np.int64(0)
            total_check = np.int64(0)
            count = np.int64(0)
            odd = np.int64(0)
            last = START
            first, second = START, START
            for t in range(begin, min(begin + WINDOW, stop)):
                current = term(hashes[t], kinds[t], lengths[t])
                third = blanked(current, kinds[t], lengths[t], vocabulary)
                for bucket in (single_bucket(current), pair_bucket(last, current), frame_bucket(first, second, third)):
                    fresh = _unseen(bucket, seen, turn)
                    fresh_odd = fresh & bucket
                    total += np.int64(weights[bucket]) * fresh
                    total_check += np.int64(check[bucket >> 1]) * fresh_odd
                    count += fresh
                    odd += fresh_odd
                last = current
                first, second = second, third
            sum_all += total / np.sqrt(count)
            sum_check += total_check / np.sqrt(max(odd, 1))
            begin = start + (stop - start - WINDOW) // 2
        logit[d] = np.float32(sum_all / windows * scales[0] + scales[1])
        logit_check[d] = np.float32(sum_check / windows * scales[2] + scales[3])


@njit(nogil=True, cache=True)
def ratio_kernel(hashes, kinds, lengths, offsets, vocabulary, weights, scales, model, least, score):
    """Score each document with one of two models, read through the windows of `score_kernel`.

    weights int8[2, BUCKETS]; scales float64[2]; model uint8[docs]: which of the two scores a document; the other
    arguments as in `score_kernel`. Filled: score float32[docs], NaN below `least` words.
    """
    seen = np.zeros(SLOTS, np.uint16)
    turn = np.int64(0)
    for d in range(len(offsets) - 1):
        start, stop = offsets[d], offsets[d + 1]
        windows = _windows(kinds, start, stop, least)
        if windows == 0:
            score[d] = np.nan
            continue
        begin = start
        mean = 0.0
        chosen = weights[model[d]]
        for _ in range(windows):
            turn = _next_turn(turn, seen)
            total = np.int64(0)
            count = np.int64(0)
            last = START
            first, second = START, START
            for t in range(begin, min(begin + WINDOW, stop)):
                current = term(hashes[t], kinds[t], lengths[t])
                third = blanked(current, kinds[t], lengths[t], vocabulary)
                for bucket in (single_bucket(current), pair_bucket(last, current), frame_bucket(first, second, third)):
                    fresh = _unseen(bucket, seen, turn)
                    total += np.int64(chosen[bucket]) * fresh
                    count += fresh
                last = current
                first, second = second, third
            mean += total / np.sqrt(count) / windows
            begin = start + (stop - start - WINDOW) // 2
        score[d] = np.float32(mean * scales[model[d]])


@njit(nogil=True, cache=True)
def log_ratio_kernel(score, model, links, largest, out):
    """What scores of two models stand for: -log(1 - a + a exp(-(slope * score + intercept))).

    score float32[docs], NaN stays; model uint8[docs]; links float64[2, 3]: a, slope and intercept of each model; scores
    and margins are clipped to `largest`. Filled: out float32[docs], which may be `score`. Scalar functions, so that a
    value does not depend on its place in the array.
    """
    for d in range(len(score)):
        link = links[model[d]]
        margin = link[1] * min(max(np.float64(score[d]), -largest), largest) + link[2]
        against = (1.0 - link[0]) + link[0] * np.exp(-min(max(margin, -largest), largest))
        out[d] = np.float32(np.nan) if np.isnan(score[d]) else np.float32(-np.log(against))
