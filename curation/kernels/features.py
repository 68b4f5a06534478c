"""One pass over the tokens of each document that fills every style feature at once.

Counts are integers and the scalars are functions of integer sums, so nothing here depends on batching.
"""

import math

import numpy as np
from numba import njit

from curation.kernels.hashing import mix64
from curation.kernels.tokens import ALLCAPS, CHAR, LINE, NUMBER, UPPER, WORD

WINDOW = 300  # words in which distinct words are counted, so that long documents compare with short ones
LONG_WORD, SHORT_WORD = 9, 3
LONG_SENTENCE, SHORT_SENTENCE = 30, 5
UNSEEN_BIGRAM = 16  # quanta added to the unigram surprisal of a word after a token that it never followed

# what a lexicon entry says of a token: index of a function word, class, and three flags
FUNCTION_MASK = 127
CLASS_SHIFT, CLASS_MASK = 7, 63
PHRASE_END, CONTRACTION, COMMON = 1 << 13, 1 << 14, 1 << 15

# classes of tokens; phrases use the same codes
(
    NO_CLASS,
    NEGATION,
    HEDGE,
    CONTRAST,
    SELF_CORRECTION,
    REFUTATION,
    SCAFFOLD,
    FIRST_PERSON,
    SECOND_PERSON,
    THIRD_PERSON,
    MODAL,
    ADDITIVE,
    INTENSIFIER,
    ARTICLE,
    PREPOSITION,
    PERIOD,
    QUESTION,
    EXCLAMATION,
    COMMA,
    SEMICOLON,
    COLON,
    PARENTHESIS,
    DASH,
    SLASH,
) = range(24)

STYLE_NAMES = (
    "tokens", "words", "numbers", "punctuation", "sentences", "commas", "semicolons", "colons", "questions",
    "exclamations", "periods", "parentheses", "dashes", "ellipses", "slashes", "capitalised", "allcaps",
    "lines", "list_lines", "long_words", "short_words", "characters_8", "characters_squared_64", "spaceless",
    "window_words", "window_distinct", "window_hapax", "negations", "hedges", "contrasts", "self_corrections",
    "refutations", "scaffolds", "first_person", "second_person", "third_person", "modals", "additives",
    "intensifiers", "contractions", "openers_article", "openers_pronoun", "openers_connective",
    "openers_preposition", "sentence_words_squared_16", "short_sentences", "long_sentences", "repeated_words",
)  # fmt: skip

CORE_NAMES = (
    "log_words", "log_sentence_length", "log_sentence_length_sd", "type_token_ratio", "hapax_share",
    "word_length", "capitalised_share", "number_share", "punctuation_share", "surprisal", "surprisal_sd",
    "bigram_surprisal", "tail_share", "function_word_share", "negation_rate", "novelty",
)  # fmt: skip

_S = {name: i for i, name in enumerate(STYLE_NAMES)}
_TOKENS, _WORDS, _NUMBERS, _PUNCTUATION, _SENTENCES = (
    _S[n] for n in ("tokens", "words", "numbers", "punctuation", "sentences")
)
_PERIODS, _ELLIPSES = _S["periods"], _S["ellipses"]
_CAPITALISED, _ALLCAPS = _S["capitalised"], _S["allcaps"]
_LINES, _LIST_LINES, _LONG, _SHORT = (_S[n] for n in ("lines", "list_lines", "long_words", "short_words"))
_CHARACTERS, _CHARACTERS_SQUARED, _SPACELESS = (
    _S[n] for n in ("characters_8", "characters_squared_64", "spaceless")
)
_WINDOW, _DISTINCT, _HAPAX = (_S[n] for n in ("window_words", "window_distinct", "window_hapax"))
_CONTRACTIONS, _REPEATED, _NEGATIONS = (_S[n] for n in ("contractions", "repeated_words", "negations"))
_SQUARED, _SHORT_SENTENCES, _LONG_SENTENCES = (
    _S[n] for n in ("sentence_words_squared_16", "short_sentences", "long_sentences")
)

_BY_CLASS = {
    NEGATION: "negations", HEDGE: "hedges", CONTRAST: "contrasts", SELF_CORRECTION: "self_corrections",
    REFUTATION: "refutations", SCAFFOLD: "scaffolds", FIRST_PERSON: "first_person",
    SECOND_PERSON: "second_person", THIRD_PERSON: "third_person", MODAL: "modals", ADDITIVE: "additives",
    INTENSIFIER: "intensifiers",
    PERIOD: "periods", QUESTION: "questions", EXCLAMATION: "exclamations", COMMA: "commas",
    SEMICOLON: "semicolons", COLON: "colons", PARENTHESIS: "parentheses", DASH: "dashes", SLASH: "slashes",
}  # fmt: skip
_OPENER_BY_CLASS = {
    ARTICLE: "openers_article", FIRST_PERSON: "openers_pronoun", SECOND_PERSON: "openers_pronoun",
    THIRD_PERSON: "openers_pronoun", CONTRAST: "openers_connective", ADDITIVE: "openers_connective",
    PREPOSITION: "openers_preposition",
}  # fmt: skip
_SINK = len(STYLE_NAMES)


def _columns(names):
    """Style column of every class; classes without one go to a sink behind the last column."""
    return np.array([_S[names[c]] if c in names else _SINK for c in range(64)], np.int64)


CLASS_COLUMN, OPENER_COLUMN = _columns(_BY_CLASS), _columns(_OPENER_BY_CLASS)

STEP = np.uint64(0x9E3779B97F4A7C15)
TOP_BYTE = np.uint64(56)


@njit(inline="always")
def pair_hash(first, second):
    """Hash of a token and the one after it."""
    return mix64(first * STEP + second)


@njit(inline="always")
def lookup(keys, values, h):
    """Value of h in an open-addressed table whose free slots have value 0; 0 when absent."""
    mask = np.uint64(len(keys) - 1)
    i = h & mask
    while values[i] != 0:
        if keys[i] == h:
            return np.int64(values[i])
        i = (i + np.uint64(1)) & mask
    return np.int64(0)


MARKER_SLOTS = 8192


@njit(nogil=True, cache=True)
def pack_markers(keys, values):
    """The lexicon as uint64[MARKER_SLOTS], open-addressed: 48 bits of a hash above the 16 of its value; 0 is free.

    One load tells whether a token has an entry. Keys that agree in 48 bits would be one; a lexicon has a thousand.
    """
    packed = np.zeros(MARKER_SLOTS, np.uint64)
    mask = np.uint64(MARKER_SLOTS - 1)
    for j in range(len(keys)):
        if values[j]:
            i = keys[j] & mask
            while packed[i]:
                i = (i + np.uint64(1)) & mask
            packed[i] = (keys[j] & ~np.uint64(65535)) | np.uint64(values[j])
    return packed


@njit(inline="always")
def marker(packed, h):
    """What the lexicon says of the token h, 0 where it says nothing."""
    mask = np.uint64(MARKER_SLOTS - 1)
    i = h & mask
    cell = packed[i]
    while cell != 0:
        if (cell ^ h) < 65536:
            return np.int64(cell & np.uint64(65535))
        i = (i + np.uint64(1)) & mask
        cell = packed[i]
    return np.int64(0)


@njit(inline="always")
def phrase_class(keys, values, p3, p2, p1, h):
    """Class of the phrase of two, three or four tokens that ends at h, or 0; p1 stands just before h."""
    g = p1 * STEP + h
    found = lookup(keys, values, mix64(g))
    if found == 0:
        g += p2 * (STEP * STEP)
        found = lookup(keys, values, mix64(g))
        if found == 0:
            g += p3 * (STEP * STEP * STEP)
            found = lookup(keys, values, mix64(g))
    return found


@njit(inline="always")
def ends_sentence(code):
    return PERIOD <= code <= EXCLAMATION


@njit(inline="always")
def _close(counts, length):
    counts[_SENTENCES] += 1
    if length <= SHORT_SENTENCE:
        counts[_SHORT_SENTENCES] += 1
    elif length >= LONG_SENTENCE:
        counts[_LONG_SENTENCES] += 1


@njit(inline="always")
def _scalars(
    core, counts, length_sum, length_squares, characters, s1, s2, bigrams, novel, tail, functions, pairs
):  # fmt: skip
    for j in range(16):
        core[j] = 0.0
    tokens, words = counts[_TOKENS], counts[_WORDS]
    if tokens > 0:
        core[8] = counts[_PUNCTUATION] / tokens
    if words == 0:
        return
    core[0] = math.log(words)
    n = counts[_SENTENCES]
    if n > 0:
        core[1] = math.log1p(length_sum / n)
        core[2] = math.log1p(math.sqrt((n * length_squares - length_sum * length_sum) / (n * n)))
    core[3] = counts[_DISTINCT] / counts[_WINDOW]
    core[4] = counts[_HAPAX] / counts[_WINDOW]
    core[5] = characters / words
    core[6] = counts[_CAPITALISED] / words
    core[7] = counts[_NUMBERS] / words
    core[9] = s1 / words / 8.0
    core[10] = math.sqrt((words * s2 - s1 * s1) / (words * words)) / 8.0
    core[11] = bigrams / words / 8.0
    core[12] = tail / words
    core[13] = functions / words
    core[14] = counts[_NEGATIONS] / words
    core[15] = novel / pairs if pairs > 0 else 0.0


@njit(nogil=True, cache=True)
def features_kernel(
    hashes, kinds, lengths, offsets, limit, unigram, bigram, tail_from, keys, values,
    phrase_keys, phrase_values, class_column, opener_column, style, words, bins, core,
):  # fmt: skip
    """Fill style uint16[docs, 48], words uint16[docs, 64], bins uint16[docs, 256] (both zero on entry) and
    core float32[docs, 16] from the first `limit` tokens of every document; the tables are those of a Ruler.
    """
    counts = np.zeros(49, np.int64)
    slots, seen, stamp = np.zeros(1024, np.uint64), np.zeros(1024, np.int32), np.full(1024, -1, np.int64)
    unigram_mask = np.uint64(len(unigram) - 1)
    bigram_mask = np.uint64(len(bigram) - 1)
    zero = np.uint64(0)
    packed = pack_markers(keys, values)
    word, pair = np.empty(limit, np.uint64), np.empty(limit, np.uint64)
    for d in range(len(offsets) - 1):
        counts[:] = 0
        start = offsets[d]
        end = min(offsets[d + 1], start + limit)
        p1 = p2 = p3 = zero
        previous_word = zero
        length_sum = length_squares = characters = character_squares = 0
        s1 = s2 = bigram_sum = novel = tail = functions = pairs = 0
        sentence, ended, window, distinct, hapax = 0, False, 0, 0, 0
        n_words = long = short = capitalised = allcaps = numbers = spaceless = repeated = contractions = 0
        for t in range(start, end):
            h, kind = hashes[t], np.int64(kinds[t])
            bins[d, h >> TOP_BYTE] += np.uint16(1)
            g = pair_hash(p1, h)
            if t > start:
                bins[d, g >> TOP_BYTE] += np.uint16(1)
            entry = marker(packed, h)
            code = (entry >> CLASS_SHIFT) & CLASS_MASK
            if kind & LINE:
                counts[_LINES] += 1
                if kind & NUMBER or code == DASH:
                    counts[_LIST_LINES] += 1
            if ended and kind & (UPPER | LINE | CHAR):
                if sentence > 0:
                    _close(counts, sentence)
                    length_sum += sentence
                    length_squares += sentence * sentence
                    sentence = 0
                ended = False
            if kind & WORD:
                if sentence == 0:
                    counts[opener_column[code]] += 1
                sentence += 1
                ended = False
                length = np.int64(lengths[t])
                n_words += 1
                characters += length
                character_squares += length * length
                long += length >= LONG_WORD
                short += length <= SHORT_WORD
                capitalised += (kind & UPPER) != 0
                allcaps += (kind & ALLCAPS) != 0
                numbers += (kind & NUMBER) != 0
                spaceless += (kind & CHAR) != 0
                repeated += h == previous_word
                previous_word = h
                if entry != 0:
                    function = entry & FUNCTION_MASK
                    if function:
                        words[d, np.uint64(function - 1)] += np.uint16(1)
                        functions += 1
                    counts[class_column[code]] += 1
                    contractions += (entry & CONTRACTION) != 0
                word[n_words - 1], pair[n_words - 1] = h, g
                if window < WINDOW:
                    window += 1
                    i = (h >> np.uint64(32)) & np.uint64(1023)
                    while stamp[i] == d and slots[i] != h:
                        i = (i + np.uint64(1)) & np.uint64(1023)
                    if stamp[i] != d:
                        stamp[i], slots[i], seen[i] = d, h, 1
                        distinct += 1
                        hapax += 1
                    else:
                        hapax -= seen[i] == 1
                        seen[i] += 1
            else:
                counts[_PUNCTUATION] += 1
                counts[class_column[code]] += 1
                if ends_sentence(code):
                    ended = True
                    if code == PERIOD and lengths[t] > 1:
                        counts[_PERIODS] -= 1
                        counts[_ELLIPSES] += 1
            if entry & PHRASE_END and t > start:
                found = phrase_class(phrase_keys, phrase_values, p3, p2, p1, h)
                if found:
                    counts[class_column[found]] += 1
            p3, p2, p1 = p2, p1, h
        if sentence > 0:
            _close(counts, sentence)
            length_sum += sentence
            length_squares += sentence * sentence
        # in a loop of their own and without branches, so that the processor waits for many cells at a time
        alone = n_words > 0 and (kinds[start] & WORD) != 0  # the first word stands after no token
        for i in range(n_words):
            u = np.int64(unigram[word[i] & unigram_mask])
            s1 += u
            s2 += u * u
            tail += u >= tail_from
            g = pair[i]
            cell = np.int64(bigram[(g >> np.uint64(20)) & bigram_mask])
            known = (cell != 0) & ((cell >> 8) == np.int64((g >> np.uint64(40)) & np.uint64(255)))
            unseen = min(u + UNSEEN_BIGRAM, 255)
            novel += 1 - known
            bigram_sum += known * ((cell & 255) - unseen) + unseen
        pairs = n_words
        if alone:
            pairs -= 1
            g = pair[0]
            u = np.int64(unigram[word[0] & unigram_mask])
            cell = np.int64(bigram[(g >> np.uint64(20)) & bigram_mask])
            if cell != 0 and (cell >> 8) == np.int64((g >> np.uint64(40)) & np.uint64(255)):
                bigram_sum += u - (cell & 255)
            else:
                novel -= 1
                bigram_sum += u - min(u + UNSEEN_BIGRAM, 255)
        counts[_TOKENS], counts[_WORDS], counts[_NUMBERS] = end - start, n_words, numbers
        counts[_LONG], counts[_SHORT], counts[_REPEATED] = long, short, repeated
        counts[_CAPITALISED], counts[_ALLCAPS] = capitalised, allcaps
        counts[_SPACELESS], counts[_CONTRACTIONS] = spaceless, contractions
        counts[_CHARACTERS] = characters >> 3
        counts[_CHARACTERS_SQUARED] = character_squares >> 6
        counts[_SQUARED] = length_squares >> 4
        counts[_WINDOW], counts[_DISTINCT], counts[_HAPAX] = window, distinct, hapax
        for j in range(48):
            style[d, j] = min(counts[j], 65535)
        _scalars(
            core[d],
            counts,
            length_sum,
            length_squares,
            characters,
            s1,
            s2,
            bigram_sum,
            novel,
            tail,
            functions,
            pairs,
        )


@njit(nogil=True, cache=True)
def scalars_kernel(style, sums, core):
    """Fill core float32[docs, 16] from style uint16[docs, 48] and sums int64[docs, 10] of each document.

    The sums are those that `features_kernel` keeps: of lengths of sentences and their squares, of code points, of
    surprisals, their squares and those of pairs; then counts of unknown pairs, of the tail, of function words and of
    pairs. A device counts them; the scalars are made here, so that they have the same bits.
    """
    for d in range(len(style)):
        counts = style[d].astype(np.int64)
        s = sums[d]
        _scalars(core[d], counts, s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7], s[8], s[9])
