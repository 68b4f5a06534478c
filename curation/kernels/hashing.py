"""Integer mixing shared by every kernel, as scalar functions that Numba inlines and as NumPy twins."""

import numpy as np
from numba import njit

PRIME = np.uint64(0x100000001B3)
BASIS = np.uint64(0xCBF29CE484222325)
MUL1 = np.uint64(0xFF51AFD7ED558CCD)
MUL2 = np.uint64(0xC4CEB9FE1A85EC53)
SHIFT = np.uint64(33)


@njit(inline="always")
def mix64(h):
    """The 64-bit finaliser of MurmurHash3 (Appleby): a bijection in which every bit reaches every bit."""
    h ^= h >> SHIFT
    h *= MUL1
    h ^= h >> SHIFT
    h *= MUL2
    h ^= h >> SHIFT
    return h


def mix64_array(values: np.ndarray) -> np.ndarray:
    """`mix64` of each element of a uint64 array, as a new array."""
    h = values.astype(np.uint64, copy=True)
    h ^= h >> SHIFT
    h *= MUL1
    h ^= h >> SHIFT
    h *= MUL2
    h ^= h >> SHIFT
    return h


def word_hash(word: str) -> int:
    """The hash that the tokeniser gives to `word` (already folded: lower case, ASCII apostrophe)."""
    h = int(BASIS)
    for char in word:
        h = ((h ^ ord(char)) * int(PRIME)) & 0xFFFFFFFFFFFFFFFF
    return int(mix64_array(np.array([h], np.uint64))[0])
