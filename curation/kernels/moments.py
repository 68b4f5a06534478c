"""Exact weighted moments: the same bits whatever the order, the batches, the shards or the threads.

Features lie on a grid of 2^-10 with |x| <= 45, so x * 2^10 is an integer of at most 46,080. Weights are integers of at
most 2^12. One product w * x * y is then, in units of 2^-20, an integer of at most 2^12 * 46,080^2 < 8.70e12, and the
sum of 1,000 of them stays below 8.70e15 < 2^53 = 9.007e15: every partial sum of a block is exact in float64, so
BLAS may add in any order, with or without fused multiply-add. Blocks are added as integers and totals are kept as
two int64 limbs (high * 2^32 + low), which merge by addition.

Dot products of rows with coefficients are not exact; they run in one fixed order per row, never through BLAS. So do
exponentials and logarithms (kernels/elementary.py), and a device repeats every operation.
"""

import math

import numpy as np
from numba import njit

from curation.kernels.elementary import exp_below, log_above

GRID = 10  # features are multiples of 2^-GRID
LIMIT = 45.0  # largest feature
UNITS = 4096  # largest integer weight
BLOCK = 1000  # rows whose sum of products stays below 2^53
VALUE = 32  # fractional bits of the dual value
FLAT = 1e-5  # curvature below which a feature is constant in the data
_LOW = np.int64(0xFFFFFFFF)
_FIRST_BLOCK = 8192  # rows whose sum of one feature each stays below 2^53 by far
_FLUSH = 512  # blocks below 2^53 that an int64 can hold together


@njit(nogil=True, cache=True)
def _dot(row, coefficients):
    # eight running sums: a fixed order that the compiler can still vectorise without reassociating
    d = len(row)
    whole = d - d % 8
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = 0.0
    for j in range(0, whole, 8):
        s0 += row[j] * coefficients[j]
        s1 += row[j + 1] * coefficients[j + 1]
        s2 += row[j + 2] * coefficients[j + 2]
        s3 += row[j + 3] * coefficients[j + 3]
        s4 += row[j + 4] * coefficients[j + 4]
        s5 += row[j + 5] * coefficients[j + 5]
        s6 += row[j + 6] * coefficients[j + 6]
        s7 += row[j + 7] * coefficients[j + 7]
    for j in range(whole, d):
        s0 += row[j] * coefficients[j]
    return ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7))


@njit(nogil=True, cache=True)
def logarithm(value):
    """The natural logarithm as `tilt` takes it."""
    return log_above(value)


@njit(nogil=True, cache=True)
def tilt(matrix, coefficients, offset, base, cap, units, free, potential):
    """Tilted weights min(cap, base * exp(offset + row . coefficients)) of every row, as integers out of `UNITS` = cap.

    matrix float64[n, d], coefficients float64[d], base float64[n] (rows at or below zero get no weight). Fills
    float64[n] `units` (all rows) and `free` (zero where the cap binds), adds the potential of the rows below the cap
    to column 0 and of the others to column 1 of int64[2, 2] `potential` (limbs, in 2^-32 of the cap), and returns the
    number of capped rows. The potential is the integral of the weight over its exponent: the weight itself below the
    cap, cap * (1 + excess exponent) above it.
    """
    rows = len(matrix)
    top = log_above(cap)
    capped = 0
    for i in range(rows):
        units[i] = 0.0
        free[i] = 0.0
        if not base[i] > 0.0:
            continue
        exponent = offset + _dot(matrix[i], coefficients) + log_above(base[i]) - top
        at = 0
        if exponent >= 0.0:
            at = 1
            capped += 1
            units[i] = UNITS
            value = min(1.0 + exponent, 1048576.0)
        else:
            value = exp_below(exponent)
            units[i] = np.rint(value * UNITS)
            free[i] = units[i]
        fixed = np.int64(np.rint(value * 4294967296.0))
        potential[0, at] += fixed >> 32
        potential[1, at] += fixed & _LOW
    return capped


@njit(nogil=True, cache=True)
def tilted_shares(matrix, coefficients, offset, base, cap, shares):
    """Fills float64[n] `shares` with the weights of `tilt` before rounding, as a share of the cap."""
    rows = len(matrix)
    top = log_above(cap)
    for i in range(rows):
        shares[i] = 0.0
        if not base[i] > 0.0:
            continue
        exponent = offset + _dot(matrix[i], coefficients) + log_above(base[i]) - top
        shares[i] = 1.0 if exponent >= 0.0 else exp_below(exponent)


def limbs(values):
    """int64 array `values` as int64[2, ...] limbs: value = high * 2^32 + low with 0 <= low < 2^32."""
    return np.stack([values >> 32, values & _LOW])


def carry(pair):
    """The canonical limbs of the same totals: equal totals have equal limbs, however they were added up."""
    return np.stack([pair[0] + (pair[1] >> 32), pair[1] & _LOW])


def to_float(pair, bits):
    """float64 totals of int64[2, ...] limbs in units of 2^-bits, rounded once."""
    high, low = carry(pair)
    return np.ldexp(high.astype(np.float64) * 4294967296.0 + low.astype(np.float64), -bits)


def first_moments(matrix, units):
    """int64[2, d] limbs, in 2^-10, of the sums of units * feature over float64[n, d] rows."""
    total = np.zeros((2, matrix.shape[1]), np.int64)
    for start in range(0, len(matrix), _FIRST_BLOCK):
        block = units[start : start + _FIRST_BLOCK] @ matrix[start : start + _FIRST_BLOCK]
        total += limbs(np.ldexp(block, GRID).astype(np.int64))
    return carry(total)


def second_moments(matrix, units):
    """int64[2, d, d] limbs, in 2^-20, of the sums of units * feature * feature over float64[n, d] rows.

    Only the products of column panels on and above the diagonal are computed; the rest is their mirror image.
    """
    d = matrix.shape[1]
    total = np.zeros((2, d, d), np.int64)
    pending = np.zeros((d, d), np.int64)
    step = max(d, 1) if d < 64 else -(-d // 3)
    held = 0
    scale = float(1 << (2 * GRID))
    for start in range(0, len(matrix), BLOCK):
        block = np.ascontiguousarray(matrix[start : start + BLOCK])
        weighted = block * (units[start : start + BLOCK, None] * scale)
        for left in range(0, d, step):
            product = weighted[:, left : left + step].T @ block[:, left:]
            pending[left : left + step, left:] += product.astype(np.int64)
        held += 1
        if held == _FLUSH:
            total += limbs(pending)
            pending[:] = 0
            held = 0
    total += limbs(pending)
    total = carry(total)
    for left in range(step, d, step):
        total[:, left:, left - step : left] = total[:, left - step : left, left:].transpose(0, 2, 1)
    return total


def gram(matrix, roots, constant=False):
    """int64[2, d, d] limbs, in 2^-20, of the sums of roots^2 * feature * feature over float64[n, d] rows.

    roots: whole float64[n] of at most 64, so that the squares stay within `UNITS`; constant: with a first feature that
    is 1 everywhere (d + 1 in all). A product of a matrix with its own transpose costs half of `second_moments`, whose
    weights need not be squares.
    """
    first = int(constant)
    d = matrix.shape[1] + first
    total = np.zeros((2, d, d), np.int64)
    pending = np.zeros((d, d), np.int64)
    buffer = np.empty((min(len(matrix), BLOCK), d))
    held = 0
    for start in range(0, len(matrix), BLOCK):
        scaled = roots[start : start + BLOCK, None] * float(1 << GRID)
        block = buffer[: len(scaled)]
        block[:, :first] = scaled
        np.multiply(matrix[start : start + BLOCK], scaled, out=block[:, first:])
        pending += (block.T @ block).astype(np.int64)
        held += 1
        if held == _FLUSH:
            total += limbs(pending)
            pending[:] = 0
            held = 0
    return carry(total + limbs(pending))


@njit(nogil=True, cache=True)
def lasso_step(hessian, gradient, start, penalty, largest, sweeps, tolerance):
    """Coordinate descent for the step x that minimises g.x + x'Hx/2 + sum penalty * |start + x|.

    hessian float64[m, m]; gradient, start, penalty and largest float64[m]: |start + x| stays within `largest`, which
    may be infinite. Coordinates without curvature (at most `FLAT`) are left alone. One fixed order, no BLAS. Friedman,
    Hastie and Tibshirani 2010 (J. Stat. Softw. 33).
    """
    m = len(gradient)
    x = np.zeros(m)
    slope = gradient.copy()
    for _ in range(sweeps):
        moved = 0.0
        for j in range(m):
            curve = hessian[j, j]
            if curve <= FLAT:
                continue
            at = start[j] + x[j]
            pull = curve * at - slope[j]
            if pull > penalty[j]:
                new = (pull - penalty[j]) / curve
            elif pull < -penalty[j]:
                new = (pull + penalty[j]) / curve
            else:
                new = 0.0
            new = min(max(new, -largest[j]), largest[j])
            change = new - at
            if change != 0.0:
                x[j] += change
                for k in range(m):
                    slope[k] += change * hessian[j, k]
                moved = max(moved, abs(change) * math.sqrt(curve))
        if moved < tolerance:
            break
    return x


@njit(nogil=True, cache=True)
def nearest(points, centroids, cells):
    """Fills int64[n] `cells` with the index of the nearest row of `centroids`, the lowest at a tie; fixed order."""
    n, d = points.shape
    for i in range(n):
        best = np.inf
        for c in range(centroids.shape[0]):
            distance = 0.0
            for j in range(d):
                gap = points[i, j] - centroids[c, j]
                distance += gap * gap
            if distance < best:
                best = distance
                cells[i] = c
