"""Logistic regression on hashed counts, one document at a time, for the synthetic-text model."""

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def fit_kernel(
    buckets, ends, label, importance, group, order, rate, penalty, weights, squares, intercepts, bias
):
    """One pass of AdaGrad (Duchi et al. 2011) over the documents in `order`; the penalty acts on the features
    seen.

    A document is sum(weights[buckets]) / sqrt(features) + bias[0] + intercepts[group]. buckets int32, ends
    int64[docs + 1], label float32[docs] in {0, 1}, importance float32[docs] (mean 1), group int32[docs] (-1:
    no intercept). Changed in place: weights and squares float32, intercepts float64[groups, 2], bias
    float64[2]; the second number of a pair is its sum of squared gradients.
    """
    for d in order:
        a, b = ends[d], ends[d + 1]
        if a == b:
            continue
        scale = 1.0 / np.sqrt(b - a)
        total = 0.0
        for i in range(a, b):
            total += weights[buckets[i]]
        score = total * scale + bias[0]
        g = group[d]
        if g >= 0:
            score += intercepts[g, 0]
        slope = importance[d] * (1.0 / (1.0 + np.exp(-score)) - label[d])
        bias[1] += slope * slope
        bias[0] -= 0.1 * rate * slope / np.sqrt(bias[1] + 1.0)
        if g >= 0:
            intercepts[g, 1] += slope * slope
            intercepts[g, 0] -= rate * slope / np.sqrt(intercepts[g, 1] + 1.0)
        step = slope * scale
        for i in range(a, b):
            j = buckets[i]
            gradient = step + penalty * weights[j]
            squares[j] += gradient * gradient
            weights[j] -= rate * gradient / np.sqrt(squares[j] + 1e-6)


@njit(nogil=True, cache=True)
def predict_kernel(buckets, ends, order, weights, bias, scores):
    """Scores float32 of the documents in `order`, filled in that order; arguments as `fit_kernel`."""
    for i in range(len(order)):
        a, b = ends[order[i]], ends[order[i] + 1]
        total = 0.0
        for j in range(a, b):
            total += weights[buckets[j]]
        scores[i] = total / np.sqrt(max(1, b - a)) + bias


@njit(nogil=True, cache=True)
def spread_kernel(buckets, ends, order, place, limit, last, count):
    """Count in how many places each bucket occurs; `order` holds the documents sorted by place.

    place int64[docs]; limit: documents of a place that are looked at. last int32 (-1) and count int32, zero, both
    [buckets], are changed in place.
    """
    here, seen = -1, 0
    for d in order:
        seen = seen + 1 if place[d] == here else 1
        here = place[d]
        if seen > limit:
            continue
        for i in range(ends[d], ends[d + 1]):
            if last[buckets[i]] != here:
                last[buckets[i]] = here
                count[buckets[i]] += 1
