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


@njit(nogil=True, cache=True)
def tokenise_kernel(data, starts, classes, folding, hashes, kinds, lengths, token_offsets):
    """Tokenise the documents data[starts[d]:starts[d+1]] and return the number of tokens.

    data uint8[bytes], starts int64[docs + 1]; classes uint8[65536] and folding uint16[65536] are the shipped tables.
    Filled: hashes uint64, kinds uint8, lengths uint8 (code points, at most 255), each of at least as many elements as
    there are bytes; token_offsets int64[docs + 1].
    """
    n = 0
    token_offsets[0] = 0
    for d in range(len(starts) - 1):
        i, end = starts[d], starts[d + 1]
        line = LINE
        while i < end:
            b = data[i]
            if b < 0x80:
                cp, step = np.int64(b), 1
                cls = classes[cp]
            else:
                cp, step = _decode(data, i, end)
                if cp < 0:
                    cls = SEPARATOR
                elif cp < 0x10000:
                    cls = classes[cp]
                else:
                    cls = _class_beyond_bmp(cp)
            if cls == LETTER or cls == DIGIT:
                h, length, kind = BASIS, 0, WORD | line
                uppers = letters = 0
                while True:
                    if cls == IGNORED:
                        pass
                    else:
                        low = cp
                        if cp < 0x10000:
                            low = np.int64(folding[cp])
                        if cls == DIGIT:
                            kind |= NUMBER
                        elif cls == LETTER:
                            letters += 1
                            if low != cp:
                                uppers += 1
                                if length == 0:
                                    kind |= UPPER
                        h = (h ^ np.uint64(low)) * PRIME
                        length += 1
                    i += step
                    if i >= end:
                        break
                    b = data[i]
                    if b < 0x80:
                        cp, step = np.int64(b), 1
                        cls = classes[cp]
                    else:
                        cp, step = _decode(data, i, end)
                        if cp < 0:
                            break
                        cls = classes[cp] if cp < 0x10000 else _class_beyond_bmp(cp)
                    if cls == LETTER or cls == DIGIT or cls == IGNORED:
                        continue
                    if cls == APOSTROPHE and i + step < end:
                        # an apostrophe belongs to the word only between letters: don't, l'homme
                        after = data[i + step]
                        if after < 0x80:
                            following = classes[after]
                        else:
                            cp2, _ = _decode(data, i + step, end)
                            following = classes[cp2] if 0 <= cp2 < 0x10000 else SEPARATOR
                        if following == LETTER:
                            continue
                    break
                if uppers == letters and letters >= 2:
                    kind |= ALLCAPS
                hashes[n] = mix64(h)
                kinds[n] = kind
                lengths[n] = min(length, 255)
                n += 1
                line = 0
            elif cls == PUNCTUATION:
                mark = folding[cp]
                length = 0
                while True:  # a run of one mark is one token: "!!!", "--"
                    length += 1
                    i += step
                    if i >= end:
                        break
                    b = data[i]
                    if b < 0x80:
                        cp, step = np.int64(b), 1
                    else:
                        cp, step = _decode(data, i, end)
                    if not (0 <= cp < 0x10000) or classes[cp] != PUNCTUATION or folding[cp] != mark:
                        break
                hashes[n] = mix64((BASIS ^ np.uint64(mark)) * PRIME)
                kinds[n] = PUNCT | line
                lengths[n] = min(length, 255)
                n += 1
                line = 0
            elif cls == SPACELESS:
                low = np.int64(folding[cp]) if cp < 0x10000 else cp
                hashes[n] = mix64((BASIS ^ np.uint64(low)) * PRIME)
                kinds[n] = WORD | CHAR | line
                lengths[n] = 1
                n += 1
                line = 0
                i += step
            else:
                if cls == NEWLINE:
                    line = LINE
                i += step
        token_offsets[d + 1] = n
    return n
