import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from curation.kernels.elementary import exp_below, log_above


@njit
def exponentials(values):
    return np.array([exp_below(value) for value in values])


@njit
def logarithms(values):
    return np.array([log_above(value) for value in values])


def off(found, exact):
    """The largest error in units in the last place."""
    return float(np.max(np.abs(found - exact) / np.spacing(np.abs(exact.astype(np.float64)))))


@settings(deadline=None)
@given(st.lists(st.floats(-699, 0), min_size=1))
def test_exponential_is_right_to_the_last_place(values):
    values = np.array(values)
    assert off(exponentials(values), np.exp(values.astype(np.longdouble))) < 1


@settings(deadline=None)
@given(st.lists(st.floats(1e-300, 1e300), min_size=1))
def test_logarithm_is_right_to_the_last_place(values):
    values = np.array([v for v in values if v != 1.0] or [2.0])
    assert off(logarithms(values), np.log(values.astype(np.longdouble))) < 1


def test_exact_values():
    assert exponentials(np.array([0.0, -0.0, -701.0, -math.inf, math.nan])).tolist() == [1, 1, 0, 0, 0]
    assert logarithms(np.array([1.0]))[0] == 0
