"""Anchors, thresholds and labels."""

import json
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.schema import LABELS
from curation.synthetic import (
    REASONS,
    Anchors,
    anchor_state,
    apply,
    as_dict,
    calibrate,
    empty_anchors,
    from_arrays,
    load_model,
    merge,
    to_arrays,
)
from curation.synthetic.calibration import BASES, needed
from curation.synthetic.evaluation import FPR_GRID, LEAST_OF_SOURCE, LENGTHS, worst_source
from curation.text.gate import GATES

MODEL = load_model()


def anchors_of(logit: np.ndarray, words: int = 200, source: str = "forum") -> Anchors:
    logit = np.asarray(logit, np.float32)
    n = len(logit)
    return anchor_state(logit, logit, np.full(n, words), np.full(n, source), np.ones(n, bool))


def equal(a: Anchors, b: Anchors) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


rows = st.lists(
    st.tuples(
        st.one_of(st.just(float("nan")), st.floats(-20, 20, width=32)),
        st.integers(0, 400),
        st.sampled_from(["a", "b", "long name"]),
        st.booleans(),
    ),
    max_size=30,
)


def state(part: list[tuple[float, int, str, bool]]) -> Anchors:
    logit, words, source, mask = (list(column) for column in zip(*part, strict=True)) if part else ([], [], [], [])
    scores = np.array(logit, np.float32)
    return anchor_state(scores, -scores, np.array(words, int), np.array(source, np.str_), np.array(mask, bool))


@settings(max_examples=80, deadline=None)
@given(a=rows, b=rows, c=rows)
def test_merging_is_associative_and_blind_to_order(a: list, b: list, c: list) -> None:
    whole = state([*a, *b, *c])
    assert equal(whole, merge(merge(state(a), state(b)), state(c)))
    assert equal(whole, merge(state(c), merge(state(b), state(a)), empty_anchors()))
    assert equal(whole, state([*a, *b, *c][::-1]))
    kept = sum(m and np.isfinite(x) for x, _, _, m in [*a, *b, *c])
    assert int(whole.number.sum()) == 2 * kept


def test_anchors_survive_storage(tmp_path: object) -> None:
    anchors = merge(anchors_of(np.linspace(-3, 2, 50)), anchors_of(np.ones(5), source="mail"))
    np.savez(f"{tmp_path}/x.npz", **to_arrays(anchors))
    with np.load(f"{tmp_path}/x.npz", allow_pickle=False) as stored:
        assert equal(anchors, from_arrays(stored))
    with pytest.raises(ValueError, match="number"):
        from_arrays({k: v for k, v in to_arrays(anchors).items() if k != "number"})


@settings(max_examples=40, deadline=None)
@given(n=st.integers(100, 2000), fpr=st.sampled_from([0.01, 0.02, 0.1, 0.3]), seed=st.integers(0, 99))
def test_the_threshold_is_the_order_statistic(n: int, fpr: float, seed: int) -> None:
    logit = np.round(np.random.default_rng(seed).normal(-2, 1.5, n) * 1024) / 1024
    found = calibrate(anchors_of(logit), MODEL, fpr)
    length = LENGTHS.index(150)
    expected = np.sort(logit)[::-1][int(fpr * (n + 1)) - 1]
    assert found.threshold[0, 0, length, 0] == expected
    assert BASES[found.basis[0, 0, length]] == "stratum" and found.anchors[0, 0, length] == n
    assert (logit > expected).mean() <= fpr


def test_new_human_text_passes_at_most_at_the_rate_asked_for() -> None:
    draw = np.random.default_rng(3)
    passed = []
    for _ in range(300):
        found = calibrate(anchors_of(draw.gumbel(size=200)), MODEL, 0.05)
        passed.append((draw.gumbel(size=500).astype(np.float32) > found.threshold[0, 0, 2, 0]).mean())
    # the mean over draws of anchors is the promise; its standard error here is .0009
    assert 0.044 < np.mean(passed) < 0.0525


def test_few_anchors_pool_and_none_fall_back_to_the_model() -> None:
    anchors = merge(
        anchors_of(np.linspace(-4, 0, 150), 200, "big"),
        anchors_of(np.linspace(-2, 2, 40), 200, "small"),
        anchors_of(np.linspace(-3, 1, 40), 60, "small"),
    )
    found = calibrate(anchors, MODEL, 0.01)
    assert found.sources == ("big", "small")
    length, brief = LENGTHS.index(150), LENGTHS.index(50)
    assert BASES[found.basis[0, 0, length]] == "stratum"
    assert BASES[found.basis[0, 1, length]] == "length" and found.anchors[0, 1, length] == 190
    assert BASES[found.basis[0, 1, brief]] == "all" and found.anchors[0, 1, brief] == 230
    assert (found.basis[0, 2] == found.basis[0, 1]).all()
    assert "small" in found.warnings[0] and "big" not in found.warnings[0]
    none = calibrate(empty_anchors(), MODEL, 0.01)
    assert (none.basis == BASES.index("model")).all() and np.isfinite(none.threshold).all()
    assert "100" in none.warnings[0] and "there are 0" in none.warnings[0]


def test_a_stricter_rate_needs_more_anchors() -> None:
    assert needed(0.05) == 100 and needed(0.01) == 100 and needed(0.001) == 999
    found = calibrate(anchors_of(np.linspace(-3, 3, 500)), MODEL, 0.001)
    assert (found.basis == BASES.index("model")).all() and "999" in found.warnings[0]
    below = calibrate(anchors_of(np.linspace(-3, 3, 500)), MODEL, 0.0001)
    assert np.isinf(below.threshold[0, 0, 0, 0])  # nothing was ever measured at this rate: label nothing


@pytest.mark.parametrize("fpr", [0, 1, -0.1, float("nan")])
def test_a_rate_must_be_a_rate(fpr: float) -> None:
    with pytest.raises(ValueError, match=r"detect\.fpr"):
        calibrate(empty_anchors(), MODEL, fpr)


def label_one(logit: float, words: int = 200, gate: str = "prose", lang: str = "en", **more: int) -> tuple:
    found = calibrate(anchors_of(np.linspace(-4, 0, 999)), MODEL, 0.01)
    p, label, reason = apply(
        found,
        np.array([logit], np.float32),
        np.array([words]),
        np.array(["forum"]),
        np.array([GATES.index(gate)], np.uint8),
        np.array([lang]),
        **more,
    )
    return p[0], LABELS[label[0]], REASONS[reason[0]]


def test_labels_and_their_reasons() -> None:
    assert label_one(3.0)[1:] == ("synthetic", "") and label_one(3.0)[0] > 0.8
    assert label_one(-3.5)[1:] == ("human", "") and label_one(-3.5)[0] < 0.3
    assert label_one(-0.5)[1:] == ("undetermined", "uncertain")
    p, label, reason = label_one(3.0, words=100)
    assert (label, reason) == ("undetermined", "short") and p > 0.5
    assert label_one(3.0, words=100, label_words=80)[1] == "synthetic"
    for kwargs, expected in (
        ({"gate": "code"}, "not_prose:code"),
        ({"gate": "empty", "words": 0}, "short"),
        ({"gate": "table", "lang": "und"}, "not_prose:table"),
        ({"lang": "other"}, "language"),
        ({"lang": "und"}, "language"),
    ):
        p, label, reason = label_one(3.0, **kwargs)
        assert np.isnan(p) and (label, reason) == ("undetermined", expected)
    p, label, reason = label_one(float("nan"), words=20)
    assert np.isnan(p) and (label, reason) == ("undetermined", "short")
    assert label_one(float("nan"), words=300)[2] == "not_scored"


def test_mixed_text_has_a_probability_and_no_label() -> None:
    p, label, reason = label_one(3.0, gate="mixed")
    assert p == label_one(3.0)[0] and (label, reason) == ("undetermined", "not_prose:mixed")
    assert label_one(-3.5, gate="mixed")[1:] == ("undetermined", "not_prose:mixed")


@settings(max_examples=60, deadline=None)
@given(sizes=st.lists(st.integers(1, 400), min_size=1, max_size=5), shift=st.floats(-5, 5), seed=st.integers(0, 99))
def test_no_source_exceeds_the_fallback_thresholds_more_often_than_allowed(
    sizes: list[int], shift: float, seed: int
) -> None:
    source = np.repeat(np.arange(len(sizes)), sizes)
    logit = np.random.default_rng(seed).normal(size=len(source)) + shift * source
    found = worst_source(logit, source)
    assert (np.diff(found) <= 0).all()
    for code, size in enumerate(sizes):
        own = logit[source == code]
        for threshold, rate in zip(found, FPR_GRID, strict=True):
            if size >= LEAST_OF_SOURCE and rate * (size + 1) >= 1:
                assert (own > threshold).sum() < rate * (size + 1)
    again = np.random.default_rng(seed).permutation(len(source))
    np.testing.assert_array_equal(found, worst_source(logit[again], source[again]))


def test_one_odd_source_sets_the_fallback_threshold() -> None:
    draw = np.random.default_rng(5)
    plain, odd = draw.normal(size=5000), draw.normal(3, 1, 200)
    source = np.repeat([0, 1], [5000, 200])
    assert worst_source(np.concatenate([plain, odd]), source)[FPR_GRID.index(0.01)] == np.sort(odd)[-2]
    few = worst_source(np.concatenate([plain, odd[:20]]), np.repeat([0, 1], [5000, 20]))
    assert few[FPR_GRID.index(0.05)] < 3  # twenty documents say nothing about a twentieth


def test_p_rises_with_the_logit_and_follows_the_stratum() -> None:
    anchors = merge(anchors_of(np.linspace(-4, 0, 300), source="a"), anchors_of(np.linspace(-1, 3, 300), source="b"))
    found = calibrate(anchors, MODEL, 0.01)
    logit = np.linspace(-6, 6, 25, dtype=np.float32)
    args = np.full(25, 200), np.full(25, "a"), np.zeros(25, np.uint8), np.full(25, "en")
    of_a = apply(found, logit, *args)[0]
    of_b = apply(found, logit + 3, args[0], np.full(25, "b"), *args[2:])[0]
    assert (np.diff(of_a) > 0).all()
    np.testing.assert_allclose(of_a, of_b, rtol=1e-3)


def test_no_documents_no_labels() -> None:
    none = np.zeros(0)
    found = calibrate(empty_anchors(), MODEL, 0.01)
    p, label, reason = apply(
        found, none.astype(np.float32), none.astype(int), none.astype(str), none.astype(np.uint8), none.astype(str)
    )
    assert len(p) == len(label) == len(reason) == 0


def test_a_calibration_travels() -> None:
    found = calibrate(anchors_of(np.linspace(-4, 0, 300)), MODEL, 1e-5)
    plain = json.loads(json.dumps(as_dict(found), allow_nan=False))
    assert plain["sources"] == ["forum"] and plain["threshold"][0][0][0][0] is None
    again = pickle.loads(pickle.dumps(found))
    np.testing.assert_array_equal(again.threshold, found.threshold)


def test_without_anchors_nothing_is_called_human() -> None:
    """A generator that training did not know looks human: only human text of the same kind can say what is."""
    score = np.linspace(-30, 30, 400).astype(np.float32)
    words, names = np.full(400, 200), np.full(400, "anywhere")
    prose, english = np.zeros(400, np.uint8), np.full(400, "en")
    p, label, reason = apply(calibrate(empty_anchors(), MODEL, 0.01), score, words, names, prose, english)
    found = [LABELS[code] for code in label]
    assert "human" not in found and {"synthetic", "undetermined"} == set(found)
    assert {REASONS[r] for r in reason[p < 0.1]} == {"no_anchors"}
    undetermined = label == LABELS.index("undetermined")
    assert {REASONS[r] for r in reason[undetermined]} == {"no_anchors", "uncertain"}
    # another source's anchors say so for all; what they call human has a probability below one in ten
    known = calibrate(anchors_of(np.linspace(-4, 0, 200)), MODEL, 0.01)
    p, label, _ = apply(known, score, words, names, prose, english)
    human = label == LABELS.index("human")
    assert human.any() and (p[human] < 0.1).all()
    assert not (human & (score > known.threshold[0, -1, LENGTHS.index(150), 0])).any()


def test_a_new_source_may_be_worse_than_the_worst_so_far() -> None:
    """From five sources on, the fallback lies three deviations between sources above their mean, if that is higher."""
    draw = np.random.default_rng(8)
    logit = np.concatenate([draw.normal(middle, 1, 400) for middle in range(6)])
    source = np.repeat(np.arange(6), 400)
    own = [np.sort(logit[source == code])[-4] for code in range(6)]  # floor(.01 * 401) from the top
    at = FPR_GRID.index(0.01)
    assert worst_source(logit, source)[at] == pytest.approx(np.mean(own) + 3 * np.std(own, ddof=1))
    assert worst_source(logit, source)[at] > max(own)
    few = source < 4
    assert worst_source(logit[few], source[few])[at] == max(own[:4])
