"""Tables of counts as bit masks and small numbers, and the sum of two tables."""

import numpy as np
from numba import njit

SMALL = 255  # a count of more than this is held as this and the rest


@njit(nogil=True, cache=True)
def unpack_counts(mask, small, rest, counts):
    """Write counts uint32[8 n] from mask uint8[n], a set bit for a count above 0, lowest bit first; small
    uint8[set bits], min(count - 1, 255); rest uint32[small == 255], count - 256.

    Returns whether the three fit together; reads no further than they go where they do not.
    """
    if len(small) == 0:
        counts[:] = 0
        return len(rest) == 0 and not mask.any()
    # without branches on the bits, which no processor can foretell; the index may
    # therefore be one past the end, and is held back
    last = len(small) - 1
    taken = more = 0
    for i in range(len(mask)):
        byte = np.uint32(mask[i])
        for j in range(8):
            bit = (byte >> np.uint32(j)) & np.uint32(1)
            value = np.uint32(small[min(taken, last)])
            counts[8 * i + j] = np.uint32((value + np.uint32(1)) * bit)
            taken += np.int64(bit)
            if bit & np.uint32(value == SMALL):
                if more < len(rest):
                    counts[8 * i + j] += rest[more]
                more += 1
    return taken == len(small) and more == len(rest)


@njit(nogil=True, cache=True)
def add_saturating(a, b, total):
    """total uint32[n] = a + b, and 2^32 - 1 where that is more."""
    for i in range(len(a)):
        found = np.uint32(a[i] + b[i])
        total[i] = found if found >= a[i] else np.uint32(0xFFFFFFFF)
