import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.diversity import estimators as e

counts = st.lists(st.integers(1, 6), min_size=1, max_size=5)


def of(*values):
    return e.count_of_counts(np.array(values))


def test_entropies_of_an_even_die_are_close_to_its_bits():
    assert e.grassberger(*of(*[10_000] * 8)) == pytest.approx(3, abs=1e-3)
    assert e.chao_shen(*of(*[10_000] * 8)) == pytest.approx(3, abs=1e-3)


def test_entropy_by_hand():
    # one type: nothing to learn; two singletons: coverage 1 - 1/2, p = 1/4 each, H = 2 (1/4 2 / (1 - (3/4)^2))
    assert e.chao_shen(*of(7)) == 0
    assert e.chao_shen(*of(1, 1)) == pytest.approx(1 / (1 - 0.75**2))
    assert e.chao_shen(*of()) == e.grassberger(*of()) == e.chao_shen(*of(1)) == 0
    # Grassberger's G(1) = -gamma - ln 2, G(2) = 2 - gamma - ln 2
    gamma = 0.5772156649015329
    one, two = -gamma - math.log(2), 2 - gamma - math.log(2)
    assert e.grassberger(*of(1, 2)) == pytest.approx((math.log(3) - (one + 2 * two) / 3) / math.log(2))


def test_estimators_correct_the_plug_in_towards_the_truth():
    rank = np.arange(1, 5001)
    law = (1 / rank) / (1 / rank).sum()
    truth = -(law * np.log2(law)).sum()
    drawn = np.random.default_rng(3).multinomial(5000, law)
    p = drawn[drawn > 0] / 5000
    plug_in = truth + (p * np.log2(p)).sum()
    for estimate in (e.chao_shen, e.grassberger):
        assert abs(truth - estimate(*e.count_of_counts(drawn))) < plug_in


def test_hill_2_is_the_inverse_chance_that_two_draws_agree():
    assert e.hill_2(*of(2, 2)) == pytest.approx(4 * 3 / 4)
    assert e.hill_2(*of(1, 1, 1)) is None


def test_missing_mass():
    assert e.missing_mass(0, 3, 100) == 0
    assert e.missing_mass(10, 5, 100) == pytest.approx(0.1 * 99 * 10 / (99 * 10 + 10))
    assert 0 < e.missing_mass(10, 0, 100) < 0.1


@given(counts, st.data())
def test_rarefaction_equals_the_mean_over_all_subsets(values, data):
    tokens = [i for i, c in enumerate(values) for _ in range(c)]
    tokens = tokens[:9]
    values = [tokens.count(i) for i in sorted(set(tokens))]
    n = len(tokens)
    budget = data.draw(st.integers(1, n))
    subsets = [[tokens[i] for i in chosen] for chosen in combinations(range(n), budget)]
    seen = np.mean([len(set(s)) for s in subsets])
    once = np.mean([sum(s.count(t) == 1 for t in set(s)) for s in subsets])
    array = np.array(values, float)
    assert e.rarefied_seen(array, n, budget).sum() == pytest.approx(seen)
    assert e.rarefied_once(array, n, budget).sum() == pytest.approx(once)


@given(st.integers(1, 8), st.integers(2, 8))
def test_repetition_elsewhere_equals_the_share_of_blocks(documents, block):
    total = 8
    others = range(total - 1)  # the documents but one that has the run; the first documents - 1 of them have it too
    blocks = list(combinations(others, block - 1))
    share = np.mean([any(d < documents - 1 for d in chosen) for chosen in blocks])
    assert e.repeated_elsewhere(np.array([documents]), total, block)[0] == pytest.approx(share)


def test_a_budget_above_the_text_is_an_error():
    with pytest.raises(ValueError, match="rarefy"):
        e.rarefied_seen(np.array([1.0]), 3, 4)
