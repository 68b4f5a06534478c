import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.kernels import moments


def exact(matrix, units):
    """Sums of units * x * y in 2^-20 with Python integers."""
    rows = [[int(v) for v in row] for row in np.ldexp(matrix, moments.GRID)]
    whole = [int(u) for u in units]
    d = matrix.shape[1]
    first = [sum(u * r[j] for u, r in zip(whole, rows, strict=True)) for j in range(d)]
    second = [[sum(u * r[j] * r[k] for u, r in zip(whole, rows, strict=True)) for k in range(d)] for j in range(d)]
    return first, second


def joined(pair):
    high, low = pair.astype(object)
    return (high * (1 << 32) + low).tolist()


def grid(seed, rows, d, limit=moments.LIMIT):
    rng = np.random.default_rng(seed)
    matrix = np.rint(rng.uniform(-limit, limit, (rows, d)) * 1024) / 1024
    return matrix, np.rint(rng.uniform(0, moments.UNITS, rows))


def test_no_block_can_leave_the_exact_range_of_a_double():
    largest = moments.UNITS * int(moments.LIMIT * 2**moments.GRID) ** 2 * moments.BLOCK
    assert largest < 2**53
    assert largest * moments._FLUSH < 2**63


def test_extreme_rows_are_summed_exactly():
    matrix = np.full((2500, 3), moments.LIMIT)
    matrix[:, 1] *= -1
    matrix[::2, 2] -= 2.0**-10
    units = np.full(2500, float(moments.UNITS))
    first, second = exact(matrix, units)
    assert joined(moments.first_moments(matrix, units)) == first
    assert joined(moments.second_moments(matrix, units)) == second


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 40), st.integers(1, 70))
def test_sums_equal_python_integers(seed, rows, d):
    matrix, units = grid(seed, rows, d)
    first, second = exact(matrix, units)
    assert joined(moments.first_moments(matrix, units)) == first
    assert joined(moments.second_moments(matrix, units)) == second


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 40), st.integers(1, 70), st.booleans())
def test_a_gram_matrix_is_the_second_moments_under_squares(seed, rows, d, constant):
    matrix, units = grid(seed, rows, d)
    roots = np.floor(np.sqrt(units))
    whole = np.column_stack([np.ones(rows), matrix]) if constant else matrix
    assert joined(moments.gram(matrix, roots, constant)) == exact(whole, roots**2)[1]


def test_the_largest_gram_matrix_is_exact():
    matrix = np.full((2500, 2), moments.LIMIT)
    matrix[::2, 1] -= 2.0**-10
    roots = np.full(2500, 64.0)
    assert joined(moments.gram(matrix, roots)) == exact(matrix, roots**2)[1]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.integers(0, 2300), max_size=4))
def test_sums_do_not_depend_on_order_or_cuts(seed, cuts):
    matrix, units = grid(seed, 2300, 9)
    whole = moments.second_moments(matrix, units)
    order = np.random.default_rng(seed + 1).permutation(2300)
    edges = [0, *sorted(cuts), 2300]
    parts = [order[a:b] for a, b in zip(edges, edges[1:], strict=False)]
    total = moments.carry(sum(moments.second_moments(matrix[p], units[p]) for p in parts))
    assert np.array_equal(total, whole)


def test_tilt_follows_its_definition_and_ignores_batches():
    rng = np.random.default_rng(3)
    matrix, _ = grid(3, 501, 19, 3.0)
    b = rng.normal(0, 0.4, 19)
    base = np.where(rng.random(501) < 0.1, 0.0, rng.random(501) + 0.1)
    cap = 4.0
    raw = base * np.exp(0.3 + matrix @ b)
    wanted = np.where(base > 0, np.rint(np.minimum(raw, cap) / cap * moments.UNITS), 0)
    units, free, value = np.zeros(501), np.zeros(501), np.zeros((2, 2), np.int64)
    capped = moments.tilt(matrix, b, 0.3, base, cap, units, free, value)
    assert np.abs(units - wanted).max() <= 1
    assert (units != wanted).mean() < 0.01
    assert capped == (raw >= cap).sum() > 0
    assert np.array_equal(free, np.where(raw >= cap, 0, units))
    over = np.log(raw[raw >= cap] / cap) + 1
    assert np.allclose(moments.to_float(value, 32), [raw[raw < cap].sum() / cap, over.sum()], rtol=1e-8)
    again, other = np.zeros(501), np.zeros((2, 2), np.int64)
    for rows in np.array_split(np.arange(501), 7):
        part, rest = np.zeros(len(rows)), np.zeros(len(rows))
        moments.tilt(np.ascontiguousarray(matrix[rows]), b, 0.3, base[rows], cap, part, rest, other)
        again[rows] = part
    assert np.array_equal(again, units)
    assert np.array_equal(moments.carry(other), moments.carry(value))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 12))
def test_lasso_step_meets_the_optimality_conditions(seed, m):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(m + 3, m))
    hessian = root.T @ root / m + 0.1 * np.eye(m)
    gradient, at, penalty = rng.normal(size=m), rng.normal(size=m) * (rng.random(m) < 0.5), rng.uniform(0, 1, m)
    largest = np.where(rng.random(m) < 0.5, 0.4, np.inf)
    at = np.clip(at, -largest, largest)
    step = moments.lasso_step(hessian, gradient, at, penalty, largest, 5000, 1e-12)
    slope = gradient + hessian @ step
    new = at + step
    assert np.all(np.abs(new) <= largest + 1e-12)
    bound = np.abs(new) > largest - 1e-9
    assert np.all(slope[bound] * np.sign(new[bound]) <= -penalty[bound] + 1e-6)  # it would go on if it might
    slope, new, penalty = slope[~bound], new[~bound], penalty[~bound]
    live = np.abs(new) > 1e-9
    assert np.allclose(slope[live], -penalty[live] * np.sign(new[live]), atol=1e-6)
    assert np.all(np.abs(slope[~live]) <= penalty[~live] + 1e-6)


def test_nearest_breaks_ties_by_the_lower_index():
    cells = np.full(3, -1)
    moments.nearest(np.array([[0.0], [1.0], [2.1]]), np.array([[0.0], [2.0]]), cells)
    assert cells.tolist() == [0, 0, 1]
