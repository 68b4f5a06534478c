import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.mixing import balance, reservoir
from curation.mixing.reservoir import reservoir_empty, reservoir_merge, reservoir_update


def data(seed=0, n=3000, d=6):
    rng = np.random.default_rng(seed)
    matrix = np.rint(np.clip(rng.normal(size=(n, d)), -6, 6) * 1024) / 1024
    return matrix, pa.array([f"d{i}" for i in range(n)])


def sample_of(matrix, ids, q, size=1000):
    return reservoir_update(reservoir_empty(matrix.shape[1]), ids, matrix, q, seed=1, size=size)


def solve(matrix, ids, q, targets, errors, cuts=1, passes=4, **settings_):
    order = np.array_split(np.arange(len(q)), cuts)
    point = balance.Point(balance.solve_reservoir(sample_of(matrix, ids, q), targets, errors, **settings_))
    for number in range(1, passes + 1):
        last = number == passes
        second = balance.wants_curvature(number) and not last
        sums = balance.empty_sums(len(targets), second)
        for rows in reversed(order):
            sums = balance.merge(sums, balance.pass_sums(matrix[rows], q[rows], point.solution, second))
        if not last:
            point = balance.newton_step(sums, targets, errors, point)
    return balance.finish(sums, targets, errors, point.solution)


def test_targets_are_met_within_the_tolerance_and_weights_are_the_exponential_tilt():
    matrix, ids = data()
    q = np.ones(len(matrix))
    targets, errors = np.array([0.4, -0.3, 0, 0.1, 0, 0.2]), np.full(6, 0.02)
    solution = solve(matrix, ids, q, targets, errors)
    w = balance.weights(matrix, q, solution)
    assert solution.status == "converged"
    assert abs(w.mean() - 1) < 1e-5
    off = np.abs(w @ matrix / w.sum() - targets) / errors
    assert off.max() < 1.05
    assert np.allclose(off, np.abs(solution.imbalance), atol=0.02)
    # for unit normals the tilt to a mean is that mean, less the tolerance
    assert np.allclose(solution.b, np.sign(targets) * np.maximum(np.abs(targets) - 0.02, 0), atol=0.06)
    assert abs(solution.ess - w.sum() ** 2 / (w**2).sum()) < 0.01 * solution.ess


def test_no_other_weighting_within_the_tolerance_is_closer_to_the_base():
    scipy_optimize = pytest.importorskip("scipy.optimize")
    matrix, ids = data(1, 400, 2)
    q = np.random.default_rng(2).uniform(0.2, 2, 400)
    targets, errors = np.array([0.5, -0.2]), np.array([0.01, 0.01])
    solution = solve(matrix, ids, q, targets, errors, passes=6, cap=3.0)
    w = balance.weights(matrix, q, solution)

    def divergence(v):
        return float(np.sum(v * np.log(v / q) - v))

    bounds = [(1e-9, 3.0)] * 400
    wide = errors * 400 * 1.02
    limits = [
        {"type": "ineq", "fun": lambda v: wide - (v @ matrix - 400 * targets)},
        {"type": "ineq", "fun": lambda v: wide + (v @ matrix - 400 * targets)},
        {"type": "eq", "fun": lambda v: v.sum() - 400},
    ]
    best = scipy_optimize.minimize(
        divergence, np.clip(w, 1e-6, 3), jac=lambda v: np.log(v / q), bounds=bounds, constraints=limits, method="SLSQP",
        options={"maxiter": 60},
    )  # fmt: skip
    assert w.max() <= 3.0
    assert (w == 3.0).any()
    assert divergence(np.maximum(w, 1e-12)) <= best.fun + 1e-3 * abs(best.fun) + 0.2


def test_shards_order_and_batches_do_not_change_a_bit():
    matrix, ids = data(3)
    q = np.random.default_rng(4).uniform(0, 2, len(matrix))
    targets, errors = np.full(6, 0.2), np.full(6, 0.02)
    one = solve(matrix, ids, q, targets, errors)
    assert solve(matrix, ids, q, targets, errors, cuts=7) == one
    order = np.random.default_rng(5).permutation(len(q))
    shuffled = np.ascontiguousarray(matrix[order])
    assert solve(shuffled, ids.take(pa.array(order)), q[order], targets, errors, cuts=3) == one
    assert np.array_equal(balance.weights(shuffled, q[order], one), balance.weights(matrix, q, one)[order])


def test_reservoir_is_the_same_for_any_partition_even_with_repeated_ids():
    matrix, ids = data(6, 500)
    ids = pa.array([f"d{i % 300}" for i in range(500)])
    q = np.random.default_rng(7).uniform(0.5, 1, 500)
    q[::9] = 0
    whole = sample_of(matrix, ids, q, 100)
    order = np.random.default_rng(8).permutation(500)
    merged = reservoir_empty(6)
    for rows in np.array_split(order, 6):
        part = sample_of(matrix[rows], ids.take(pa.array(rows)), q[rows], 100)
        merged = reservoir_merge(part, merged, size=100)
    assert all(np.array_equal(x, y) for x, y in zip(whole, merged, strict=True))
    grown = reservoir_empty(6)
    for rows in np.array_split(order, 6):
        grown = reservoir_update(grown, ids.take(pa.array(rows)), matrix[rows], q[rows], seed=1, size=100)
    assert all(np.array_equal(x, y) for x, y in zip(whole, grown, strict=True))
    assert len(whole.keys) == 100
    assert (whole.q > 0).all()


def test_a_target_out_of_reach_is_named_and_leaves_the_others_met():
    matrix, ids = data(10, 3000)
    targets, errors = np.array([30.0, 0.2, 0, 0, 0, 0]), np.full(6, 0.03)
    solution = solve(matrix, ids, np.ones(3000), targets, errors)
    assert solution.status == "unreachable"
    assert solution.unreachable == (0,)
    assert solution.b[0] == pytest.approx(balance.LARGEST)
    assert np.all(np.abs(solution.imbalance[1:]) <= 1.05)
    flat = solve(matrix, ids, np.ones(3000), np.array([0.0, 0.2, 0, 0, 0, 0]), errors)
    assert flat.attained[0] < solution.attained[0] < 6.5


def test_a_reference_that_is_out_of_reach_keeps_the_base_weights():
    matrix, ids = data(11, 800)
    targets, errors = np.array([30.0, -30, 30, -30, 0, 0]), np.full(6, 0.01)
    solution = solve(matrix, ids, np.ones(800), targets, errors)
    assert solution.status == "hopeless"
    assert {0, 1, 2, 3} <= set(solution.unreachable)
    assert "4 of 6 features" in solution.reason
    assert np.allclose(balance.weights(matrix, np.ones(800), solution), 1, atol=1e-4)


def test_tolerances_widen_until_enough_documents_count_and_no_further():
    matrix, ids = data(4)
    q, targets, errors = np.ones(len(matrix)), np.array([0.9, -0.7, 0, 0.3, 0, 0.2]), np.full(6, 0.02)
    tight = solve(matrix, ids, q, targets, errors)
    assert tight.ess / len(q) < 0.4
    wide = solve(matrix, ids, q, targets, errors, min_ess=0.6)
    assert 0.57 < wide.ess / len(q) < 0.7  # found on a third of the documents
    assert wide.asked == 1.0 and wide.slack > 2
    assert np.abs(wide.imbalance).max() < 1.05 * wide.slack
    assert solve(matrix, ids, q, targets, errors, min_ess=0.1) == tight
    # no tolerance makes an uneven base measure even: the balance stays and says so
    uneven = np.where(np.arange(len(q)) % 10 == 0, 10.0, 0.01)
    kept = solve(matrix, ids, uneven, targets / 3, errors, min_ess=0.6)
    assert kept._replace(reason=None) == solve(matrix, ids, uneven, targets / 3, errors)._replace(reason=None)
    assert "mix.min_ess 0.6 is out of reach" in kept.reason


def test_a_step_that_raises_the_dual_is_taken_back():
    matrix, ids = data(12, 1000)
    q = np.ones(1000)
    targets, errors = np.full(6, 0.3), np.full(6, 0.02)
    first = balance.solve_reservoir(sample_of(matrix, ids, q), targets, errors)
    point = balance.newton_step(balance.pass_sums(matrix, q, first), targets, errors, balance.Point(first))
    accepted = point.solution
    wild = accepted._replace(b=tuple(x + 2.0 for x in accepted.b))
    away = point._replace(solution=wild)
    back = balance.newton_step(balance.pass_sums(matrix, q, wild, second=False), targets, errors, away).solution
    middle = (np.array(wild.b) + np.array(accepted.accepted[1:])) / 2
    assert np.allclose(back.b, middle)
    assert back.dual == accepted.dual


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 10**6), st.integers(0, 99), st.floats(-3, 3), st.floats(0.01, 1), st.floats(0, 5), st.floats(1.1, 50)
)
def test_weights_are_never_negative_above_the_cap_or_not_a_number(seed, n, target, error, slack, cap):
    matrix, ids = data(seed, n, 3)
    rng = np.random.default_rng(seed)
    q = rng.choice([0.0, 0.05, 1.0, 100.0], n)
    matrix[:, 2] = 0.5
    solution = solve(matrix, ids, q, np.full(3, target), np.full(3, error), passes=2, slack=slack, cap=cap)
    w = balance.weights(matrix, q, solution)
    assert np.isfinite(w).all()
    assert (w >= 0).all()
    assert w.max(initial=0) <= cap
    assert not w[q == 0].any()
    assert all(math.isfinite(x) for x in (*solution.b, *solution.imbalance, *solution.attained))


def test_bad_settings_are_named():
    with pytest.raises(ValueError, match="mix.cap.*1"):
        balance.start(2, 1.0, 1.0)
    with pytest.raises(ValueError, match="mix.slack"):
        balance.start(2, 2.0, -1.0)


def test_documents_above_the_limit_of_keys_would_not_have_entered():
    matrix, ids = data(15, 20_000, 3)
    q = np.ones(len(matrix))
    limit = reservoir.key_limit(300, len(matrix))
    rows, keys = reservoir.wanted(reservoir_empty(3), ids, q, seed=1, size=300, limit=limit)
    few = reservoir_merge(reservoir_empty(3), reservoir.reservoir_of(keys, matrix[rows], q[rows]), size=300)
    assert np.array_equal(few.keys, sample_of(matrix, ids, q, size=300).keys)
    assert np.array_equal(few.features, sample_of(matrix, ids, q, size=300).features)
    assert limit < 2**64 / 30
    assert reservoir.key_limit(300, 400) == 2**64 - 1
