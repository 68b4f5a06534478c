"""Ratio mode: the reference told from the crawl, whatever the order, and each document by a model of the other half."""

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation import synthetic
from curation.kernels.score import BUCKETS
from curation.synthetic import ratio
from curation.text import tokenise

HEADS = ("ba", "ce", "di", "fo", "gu", "la", "me", "ni", "so", "tu")
WORDS = [head + tail for head in HEADS for tail in "rstnlkmp"]
STYLED = ["delve", "tapestry", "testament", "moreover", "crucial"]


def texts(count, seed, styled=0.0, words=120):
    """Nonsense from one vocabulary; a share of the texts has another habit."""
    random = np.random.default_rng(seed)
    found = []
    for number in range(count):
        chosen = random.choice(WORDS, words, p=_ZIPF)
        if number < styled * count:
            at = random.choice(words, words // 12, replace=False)
            chosen[at] = random.choice(STYLED, len(at))
        found.append(" ".join(chosen))
    return found


_ZIPF = 1 / np.arange(1, len(WORDS) + 1)
_ZIPF = _ZIPF / _ZIPF.sum()


def ids(prefix, count):
    return pa.array([f"{prefix}{i}" for i in range(count)])


def scores(reference, crawl, **options):
    sides = tokenise(pa.array(reference)), tokenise(pa.array(crawl))
    return synthetic.ratio_scores(*sides, ids("r", len(reference)), ids("c", len(crawl)), **options)


def test_text_unlike_the_reference_scores_low_and_the_rest_has_a_ceiling():
    of_reference, of_crawl = scores(texts(400, 1), texts(600, 2, styled=0.4))
    other, like = of_crawl[:240], of_crawl[240:]
    assert np.median(other) < -2 < 0 < np.median(like)
    # .6 of the crawl is like the reference, so no document is more than 1 / .6 times as likely there
    assert of_crawl.max() < math.log(1 / 0.6) + 0.25
    # the ratio is a density under the crawl, and reweights it to the reference
    weight = np.exp(of_crawl.astype(np.float64))
    assert weight.mean() == pytest.approx(1, abs=0.1)
    assert weight[:240].sum() / weight.sum() < 0.08
    assert abs(np.mean(of_reference) - np.mean(like)) < 0.2


def test_a_crawl_like_the_reference_gets_ratios_near_one():
    of_reference, of_crawl = scores(texts(400, 3), texts(400, 4))
    assert abs(np.exp(of_crawl.astype(np.float64)).mean() - 1) < 0.1
    assert of_crawl.std() < 0.25
    assert of_reference.std() < 0.25


def test_sizes_of_the_sides_do_not_matter():
    _, equal = scores(texts(400, 5), texts(400, 6, styled=0.5))
    _, fewer = scores(texts(150, 5), texts(1200, 6, styled=0.5)[:1200])
    assert abs(np.median(equal[200:]) - np.median(fewer[600:])) < 0.35


def test_a_document_is_scored_by_the_half_that_it_is_not_in():
    reference, crawl = texts(300, 7), texts(300, 8, styled=0.3)
    # an id of the other half; were the models of one document the same, so were its scores
    tokens = tokenise(pa.array([*reference, *crawl]))
    keys = ratio.ratio_keys(pa.array([f"x{i}" for i in range(600)]))
    side = np.arange(600) < 300
    fitted = ratio.fit_ratio(ratio.sample(tokens, keys, side), ratio.sample(tokens, keys, ~side))
    mine, others = ratio.score_ratio(tokens, keys, fitted), ratio.score_ratio(tokens, keys ^ np.uint64(1), fitted)
    # the half that a model was fitted to, it knows by heart
    gap = mine[side].mean() - mine[~side].mean()
    assert others[side].mean() - others[~side].mean() > gap + 0.1


def test_a_detector_takes_the_part_in_which_it_helps():
    random = np.random.default_rng(20)
    habits = [f"zq{i}" for i in range(2000)]  # so many that a fit to a few texts meets few of them again
    odd = [f"{text} {' '.join(random.choice(habits, 4))}" for text in texts(100, 21)]
    tokens = [tokenise(pa.array(t)) for t in (texts(130, 22), [*odd, *texts(100, 23)])]
    keys = [ratio.ratio_keys(ids(prefix, n)) for prefix, n in (("r", 130), ("c", 200))]
    samples = [ratio.sample(t, k) for t, k in zip(tokens, keys, strict=True)]
    alone = ratio.fit_ratio(*samples)
    assert "detector" not in alone.report

    known = np.zeros(BUCKETS, np.int8)
    for word in habits:
        known[ratio.sample(tokenise(pa.array([word])), np.zeros(1, np.uint64)).buckets] = 127
    knowing = synthetic.load_model()._replace(weights=known, scales=np.array([0.05, 0.0, 1.0, 0.0]))
    helped = ratio.fit_ratio(*samples, knowing)
    assert min(helped.report["detector"]) > 0
    assert min(helped.report["auroc"]) > max(alone.report["auroc"]) + 0.02
    # one that takes human text for a machine's is wrong here, and one without any weight knows nothing
    wrong = ratio.fit_ratio(*samples, knowing._replace(scales=-knowing.scales))
    silent = ratio.fit_ratio(*samples, knowing._replace(weights=np.zeros(BUCKETS, np.int8)))
    for found in (wrong, silent):
        assert found.report["detector"] == [0.0, 0.0]
        np.testing.assert_array_equal(found.weights, alone.weights)
        np.testing.assert_array_equal(found.links, alone.links)


def test_neither_order_nor_batches_have_a_part():
    reference, crawl = texts(200, 9), texts(300, 10, styled=0.3)
    expected = scores(reference, crawl)
    order = np.random.default_rng(0).permutation(len(crawl))
    tokens = tokenise(pa.array(reference)), tokenise(pa.array([crawl[i] for i in order]))
    first, second = synthetic.ratio_scores(*tokens, ids("r", 200), ids("c", 300).take(pa.array(order)))
    np.testing.assert_array_equal(first, expected[0])
    np.testing.assert_array_equal(second, expected[1][order])


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 60), st.lists(st.integers(0, 90), max_size=3), st.integers(0, 10))
def test_samples_merge_to_the_same_documents_however_they_are_cut(size, cuts, repeats):
    many = texts(90, 11, words=30)
    names = ids("d", 90 - repeats).to_pylist() + ["d0"] * repeats  # repeated ids are ordered by their text
    bounds = sorted({0, 90, *cuts})
    parts = []
    for a, b in zip(bounds[:-1], bounds[1:], strict=True):
        keys = ratio.ratio_keys(pa.array(names[a:b], pa.string()))
        parts.append(ratio.sample(tokenise(pa.array(many[a:b])), keys, size=size))
    whole = ratio.sample(tokenise(pa.array(many)), ratio.ratio_keys(pa.array(names)), size=size)
    for merged in (ratio.merge_samples(*parts, size=size), ratio.merge_samples(*parts[::-1], size=size)):
        for a, b in zip(merged, whole, strict=True):
            np.testing.assert_array_equal(a, b)
    assert len(whole.keys) == size if size < 90 else 90
    for a, b in zip(ratio.unpack_sample(ratio.pack_sample(whole)), whole, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_sample_holds_the_features_of_its_documents():
    tokens = tokenise(pa.array(["alpha beta gamma", "", "beta"]))
    keys = np.array([5, 1, 3], np.uint64)
    found = ratio.sample(tokens, keys)
    assert found.keys.tolist() == [3, 5]  # the empty document has nothing to be fitted to
    assert np.diff(found.ends).tolist() == [3, 9]
    assert all((np.diff(found.buckets[a:b]) > 0).all() for a, b in zip(found.ends[:-1], found.ends[1:], strict=True))


def test_short_documents_have_no_score():
    reference, crawl = texts(200, 12), [*texts(200, 13, styled=0.2), "", "few words", " ".join(["word"] * 20)]
    _, found = scores(reference, crawl)
    assert np.isnan(found[200:]).tolist() == [True, True, False]


def test_too_few_documents_are_refused():
    with pytest.raises(ValueError, match=r"100 documents or more of the reference.*there are 40"):
        scores(texts(40, 14), texts(200, 15))
    with pytest.raises(ValueError, match=r"documents or more of the crawl.*there are 3"):
        scores(texts(200, 14), [*texts(3, 15), "too short"])


def test_the_model_survives_its_file_and_damage_is_seen():
    tokens = tokenise(pa.array(texts(300, 16, styled=0.3)))
    keys = ratio.ratio_keys(ids("d", 300))
    side = np.arange(300) % 2 == 0
    fitted = ratio.fit_ratio(ratio.sample(tokens, keys, side), ratio.sample(tokens, keys, ~side))
    data = ratio.dump_ratio(fitted, "made of this")
    assert data == ratio.dump_ratio(fitted, "made of this")
    again, stamp = ratio.load_ratio(data, "f")
    assert stamp == "made of this"
    assert again.version == fitted.version
    assert again.report == fitted.report
    np.testing.assert_array_equal(ratio.score_ratio(tokens, keys, again), ratio.score_ratio(tokens, keys, fitted))
    with pytest.raises(ValueError, match="the ratio model f is damaged"):
        ratio.load_ratio(data[: len(data) // 2], "f")
    changed = ratio.dump_ratio(fitted._replace(links=fitted.links + 1), "made of this")
    header, arrays = ratio.unpack(data, ratio._ARRAYS)
    other, _ = ratio.unpack(changed, ratio._ARRAYS)
    assert other["sha256"] != header["sha256"]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 40))
def test_the_kernel_agrees_with_plain_python(seed, words):
    random = np.random.default_rng(seed)
    weights = random.integers(-127, 128, (2, BUCKETS), dtype=np.int8)
    links = np.array([[0.3, 0.7, -0.2], [1.0, 0.5, 0.1]])
    model = ratio.Ratio(weights, np.array([0.01, 0.02]), links, {}, "")
    tokens = tokenise(pa.array([" ".join(random.choice(WORDS, words)) + "."]))
    key = np.array([random.integers(0, 2)], np.uint64)
    buckets, ends = np.empty(3 * len(tokens.hash) + 1, np.int32), np.empty(2, np.int64)
    begin, end = tokens.offsets[:1], tokens.offsets[1:]
    n = ratio.bucket_kernel(tokens.hash, tokens.kind, tokens.length, begin, end, ratio._vocabulary(), buckets, ends)
    half = int(key[0])
    raw = float(np.float32(weights[half][buckets[:n]].astype(int).sum() / math.sqrt(n) * model.scales[half]))
    share, slope, intercept = links[half]
    expected = -math.log(1 - share + share * math.exp(-(slope * min(max(raw, -32), 32) + intercept)))
    found = ratio.score_ratio(tokens, key, model, least=1)[0]
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-5)
