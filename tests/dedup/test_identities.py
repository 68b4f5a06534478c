"""Hashes of texts, words and rows, the shuffle, and the signatures."""

import datetime as dt
import decimal

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.dedup import (
    Keys,
    content_hashes,
    emit,
    group,
    job_rows,
    row_hashes,
    signal_keys,
    signatures,
    similarity,
    token_hashes,
)
from curation.dedup.signatures import reference_signature
from curation.text import tokenise


def test_content_hashes_are_xxh3_of_the_bytes():
    texts = pa.array(["abc", None, "", "é" * 1000])
    expected = [xxhash.xxh3_128_digest((t or "").encode()) for t in texts.to_pylist()]
    assert [row.tobytes() for row in content_hashes(texts)] == expected
    assert [row.tobytes() for row in content_hashes(texts.cast(pa.large_string()).slice(1))] == expected[1:]
    assert content_hashes(pa.array([], pa.string())).shape == (0, 16)


def test_token_hashes_follow_words_and_their_order():
    texts = ["The cat sat.", "the  CAT\nsat!", "the sat cat", "the cat", "...", "", "the cat sat the cat sat"]
    hashes, has_words = token_hashes(tokenise(pa.array(texts)))
    distinct = [row.tobytes() for row in hashes]
    assert distinct[0] == distinct[1] and len(set(distinct[1:4] + distinct[6:])) == 4
    assert has_words.tolist() == [True] * 4 + [False] * 2 + [True]
    assert hashes.shape == (7, 16)


def rows_of(**columns):
    return [row.tobytes() for row in row_hashes(pa.RecordBatch.from_pydict(columns))]


def test_row_hashes_do_not_depend_on_how_a_value_is_stored():
    strings, numbers = pa.array(["a", None, "", "é"]), pa.array([1, -2, None, 4])
    moment = dt.datetime(2020, 1, 2, 3, 4, 5)
    plain = rows_of(s=strings, n=numbers, t=pa.array([moment] * 4, pa.timestamp("s")))
    for cast in (pa.large_string(), pa.string_view(), pa.binary(), pa.dictionary(pa.int32(), pa.string())):
        stored = strings.dictionary_encode() if pa.types.is_dictionary(cast) else strings.cast(cast)
        times = pa.array([moment] * 4, pa.timestamp("ns"))
        assert rows_of(t=times, n=numbers.cast(pa.int16()), s=stored) == plain
    assert rows_of(f=pa.array([1.5, None], pa.float32())) == rows_of(f=pa.array([1.5, None], pa.float64()))
    assert rows_of(f=[0.0, float("nan")]) == rows_of(f=[-0.0, -float("nan")])
    assert rows_of(d=pa.array([dt.date(2020, 1, 2)])) == rows_of(d=pa.array([dt.date(2020, 1, 2)], pa.date64()))
    assert rows_of(u=pa.array([7], pa.uint64())) == rows_of(u=pa.array([7], pa.int8()))


def test_row_hashes_tell_rows_apart():
    batches = [
        {"a": pa.array([1])}, {"b": pa.array([1])}, {"a": pa.array([2])}, {"a": pa.array([1.0])},
        {"a": pa.array(["1"])},
        {"a": pa.array([True])}, {"a": pa.array([""])}, {"a": pa.array([None], pa.string())}, {"a": pa.array([0])},
        {"a": pa.array([1]), "b": pa.array([1])}, {"a": pa.array([2**64 - 1], pa.uint64())}, {"a": pa.array([-1])},
        {"a": pa.array(["x"]), "b": pa.array(["y"])}, {"a": pa.array(["y"]), "b": pa.array(["x"])},
        {"a": pa.array([dt.date(1970, 1, 2)])}, {"a": pa.array([1], pa.timestamp("s"))}, {"a": pa.array([[1]])},
        {"a": pa.array([1], pa.duration("s"))}, {"a": pa.array([1], pa.time32("s"))},
        {"a": pa.array([decimal.Decimal("1.10")])}, {"a": pa.array([{"x": 1}])}, {"a": pa.array([{"x": 2}])},
    ]  # fmt: skip
    found = [rows_of(**columns)[0] for columns in batches]
    assert len(set(found)) == len(found)


def test_a_missing_column_equals_a_null_one_and_skipped_columns_do_not_count():
    assert rows_of(a=pa.array([1]), b=pa.array([None], pa.string())) == rows_of(a=pa.array([1]))
    assert rows_of(a=pa.array([1]), b=pa.nulls(1)) == rows_of(a=pa.array([1]))
    nested = rows_of(a=pa.array([{"y": 1, "x": None}]))
    assert nested == rows_of(a=pa.array([{"y": 1}]))
    batch = pa.RecordBatch.from_pydict({"a": [1, 2], "text": ["u", None]})
    assert row_hashes(batch, ["text"]).tobytes() == row_hashes(batch.select(["a"])).tobytes()
    content = content_hashes(batch.column("text"))
    assert row_hashes(batch, (), {"text": content}).tobytes() == row_hashes(batch).tobytes()


values = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.booleans()), min_size=1, max_size=40)


@given(values, st.integers(1, 5), st.integers(1, 7))
@settings(max_examples=100, deadline=None)
def test_shuffle_finds_exactly_the_rows_that_share_a_key(rows, shards, partitions):
    expected = set()
    for i, (a, b, valid) in enumerate(rows):
        for j, (c, d, other) in enumerate(rows):
            if i != j and (b == d or (valid and other and a == c)):
                expected.add(i)
    chunks = {}
    names = {}
    for shard in range(shards):
        mine = list(range(shard, len(rows), shards))
        numbers = job_rows(shard, np.arange(len(mine)))
        names.update(zip(numbers.tolist(), mine, strict=True))
        first = np.array([rows[i][0] for i in mine], np.uint64)
        keys = {"x": Keys(first, np.array([rows[i][2] for i in mine], bool)),
                "y": Keys(np.array([rows[i][1] for i in mine], np.uint64), np.ones(len(mine), bool))}  # fmt: skip
        for partition, chunk in emit(keys, numbers, partitions).items():
            assert chunk.dtype == np.uint8 and 0 <= partition < partitions
            chunks.setdefault(partition, []).append(chunk)
    found = {names[row] for parts in chunks.values() for row in group(parts).tolist()}
    assert found == expected
    # a chunk that is delivered twice is no duplicate
    assert {names[row] for parts in chunks.values() for row in group(parts * 2).tolist()} == expected


def test_columns_of_bands_do_not_mix_and_bad_chunks_are_refused():
    bands = np.array([[1, 2], [2, 1], [1, 9]], np.uint64)
    [chunk] = emit({"bands": Keys(bands, np.ones(3, bool))}, job_rows(0, np.arange(3)), 1).values()
    assert group([chunk]).tolist() == [0, 2]
    assert group([]).tolist() == []
    with pytest.raises(ValueError, match="15 bytes"):
        group([chunk[:15]])
    with pytest.raises(ValueError, match="partitions"):
        emit({}, np.empty(0, np.int64), 0)
    with pytest.raises(ValueError, match="too large"):
        job_rows(2**23, np.arange(1))
    assert job_rows(2**23 - 1, np.array([2**40 - 1])).tolist() == [2**63 - 1]


def test_signal_keys_skip_nulls():
    batch = pa.RecordBatch.from_pydict({
        "id": ["a", "b"], "norm_hash": pa.array([None, b"x" * 16], pa.binary(16)),
        "bands": pa.array([b"y" * 16, None], pa.binary(16)), "url_key": pa.nulls(2, pa.binary(16)),
    })  # fmt: skip
    keys = signal_keys(batch, url=True)
    assert {name: key.valid.tolist() for name, key in keys.items()} == {
        "id": [True, True], "norm_hash": [False, True], "bands": [True, False], "url_key": [False, False],
    }  # fmt: skip
    assert keys["bands"].values.shape == (2, 2)


@given(st.lists(st.text(max_size=12), max_size=12))
def test_ids_have_a_key_in_common_if_they_are_equal(ids):
    nothing = pa.nulls(len(ids), pa.binary(16))
    batch = pa.RecordBatch.from_pydict({"id": pa.array(ids, pa.string()), "norm_hash": nothing})
    keys = signal_keys(batch, near=False)["id"].values.tolist()
    assert len(set(zip(ids, keys, strict=True))) == len(set(ids)) == len(set(keys))


texts = st.lists(
    st.lists(st.sampled_from(["a", "b", "c", "d", "e", ".", "!", "漢", "don't"]), max_size=40).map(" ".join), max_size=4
)


@given(texts, st.integers(1, 4), st.integers(1, 5), st.integers(1, 6), st.integers(-5, 5))
@settings(max_examples=150, deadline=None)
def test_signatures_equal_the_reference(documents, bands, rows, ngram, seed):
    tokens = tokenise(pa.array(documents, pa.string()))
    chosen = {"bands": bands, "rows": rows, "ngram": ngram, "seed": seed}
    band_hashes, minima, valid = signatures(tokens, **chosen)
    for d in range(len(documents)):
        expected = reference_signature(tokens, d, **chosen)
        assert bool(valid[d]) == (expected is not None)
        assert (band_hashes[d].tolist(), minima[d].tolist()) == (expected or ([0] * bands, [0] * bands * rows))


def test_signatures_of_more_shingles_than_a_block():
    tokens = tokenise(pa.array([" ".join(f"w{i}" for i in range(1500))]))
    chosen = {"bands": 2, "rows": 2, "ngram": 3, "seed": 1}
    band_hashes, minima, _ = signatures(tokens, **chosen)
    assert (band_hashes[0].tolist(), minima[0].tolist()) == reference_signature(tokens, 0, **chosen)
    with pytest.raises(ValueError, match="at least 1"):
        signatures(tokens, bands=0, rows=2, ngram=3, seed=1)


def test_signatures_ignore_batching_punctuation_and_order_of_documents():
    texts = ["one two three four five six", "one, two; three -- four five. Six!", "x y z u v w"]
    chosen = {"bands": 3, "rows": 4, "ngram": 2, "seed": 9}
    together = signatures(tokenise(pa.array(texts)), **chosen)
    for d, text in enumerate(texts):
        alone = signatures(tokenise(pa.array([text])), **chosen)
        np.testing.assert_array_equal(together[0][d], alone[0][0])
    np.testing.assert_array_equal(together[0][0], together[0][1])
    other = signatures(tokenise(pa.array(texts)), **(chosen | {"seed": 10}))
    assert not (other[0] == together[0]).any()


@pytest.mark.parametrize("share", [0.6, 0.75, 0.85])
def test_candidates_follow_the_curve_and_estimates_are_unbiased(share):
    """Pairs of known Jaccard similarity s: P(candidate) = 1 - (1 - s^8)^14 within four standard errors."""
    pairs, words = 1500, 200
    common = round(words * 2 * share / (1 + share))
    texts = []
    for pair in range(pairs):
        for side in "ab":
            shared = [f"{pair}x{i}" for i in range(common)]
            texts.append(" ".join(shared + [f"{pair}{side}{i}" for i in range(words - common)]))
    tokens = tokenise(pa.array(texts))
    band_hashes, minima, _ = signatures(tokens, bands=14, rows=8, ngram=1, seed=3)
    true = common / (2 * words - common)
    expected = 1 - (1 - true**8) ** 14
    left = np.arange(0, 2 * pairs, 2)
    met = (band_hashes[left] == band_hashes[left + 1]).any(axis=1).mean()
    assert abs(met - expected) < 4 * np.sqrt(expected * (1 - expected) / pairs)
    estimates = similarity(minima, left, left + 1)
    assert abs(estimates.mean() - true) < 4 * np.sqrt(true * (1 - true) / 112 / pairs)
    assert estimates.std() == pytest.approx(np.sqrt(true * (1 - true) / 112), rel=0.1)
    strangers = similarity(minima, left[:-1], left[1:])
    assert strangers.mean() < 1e-3
