"""Words without tokens, for jobs that need their number only."""

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def spaced_words(data, starts):
    """int64[documents]: runs of bytes above the space in each text data[starts[d] : starts[d + 1]], uint8 and int64."""
    out = np.empty(len(starts) - 1, np.int64)
    for d in range(len(out)):
        a, b = starts[d], starts[d + 1]
        count = np.uint32(0)  # narrow, so that more bytes fit a vector
        if b > a:
            count = np.uint32(data[a] > 32)
            for i in range(a + 1, b):
                count = np.uint32(count + np.uint32((data[i] > 32) & (data[i - 1] <= 32)))
        out[d] = count
    return out
