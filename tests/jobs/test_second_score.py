"""The second score before and after weighing: sums that any split of the documents gives, and what is made of them."""

import numpy as np
import pytest

from curation import synthetic
from curation.jobs import second_score


def anchors(scores):
    scores = np.asarray(scores, np.float32)
    n = len(scores)
    return synthetic.anchor_state(scores * 0, scores, np.full(n, 200), np.full(n, "a"), np.ones(n, bool))


def test_before_and_after_are_weighted_means_and_shares_beyond_human_text():
    rng = np.random.default_rng(1)
    known = anchors(rng.normal(-2, 1, 2000))
    limit = second_score.threshold(known)
    score = rng.normal(-1, 1.5, 1000).astype(np.float32)
    score[::10] = np.nan
    weight, kept = rng.gamma(1, 1, 1000), rng.random(1000) < 0.9
    parts = [second_score.sums(score[i::3], weight[i::3], kept[i::3], limit) for i in range(3)]
    whole = second_score.sums(score, weight, kept, limit)
    np.testing.assert_array_equal(sum(parts), whole)
    found = second_score.result(whole, known)
    rows = kept & np.isfinite(score)
    assert found["before"]["mean"] == pytest.approx(score[rows].mean(), abs=0.01)
    assert found["after"]["mean"] == pytest.approx(np.average(score[rows], weights=weight[rows]), abs=0.01)
    assert found["before"]["above"] == pytest.approx((score[rows] > limit).mean(), abs=0.01)
    assert found["after"]["above"] == pytest.approx(np.average(score[rows] > limit, weights=weight[rows]), abs=0.01)
    assert found["human"]["mean"] == pytest.approx(-2, abs=0.1)
    assert 0.045 < found["human"]["above"] <= 0.05


def test_without_scores_or_anchors_there_is_nothing():
    none = second_score.result(second_score.empty(), synthetic.empty_anchors())
    assert none == {"before": None, "after": None, "human": None}
    one = second_score.sums(np.float32([1.5]), np.ones(1), np.ones(1, bool), None)
    found = second_score.result(one, synthetic.empty_anchors())
    assert found["before"] == {"mean": 1.5, "above": None}
