import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.mixing import sampling


def find(weights, u, tokens, budget, repeats=1, shards=1):
    search, passes = sampling.begin(budget), 0
    while search.grid:
        parts = [
            sampling.grid_sums(weights[r], u[r], tokens[r], search.grid, repeats)
            for r in np.array_split(np.arange(len(u)), shards)
        ]
        search, passes = sampling.narrow(search, np.sum(parts, axis=0)), passes + 1
    return search, passes


def world(seed, n):
    rng = np.random.default_rng(seed)
    weights = np.rint(rng.exponential(1, n) * 2**16) / 2**16
    weights[rng.random(n) < 0.1] = 0
    u = sampling.uniforms(pa.array([f"{seed}/{i}" for i in range(n)]), 1)
    return weights, u, rng.integers(1, 2000, n)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 100), st.floats(1, 3), st.integers(1, 4))
def test_copies_never_fall_as_the_rate_rises(seed, rate, factor, repeats):
    weights, u, _ = world(seed, 50)
    few, many = sampling.copies(weights, u, rate, repeats), sampling.copies(weights, u, rate * factor, repeats)
    assert (few <= many).all()
    assert many.max() <= repeats
    assert not many[weights == 0].any()


def test_the_budget_is_met_closely_in_few_passes():
    weights, u, tokens = world(1, 5000)
    for budget in (1, 777, 1_000_000, int(tokens[weights > 0].sum() * 0.9)):
        search, passes = find(weights, u, tokens, budget)
        size = int((sampling.copies(weights, u, search.low) * tokens).sum())
        assert size == search.size <= budget
        assert passes <= 6
        above = int((sampling.copies(weights, u, search.high) * tokens).sum())
        assert size == budget or above > budget
        assert budget - size <= 2 * 2000
        assert search.short == 0


def test_selection_does_not_depend_on_shards_and_is_nested_in_the_budget():
    weights, u, tokens = world(2, 3000)
    one, _ = find(weights, u, tokens, 200_000)
    assert find(weights, u, tokens, 200_000, shards=7)[0] == one
    more, _ = find(weights, u, tokens, 400_000)
    chosen, wider = (sampling.copies(weights, u, s.low) for s in (one, more))
    assert (chosen <= wider).all()


def test_a_budget_beyond_all_repeats_is_reported_with_the_shortfall():
    weights, u, tokens = world(3, 200)
    most = int(tokens[weights > 0].sum()) * 3
    search, passes = find(weights, u, tokens, most + 12_345, repeats=3)
    assert (search.size, search.short, search.high, passes) == (most, 12_345, None, 1)
    assert (sampling.copies(weights, u, search.low, 3)[weights > 0] == 3).all()
    assert find(np.zeros(5), u[:5], tokens[:5], 10)[0].short == 10


def test_copies_times_weight_has_the_weight_as_expectation():
    weights = np.array([0.0, 0.2, 0.9, 1.7, 5.0])
    u = (np.arange(10_000) + 0.5) / 10_000
    rate, repeats = 0.8, 2
    mean = np.array([sampling.copies(np.full(10_000, w), u, rate, repeats).mean() for w in weights])
    assert np.allclose(mean * sampling.select_weights(weights, rate, repeats), weights, atol=1e-3)


def test_uniforms_are_even_and_depend_on_id_and_seed_alone():
    ids = pa.array([str(i) for i in range(4000)])
    u = sampling.uniforms(ids, 1)
    assert ((u > 0) & (u < 1)).all()
    assert np.abs(np.histogram(u, 20, (0, 1))[0] - 200).max() < 70
    assert np.array_equal(sampling.uniforms(ids.slice(100, 50), 1), u[100:150])
    assert abs(np.corrcoef(u, sampling.uniforms(ids, 2))[0, 1]) < 0.06


def test_a_budget_below_one_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        sampling.begin(0)


@pytest.mark.parametrize(
    "kept, repeats, cap, expected",
    [(1 / 3, 1, 20.0, 3.0), (0.1, 1, 20.0, 10.0), (0.01, 1, 20.0, 20.0), (0.2, 2, 20.0, 10.0), (0.9, 1, 20.0, 3.0),
     (0.9, 1, 2.0, 2.0), (0.0, 1, 20.0, 20.0)],
)  # fmt: skip
def test_the_cap_is_what_a_selection_can_express(kept, repeats, cap, expected):
    assert sampling.largest_weight(kept, repeats, cap) == pytest.approx(expected)


def test_within_that_cap_a_selection_loses_nothing():
    rng = np.random.default_rng(4)
    weights = np.minimum(rng.exponential(1.0, 20_000), 4.0)
    weights *= 20_000 / weights.sum() * 0.999
    cap = sampling.largest_weight(0.2)
    assert weights.max() <= cap
    u = rng.random(20_000)
    search, _ = find(weights, u, np.ones(20_000, np.int64), 4000)
    taken = sampling.copies(weights, u, search.low)
    assert np.average(weights, weights=taken) == pytest.approx(np.average(weights, weights=weights), rel=0.03)
