import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.diversity import Moments, effective_rank, floor, moments_of, variance_retention


def sample(n, seed=0, d=4):
    mixing = np.tril(np.ones((d, d))) / d + np.eye(d)
    return np.random.default_rng(seed).normal(size=(n, d)) @ mixing


def test_a_corpus_against_itself():
    m = moments_of(sample(500))
    found = variance_retention(m, m)
    assert found["vr_min"] == pytest.approx(1)
    assert found["vr_ld"] == pytest.approx(1)
    assert found["vr_max"] == pytest.approx(1)
    assert found["shift"] == pytest.approx(0, abs=1e-9)
    assert found["ffd"] == pytest.approx(0, abs=1e-9)
    assert found["features"] == 4 and found["reason"] is None


def test_known_values_of_independent_features():
    reference = Moments(1e9, np.zeros(2), np.diag([1.0, 4.0]))
    corpus = Moments(1e9, np.array([1.0, 0.0]), np.diag([0.25, 8.0]))
    found = variance_retention(corpus, reference, ridge=0)
    assert found["vr_min"] == pytest.approx(0.25)
    assert found["vr_max"] == pytest.approx(2)
    assert found["vr_ld"] == pytest.approx(np.sqrt(0.5))
    assert found["shift"] == pytest.approx(1 / np.sqrt(2))
    assert found["ffd"] == pytest.approx((1 + (1 - 0.5) ** 2 + (np.sqrt(2) - 1) ** 2) / 2)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0.1, 10), min_size=4, max_size=4), st.floats(-5, 5))
def test_scales_and_origins_of_features_do_not_matter(scales, shift):
    a, b = sample(300, 1) * 0.7, sample(300, 2)
    plain = variance_retention(moments_of(a), moments_of(b))
    moved = variance_retention(moments_of(a * scales + shift), moments_of(b * scales + shift))
    for name in ("vr_min", "vr_ld", "vr_max", "shift", "ffd"):
        assert moved[name] == pytest.approx(plain[name], rel=1e-6, abs=1e-8)


def test_a_mixture_gains_trace_and_still_loses_a_direction():
    human = sample(4000, 1)
    machine = sample(4000, 2) * [1, 1, 1, 0] + [6, 0, 0, 0]
    mixed = np.concatenate([human[:1200], machine[:2800]])
    assert np.trace(np.cov(mixed.T)) > np.trace(np.cov(human.T))
    found = variance_retention(moments_of(mixed), moments_of(human))
    assert found["vr_min"] < 0.6
    assert found["vr_max"] > 1
    assert found["ffd"] > 20 * floor(moments_of(human[:2000]), moments_of(human[2000:]))["ffd"]


def test_the_determinant_does_not_depend_on_the_number_of_documents():
    reference = moments_of(sample(20_000, 1, d=8))
    small = [variance_retention(moments_of(sample(40, s, d=8)), reference)["vr_ld"] for s in range(2, 60)]
    assert np.exp(np.mean(np.log(small))) == pytest.approx(1, abs=0.04)


def test_too_few_documents_and_flat_features_give_reasons():
    reference = moments_of(sample(500))
    few = variance_retention(moments_of(sample(5)), reference)
    assert few["vr_min"] is None and "5 documents" in few["reason"]
    flat = Moments(500, np.zeros(4), np.zeros((4, 4)))
    assert "varies" in variance_retention(reference, flat)["reason"]
    assert floor(moments_of(sample(5)), reference)["reason"]
    gone = variance_retention(flat, reference)
    assert gone["vr_min"] == pytest.approx(0, abs=0.01) and gone["reason"] is None
    broken = Moments(500, np.full(4, np.nan), reference.covariance)
    assert "finite" in variance_retention(broken, reference)["reason"]


def test_features_that_do_not_vary_in_the_reference_are_left_out():
    values = sample(300)
    values[:, 2] = 7
    assert variance_retention(moments_of(sample(300, 1)), moments_of(values))["features"] == 3


def test_moments_of_other_features_are_refused():
    with pytest.raises(ValueError, match="features"):
        variance_retention(moments_of(sample(50, d=3)), moments_of(sample(50)))


def test_whole_weights_are_repeats_but_for_the_effective_size():
    values = sample(50)
    weights = np.arange(50) % 3
    weighted, repeated = moments_of(values, weights), np.repeat(values, weights, axis=0)
    np.testing.assert_allclose(weighted.mean, repeated.mean(0))
    assert weighted.n == pytest.approx(weights.sum() ** 2 / (weights**2).sum())
    scale = (1 - 1 / weighted.n) / (1 - 1 / len(repeated))
    np.testing.assert_allclose(weighted.covariance * scale, np.cov(repeated.T))


def test_effective_rank():
    assert effective_rank(Moments(100, np.zeros(3), np.eye(3))) == pytest.approx(3)
    assert effective_rank(Moments(100, np.zeros(3), np.diag([1.0, 0, 0]))) == pytest.approx(1)
    assert effective_rank(Moments(100, np.zeros(3), np.zeros((3, 3)))) is None
