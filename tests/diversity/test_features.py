import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.diversity import CORE_NAMES, STYLE_NAMES, features, load_ruler
from curation.kernels.hashing import word_hash
from curation.schema import BINS, CORE, STYLE, WORDS
from curation.text import tokenise

from .slow_features import slow_features

PIECES = [
    "the", "The", "it", "However", "not", "don't", "perhaps", "turned out", "I was wrong", "in conclusion",
    "it is important to note that", "delve", "NASA", "3", "1999", "extraordinarily", ".", "!", "?", "...", ",", ";",
    ":", "-", "(", "/", "\n", "\n- ", "\n2. ", "日本語", "。", "xyzzy", "on the other hand", "not only", "edit :", "é",
]  # fmt: skip
documents = st.lists(st.sampled_from(PIECES), max_size=60).map(" ".join)


def style_of(text: str) -> dict[str, int]:
    found = features(tokenise(pa.array([text])), load_ruler())
    return dict(zip(STYLE_NAMES, found.style[0].tolist(), strict=True))


def core_of(text: str) -> dict[str, float]:
    found = features(tokenise(pa.array([text])), load_ruler())
    return dict(zip(CORE_NAMES, found.core[0].tolist(), strict=True))


@settings(max_examples=150, deadline=None)
@given(st.lists(documents | st.text(max_size=80), max_size=6))
def test_features_equal_the_readable_reference(texts):
    tokens = tokenise(pa.array(texts, pa.string()))
    found = features(tokens, load_ruler())
    assert found.style.shape == (len(texts), STYLE)
    if not texts:
        return
    style, words, bins, core = slow_features(tokens, load_ruler())
    for j, name in enumerate(STYLE_NAMES):
        assert found.style[:, j].tolist() == style[:, j].tolist(), name
    assert np.array_equal(found.words, words)
    assert np.array_equal(found.bins, bins)
    np.testing.assert_allclose(found.core, core, rtol=2e-6, atol=2e-6)


@settings(max_examples=40, deadline=None)
@given(st.lists(documents, min_size=1, max_size=8), st.data())
def test_features_do_not_depend_on_the_batch(texts, data):
    cut = data.draw(st.integers(0, len(texts)))
    ruler = load_ruler()
    whole = features(tokenise(pa.array(texts)), ruler)
    parts = [features(tokenise(pa.array(part, pa.string())), ruler) for part in (texts[:cut], texts[cut:])]
    for name in whole._fields:
        joined = np.concatenate([getattr(part, name) for part in parts])
        assert getattr(whole, name).tobytes() == joined.tobytes()


def test_types_and_widths():
    found = features(tokenise(pa.array(["One.", None, ""])), load_ruler())
    assert [(a.dtype, a.shape) for a in found] == [
        (np.uint16, (3, STYLE)),
        (np.uint16, (3, WORDS)),
        (np.uint16, (3, BINS)),
        (np.float32, (3, CORE)),
    ]
    assert not found.style[1:].any()
    assert not found.core[1:].any()


@pytest.mark.parametrize("text", ["", "?!", "word", "a " * 20_000, "日" * 500, "\u200b", "7 7 7", "A.B.C."])
def test_features_are_finite_for_any_text(text):
    found = features(tokenise(pa.array([text])), load_ruler())
    assert np.isfinite(found.core).all()


def test_sentences_words_and_marks_of_a_small_text():
    style = style_of("The dog barked. However, it isn't ours!\nWe, perhaps, were wrong...")
    assert style["sentences"] == 3
    assert style["words"] == 11
    assert style["commas"] == 3
    assert style["periods"] == 1
    assert style["ellipses"] == 1
    assert style["exclamations"] == 1
    assert style["lines"] == 2
    assert style["negations"] == 1
    assert style["contractions"] == 1
    assert style["hedges"] == 1
    assert style["refutations"] == 1
    assert style["openers_article"] == 1
    assert style["openers_connective"] == 1
    assert style["openers_pronoun"] == 1


def test_phrases_count_where_they_stand_and_not_across_documents():
    assert style_of("In conclusion, it turns out that I was wrong")["scaffolds"] == 1
    assert style_of("In conclusion, it turns out that I was wrong")["self_corrections"] == 2
    split = features(tokenise(pa.array(["it turns", "out of town"])), load_ruler())
    assert split.style[:, STYLE_NAMES.index("self_corrections")].tolist() == [0, 0]


def test_a_repeated_word():
    core = core_of("buffalo " * 400)
    assert core["type_token_ratio"] == pytest.approx(1 / 300)
    assert core["hapax_share"] == 0
    assert core["surprisal_sd"] == 0
    assert core["log_words"] == pytest.approx(np.log(400))
    assert style_of("buffalo " * 400)["repeated_words"] == 399


def test_common_words_surprise_less_than_rare_and_unseen_ones():
    the, rare, unseen = (core_of(text)["surprisal"] for text in ("the", "harvest", "zzqxjvkw"))
    assert the < 6
    assert 12 < rare < unseen
    assert core_of("the")["tail_share"] == 0
    assert core_of("zzqxjvkw")["tail_share"] == 1
    assert core_of("one of the most")["bigram_surprisal"] < core_of("most one the of")["bigram_surprisal"]


def test_only_the_first_tokens_count():
    head = "alpha " * 16_384
    assert features(tokenise(pa.array([head + "beta. " * 9])), load_ruler()).core[0].tolist() == list(
        features(tokenise(pa.array([head])), load_ruler()).core[0].tolist()
    )


def test_every_ngram_falls_in_one_bin():
    bins = features(tokenise(pa.array(["one two three , four"])), load_ruler()).bins[0]
    assert bins.sum() == 5 + 4
    assert features(tokenise(pa.array(["one"])), load_ruler()).bins[0].argmax() == word_hash("one") >> 56
