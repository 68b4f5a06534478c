"""Lines and paragraphs of documents and their 128-bit hashes, straight from a UTF-8 buffer."""

import numpy as np
from numba import njit

from curation.kernels.hashing import mix64

_K1, _K2 = np.uint64(0x87C37B91114253D5), np.uint64(0x4CF5AD432745937F)
_TURN, _BACK = np.uint64(31), np.uint64(33)
_SPACE, _TAB, _CR = 32, 9, 13


@njit(inline="always")
def _word(data, i):
    """Eight bytes at i as a little-endian integer; the compiler makes one load of it."""
    return (
        np.uint64(data[i])
        | np.uint64(data[i + np.uint64(1)]) << np.uint64(8)
        | np.uint64(data[i + np.uint64(2)]) << np.uint64(16)
        | np.uint64(data[i + np.uint64(3)]) << np.uint64(24)
        | np.uint64(data[i + np.uint64(4)]) << np.uint64(32)
        | np.uint64(data[i + np.uint64(5)]) << np.uint64(40)
        | np.uint64(data[i + np.uint64(6)]) << np.uint64(48)
        | np.uint64(data[i + np.uint64(7)]) << np.uint64(56)
    )


@njit(inline="always")
def _hash(data, start, end):
    """Two 64-bit hashes of data[start:end], from two multiplicative lanes over words of eight bytes."""
    a, b = _K2, _K1
    i, last = np.uint64(start), np.uint64(end)
    while i + np.uint64(8) <= last:
        w = _word(data, i)
        a = (a ^ w) * _K1
        a = (a << _TURN) | (a >> _BACK)
        b = (b + w) * _K2
        b = (b << _BACK) | (b >> _TURN)
        i += np.uint64(8)
    w = np.uint64(0)
    shift = np.uint64(0)
    while i < last:
        w |= np.uint64(data[i]) << shift
        shift += np.uint64(8)
        i += np.uint64(1)
    size = np.uint64(end - start)
    a = mix64((a ^ w) * _K1 ^ size)
    b = mix64((b + w) * _K2 + size)
    return a + b, mix64(b ^ (a << _TURN))


@njit(inline="always")
def _is_space(byte):
    return byte in (_SPACE, _TAB, _CR)


@njit(inline="always")
def _characters(data, start, end, enough):
    """Code points of data[start:end], counted up to `enough`."""
    size = end - start
    if size < enough:
        return size
    if size >= 4 * enough:
        return enough
    found = 0
    for i in range(start, end):
        found += (data[i] & 0xC0) != 0x80
    return found


@njit(nogil=True, cache=True)
def units_kernel(data, starts, newlines, paragraphs, least, spans, hashes, offsets, short):
    """Units of every document: lines, or with `paragraphs` runs of lines that are not blank.

    data uint8; starts int64[docs + 1]; newlines int64, the places of all newlines in order. Filled: spans
    uint32[units, 2], start and end in the document, the end after what separates the unit from the next; hashes
    uint64[units, 2] of the unit without white space around it; offsets int64[docs + 1] into the units; short
    int32[docs], units with fewer than `least` code points, which are counted only. Returns the number of units.
    """
    n = 0
    place = 0
    for d in range(len(starts) - 1):
        offsets[d] = n
        few = 0
        document, stop = starts[d], starts[d + 1]
        while place < len(newlines) and newlines[place] < document:
            place += 1
        line = document
        first = last = begin = np.int64(-1)  # content and start of the open unit
        while line < stop or first >= 0:
            end = stop
            if line < stop and place < len(newlines) and newlines[place] < stop:
                end = newlines[place]
                place += 1
            a, b = line, end
            while a < b and _is_space(data[a]):
                a += 1
            while b > a and _is_space(data[b - 1]):
                b -= 1
            blank = a == b
            after = min(end + 1, stop)
            if first >= 0 and (not paragraphs or blank):
                # the unit ends before this line; blank lines that follow a paragraph go with it
                following = line
                if paragraphs:
                    following = after
                    while blank and following < stop:
                        k = following
                        while k < stop and _is_space(data[k]):
                            k += 1
                        if k < stop and data[k] == 10:
                            following = k + 1
                            place += 1
                        elif k == stop:
                            following = stop
                        else:
                            break
                    after = following
                if _characters(data, first, last, least) < least:
                    few += 1
                else:
                    spans[n, 0], spans[n, 1] = begin - document, following - document
                    hashes[n, 0], hashes[n, 1] = _hash(data, first, last)
                    n += 1
                first = np.int64(-1)
            if not blank:
                if first < 0:
                    first, begin = a, line
                last = b
            line = after
        short[d] = few
    offsets[len(starts) - 1] = n
    return n
