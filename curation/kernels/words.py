"""Words without tokens, for jobs that need their number only."""

import numpy as np
from numba import njit

_BLOCK = 128  # bytes whose word starts are counted in 8 bits, so that a vector holds as many bytes as it can


@njit(nogil=True, cache=True)
def spaced_words(data, starts):
    """int64[documents]: runs of bytes above the space in each text data[starts[d] : starts[d + 1]], uint8 and int64."""
    out = np.zeros(len(starts) - 1, np.int64)
    for d in range(len(out)):
        text = data[starts[d] : starts[d + 1]]
        if len(text) == 0:
            continue
        total = np.int64(text[0] > 32)
        here, before = text[1:], text[: len(text) - 1]
        for start in range(0, len(here), _BLOCK):
            # slices that start at 0 and bounds that are their own: what the compiler needs to make vectors of the loop
            a, b = here[start : start + _BLOCK], before[start : start + _BLOCK]
            count = np.uint8(0)
            for i in range(len(a)):
                count = np.uint8(count + np.uint8(np.uint8(a[i] > 32) & np.uint8(b[i] <= 32)))
            total += np.int64(count)
        out[d] = total
    return out
