"""Signatures, scores, features and counts of the CUDA twins: the same bits as on the CPU."""

import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curation import diversity
from curation.annotate import Settings
from curation.device import text as device_text
from curation.text import Tokens, text_buffer, tokenise
from curation.token_pass import token_pass

PIECES = [
    "the", "The", "it", "However", "not", "don't", "perhaps", "turned out", "I was wrong", "in conclusion",
    "it is important to note that", "NASA", "3", "1999", "extraordinarily", ".", "!", "?", "...", ",", ";", "-", "\n",
    "\n- ", "\n2. ", "日本語", "。", "xyzzy", "on the other hand", "not only good", "é", "bad not. bad", "7 7 7",
]  # fmt: skip
documents = st.lists(st.sampled_from(PIECES), max_size=70).map(" ".join) | st.text(max_size=40)
few = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def prose(words, seed, vocabulary=400):
    """Text of a few common and many rare words, with sentences, lines and numbers."""
    rng = random.Random(seed)
    known = ["the", "of", "not", "and", "it", "never", *(f"w{chr(97 + i % 26)}{i}x" for i in range(vocabulary))]
    out = []
    for i in range(words):
        word = known[min(int(rng.paretovariate(0.5)) - 1, len(known) - 1)]
        out.append(word.capitalize() if i % 11 == 0 else word)
        out.append(rng.choice([" ", " ", " ", " ", ", ", ". ", "\n", "! ", "; ", " 12 "]))
    return "".join(out)


def equal(got, wanted):
    assert got.dtype == wanted.dtype
    assert got.shape == wanted.shape
    assert got.tobytes() == wanted.tobytes()


def compare(lane, texts, chosen):
    """A whole token pass with each; returns both."""
    column = pa.array(texts, pa.string())
    found = device_text.submit(lane, column, chosen, None)()
    wanted = token_pass(column, chosen)
    for part in ("tokens", "signatures", "scores", "features"):
        assert (getattr(found, part) is None) == (getattr(wanted, part) is None)
        for got, expected in zip(getattr(found, part) or (), getattr(wanted, part) or (), strict=True):
            equal(got, expected)
    return found, wanted


@few
@given(st.lists(documents, max_size=4), st.integers(1, 7), st.integers(1, 20))
def test_a_token_pass_equals_that_of_the_cpu(lane, texts, ngram, words):
    compare(lane, texts, Settings(min_words=words, ngram=ngram, bands=3, rows=2))


@pytest.mark.parametrize(
    "model,measured,bands", [(None, False, 0), ("shipped", False, 0), (None, True, 0), (None, False, 2)]
)
def test_only_what_is_asked_for_is_made(lane, model, measured, bands):
    chosen = Settings(model=model, measure=measured, features=measured, bands=bands, rows=2, min_words=1)
    found, _ = compare(lane, ["one two three four five six, seven", None, "", "?"], chosen)
    assert (found.scores is None, found.features is None, found.signatures is None) == (
        model is None, not measured, not bands
    )  # fmt: skip


@pytest.mark.parametrize("texts", [[], [""], [None, None], ["", None, ""]])
def test_batches_without_a_byte(lane, texts):
    compare(lane, texts, Settings())


def test_documents_longer_than_a_block_of_shingles(lane):
    chosen = Settings(model=None, measure=False, features=False)
    compare(lane, [prose(1300, 1), "a b c d", prose(511, 2), prose(516, 3)], chosen)


def test_two_windows_and_buckets_that_share_a_slot(lane, real):
    # a long document is scored through two windows; hundreds of kinds of words make features take each other's slots
    texts = [prose(1500 if not real else 9000, 4, 3000), "x " * 1700, prose(60, 5), "12 345 " * 30]
    found, wanted = compare(lane, texts, Settings(bands=0, measure=False, features=False))
    assert np.isfinite(wanted.scores[0]).all()


def test_words_below_the_least_have_no_score(lane):
    found, _ = compare(lane, ["one two three", "one two three four"], Settings(min_words=4, bands=0, measure=False))
    assert np.isnan(found.scores[0]).tolist() == [True, False]


def test_features_at_their_limits(lane, real):
    texts = ["buffalo " * 420, prose(400, 6), "a, " * 40 + "b.", "No. Not so! " * 9, ". ? !", "A\nB", "日本語。" * 20]
    if real:
        texts += ["alpha " * 16_384 + "beta. " * 9, prose(20_000, 7)]
    compare(lane, texts, Settings(model=None, bands=0))


def test_tokens_beyond_the_limit_are_not_read(lane, monkeypatch):
    monkeypatch.setattr(device_text, "FEATURE_TOKENS", 40)
    ruler = diversity.load_ruler()
    whole, head = ("a b, c. " * n for n in (20, 8))
    found = []
    for text in (whole, head):
        data, starts = text_buffer(pa.array([text]))
        found.append(lane.fetch(*device_text.features(lane, device_text.tokenise(lane, data, starts), ruler))())
    for got, wanted in zip(*found, strict=True):
        equal(got, wanted)


def state_of(texts, counts=None, before=None, mask=None):
    column = pa.array(texts, pa.string())
    data, starts = text_buffer(column)
    ruler = diversity.load_ruler()
    return diversity.update(
        before or diversity.empty(ruler), ruler=ruler, tokens=tokenise(column), data=data, starts=starts,
        ids_hash=np.arange(len(texts), dtype=np.uint64), counts=counts, mask=mask,
    )  # fmt: skip


def same_states(a, b):
    for name in a:
        equal(a[name], b[name])


def test_counts_make_the_state_of_the_cpu(lane, real):
    batches = [["bad. not bad", prose(300, 8), "", "it is not, good"], [prose(90, 9)] * 3 + ["x"], ["?", "a a a a"]]
    if real:
        batches += [[prose(3000, seed, 20_000) for seed in range(200)], [prose(900, 17)]]
    chosen = Settings(model=None, bands=0)
    cpu = device = None
    for texts in batches:
        levels = device["levels"] if device else np.zeros(3, np.int64)
        counts = device_text.submit(lane, pa.array(texts, pa.string()), chosen, levels)().counts
        cpu, device = state_of(texts, before=cpu), state_of(texts, counts, device)
        same_states(cpu, device)


def test_samples_rise_a_level_when_keys_are_too_many(lane, monkeypatch):
    monkeypatch.setattr(device_text, "SAMPLE", 60)
    text = prose(400, 10)
    column = pa.array([text, text[:700]])
    data, starts = text_buffer(column)
    tokens = device_text.tokenise(lane, data, starts)
    everything = state_of([text, text[:700]])
    state, levels, found, keys, values = device_text.sample(
        lane, tokens, lane.zeros(2, np.uint8), np.zeros(3, np.int64), 4096
    )()
    assert not state[:, 1].any()
    for gram, name in enumerate(("word", "run4", "run8")):
        level = int(levels[gram])
        all_keys, all_values = everything[f"{name}_keys"], everything[f"{name}_values"]
        left = all_keys >> np.uint64(64 - level) == 0 if level else np.ones(len(all_keys), bool)
        before = all_keys >> np.uint64(65 - level) == 0 if level > 1 else np.ones(len(all_keys), bool)
        assert level > 0 and left.sum() <= 60 < before.sum()
        n = int(found[gram])
        order = np.argsort(keys[gram, :n])
        assert keys[gram, :n][order].tolist() == all_keys[left].tolist()
        assert values[gram, :n][order].tolist() == all_values[left].tolist()


def test_tables_that_are_too_small_are_noticed_and_made_larger(lane, monkeypatch):
    monkeypatch.setattr(device_text, "_LEAST_SLOTS", 64)
    texts = ["a b c d e f g h i j k l m n o p q r s t u v w x y z " * 3]
    data, starts = text_buffer(pa.array(texts))
    tokens = device_text.tokenise(lane, data, starts)
    skip, levels = lane.zeros(1, np.uint8), np.zeros(3, np.int64)
    assert device_text.sample(lane, tokens, skip, levels, 16)()[0][:, 1].all()
    monkeypatch.setattr(device_text, "slots_for", lambda size, levels: 16)
    counts = device_text.submit(lane, pa.array(texts), Settings(model=None, bands=0), levels)().counts
    same_states(state_of(texts), state_of(texts, counts))


def test_skipped_documents_are_not_counted(lane):
    texts = ["not good. One two three four", "five six seven eight nine", "ten eleven twelve thirteen"]
    data, starts = text_buffer(pa.array(texts))
    tokens = device_text.tokenise(lane, data, starts)
    (skip,) = lane.upload(np.array([0, 1, 0], np.uint8))
    unigram, _, _, totals = lane.fetch(*device_text.histograms(lane, tokens, diversity.load_ruler(), skip))()
    expected = state_of(texts, mask=np.array([False, True, False]))
    equal(unigram, expected["unigram"])
    assert totals.tolist() == expected["totals"][2:4].tolist()
    sampled = device_text.sample(lane, tokens, skip, np.zeros(3, np.int64), 1024)()
    assert sampled[2].tolist() == [len(expected[f"{name}_keys"]) for name in ("word", "run4", "run8")]


def test_a_word_whose_hash_is_zero(lane):
    """No text has one that is known; tables that mark free slots by a zero must count it all the same."""
    hashes = np.array([0, 5, 0, 7, 0], np.uint64)
    kinds, lengths = np.ones(5, np.uint8), np.full(5, 3, np.uint8)
    offsets = np.array([0, 3, 5], np.int64)
    held = device_text.DeviceTokens(*lane.upload(hashes, kinds, lengths, offsets), 2, 40)
    ruler = diversity.load_ruler()
    style, *_ = lane.fetch(*device_text.features(lane, held, ruler))()
    expected = diversity.features(Tokens(hashes, kinds, lengths, offsets), ruler)
    equal(style, expected.style)
    _, _, found, keys, values = device_text.sample(lane, held, lane.zeros(2, np.uint8), np.zeros(3, np.int64), 64)()
    words = dict(zip(keys[0, : found[0]].tolist(), values[0, : found[0]].tolist(), strict=True))
    assert words == {0: [3, 2], 5: [1, 1], 7: [1, 1]}


def test_a_signature_too_large_for_shared_memory_is_made_on_the_cpu(lane):
    chosen = Settings(ngram=9000, bands=2, rows=2, model=None, measure=False, features=False)
    assert not device_text.fits(chosen)
    found, wanted = compare(lane, ["a b c"], chosen)
    assert not found.signatures[2].any()
