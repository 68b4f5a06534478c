"""Samples, documents of equal length, planted duplicates, and what is said of a tool that finds them."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from benchlib import corpus, parquet, planted
from benchlib.peers import components
from hypothesis import given
from hypothesis import strategies as st

TEXTS = [f"text number {i} " + " ".join(f"w{i * 31 + k}" for k in range(120)) for i in range(200)]


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "in.parquet"
    pq.write_table(pa.table({"text": [*TEXTS, None, "", TEXTS[0]]}), file)
    return str(file)


def drawn(path, folder, low, high):
    sample = corpus.draw([path], folder, low=low, high=high)
    table = pq.read_table(sample.paths[0])
    assert sample.documents == table.num_rows
    assert sample.megabytes * 1e6 == pytest.approx(sum(len(t.encode()) for t in table["text"].to_pylist()))
    assert len(set(table["id"].to_pylist())) == table.num_rows
    return table["text"].to_pylist()


def test_samples_are_nested_and_split_the_corpus(path, tmp_path):
    small, large = drawn(path, tmp_path / "s", 0, 0.3), drawn(path, tmp_path / "l", 0, 0.6)
    rest = drawn(path, tmp_path / "r", 0.6, 1)
    assert set(small) < set(large)
    assert 30 < len(small) < 95
    assert sorted(large + rest) == sorted([*TEXTS, TEXTS[0]])
    assert not set(large) & set(rest)


def test_what_cannot_be_drawn_is_said(path, tmp_path):
    with pytest.raises(ValueError, match="larger"):
        corpus.draw([path], tmp_path, low=0, high=1e-9)
    with pytest.raises(KeyError, match="it has text"):
        corpus.draw([path], tmp_path, low=0, high=1, column="body")
    with pytest.raises(FileNotFoundError):
        corpus.files([str(tmp_path / "*.nothing")])


@given(st.lists(st.text(st.sampled_from("ab é\n"), max_size=80), max_size=20), st.integers(5, 40))
def test_equal_length_keeps_the_text(texts, characters):
    found = corpus.equal_length(texts, characters)
    assert all(0 < len(t) <= characters for t in found)
    assert "\n".join(t for t in texts).replace("\n", "").startswith("".join(found).replace("\n", ""))


def test_batches_hold_every_text_once():
    found = corpus.batches(TEXTS, 0.01)
    assert len(found) > 5
    assert [t for b in found for t in b.column("text").to_pylist()] == TEXTS
    assert [i for b in found for i in b.column("id").to_pylist()] == [f"d{i}" for i in range(len(TEXTS))]


def test_jaccard_by_hand():
    assert planted.jaccard("a b c", "A, b c!", 2) == 1.0
    assert planted.jaccard("a b c", "a b d", 2) == pytest.approx(1 / 3)
    assert planted.jaccard("a", "a", 2) == 0.0


def test_planted_pairs_spread_over_the_bins():
    found = planted.plant(TEXTS, share=0.9)
    assert found.texts[: len(TEXTS)] == TEXTS
    assert found == planted.plant(TEXTS, share=0.9)
    for (a, b), similarity in zip(found.pairs, found.similarity, strict=True):
        assert a < len(TEXTS) <= b
        assert similarity == planted.jaccard(found.texts[a], found.texts[b])
        assert (similarity == 1.0) >= (found.texts[a] == found.texts[b])
    counts = np.histogram(found.similarity, planted.EDGES)[0]
    assert (counts > 0).sum() >= len(planted.EDGES) - 2
    assert 1.0 in found.similarity


def test_recall_and_precision_by_hand():
    texts = ["a b c d e f", "a b c d e f", "p q r s t u", "a b c d e f g", "nothing like it at all here"]
    made = planted.Planted(texts, [(0, 1), (0, 3)], [1.0, 0.70])
    labels = np.array([0, 0, 2, 3, 2])  # finds the first pair, misses the second, merges 2 and 4 wrongly
    quality = planted.assess(made, lambda a, b: True, labels)
    assert quality.pairs[-1] == 1 and quality.merged[-1] == 1.0
    at = planted.bin_names().index("0.70–0.75")
    assert (quality.pairs[at], quality.candidates[at], quality.merged[at]) == (1, 1.0, 0.0)
    assert quality.merged[0] is None
    assert (quality.merges, quality.planted, quality.similar) == (2, 0.5, 0.5)


def test_a_merge_that_is_truly_similar_counts_as_such():
    texts = ["a b c d e f", "x y", "a b c d e f"]
    quality = planted.assess(planted.Planted(texts, [], []), None, np.array([0, 1, 0]))
    assert (quality.planted, quality.similar, quality.candidates[0]) == (0.0, 1.0, None)


@given(st.integers(1, 12).flatmap(lambda n: st.tuples(st.just(n), st.lists(st.tuples(*[st.integers(0, n - 1)] * 2)))))
def test_components_hold_together_what_pairs_do(case):
    count, pairs = case
    labels = components(count, pairs)
    reach = np.eye(count, dtype=int)
    for a, b in pairs:
        reach[a, b] = reach[b, a] = 1
    reach = np.linalg.matrix_power(reach, count) > 0
    assert labels.tolist() == [int(np.flatnonzero(row)[0]) for row in reach]


def test_ciphers_keep_what_is_alike_within_a_round_and_nothing_between_rounds():
    texts = ["The cat sat on the mat again.", "The cat sat on the mat again.", "The cat sat on the rug, again."]
    assert corpus.ciphered(texts, 0) == texts
    first, second = corpus.ciphered(texts, 1), corpus.ciphered(texts, 2)
    assert first == corpus.ciphered(texts, 1) and first[0] == first[1] != first[2]
    assert planted.jaccard(first[0], first[2], 2) == planted.jaccard(texts[0], texts[2], 2)
    assert {planted.jaccard(a, b, 2) for a, b in zip(first, second, strict=True)} == {0.0}
    assert [len(text) for text in first] == [len(text) for text in texts]


def test_jobs_from_parquet_to_parquet_take_the_texts_as_often_as_told(tmp_path):
    [(_, small), (file, large)] = parquet.write(TEXTS, tmp_path, times=3)
    found = pq.read_table(file)
    assert found.num_rows == 3 * len(TEXTS) and len(set(found.column("id").to_pylist())) == found.num_rows
    assert large == sum(len(text.encode()) for text in found.column("text").to_pylist()) / 1e6 > small
