"""The language model against its plain reference, and what its samples must look like."""

import numpy as np
import pytest
from collapselib import kneser_ney
from collapselib.kneser_ney_reference import Reference
from hypothesis import given, settings
from hypothesis import strategies as st

WORDS = 6
documents_of = st.lists(st.lists(st.integers(0, WORDS - 1), min_size=1, max_size=12), min_size=1, max_size=8)


def flat(documents):
    tokens = np.array([word for document in documents for word in document], np.int32)
    return tokens, np.concatenate([[0], np.cumsum([len(d) for d in documents])]).astype(np.int64)


@settings(max_examples=60, deadline=None)
@given(documents_of, st.lists(st.integers(0, WORDS - 1), max_size=9), st.integers(2, 5))
def test_probabilities_are_those_of_the_reference_and_sum_to_one(documents, history, order):
    model = kneser_ney.train(*flat(documents), WORDS, order)
    reference = Reference(documents, WORDS, order)
    assert model.discount == pytest.approx(reference.discounts[1:])
    last = []
    for word in range(WORDS):
        tokens, offsets = flat([[*history, word]])
        logs = kneser_ney.log_probabilities(model, tokens, offsets)
        expected = [reference.probability(tokens[:i].tolist(), int(tokens[i])) for i in range(len(tokens))]
        assert np.exp(logs) == pytest.approx(expected, rel=1e-9)
        last.append(np.exp(logs[-1]))
    assert sum(last) == pytest.approx(1.0)


@settings(max_examples=30, deadline=None)
@given(documents_of)
def test_counts_below_the_highest_order_are_continuations(documents):
    model = kneser_ney.train(*flat(documents), WORDS, 3)
    for word in range(WORDS):
        before = {((-1, *d)[i], word) for d in documents for i in range(len(d)) if d[i] == word}
        assert model.count[word] == len(before)


def test_discounts_come_from_the_counts_of_counts():
    documents = [[0, 1, 2], [0, 1, 3], [0, 4]]
    model = kneser_ney.train(*flat(documents), WORDS, 2)
    # pairs: (begin, 0) three times, (0, 1) twice, (1, 2), (1, 3), (0, 4) once
    assert model.discount[1] == pytest.approx(3 / (3 + 2 * 1))


def test_samples_follow_the_probabilities():
    documents = [[0, 1, 2, 3], [0, 1, 2, 4], [0, 2, 2, 5], [1, 1, 2, 3]]
    model = kneser_ney.train(*flat(documents), WORDS)
    tokens, offsets = kneser_ney.sample(model, np.full(40_000, 2), seed=3)
    pairs = np.bincount(tokens[offsets[:-1]] * WORDS + tokens[offsets[:-1] + 1], minlength=WORDS * WORDS) / 40_000
    for first in range(WORDS):
        for second in range(WORDS):
            p = np.exp(kneser_ney.log_probabilities(model, *flat([[first, second]])).sum())
            assert pairs[first * WORDS + second] == pytest.approx(p, abs=4 * (p / 40_000) ** 0.5 + 1e-4)


def test_sharpened_samples_prefer_what_is_common():
    rng = np.random.default_rng(1)
    documents = (rng.zipf(1.4, (300, 20)) % 50).tolist()
    model = kneser_ney.train(*flat(documents), 50)
    entropies = []
    for sharpness in (1.0, 1.3):
        tokens, _ = kneser_ney.sample(model, np.full(2000, 20), 5, sharpness)
        share = np.bincount(tokens, minlength=50) / len(tokens)
        entropies.append(-(share[share > 0] * np.log2(share[share > 0])).sum())
    assert entropies[1] < entropies[0] - 0.1


def test_a_document_depends_on_its_number_and_the_seed_alone():
    model = kneser_ney.train(*flat([[0, 1, 2, 3, 4, 5] * 3, [5, 3, 1, 0]]), WORDS)
    whole, offsets = kneser_ney.sample(model, np.array([7, 9, 4]), 11)
    longer, _ = kneser_ney.sample(model, np.array([7, 20]), 11)
    assert np.array_equal(longer[:16], whole[:16])
    other, _ = kneser_ney.sample(model, np.array([7, 9, 4]), 12)
    assert not np.array_equal(other, whole)
    assert offsets.tolist() == [0, 7, 16, 20]


def test_no_text_at_all_is_uniform():
    model = kneser_ney.train(np.zeros(0, np.int32), np.zeros(1, np.int64), WORDS)
    logs = kneser_ney.log_probabilities(model, *flat([[0, 5]]))
    assert np.exp(logs) == pytest.approx([1 / WORDS, 1 / WORDS])
    assert kneser_ney.sample(model, np.array([30]), 1)[0].max() < WORDS
    assert kneser_ney.perplexity(logs) == pytest.approx(WORDS)


@pytest.mark.parametrize(
    "arguments, message", [((WORDS, 1), "order"), ((2, 5), "vocabulary|ids")]
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        kneser_ney.train(*flat([[0, 5]]), *arguments)
