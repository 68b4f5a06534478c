import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.diversity import compact, dump, empty, features, hash_ids, load, load_ruler, merge, result, update
from curation.diversity import state as module
from curation.kernels import histograms
from curation.kernels.packing import unpack_counts
from curation.text import text_buffer, tokenise

RULER = load_ruler()
SUBJECTS = ["The cat", "A dog", "My aunt", "Nobody", "However, the committee", "Perhaps he", "We", "It"]
VERBS = ["did not see", "saw", "never liked", "liked", "wrote about", "refuted", "turned out to be"]
OBJECTS = ["a harbour", "the 3 lanterns", "moss", "an argument", "quixotic maps", "日本語", "that idea", "snow"]


def corpus(n: int, seed: int = 1) -> list[str]:
    """Made-up documents of a few sentences each."""
    rng = random.Random(seed)
    lists = SUBJECTS, VERBS, OBJECTS
    return [
        " ".join(" ".join(rng.choice(part) for part in lists) + "." for _ in range(rng.randint(0, 12)))
        for _ in range(n)
    ]


def measured(texts, ids=None, mask=None, state=None, found=True):
    column = pa.array(texts, pa.string())
    tokens = tokenise(column)
    data, starts = text_buffer(column)
    ids = pa.array([str(t) for t in texts] if ids is None else ids, pa.string())
    return update(
        empty(RULER) if state is None else state,
        ruler=RULER, tokens=tokens, data=data, starts=starts, ids_hash=hash_ids(ids), mask=mask,
        features=features(tokens, RULER) if found else None,
    )  # fmt: skip


def assert_equal(a, b):
    assert set(a) == set(b) == set(module.OPERATIONS)
    for name in a:
        assert a[name].dtype == b[name].dtype, name
        assert np.array_equal(a[name], b[name]), name


@settings(max_examples=15, deadline=None)
@given(st.lists(st.sampled_from(corpus(40)) | st.text(max_size=20), max_size=25), st.data())
def test_a_state_does_not_depend_on_order_or_cuts(texts, data):
    whole = measured(texts)
    shuffled = data.draw(st.permutations(texts))
    cut = data.draw(st.integers(0, len(texts)))
    left, right = measured(shuffled[:cut]), measured(shuffled[cut:])
    assert_equal(merge(left, right), whole)
    assert_equal(merge(right, left), whole)
    assert_equal(measured(shuffled[cut:], state=measured(shuffled[:cut])), whole)
    assert_equal(merge(whole, empty(RULER)), whole)


@pytest.mark.parametrize("shards", [7, 64])
def test_any_number_of_shards_gives_one_state(shards, monkeypatch):
    texts = corpus(3000)
    # small samples and reservoirs, so that every one of them overflows
    monkeypatch.setattr(module, "RESERVOIR", 100)
    monkeypatch.setattr(module, "SAMPLE", 200)
    ids = [str(i) for i in range(len(texts))]
    whole = measured(texts, ids)
    assert (whole["levels"][1:] > 0).all()
    assert len(whole["reservoir_priority"]) == 100
    merged = empty(RULER)
    for i in reversed(range(shards)):
        merged = merge(measured(texts[i::shards], ids[i::shards]), merged)
    assert_equal(merged, whole)


@pytest.mark.parametrize("shards", [1, 7, 64])
def test_shards_of_very_many_words_give_one_result(shards, monkeypatch):
    texts = corpus(1500) + [f"rare{i} words{i} of{i} number{i} not seen{i} " * 3 for i in range(300)]
    monkeypatch.setattr(module, "SAMPLE", 200)
    unfolded = result(measured(texts), RULER)
    monkeypatch.setattr(module, "MANY_WORDS", 10)
    monkeypatch.setattr(module, "VERY_MANY_WORDS", 12)
    whole = measured(texts)
    merged = empty(RULER)
    for i in range(shards):
        merged = merge(load(dump(measured(texts[i::shards]))), merged)
    assert_equal(compact(merged), compact(whole))
    assert result(merged, RULER) == result(whole, RULER)
    # a table that is folded has all the words, and those that the ruler knows where they were
    assert merged["unigram"].sum() == merged["totals"][2]
    assert (merged["unigram"] > 0).sum() < (measured(texts)["unigram"] > 0).sum()
    assert len(merged["word_keys"]) <= 100
    for name in ("tail_mass", "tail_coverage", "effective_words"):
        assert result(merged, RULER)[name]["value"] == pytest.approx(unfolded[name]["value"], rel=0.01), name


def test_a_batch_larger_than_a_sample_gives_the_same_as_its_parts():
    # more different runs of words than SAMPLE, so that the kernel itself thins
    rng = np.random.default_rng(0)
    texts = [" ".join(f"w{n:x}" for n in rng.integers(0, 1 << 40, 1000)) for _ in range(80)]
    whole = measured(texts)
    assert whole["levels"].min() >= 1
    assert len(whole["run4_keys"]) <= histograms.SAMPLE
    assert_equal(merge(measured(texts[:33]), measured(texts[33:])), whole)


def test_samples_hold_exact_counts():
    state = measured(["one two three four one two three four", "Zero one two three four."])
    runs = state["run4_values"][np.argsort(state["run4_values"][:, 0])]
    # one two three four: twice in the first document and once in the second
    assert runs[-1].tolist() == [3, 2]
    assert state["run4_values"][:, 0].sum() == 5 + 2
    assert state["run8_values"].tolist() == [[1, 1]]
    assert state["word_values"][:, 0].sum() == 8 + 5
    assert len(state["word_keys"]) == 5


def test_masked_documents_do_not_count():
    texts = corpus(50)
    mask = np.arange(50) % 3 == 0
    kept = [t for t, m in zip(texts, mask, strict=True) if not m]
    assert_equal(measured(texts, mask=mask), measured(kept))


def test_features_are_made_where_none_are_given():
    assert_equal(measured(corpus(9), found=False), measured(corpus(9)))


def test_equal_ids_are_told_apart_by_content(monkeypatch):
    monkeypatch.setattr(module, "RESERVOIR", 3)
    texts = [f"text number {i}" for i in range(9)]
    whole = measured(texts, ["same"] * 9)
    assert_equal(merge(measured(texts[5:], ["same"] * 4), measured(texts[:5], ["same"] * 5)), whole)
    assert len({text for text in module.excerpts(whole)}) == 3


def test_excerpts_end_between_code_points():
    texts = ["x" * shift + "é日😀" * 400 for shift in range(5)]
    for excerpt in module.excerpts(measured(texts)):
        assert 1020 < len(excerpt) <= 1024
        excerpt.decode("utf-8")


def test_dump_and_load_keep_everything():
    state = measured(corpus(200))
    data = dump(state)
    assert len(data) < 100_000
    loaded = load(data)
    assert_equal(loaded, state)
    assert dump(loaded) == data
    assert_equal(measured(corpus(20, 2), state=loaded), measured(corpus(20, 2), state=state))


@pytest.mark.parametrize("data", [b"", b"no state", dump(empty(RULER))[:-9]])
def test_bytes_that_are_no_state_are_refused(data):
    with pytest.raises(ValueError, match="no state"):
        load(data)


def test_a_state_of_other_shapes_is_refused():
    wrong = empty(RULER) | {"style": np.zeros(3, np.int64)}
    with pytest.raises(ValueError, match="style"):
        load(dump(wrong))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2**16 - 1), st.integers(0, 2**32 - 1) | st.integers(0, 600)), max_size=40))
def test_tables_of_any_counts_come_back(cells):
    state = empty(RULER)
    for name in ("unigram", "polarity", "opener"):
        flat = state[name].reshape(-1)
        for cell, n in cells:
            flat[cell] = n
    assert_equal(load(dump(state)), state)


@pytest.mark.parametrize("small, rest", [([0, 255], []), ([0], []), ([0, 1, 2], []), ([0, 3], [7])])
def test_counts_that_do_not_fit_together_are_told(small, rest):
    mask = np.array([0b1001], np.uint8)
    arrays = np.array(small, np.uint8), np.array(rest, np.uint32)
    assert not unpack_counts(mask, *arrays, np.zeros(8, np.uint32))


def test_a_table_takes_about_the_entropy_of_its_counts():
    rng = np.random.default_rng(3)
    for mean in (0.6, 2.0, 40.0):
        state = empty(RULER)
        state["unigram"] = rng.poisson(mean * rng.exponential(1.0, 1 << 20)).astype(np.uint32)
        share = np.unique(state["unigram"], return_counts=True)[1] / (1 << 20)
        entropy = -(share * np.log2(share)).sum() * (1 << 20) / 8
        assert entropy < len(dump(state)) < 1.15 * entropy + 2000, mean


def dense(words: int) -> dict[str, np.ndarray]:
    """A made-up state of so many words in long documents of threads: Zipfian words in every cell, full samples, and
    excerpts of words drawn from 50,000."""
    rng = np.random.default_rng(5)
    rank = np.arange(1, 1 << 22)
    expected = rank**-1.05
    counts = rng.poisson(words * expected / expected.sum())
    state = empty(RULER)
    state["totals"][:4] = 1 << 20, 6 * words, words, words
    cells = np.bincount(rng.integers(0, 1 << 20, len(counts)), counts, 1 << 20)
    state["unigram"] = np.minimum(cells, 2**32 - 1).astype(np.uint32)
    state["opener"] = np.bincount(rng.integers(0, 1 << 16, len(counts)), counts // 20, 1 << 16).astype(np.uint32)
    mentions = np.bincount(rng.integers(0, 1 << 17, len(counts)), counts // 3, 1 << 17).astype(np.int64)
    negated = rng.binomial(mentions, 0.03)
    state["polarity"] = np.stack([mentions - negated, negated], axis=1).astype(np.uint32)
    level = max(words.bit_length() - 15, 0)
    for name in (*module.GRAMS, "thread"):
        found = np.unique(rng.integers(0, 1 << (63 - level), histograms.SAMPLE, np.uint64))
        values = state[f"{name}_values"].shape[1]
        state[f"{name}_keys"] = found
        state[f"{name}_values"] = 1 + rng.geometric(0.5, (len(found), values)) * rng.poisson(3, (len(found), values))
    state["levels"] += level
    state["thread_level"] += level
    vocabulary = ["".join(chr(97 + i) for i in rng.integers(0, 26, 2 + n % 9)) for n in range(50_000)]
    drawn = rng.choice(50_000, 500_000, p=expected[:50_000] / expected[:50_000].sum())
    text = " ".join(vocabulary[i] for i in drawn).encode()[: module.RESERVOIR * module.EXCERPT]
    state["reservoir_text"] = np.frombuffer(text, np.uint8).reshape(module.RESERVOIR, module.EXCERPT)
    state["reservoir_priority"] = np.sort(rng.integers(0, 1 << 45, module.RESERVOIR, np.uint64))
    state["reservoir_content"] = rng.integers(0, 1 << 63, module.RESERVOIR, np.uint64)
    state["reservoir_length"] = np.full(module.RESERVOIR, module.EXCERPT, np.uint16)
    return merge(state, empty(RULER))


@pytest.mark.parametrize("words", [(1 << 24) - 1, (1 << 26) - 1, 1 << 33])
def test_a_state_of_much_text_stays_under_its_bounds(words):
    state = dense(words)
    data = dump(state)
    assert len(data) < 2e6
    assert sum(array.nbytes for array in state.values()) < 16e6
    assert_equal(load(data), compact(state))


def test_states_of_two_rulers_do_not_merge():
    other = RULER._replace(version="ruler-1-other")
    with pytest.raises(ValueError, match="two|rulers"):
        merge(empty(RULER), empty(other))
    with pytest.raises(ValueError, match="ruler"):
        result(empty(other), RULER)


def test_lengths_that_do_not_match_are_named():
    column = pa.array(["a", "b"])
    data, starts = text_buffer(column)
    with pytest.raises(ValueError, match="ids_hash is for 1"):
        update(
            empty(RULER), ruler=RULER, tokens=tokenise(column), data=data, starts=starts,
            ids_hash=np.zeros(1, np.uint64),
        )  # fmt: skip


def test_counts_saturate_instead_of_wrapping():
    a, b = measured(["the the"]), measured(["the"])
    cell = int(a["unigram"].argmax())
    a["unigram"][cell] = 2**32 - 1
    assert merge(a, b)["unigram"][cell] == 2**32 - 1
    assert compact(merge(b, a))["unigram"][cell] == 2**32 - 1


def test_a_state_stays_under_sixteen_megabytes():
    texts = [f"w{i} x{i} y{i} z{i} " * 20 + "padding " * 130 for i in range(2500)]
    state = measured(texts)
    assert len(state["reservoir_priority"]) == 2048
    assert sum(array.nbytes for array in state.values()) < 16e6
