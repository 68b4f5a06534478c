"""The share of synthetic text: exact merges, and intervals that hold the truth."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.synthetic import (
    anchor_state,
    calibrate,
    empty_anchors,
    load_model,
    merge_passing,
    passing,
    prevalence,
    share_after,
    weighed,
)
from curation.synthetic.calibration import Calibration
from curation.synthetic.model import Model
from curation.synthetic.prevalence import Passing

MODEL = load_model()


def calibrated(n: int = 4000, seed: int = 1) -> Calibration:
    logit = np.random.default_rng(seed).normal(-2, 1, n).astype(np.float32)
    anchors = anchor_state(logit, logit, np.full(n, 200), np.full(n, "web"), np.ones(n, bool))
    return calibrate(anchors, MODEL, 0.01)


CALIBRATION = calibrated()


def count(logit: np.ndarray, group: str = "s", weight: np.ndarray | None = None, **more: str) -> Passing:
    n = len(logit)
    full = np.full(n, 200), np.full(n, "web"), np.full(n, group), np.ones(n, bool)
    return passing(CALIBRATION, np.asarray(logit, np.float32), *full, weight, **more)


def crawl(n: int, share: float, seed: int, shift: float = 2.2) -> np.ndarray:
    draw = np.random.default_rng(seed)
    synthetic = draw.random(n) < share
    return np.where(synthetic, draw.normal(-2 + shift, 1.2, n), draw.normal(-2, 1, n)).astype(np.float32)


def equal(a: Passing, b: Passing) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


scores = st.lists(st.one_of(st.just(float("nan")), st.floats(-9, 9, width=32)), max_size=20)


@settings(max_examples=60, deadline=None)
@given(a=scores, b=scores, c=scores)
def test_merging_is_associative_and_blind_to_order(a: list, b: list, c: list) -> None:
    x, y, z = count(np.array(a), "x"), count(np.array(b), "y"), count(np.array(c), "x")
    assert equal(merge_passing(merge_passing(x, y), z), merge_passing(z, merge_passing(y, x)))
    merged = prevalence(merge_passing(x, y, z), CALIBRATION)
    assert merged[""]["documents"] == len(a) + len(b) + len(c)
    assert merged[""]["scored"] == sum(np.isfinite([*a, *b, *c]))


def test_estimates_are_near_the_truth_and_intervals_hold_it() -> None:
    held = 0
    for i, share in enumerate([0, 0, 0.02, 0.05, 0.1, 0.25, 0.5, 0.8] * 3):
        found = prevalence(count(crawl(8000, share, 100 + i)), CALIBRATION)["s"]
        assert found["low"] <= found["estimate"] <= found["high"]
        assert abs(found["estimate"] - share) < 0.02 + 0.3 * share
        held += found["low"] <= share + 1e-9 and share <= found["high"] + 1e-9
        assert found["lower_bound"] <= share + 0.02
    assert held >= 22


def test_a_clean_shard_is_not_accused() -> None:
    found = prevalence(count(crawl(5000, 0.0, 7)), CALIBRATION)[""]
    assert found["lower_bound"] == 0 and found["estimate"] < 0.02 and found["anchors"] == 4000


def test_groups_are_told_apart() -> None:
    found = prevalence(
        merge_passing(count(crawl(4000, 0, 1), "clean"), count(crawl(4000, 0.6, 2), "full")), CALIBRATION
    )
    assert set(found) == {"", "clean", "full"}
    assert found["clean"]["high"] < found["full"]["low"]
    assert found["clean"]["estimate"] < found[""]["estimate"] < found["full"]["estimate"]


def test_weights_shift_the_share_and_widen_the_interval() -> None:
    draw = np.random.default_rng(4)
    synthetic = np.arange(6000) < 3000
    logit = np.where(synthetic, draw.normal(1.5, 1, 6000), draw.normal(-2, 1, 6000))
    plain = prevalence(count(logit), CALIBRATION)[""]
    spread = prevalence(count(logit, weight=np.where(draw.random(6000) < 0.1, 10.0, 0.0)), CALIBRATION)[""]
    less = prevalence(count(logit, weight=np.where(synthetic, 0.2, 1.8)), CALIBRATION)[""]
    assert less["estimate"] < 0.5 * plain["estimate"]
    assert spread["high"] - spread["lower_bound"] > plain["high"] - plain["lower_bound"]


def test_the_share_after_weighing_by_p_follows_the_truth() -> None:
    draw = np.random.default_rng(6)
    n, share = 40_000, 0.3
    synthetic = draw.random(n) < share
    odds = draw.normal(np.where(synthetic, 1.0, -1.0), np.sqrt(2))  # log odds of two normals: p is exact
    p = (1 / (1 + np.exp(-odds))).astype(np.float32)
    weight = np.maximum(1 - p, 0.05).astype(np.float64)
    weight /= weight.mean()
    truth = weight[synthetic].sum() / weight.sum()
    state = weighed(p[:100], weight[:100]) + weighed(p[100:], weight[100:])
    np.testing.assert_array_equal(state, weighed(p[::-1], weight[::-1]))
    found, unweighed = share_after(state, share), share_after(weighed(p, np.ones(n)), share)
    assert found is not None and unweighed is not None
    assert truth < 0.2 and abs(found - truth) < 0.01
    assert abs(unweighed - share) < 1e-5
    assert share_after(state, 0.0) == 0
    assert share_after(state, None) is None
    assert share_after(weighed(np.array([np.nan], np.float32), np.ones(1)), share) is None


def test_few_anchors_widen_the_interval() -> None:
    logit = crawl(5000, 0.1, 9)
    n = len(logit)
    full = np.full(n, 200), np.full(n, "web"), np.full(n, "s"), np.ones(n, bool)
    few = calibrated(150)
    narrow = prevalence(count(logit), CALIBRATION)["s"]
    wide = prevalence(passing(few, logit, *full), few)["s"]
    assert wide["high"] - wide["low"] > narrow["high"] - narrow["low"]


def measured_by(rates: list[float]) -> Model:
    """The model as if groups with these detection rates, whatever the threshold, had been left out."""
    tpr = {f"group {i}": [rate] * 6 for i, rate in enumerate(rates)}
    return MODEL._replace(calibration={kind: found | {"tpr": tpr} for kind, found in MODEL.calibration.items()})


def test_the_interval_is_that_of_a_group_more() -> None:
    # mean .7, deviation .1, t = 4.303 for three groups: .7 -+ .497, of which 1 is the end
    model = measured_by([0.6, 0.7, 0.8])
    logit = np.random.default_rng(1).normal(-2, 1, 4000).astype(np.float32)
    known = anchor_state(logit, logit, np.full(4000, 200), np.full(4000, "web"), np.ones(4000, bool))
    found = calibrate(known, model, 0.01)
    np.testing.assert_allclose(found.tpr[0], 0.7)
    np.testing.assert_allclose(found.tpr_low[0], 0.7 - 4.303 * 0.1 * np.sqrt(4 / 3), atol=1e-6)
    np.testing.assert_array_equal(found.tpr_high[0], 1.0)
    one = calibrate(known, measured_by([0.7]), 0.01)
    assert one.tpr_low[0].tolist() == [0.0] * 6 and one.tpr_high[0].tolist() == [1.0] * 6
    widths = []
    for of_model in (measured_by([0.7] * 8), model, measured_by([0.7])):
        calibration = calibrate(known, of_model, 0.01)
        n = 6000
        full = np.full(n, 200), np.full(n, "web"), np.full(n, "s"), np.ones(n, bool)
        share = prevalence(passing(calibration, crawl(n, 0.05, 5), *full), calibration)["s"]
        widths.append(share["high"] - share["low"])
    assert widths[0] < widths[1] < widths[2]


def test_without_anchors_there_is_a_reason_and_no_number() -> None:
    none = calibrate(empty_anchors(), MODEL, 0.01)
    logit = np.zeros(50, np.float32)
    full = np.full(50, 200), np.full(50, "web"), np.full(50, "s"), np.ones(50, bool)
    found = prevalence(passing(none, logit, *full), none)["s"]
    assert found["estimate"] is found["low"] is found["high"] is found["lower_bound"] is None
    assert "anchors" in found["reason"] and found["scored"] == 50


def test_nothing_scored_is_no_share() -> None:
    found = prevalence(count(np.full(5, np.nan)), CALIBRATION)["s"]
    assert found["estimate"] is None and found["documents"] == 5 and found["scored"] == 0 and found["reason"]


def test_the_check_model_has_its_own_thresholds() -> None:
    draw = np.random.default_rng(2)
    logit = draw.normal(-2, 1, 2000).astype(np.float32)
    anchors = anchor_state(logit, logit + 5, np.full(2000, 200), np.full(2000, "web"), np.ones(2000, bool))
    calibration = calibrate(anchors, MODEL, 0.01)
    new = (draw.normal(-2, 1, 2000) + 5).astype(np.float32)
    full = np.full(2000, 200), np.full(2000, "web"), np.full(2000, "s"), np.ones(2000, bool)
    state = passing(calibration, new, *full, kind="logit_check")
    found = prevalence(state, calibration, kind="logit_check")["s"]
    assert found["lower_bound"] == 0 and found["estimate"] < 0.1
    # by the thresholds of the other model nearly everything would pass
    wrong = passing(calibration, new, *full, kind="logit")
    assert prevalence(wrong, calibration, kind="logit")["s"]["estimate"] > 0.9
