"""A pass of balancing on a lane: the sums of the CPU, bit for bit."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curation.device.balance import total_sums
from curation.kernels import moments
from curation.mixing import balance


def problem(seed, rows, d, limit=3.0):
    rng = np.random.default_rng(seed)
    matrix = np.rint(rng.uniform(-limit, limit, (rows, d)) * 1024) / 1024
    q = np.where(rng.random(rows) < 0.15, 0.0, rng.random(rows) * 3)
    solution = balance.start(d, 4.0, 1.0)._replace(b=tuple(rng.normal(0, 0.3, d)), offset=float(rng.normal()))
    return matrix, q, solution


def compare(lane, matrix, q, solution, second, cuts=()):
    edges = [0, *sorted(cuts), len(matrix)]
    batches = [(matrix[a:b], q[a:b]) for a, b in zip(edges, edges[1:], strict=False)]
    found = total_sums((lane, lane), batches, solution, second)
    empty = balance.empty_sums(len(solution.b), second)
    wanted = balance.merge(empty, balance.pass_sums(matrix, q, solution, second))
    for name, got, expected in zip(found._fields, found, wanted, strict=True):
        assert got.dtype == expected.dtype, name
        assert np.array_equal(got, expected), name
    return found


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 2**32), st.integers(1, 60), st.integers(1, 19), st.booleans(), st.lists(st.integers(0, 60)))
def test_sums_equal_those_of_the_cpu(lane, seed, rows, d, second, cuts):
    compare(lane, *problem(seed, rows, d), second, [min(cut, rows) for cut in cuts[:3]])


def test_more_rows_than_a_block_and_both_sides_of_the_cap(lane, real):
    rows, d = (130_500, 346) if real else (1_100, 9)
    found = compare(lane, *problem(5, rows, d), True, [700, 701])
    assert 0 < found.counts[1] < found.counts[0]


def test_extreme_features_and_weights(lane):
    matrix = np.full((40, 3), moments.LIMIT)
    matrix[:, 1] *= -1
    matrix[::2, 2] -= 2.0**-10
    q = np.full(40, 3.9)
    q[1], q[2], q[3], q[4] = 1e-300, 1e300, -1.0, np.nan
    compare(lane, matrix, q, balance.start(3, 4.0, 1.0), True)
    steep = balance.start(3, 4.0, 1.0)._replace(b=(40.0, 0.0, -3.0), offset=-20.0)
    compare(lane, matrix, q, steep, True)
    compare(lane, matrix, q, steep._replace(b=(-40.0, 0.0, 3.0)), True)


@pytest.mark.parametrize("batches", [[], [(np.zeros((0, 4)), np.zeros(0))]])
def test_no_documents(lane, batches):
    solution = balance.start(4, 4.0, 1.0)
    found = total_sums((lane, lane), batches, solution, True)
    for got, wanted in zip(found, balance.empty_sums(4), strict=True):
        assert np.array_equal(got, wanted)
