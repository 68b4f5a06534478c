"""The design matrix of mixing in one pass over the feature columns of signals."""

import numpy as np
from numba import njit

from curation.kernels.moments import GRID, LIMIT

CLIP = 6.5  # standardised scalars: their products stay below the limit of every feature
TAIL_MEAN_SQUARE = 2.0  # a document whose mean squared scalar is beyond this is in the tail
TAIL_SINGLE = 3.0  # so is one with a single scalar beyond this

# adding and taking away 1.5 x 2^52 rounds to the nearest integer, ties to even, as np.rint does
_ROUND = 1.5 * 2.0**52
_UNIT = float(1 << GRID)
_STEP = 1.0 / _UNIT
_LIMIT = float(LIMIT)


@njit(inline="always")
def _on_grid(value):
    value = min(max(value, -_LIMIT), _LIMIT)
    return ((value * _UNIT + _ROUND) - _ROUND) * _STEP


@njit(inline="always")
def _standard(value, mean, scale, clip):
    """The standardised value within `clip`; a missing one is at the mean."""
    if np.isnan(value):
        return 0.0
    z = (value - mean) * scale
    if np.isnan(z):
        return 0.0
    return min(max(z, -clip), clip)


@njit(nogil=True, cache=True)
def design_kernel(core, words, bins, balanced, logit, mean, scale, live, out):
    """Fill float64 out[docs, features]: scalars, their products, word and bin shares, logit terms, tail indicators.

    core float32[docs, c] and logit float64[docs], NaN where missing; words and bins uint16 counts, of which the first
    `balanced` bins are features and all are the denominator of shares; mean and scale float64[c + w + bins + 1] in
    that order, scale 0 switches a feature off; live: scalars that vary in the reference.
    """
    scalars, w, b = core.shape[1], words.shape[1], bins.shape[1]
    last = scalars + w + b
    for i in range(core.shape[0]):
        squares, single = 0.0, 0.0
        for j in range(scalars):
            z = _on_grid(_standard(np.float64(core[i, j]), mean[j], scale[j], CLIP))
            out[i, j] = z
            squares += z * z
            if abs(z) > TAIL_SINGLE:
                single = 1.0
        at = scalars
        for j in range(scalars):
            for k in range(j, scalars):
                out[i, at] = _on_grid(out[i, j] * out[i, k])
                at += 1
        counted = np.int64(0)
        for j in range(b):
            counted += bins[i, j]
        if counted > 0:
            for j in range(w):
                out[i, at + j] = _on_grid((words[i, j] / counted - mean[scalars + j]) * scale[scalars + j])
            at += w
            for j in range(balanced):
                place = scalars + w + j
                out[i, at + j] = _on_grid((bins[i, j] / counted - mean[place]) * scale[place])
            at += balanced
        else:
            out[i, at : at + w + balanced] = 0.0
            at += w + balanced
        z = _standard(logit[i], mean[last], scale[last], CLIP)
        out[i, at] = _on_grid(z)
        scored = np.isfinite(logit[i]) and scale[last] > 0
        out[i, at + 1] = _on_grid(z * z - 1.0) if scored else 0.0
        out[i, at + 2] = 1.0 if squares > TAIL_MEAN_SQUARE * max(live, 1) else 0.0
        out[i, at + 3] = single


@njit(nogil=True, cache=True)
def scalars_kernel(core, mean, scale, out):
    """Fill float64 out[docs, c] with the standardised scalars of `design_kernel`; mean and scale float64[c]."""
    for i in range(core.shape[0]):
        for j in range(core.shape[1]):
            out[i, j] = _on_grid(_standard(np.float64(core[i, j]), mean[j], scale[j], CLIP))


@njit(nogil=True, cache=True)
def numbers_kernel(values, mean, scale, squares, out):
    """Fill float64 out[docs] with standardised values[docs, w] and, if asked, their w centred squares.

    0 where a value is NaN or its scale 0.
    """
    wide = values.shape[1]
    for i in range(values.shape[0]):
        for j in range(wide):
            known = scale[j] > 0 and not np.isnan(values[i, j])
            z = _standard(values[i, j], mean[j], scale[j], CLIP) if known else 0.0
            out[i, j] = _on_grid(z)
            if squares:
                out[i, wide + j] = _on_grid(z * z - 1.0) if known else 0.0


@njit(nogil=True, cache=True)
def held_out_kernel(style, chosen, bins, balanced, bins_mean, bins_scale, style_mean, style_scale, out):
    """Fill float64 out[docs, features]: shares of the bins after the first `balanced`, then of the chosen markers."""
    b = bins.shape[1]
    for i in range(bins.shape[0]):
        counted = np.int64(0)
        for j in range(b):
            counted += bins[i, j]
        if counted == 0:
            out[i, :] = 0.0
            continue
        at = 0
        for j in range(balanced, b):
            out[i, at] = _on_grid((bins[i, j] / counted - bins_mean[j]) * bins_scale[j])
            at += 1
        for j in chosen:
            out[i, at] = _on_grid((style[i, j] / counted - style_mean[j]) * style_scale[j])
            at += 1
