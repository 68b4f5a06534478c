"""One pass over a UTF-8 buffer that finds and hashes every token of every document.

Everything downstream (shingles, the synthetic-text scorer, the statistics) reads the arrays made here and never the
text again. `curation/text/reference.py` says in plain Python what a token is; the tests hold this kernel to it.
"""

import numpy as np
from numba import njit

from curation.kernels.ascii import BREAK, CAPITAL, FIGURE, LETTERS, LOWER, MARK, QUOTE, WIDE, classify, group
from curation.kernels.hashing import BASIS, PRIME, mix64
from curation.kernels.vectors import LANES, bit_count, differing, equal_to, lowest_bit, word_at

SEPARATOR, LETTER, DIGIT, SPACELESS, PUNCTUATION, APOSTROPHE, NEWLINE, IGNORED = range(8)

# bits of a token's kind
WORD, NUMBER, PUNCT, UPPER, ALLCAPS, LINE, CHAR = 1, 2, 4, 8, 16, 32, 64

# the group of a byte says which bytes are one token: neighbours of one group. 0 separates; a mark has its own byte;
# characters that nothing continues, and marks beyond ASCII, take one of two numbers in turn
_IN_WORD = 1
_ALONE = (2, 3)
_WIDE_MARK = (4, 5)
_EACH = np.uint64(0x0101010101010101)
_EIGHT = np.uint64(8)
CHUNK = 8192  # bytes worked on at a time, up to the white space that follows: they stay in the first-level cache
_PAD = 2 * LANES


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
def _byte_codes(classes):
    """What each byte is, uint8[256]."""
    codes = np.zeros(256, np.uint8)
    codes[128:] = WIDE
    for byte in range(128):
        cls = classes[byte]
        if cls == LETTER:
            codes[byte] = CAPITAL if 65 <= byte <= 90 else LOWER
        elif cls == DIGIT:
            codes[byte] = FIGURE
        elif cls == PUNCTUATION:
            codes[byte] = MARK
        elif cls == NEWLINE:
            codes[byte] = BREAK
        elif cls == APOSTROPHE:
            codes[byte] = QUOTE
    return codes


@njit(inline="always")
def _below(count):
    """A mask of the first `count` of 64 lanes, all of them for more."""
    return ~np.uint64(0) if count >= LANES else (np.uint64(1) << np.uint64(count)) - np.uint64(1)


@njit(nogil=True, cache=True)
def _read(data, first, size, table, codes, folded, groups):
    """Codes, lower case and groups of the bytes data[first:first + size], as if all of them were ASCII.

    Returns whether one is not. The three arrays begin one byte before the chunk and are zero there and behind it.
    """
    beyond = np.uint64(0)
    # the last bytes of all texts may have too few behind them for a vector
    vectors = min(size, max(len(data) - first - LANES + 1, 0))
    done = np.int64(0)
    while done < vectors:
        beyond |= classify(data, first + done, codes, folded, done + 1) & _below(size - done)
        done += LANES
    for k in range(done, size):
        byte = data[first + k]
        codes[k + 1] = table[byte]
        folded[k + 1] = byte + ((codes[k + 1] & np.uint8(CAPITAL)) << np.uint8(4))
        beyond |= np.uint64(byte >= 0x80)
    codes[size + 1 : size + 1 + _PAD] = 0
    folded[size + 1 : size + 1 + _PAD] = 0
    for base in range(0, size, LANES):
        group(codes, folded, groups, base + 1)
    groups[size + 1 : size + 1 + _PAD] = 0
    return beyond != 0


@njit(nogil=True, cache=True)
def _read_wide(data, first, size, end, classes, folding, codes, groups):
    """The groups of code points beyond ASCII, and of apostrophes beside them; line separators become breaks."""
    mark, mark_end = np.int64(-1), np.int64(-1)  # the last mark beyond ASCII and where it ends
    done = np.int64(0)
    for base in range(0, size, LANES):
        wide = equal_to(codes, base + 1, np.uint8(WIDE))
        while wide != 0:
            k = base + lowest_bit(wide)
            wide &= wide - np.uint64(1)
            if k < done:
                continue
            cp, step, cls = _class_at(data, first + k, end, classes)
            before = groups[k]  # of the byte before: the arrays begin one byte before the chunk
            low = np.int64(folding[cp]) if 0 <= cp < 0x10000 else cp
            group = 0
            if cls == LETTER:
                group = _IN_WORD
                if cp < 0x10000 and k > 1 and codes[k] == QUOTE and groups[k - 1] == _IN_WORD:
                    groups[k] = _IN_WORD
            elif cls == DIGIT:
                group = _IN_WORD
            elif cls == IGNORED:
                # inside a word it does not count; between equal marks it separates
                group = _IN_WORD if before == _IN_WORD else 0
            elif cls == APOSTROPHE:
                inside = before == _IN_WORD and _letter_follows(data, first + k + step, end, classes)
                group = _IN_WORD if inside else 0
            elif cls == PUNCTUATION:
                if low < 128:
                    group = low
                elif mark == low and mark_end == k:
                    group = before
                else:
                    group = _WIDE_MARK[0] if before != _WIDE_MARK[0] else _WIDE_MARK[1]
                mark, mark_end = low, k + step
            elif cls == SPACELESS:
                group = _ALONE[0] if before != _ALONE[0] else _ALONE[1]
            elif cls == NEWLINE:
                codes[k + 1] = BREAK
            for place in range(k + 1, k + 1 + step):
                groups[place] = group
            done = k + step
            if done < size and codes[done + 1] == QUOTE:
                inside = group == _IN_WORD and _letter_follows(data, first + done + 1, end, classes)
                groups[done + 1] = np.uint8(inside)


@njit(inline="always")
def _places(mask, base, out, n):
    """Write base + the number of every set bit to out from n on; returns where the next goes.

    Eight are written at a time, some of them beyond the last: how many there are cannot be predicted, whether there are
    more than eight can (as in simdjson).
    """
    count = bit_count(mask)
    for low in range(0, count, 8):
        for k in range(8):
            out[np.uint64(n + low + k)] = base + lowest_bit(mask)
            mask &= mask - np.uint64(1)
    return n + count


@njit(nogil=True, cache=True)
def _find(codes, groups, size, starts, ends, breaks):
    """Starts and ends of the tokens, and for every break the tokens that begin before it; returns how many of each."""
    n = m = lines = np.int64(0)
    for base in range(0, size + 1, LANES):
        change = differing(groups, base + 1, base)
        begins = change & ~equal_to(groups, base + 1, np.uint8(0))
        stops = change & ~equal_to(groups, base, np.uint8(0))
        lower = equal_to(codes, base + 1, np.uint8(BREAK))
        while lower != 0:
            bit = lower & (~lower + np.uint64(1))
            breaks[lines] = n + bit_count(begins & (bit - np.uint64(1)))
            lines += 1
            lower ^= bit
        n = _places(begins, base, starts, n)
        m = _places(stops, base, ends, m)
    return n, lines


@njit(inline="always")
def _hash_eight(h, word, size):
    """The hash h continued over the first `size` of the eight bytes of `word`; all eight are looked at."""
    for k in range(8):
        longer = (h ^ ((word >> np.uint64(8 * k)) & np.uint64(0xFF))) * PRIME
        h = longer if np.uint64(k) < size else h
    return h


@njit(inline="always")
def _first_bytes(size):
    """A mask of the first `size` of eight bytes, 1 to 8."""
    return ~np.uint64(0) >> np.uint64(8 * (8 - min(size, 8)))


@njit(nogil=True, cache=True)
def _hash(codes, folded, starts, ends, words, bits, hashes, kinds, lengths):
    """Hash (before it is mixed), kind and length of ASCII tokens, right for all but words of more than eight bytes."""
    count = len(hashes)
    for t in range(count):
        start, size = starts[np.uint64(t)], ends[np.uint64(t)] - starts[np.uint64(t)]
        words[np.uint64(t)] = word_at(folded, start + 1)
        bits[np.uint64(t)] = word_at(codes, start + 1) & _first_bytes(size)
        lengths[np.uint64(t)] = min(size, 255)
    for t in range(count):
        # a run of one mark hashes as a single mark
        size = np.uint64(1) if (bits[t] & np.uint64(MARK)) != 0 else np.uint64(lengths[t])
        hashes[t] = _hash_eight(BASIS, words[t], size)
    for t in range(count):
        found = bits[t]
        both = found & (_EACH * np.uint64(LETTERS))
        kind = np.uint64(WORD)
        kind |= np.uint64(NUMBER) if (found & (_EACH * np.uint64(FIGURE))) != 0 else np.uint64(0)
        kind |= np.uint64(UPPER) if (found & np.uint64(CAPITAL)) != 0 else np.uint64(0)
        capitals = ((both & (both - np.uint64(1))) != 0) & ((found & (_EACH * np.uint64(LOWER))) == 0)
        kind |= np.uint64(ALLCAPS) if capitals else np.uint64(0)
        kinds[t] = np.uint64(PUNCT) if (found & np.uint64(MARK)) != 0 else kind


@njit(nogil=True, cache=True)
def _one(data, i, end, classes, folding):
    """(hash before it is mixed, kind, length) of the token data[i:end], code point by code point."""
    h = BASIS
    kind = length = letters = np.int64(0)
    plain = False
    while i < end:
        cp, step, cls = _class_at(data, i, end, classes)
        i += step
        if cls == IGNORED:
            continue
        low = np.int64(folding[cp]) if cp < 0x10000 else cp
        if cls == PUNCTUATION:
            h, kind = (BASIS ^ np.uint64(low)) * PRIME, np.int64(PUNCT)
        else:
            h = (h ^ np.uint64(low)) * PRIME
            if length == 0:
                kind = WORD | (UPPER if cls == LETTER and low != cp else 0) | (CHAR if cls == SPACELESS else 0)
            if cls == DIGIT:
                kind |= NUMBER
            letters += cls == LETTER
            plain |= cls == LETTER and low == cp
        length += 1
    if letters > 1 and not plain:
        kind |= ALLCAPS
    return h, kind, min(length, 255)


@njit(nogil=True, cache=True)
def _finish(
    data, first, classes, folding, codes, folded, starts, ends, words, bits, rest, carried, sizes, long, wide,
    hashes, kinds, lengths,
):
    """The tokens that `_hash` gets wrong: words of more than eight bytes, and tokens that are not all ASCII."""
    count = np.int64(0)
    others = np.int64(0)
    for t in range(len(hashes)):
        found = bits[np.uint64(t)]
        odd = (found & (_EACH * np.uint64(WIDE))) != 0
        size = ends[np.uint64(t)] - starts[np.uint64(t)]
        longer = (not odd) & (size > 8) & ((found & np.uint64(MARK)) == 0)
        long[np.uint64(count)] = t
        count += np.int64(longer & (size <= 16))
        wide[np.uint64(others)] = t
        others += np.int64(odd | (longer & (size > 16)))
    # the rest of a long word takes the place of a token before it, whose `words` and `bits` are done with
    for j in range(count):
        t = np.uint64(long[np.uint64(j)])
        start = starts[t]
        words[np.uint64(j)] = word_at(folded, start + 9)
        rest[np.uint64(j)] = word_at(codes, start + 9) & _first_bytes(ends[t] - start - 8)
        bits[np.uint64(j)] = bits[t]
        carried[np.uint64(j)] = hashes[t]
        sizes[np.uint64(j)] = np.uint64(lengths[t]) - _EIGHT
    for j in range(count):
        carried[j] = _hash_eight(carried[j], words[j], sizes[j])
    for j in range(count):
        letters, more = bits[j] & (_EACH * np.uint64(LETTERS)), rest[j] & (_EACH * np.uint64(LETTERS))
        kind = np.uint64(WORD)
        kind |= np.uint64(UPPER) if (bits[j] & np.uint64(CAPITAL)) != 0 else np.uint64(0)
        kind |= np.uint64(NUMBER) if ((bits[j] | rest[j]) & (_EACH * np.uint64(FIGURE))) != 0 else np.uint64(0)
        several = (letters & (letters - np.uint64(1))) | (more & (more - np.uint64(1))) | (min(letters, more))
        capitals = (several != 0) & (((bits[j] | rest[j]) & (_EACH * np.uint64(LOWER))) == 0)
        words[j] = kind | (np.uint64(ALLCAPS) if capitals else np.uint64(0))
    for j in range(count):
        t = np.uint64(long[np.uint64(j)])
        hashes[t], kinds[t] = carried[np.uint64(j)], words[np.uint64(j)]
        wide[np.uint64(others)] = t
        others += np.int64((rest[np.uint64(j)] & (_EACH * np.uint64(WIDE))) != 0)
    for t in wide[:others]:
        hashes[t], kinds[t], lengths[t] = _one(data, first + starts[t], first + ends[t], classes, folding)
    for t in range(len(hashes)):
        hashes[t] = mix64(hashes[t])


@njit(inline="always")
def _chunk_end(data, i, end):
    """Where the chunk from i ends: before the first white space at least CHUNK bytes on, or with the document."""
    stop = i + CHUNK
    while stop < end and data[stop] != 32 and data[stop] != 10:
        stop += 1
    return min(stop, end)


@njit(nogil=True, cache=True)
def tokenise_kernel(data, starts, classes, folding, hashes, kinds, lengths, token_offsets):
    """Tokenise the documents data[starts[d]:starts[d+1]] and return the number of tokens.

    data uint8[bytes], starts int64[docs + 1]; classes uint8[65536] and folding uint16[65536] are the shipped tables.
    Filled: hashes uint64, kinds uint8, lengths uint8 (code points, at most 255), of equal size; token_offsets
    int64[docs + 1]. Returns -1 where the tokens are more than the arrays hold. Workspace: 63 bytes per byte of a chunk,
    which is of CHUNK bytes or as long as a text goes on without white space.

    Where words end cannot be predicted, so no step branches on it: groups of bytes are compared 64 at a time with
    their neighbours (as simdjson finds its structure, Langdale & Lemire 2019), and words are hashed side by side,
    eight bytes each. Longer words and those with code points beyond ASCII are done again one by one.
    """
    table = _byte_codes(classes)
    room = np.int64(0)
    codes = folded = groups = np.zeros(1, np.uint8)
    begins = ends = breaks = np.zeros(1, np.int32)
    long = wide = np.zeros(1, np.int32)
    words = bits = rest = carried = sizes = np.zeros(1, np.uint64)
    n = np.int64(0)
    token_offsets[0] = 0
    for d in range(len(starts) - 1):
        i, end = starts[d], starts[d + 1]
        line = True  # the next token is the first of its line
        while i < end:
            stop = _chunk_end(data, i, end)
            size = stop - i
            if size > room:
                room = max(size, min(end - i, 2 * CHUNK))
                codes, folded = np.zeros(room + 1 + _PAD, np.uint8), np.zeros(room + 1 + _PAD, np.uint8)
                groups = np.zeros(room + 1 + _PAD, np.uint8)
                begins, ends = np.empty(room + 8, np.int32), np.empty(room + 8, np.int32)
                breaks = np.empty(room + 1, np.int32)
                long, wide = np.empty(room + 1, np.int32), np.empty(room + 1, np.int32)
                words, bits, rest = np.empty(room, np.uint64), np.empty(room, np.uint64), np.empty(room, np.uint64)
                carried, sizes = np.empty(room, np.uint64), np.empty(room, np.uint64)
            if _read(data, i, size, table, codes, folded, groups):
                _read_wide(data, i, size, stop, classes, folding, codes, groups)
            count, lines = _find(codes, groups, size, begins, ends, breaks)
            if n + count > len(hashes):
                return -1
            h, k, s = hashes[n : n + count], kinds[n : n + count], lengths[n : n + count]
            _hash(codes, folded, begins, ends, words, bits, h, k, s)
            _finish(
                data, i, classes, folding, codes, folded, begins, ends, words, bits, rest, carried, sizes, long, wide,
                h, k, s,
            )  # fmt: skip
            if line and count:
                k[0] |= LINE
                line = False
            for t in breaks[:lines]:
                if t < count:
                    k[t] |= LINE
                else:
                    line = True
            n += count
            i = stop
        token_offsets[d + 1] = n
    return n
