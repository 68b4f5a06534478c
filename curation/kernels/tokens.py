"""One pass over a UTF-8 buffer that finds and hashes every token of every document.

Everything downstream (shingles, the synthetic-text scorer, the statistics) reads the arrays made here and never the
text again. `curation/text/reference.py` says in plain Python what a token is; the tests hold this kernel to it.
"""

import numpy as np
from numba import njit

from curation.kernels.hashing import BASIS, PRIME, mix64

SEPARATOR, LETTER, DIGIT, SPACELESS, PUNCTUATION, APOSTROPHE, NEWLINE, IGNORED = range(8)

# bits of a token's kind
WORD, NUMBER, PUNCT, UPPER, ALLCAPS, LINE, CHAR = 1, 2, 4, 8, 16, 32, 64

# Inside the kernel every code point becomes one integer, its entry: the folded code point (bits 0-20), the group of
# the token it can continue (bits 24-39: 0 none, 1 word, 2 alone, else the punctuation mark) and from bit 40 the state
# of a token of this one code point; the sign marks code points that need a closer look. A state is the kind (bits
# 0-7, where ALLCAPS means "two letters or more" until _settle), flags, and from bit 10 the length in code points.
_PLAIN = 128  # has a letter that folding leaves alone
_LETTERS = 256
_ONE = 1 << 10
_LENGTH_SHIFT = 10
_LOW_MASK = 0x1FFFFF
_GROUP_SHIFT = 24
_STATE_SHIFT = 40
_SPECIAL = -1
_IN_WORD = 1
_ALONE = 2  # group of a spaceless character, which nothing continues


@njit(inline="always")
def _continuation(byte):
    return (byte & 0xC0) == 0x80


@njit(inline="always")
def _decode(data, i, end):
    """(code point, bytes) of the sequence at i; malformed bytes come back one at a time as (-1, 1)."""
    b = np.int64(data[i])
    if b < 0xC2 or b > 0xF4:
        return np.int64(-1), 1
    if i + 1 >= end or not _continuation(data[i + 1]):
        return np.int64(-1), 1
    b1 = np.int64(data[i + 1]) & 0x3F
    if b < 0xE0:
        return ((b & 0x1F) << 6) | b1, 2
    if i + 2 >= end or not _continuation(data[i + 2]):
        return np.int64(-1), 1
    b2 = np.int64(data[i + 2]) & 0x3F
    if b < 0xF0:
        cp = ((b & 0x0F) << 12) | (b1 << 6) | b2
        if cp < 0x800 or 0xD800 <= cp <= 0xDFFF:
            return np.int64(-1), 1
        return cp, 3
    if i + 3 >= end or not _continuation(data[i + 3]):
        return np.int64(-1), 1
    cp = ((b & 0x07) << 18) | (b1 << 12) | (b2 << 6) | (np.int64(data[i + 3]) & 0x3F)
    if cp < 0x10000 or cp > 0x10FFFF:
        return np.int64(-1), 1
    return cp, 4


@njit(inline="always")
def _class_beyond_bmp(cp):
    """Supplementary planes, coarsely: historic and mathematical letters, ideographs, and separators for the rest."""
    if 0x20000 <= cp <= 0x3FFFF:
        return SPACELESS
    if cp <= 0x1CFFF or 0x1D400 <= cp <= 0x1D7FF or 0x1E000 <= cp <= 0x1EFFF:
        return LETTER
    if 0xE0000 <= cp <= 0xE01EF:
        return IGNORED
    return SEPARATOR


@njit(inline="always")
def _entry(cls, cp, low):
    """The entry of a code point of class `cls` that folds to `low`; 0 for whatever separates."""
    if cls == LETTER:
        state = WORD | _LETTERS | _ONE | (_PLAIN if low == cp else UPPER)
        return low | (_IN_WORD << _GROUP_SHIFT) | (state << _STATE_SHIFT)
    if cls == DIGIT:
        return low | (_IN_WORD << _GROUP_SHIFT) | ((WORD | NUMBER | _ONE) << _STATE_SHIFT)
    if cls == APOSTROPHE:
        return low | (_IN_WORD << _GROUP_SHIFT) | ((WORD | _ONE) << _STATE_SHIFT)
    if cls == PUNCTUATION:
        return low | (low << _GROUP_SHIFT) | ((PUNCT | _ONE) << _STATE_SHIFT)
    if cls == SPACELESS:
        return low | (_ALONE << _GROUP_SHIFT) | ((WORD | CHAR | _ONE) << _STATE_SHIFT)
    return np.int64(0)


@njit(inline="always")
def _class_at(data, i, end, classes):
    """(code point, bytes, class) at i."""
    cp, step = _decode(data, i, end) if data[i] >= 0x80 else (np.int64(data[i]), 1)
    if cp < 0:
        return cp, step, SEPARATOR
    if cp < 0x10000:
        return cp, step, np.int64(classes[cp])
    return cp, step, _class_beyond_bmp(cp)


@njit(inline="always")
def _letter_follows(data, i, end, classes):
    """Whether a letter of the BMP stands at i: an apostrophe before it belongs to the word (don't, l'homme)."""
    if i >= end:
        return False
    cp, _, cls = _class_at(data, i, end, classes)
    return cls == LETTER and cp < 0x10000


@njit(nogil=True, cache=True)
def _ascii_entries(classes, folding):
    """Entries by byte. Special: newlines, which are rare, and what depends on its surroundings."""
    entries = np.full(256, _SPECIAL, np.int64)
    for byte in range(128):
        if classes[byte] != APOSTROPHE and classes[byte] != IGNORED and classes[byte] != NEWLINE:
            entries[byte] = _entry(np.int64(classes[byte]), np.int64(byte), np.int64(folding[byte]))
    return entries


@njit(nogil=True, cache=True)
def _settle(states, hashes, kinds, lengths):
    """Turn the states and raw hashes of the tokens of a document into what is handed out."""
    for t in range(len(hashes)):
        hashes[t] = mix64(hashes[t])
    for t in range(len(kinds)):
        state = states[t]
        kinds[t] = state & 0xFF & ~(_PLAIN | ((state & _PLAIN) >> 3))
        lengths[t] = min(state >> _LENGTH_SHIFT, 255)


@njit(nogil=True, cache=True)
def tokenise_kernel(data, starts, classes, folding, hashes, kinds, lengths, token_offsets):
    """Tokenise the documents data[starts[d]:starts[d+1]] and return the number of tokens.

    data uint8[bytes], starts int64[docs + 1]; classes uint8[65536] and folding uint16[65536] are the shipped tables.
    Filled: hashes uint64, kinds uint8, lengths uint8 (code points, at most 255), each of at least as many elements as
    there are bytes; token_offsets int64[docs + 1]. Workspace: 16 bytes per byte of the longest document.

    Where words end cannot be predicted, so the loop does not branch on it: every code point writes the state of the
    token it belongs to, and the last write of a token stays. A separator writes to the slot after the last token.
    """
    longest = np.int64(0)
    for d in range(len(starts) - 1):
        longest = max(longest, starts[d + 1] - starts[d])
    states = np.empty(longest, np.int64)
    line_starts = np.empty(longest + 1, np.int64)  # tokens before which a line begins
    entries = _ascii_entries(classes, folding)
    n = np.int64(0)
    token_offsets[0] = 0
    for d in range(len(starts) - 1):
        i, end = starts[d], starts[d + 1]
        first = n
        line_starts[0] = first
        lines = np.int64(1)
        before = state = np.int64(0)  # group and state of the token that the last code point belongs to
        h = BASIS
        while i < end:
            entry = entries[data[np.uint64(i)]]
            step = 1
            if entry < 0:
                cp, step, cls = _class_at(data, i, end, classes)
                if cls == IGNORED:
                    # inside a word it does not count; between equal marks it separates
                    before = before if before == _IN_WORD else np.int64(0)
                    i += step
                    continue
                if cls == NEWLINE:
                    line_starts[lines] = n
                    lines += 1
                low = np.int64(folding[cp]) if 0 <= cp < 0x10000 else cp
                if cls == APOSTROPHE and not (
                    before == _IN_WORD and _letter_follows(data, i + step, end, classes)
                ):
                    cls = SEPARATOR
                entry = _entry(cls, cp, low)
                before = np.int64(0) if cls == SPACELESS else before
            group = (entry >> _GROUP_SHIFT) & 0xFFFF
            alone = entry >> _STATE_SHIFT
            token = np.int64(group != 0)
            same = group == before
            h = ((h if same and group == _IN_WORD else BASIS) ^ np.uint64(entry & _LOW_MASK)) * PRIME
            grown = (
                state | (alone & (_PLAIN | NUMBER | _LETTERS)) | ((state & alone & _LETTERS) >> 4)
            ) + _ONE
            state = grown if same else alone
            n += token & np.int64(not same)
            slot = n - token
            hashes[np.uint64(slot)] = h
            states[np.uint64(slot - first)] = state
            before = group
            i += step
        token_offsets[d + 1] = n
        _settle(states, hashes[first:n], kinds[first:n], lengths[first:n])
        for t in line_starts[:lines]:
            if t < n:
                kinds[t] |= LINE
    return n
