"""Keys to partitions, and which keys of a partition may occur more than once."""

import numpy as np
from numba import njit

from curation.kernels.hashing import BASIS, PRIME, mix64

_HALF, _ONE, _SIX, _LOW = np.uint64(32), np.uint64(1), np.uint64(6), np.uint64(63)


@njit(inline="always")
def _place(key, partitions):
    """The partition of a salted key: its upper half as a fraction of all."""
    return np.int64(((key >> _HALF) * np.uint64(partitions)) >> _HALF)


@njit(nogil=True, cache=True)
def hash_bytes(data, starts):
    """uint64[values]: FNV-1a (Fowler, Noll & Vo), mixed, of each data[starts[v] : starts[v + 1]], uint8 and int64."""
    out = np.empty(len(starts) - 1, np.uint64)
    for v in range(len(out)):
        h = BASIS
        for byte in data[starts[v] : starts[v + 1]]:
            h = (h ^ np.uint64(byte)) * PRIME
        out[v] = mix64(h)
    return out


@njit(nogil=True, cache=True)
def count_keys(values, valid, salts, partitions, counts):
    """Add to counts int64[partitions] the keys of values uint64[docs, k] where valid bool[docs]; salts uint64[k]."""
    for d in range(len(values)):
        if valid[d]:
            for j in range(values.shape[1]):
                counts[_place(mix64(values[d, j] ^ salts[j]), partitions)] += 1


@njit(nogil=True, cache=True)
def place_keys(values, valid, salts, rows, partitions, ends, out):
    """Write (salted key, row) pairs to out uint64[n, 2], those of a partition together.

    ends int64[partitions]: where the next pair of each partition goes; moved on. Other arguments as `count_keys`.
    """
    for d in range(len(values)):
        if valid[d]:
            for j in range(values.shape[1]):
                key = mix64(values[d, j] ^ salts[j])
                place = _place(key, partitions)
                out[ends[place], 0], out[ends[place], 1] = key, rows[d]
                ends[place] += 1


@njit(nogil=True, cache=True)
def mark_keys(keys, seen, again):
    """Note keys uint64[n] in two bit tables uint64[2^m]: `seen` once, `again` when its bit was set before.

    Equal keys are noted in the same bit, so a key whose bit in `again` is clear occurs once; the others may.
    """
    mask = np.uint64(len(seen) * 64 - 1)
    for n in range(len(keys)):
        slot = keys[n] & mask
        word, bit = slot >> _SIX, _ONE << (slot & _LOW)
        again[word] |= seen[word] & bit
        seen[word] |= bit


@njit(nogil=True, cache=True)
def marked(keys, again, out):
    """out bool[n]: is the bit of each of keys uint64[n] set in `again`? As `mark_keys` left it."""
    mask = np.uint64(len(again) * 64 - 1)
    for n in range(len(keys)):
        slot = keys[n] & mask
        out[n] = (again[slot >> _SIX] >> (slot & _LOW)) & _ONE != 0
