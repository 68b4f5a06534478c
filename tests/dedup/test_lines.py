"""Lines, paragraphs and runs of words against their slow references."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.dedup import count_units, cut_spans, emit_units, find_units, index_benchmarks, is_repeated, overlaps
from curation.dedup.lines import pack_units, reference_units, unpack_units
from curation.kernels.tokens import WORD
from curation.text import reference, tokenise

PIECES = ["a", "b", "é", " ", "\n", "\n", "\t", "\r", "xyz", "漢字", "\n\n", "a longer line of text"]
documents = st.lists(st.lists(st.sampled_from(PIECES), max_size=24).map("".join), max_size=6)


@given(documents, st.sampled_from(["line", "paragraph"]), st.integers(1, 5), st.booleans())
@settings(max_examples=300, deadline=None)
def test_units_equal_the_reference(texts, unit, least, sliced):
    column = pa.array([*texts, None], pa.large_string())
    if sliced:
        column = pa.concat_arrays([pa.array(["zz\n\nzz"], pa.large_string()), column]).slice(1)
    units = find_units(column, unit=unit, min_chars=least)
    known = {}
    for d, text in enumerate(texts):
        wanted, short = reference_units(text.encode(), unit=unit, min_chars=least)
        mine = slice(units.offsets[d], units.offsets[d + 1])
        assert units.spans[mine].tolist() == [[start, end] for start, end, _ in wanted]
        assert units.short[d] == short
        for found, (_, _, content) in zip(units.hashes[mine].tolist(), wanted, strict=True):
            assert known.setdefault(content, found) == found
    assert len({tuple(value) for value in known.values()}) == len(known)
    records, offsets = unpack_units(pack_units(units))
    np.testing.assert_array_equal(offsets, units.offsets)
    np.testing.assert_array_equal(records["hash"], units.hashes)


def test_hashes_depend_on_every_byte():
    texts = ["x" * n for n in range(1, 70)] + ["x" * i + "y" + "x" * (40 - i) for i in range(41)]
    texts += ["\0" * n + "a" for n in range(1, 20)]
    units = find_units(pa.array(texts), unit="line", min_chars=1)
    assert len(np.unique(units.hashes, axis=0)) == len(texts)
    assert len(np.unique(units.hashes[:, 0])) == len(np.unique(units.hashes[:, 1])) == len(texts)
    with pytest.raises(ValueError, match="use line or paragraph"):
        find_units(pa.array(["a"]), unit="word", min_chars=1)


@given(documents, st.integers(1, 4), st.integers(1, 5), st.integers(1, 3))
@settings(max_examples=150, deadline=None)
def test_counts_are_exact_for_any_sharding(texts, most, partitions, shards):
    chunks = {}
    counts = Counter()
    for shard in range(shards):
        column = pa.array(texts[shard::shards], pa.string())
        units = find_units(column, unit="line", min_chars=1)
        records, offsets = unpack_units(pack_units(units))
        for partition, chunk in emit_units(records, offsets, partitions).items():
            chunks.setdefault(partition, []).append(chunk)
        for d in range(len(column)):
            counts.update({tuple(h) for h in units.hashes[offsets[d] : offsets[d + 1]].tolist()})
    found = {}
    for parts in chunks.values():
        hashes, number = count_units(parts, most)
        found |= dict(zip(map(tuple, hashes.tolist()), number.tolist(), strict=True))
        everything = np.concatenate([np.frombuffer(part, np.uint64).reshape(-1, 2) for part in parts])
        assert is_repeated(everything, hashes).tolist() == [counts[tuple(h)] > most for h in everything.tolist()]
    assert found == {h: n for h, n in counts.items() if n > most}


def test_two_hashes_with_one_first_word_are_told_apart():
    repeated = np.array([[1, 5], [1, 9], [2, 2]], np.uint64)
    asked = np.array([[1, 9], [1, 5], [1, 7], [2, 2], [3, 3], [0, 0]], np.uint64)
    assert is_repeated(asked, repeated).tolist() == [True, True, False, True, False, False]
    with pytest.raises(ValueError, match="15 bytes"):
        count_units([np.zeros(15, np.uint8)], 1)
    with pytest.raises(ValueError, match="partitions"):
        emit_units(np.empty(0, np.dtype([("hash", "<u8", 2)])), np.zeros(1, np.int64), 0)


def test_cutting_leaves_other_texts_as_they_are():
    text = pa.array(["häuser\nb\nc", None, "keep"])
    spans = pa.array([[0, 8, 10, 11], None, None], pa.list_(pa.int64()))
    assert cut_spans(text, spans).to_pylist() == ["b\n", None, "keep"]
    assert cut_spans(text, pa.nulls(3, pa.list_(pa.int64()))) is text


@given(
    st.lists(st.lists(st.sampled_from("abcd"), max_size=12).map(" ".join), min_size=1, max_size=4),
    st.lists(st.lists(st.sampled_from("abcd!"), max_size=20).map(" ".join), min_size=1, max_size=4),
    st.integers(1, 4),
)
@settings(max_examples=200, deadline=None)
def test_overlaps_equal_a_count_of_runs(bench, texts, ngram):
    def runs(text):
        found = [t.text for t in reference.tokens(text.encode()) if t.kind & WORD]
        return [tuple(found[i : i + ngram]) for i in range(len(found) - ngram + 1)]

    named = [(f"b{i}", text) for i, text in enumerate(bench)]
    if not any(runs(text) for text in bench):
        with pytest.raises(ValueError, match="benchmark documents"):
            index_benchmarks(named, ngram)
        return
    index = index_benchmarks(named, ngram)
    assert index.short == sum(not runs(text) for text in bench)
    found = overlaps(tokenise(pa.array(texts)), index)
    for d, text in enumerate(texts):
        shares = [len({*runs(b)} & {*runs(text)}) / len({*runs(b)}) if runs(b) else 0.0 for b in bench]
        if max(shares) == 0:
            assert np.isnan(found.share[d]) and found.name[d].as_py() is found.match[d].as_py() is None
            continue
        assert found.share[d] == np.float32(max(shares))
        assert found.name[d].as_py() == f"b{shares.index(max(shares))}"
        match = found.match[d].as_py().split()
        words = [t.text for t in reference.tokens(text.encode()) if t.kind & WORD]
        assert len(match) >= ngram
        assert any(words[i : i + len(match)] == match for i in range(len(words)))
