import json
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.diversity import (
    STATISTICS,
    compare,
    core_moments,
    features,
    load_ruler,
    measure,
    readings,
    result,
    values,
)
from curation.diversity.registry import table
from curation.text import tokenise

from .test_state import corpus, measured

RULER = load_ruler()


def of(texts):
    return measure(pa.table({"text": pa.array(texts, pa.string())}))


BAD = {
    "nothing": [],
    "null": [None],
    "empty": ["", ""],
    "no words": ["?! ... ;", "--"],
    "one word": ["word"],
    "one document": ["One short document. It has two sentences."],
    "one repeated document": ["The same words again and again."] * 400,
    "repeated word": ["spam " * 2000] * 3,
    "spaceless": ["日本語の文章です。これは二つ目の文。" * 30] * 2,
    "arabic": ["هذا نص عربي قصير. وهذه جملة ثانية؟"] * 5,
    "noise": ["\ufffd\u200b\n\t" * 50, "a\u0301" * 100],
}


@pytest.mark.parametrize("texts", BAD.values(), ids=BAD.keys())
def test_bad_input_gives_numbers_or_reasons(texts):
    found = of(texts)
    assert list(found) == list(STATISTICS)
    for name, entry in found.items():
        if entry["value"] is None:
            assert entry["reason"], name
        else:
            assert math.isfinite(entry["value"]) and entry["reason"] is None, name
        assert entry["error"] is None or math.isfinite(entry["error"])
    json.dumps(found, allow_nan=False)


def test_one_repeated_document_has_no_variety():
    found = values(of(["The same words, again and again, in one long line."] * 400))
    assert found["self_repetition_4"] == pytest.approx(1)
    assert found["self_repetition_8"] == pytest.approx(1)
    assert found["skeleton_templates"] == 1
    assert found["style_convergence"] == pytest.approx(1, abs=1e-4)
    assert found["surprisal_variance"] == pytest.approx(0, abs=1e-9)
    assert found["effective_rank"] is None
    assert found["missing_mass"] == 0
    assert found["opener_entropy"] == pytest.approx(0, abs=1e-9)


def test_numbers_by_hand():
    # 3 + 5 words; a thrice, b twice, c d e once
    found = of(["a b. A", "c b d e a"])
    assert found["documents"]["value"] == 2
    assert found["words"]["value"] == 8
    assert found["effective_words"]["value"] == pytest.approx(8 * 7 / (3 * 2 + 2 * 1))
    assert found["missing_mass"]["value"] == pytest.approx(3 / 8 * 7 * 3 / (7 * 3 + 2))
    assert found["entropy"]["below_sample"]
    assert found["hapax_mass"]["value"] is None and "30,000" in found["hapax_mass"]["reason"]


def test_polarity_disagreement_by_hand():
    # lantern: 2 plain, 2 negated -> opposed 2 2 2 / 3 of 4; the other content words occur plainly or once
    texts = ["Bright lantern.", "Bright lantern.", "Not a lantern.", "Never the lantern."]
    assert of(texts)["polarity_disagreement"]["value"] == pytest.approx((2 * 2 * 2 / 3) / (4 + 2))


def test_rates_count_per_thousand_words():
    found = values(of(["In conclusion it is not so. " + "filler " * 93]))
    assert found["words"] == 99
    assert found["scaffold_rate"] == pytest.approx(1000 / 99)
    assert found["negation_rate"] == pytest.approx(1000 / 99)
    assert found["refutation_rate"] == pytest.approx(1000 / 99)


def test_moments_are_those_of_the_features():
    texts = [t for t in corpus(300) if t]
    found = features(tokenise(pa.array(texts)), RULER).core.astype(float)
    z = np.clip((found - RULER.core_mean) / RULER.core_sd, -6.5, 6.5)
    moments = core_moments(measured(texts))
    assert moments.n == len(texts)
    np.testing.assert_allclose(moments.mean, z.mean(0), atol=1e-3)
    np.testing.assert_allclose(moments.covariance, np.cov(z.T), atol=5e-3)
    bits = RULER.core_mean[11] + RULER.core_sd[11] * z[:, 11]
    entry = values(result(measured(texts), RULER))
    assert entry["surprisal"] == pytest.approx(bits.mean(), abs=2e-3)
    assert entry["surprisal_variance"] == pytest.approx(bits.var(ddof=1), rel=1e-2)


def test_style_convergence_is_the_mean_cosine_of_pairs():
    texts = [t for t in corpus(60) if t]
    found = features(tokenise(pa.array(texts)), RULER)
    core = np.clip((found.core - RULER.core_mean) / RULER.core_sd, -5, 5)
    share = found.words / found.style[:, 1:2]
    share = np.clip((share - RULER.words_mean) / RULER.words_sd, -5, 5)
    vectors = np.hstack([core, share])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = vectors @ vectors.T
    n = len(texts)
    mean = (cosines.sum() - n) / (n * (n - 1))
    assert values(result(measured(texts), RULER))["style_convergence"] == pytest.approx(mean, abs=1e-4)


@settings(max_examples=10, deadline=None)
@given(st.permutations(corpus(400)[:60]), st.integers(1, 59))
def test_measure_does_not_depend_on_order_or_batches(texts, cut):
    batches = [pa.record_batch({"text": pa.array(part)}) for part in (texts[:cut], texts[cut:])]
    assert measure(batches) == of(corpus(400)[:60])


def test_words_beyond_the_budget_are_rarefied():
    rng = np.random.default_rng(5)
    rank = rng.zipf(1.3, size=(400, 200)).clip(max=50_000)
    small = values(of([" ".join(f"w{n}" for n in row) for row in rank[:200]]))
    large = values(of([" ".join(f"w{n}" for n in row) for row in rank]))
    for name in ("hapax_mass", "distinct_2", "effective_words"):
        assert small[name] == pytest.approx(large[name], rel=0.05), name
    assert 0 < small["hapax_mass"] < 1
    assert small["compression_ratio"] > 1


def test_templates_are_frames_that_documents_share():
    rng = np.random.default_rng(2)
    words = [f"{a}{b}{c}" for a in "bdfgk" for b in "aeiou" for c in "lmnrst"]
    framed = [f"There is a {w} in the {v} of the {u}." for w, v, u in rng.choice(words, (350, 3))]
    common = ["the", "of", "to", "and", "a", "in", "is", "that", "for", "it", "this", "as", "with", "be", "on", "are"]
    free = [" ".join(row) for row in rng.choice(common, (350, 12))]
    assert values(of(framed))["skeleton_templates"] > 0.98  # some of the made-up words are common ones
    assert values(of(free))["skeleton_templates"] < 0.01


def test_compare_tells_differences_from_noise():
    human, other = of(corpus(600, 1)), of(corpus(600, 2))
    same = compare(human, other)
    assert "words" not in same
    assert abs(same["surprisal"]["z"]) < 4
    worse = compare(of(["It is important to note that delve. " * 3] * 600), human)
    assert worse["scaffold_rate"]["worse"] is True and worse["scaffold_rate"]["z"] > 5
    assert worse["style_convergence"]["worse"] is True
    assert worse["entropy"]["worse"] is True
    assert worse["hapax_mass"] == {
        "difference": None, "error": None, "z": None, "worse": None, "reason": worse["hapax_mass"]["reason"],
    }  # fmt: skip
    json.dumps(worse, allow_nan=False)


def test_every_statistic_says_how_to_read_it():
    for name, statistic in STATISTICS.items():
        assert all(str(field) for field in statistic), name
        assert f"| `{name}` |" in table()
    assert readings().keys() == STATISTICS.keys() - {"documents", "words"}
    assert {entry["worse"] for entry in readings().values()} == {"up", "down", "away"}


def test_a_column_that_is_not_there_is_named():
    with pytest.raises(KeyError, match="body"):
        measure(pa.table({"text": ["a"]}), text="body")


def test_the_documentation_has_the_table_of_the_registry():
    page = Path(__file__).resolve().parents[2] / "docs" / "statistics.md"
    assert table() in page.read_text("utf-8")
