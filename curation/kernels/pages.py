"""Pages of Parquet as they are stored."""

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def longest_value(page):
    """Bytes of the longest value of a page uint8[n] of plain byte arrays, each behind its length as a little-endian
    uint32; -1 where the lengths do not fill the page.
    """
    at, longest, size = np.int64(0), np.int64(0), np.int64(len(page))
    while at + 4 <= size:
        length = (
            np.int64(page[at])
            | np.int64(page[at + 1]) << 8
            | np.int64(page[at + 2]) << 16
            | np.int64(page[at + 3]) << 24
        )
        longest = max(longest, length)
        at += 4 + length
    return longest if at == size else np.int64(-1)
