"""Similarity counted on sets of shingles, and what deduplication makes of it."""

import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_cluster import candidates, family

from curation.dedup import DedupSettings, cluster, deduplicate, shingles
from curation.dedup.measure import by_shingles
from curation.kernels.hashing import mix64_array
from curation.kernels.tokens import WORD
from curation.text import tokenise

FACTOR = 0x9E3779B97F4A7C15


def reference_sets(texts, ngram):
    """For each text the runs of `ngram` word hashes, as tuples: slow, and with nothing hashed away."""
    tokens = tokenise(pa.array(texts, pa.string()))
    sets = []
    for first, last in zip(tokens.offsets[:-1], tokens.offsets[1:], strict=True):
        words = tokens.hash[first:last][(tokens.kind[first:last] & WORD) > 0].tolist()
        sets.append({tuple(words[k : k + ngram]) for k in range(len(words) - ngram + 1)})
    return sets


def reference_hash(shingle):
    value = 0
    for word in shingle:
        value = (value * FACTOR + word) % 2**64
    return int(mix64_array(np.array([value], np.uint64))[0])


def reference_jaccard(a, b):
    return len(a & b) / len(a | b) if a | b else 0.0


WORDS = ["a", "b", "c", "d,", "e.", "É", "漢字"]
texts = st.lists(st.lists(st.sampled_from(WORDS), max_size=14).map(" ".join), max_size=6)


@given(texts, st.integers(1, 6))
@settings(max_examples=100, deadline=None)
def test_shingles_are_those_of_the_reference(drawn, ngram):
    sets, found = reference_sets(drawn, ngram), shingles(tokenise(pa.array(drawn, pa.string())), ngram=ngram)
    given_back = [found.values[start:end].tolist() for start, end in found.spans]
    assert given_back == [sorted(map(reference_hash, one)) for one in sets]
    n = len(drawn)
    left, right = np.repeat(np.arange(n), n), np.tile(np.arange(n), n)
    counted = by_shingles(found, np.arange(n), 0.7).similarities(left, right).tolist()
    assert counted == [reference_jaccard(sets[i], sets[j]) for i, j in zip(left, right, strict=True)]


def test_documents_are_measured_in_the_order_of_candidates():
    found = shingles(tokenise(pa.array(["a b c", "x y", "a b c d"])), ngram=2)
    assert by_shingles(found, np.array([2, 0, 1]), 0.5).similarities(np.array([0]), np.array([1])) == [2 / 3]
    with pytest.raises(ValueError, match="ngram must be at least 1"):
        shingles(tokenise(pa.array(["a"])), ngram=0)


def near_copy(base, changes):
    """A text of 60 words of family `base`, of which some are replaced."""
    drawn = random.Random(base)
    words = [f"w{drawn.randrange(1000)}" for _ in range(60)]
    for place in changes:
        words[place] = f"x{place}"
    return " ".join(words)


corpora = st.lists(
    st.tuples(st.integers(0, 2), st.lists(st.integers(0, 59), max_size=5, unique=True)).map(lambda d: near_copy(*d)),
    min_size=1,
    max_size=14,
)
WIDE = {"bands": 20, "rows": 2, "ngram": 3}


def decisions(texts, ids, cuts=(), **changes):
    """By id (duplicate_of, similarity, reason), with the batches cut at some places."""
    table = pa.table({"id": pa.array(ids, pa.string()), "text": pa.array(texts, pa.string())})
    edges = sorted({0, *(cut % (len(ids) + 1) for cut in cuts), len(ids)})
    batches = [
        batch for a, b in zip(edges[:-1], edges[1:], strict=True) for batch in table.slice(a, b - a).to_batches()
    ]
    rows = [row for batch in deduplicate(batches, id="id", **WIDE, **changes) for row in batch.to_pylist()]
    return {row["id"]: (row["duplicate_of"], row["similarity"], row["filter_reason"]) for row in rows}


@given(
    corpora,
    st.sampled_from([0.5, 0.7, 0.85]),
    st.sampled_from([2, 1000]),
    st.lists(st.integers(0, 20), max_size=3),
    st.randoms(use_true_random=False),
)
@settings(max_examples=80, deadline=None)
def test_invariants_of_counted_similarity(drawn, verify, max_bucket, cuts, rng):
    ids = [f"{i:02}" for i in range(len(drawn))]
    chosen = {"verify": verify, "verify_by": "shingles", "max_bucket": max_bucket}
    found = decisions(drawn, ids, **chosen)
    sets = dict(zip(ids, reference_sets(drawn, WIDE["ngram"]), strict=True))
    for name, (of, similarity, reason) in found.items():
        if of is not None:
            assert similarity == pytest.approx(reference_jaccard(sets[name], sets[of]), abs=1e-7)
            assert reason == "exact_duplicate" or similarity >= np.float32(verify)
            assert found[of][0] is None
    # order and sharding change nothing
    moved = rng.sample(range(len(ids)), len(ids))
    assert decisions([drawn[i] for i in moved], [ids[i] for i in moved], cuts, **chosen) == found
    # a second run drops nothing
    left = [i for i in range(len(ids)) if found[ids[i]][0] is None]
    again = decisions([drawn[i] for i in left], [ids[i] for i in left], **chosen)
    assert all(of is None for of, _, _ in again.values())


def test_the_count_decides_where_the_estimate_errs():
    """Of 200 pairs near the threshold the estimate from 40 minima misjudges some, both ways; the count none."""
    rng, pairs = random.Random(5), []
    for k in range(200):
        pairs.append((near_copy(1000 + k, []), near_copy(1000 + k, rng.sample(range(60), rng.randrange(1, 5)))))
    ids = [f"{i:03}" for i in range(400)]
    flat = [text for pair in pairs for text in pair]
    sets = reference_sets(flat, WIDE["ngram"])
    alike = [reference_jaccard(sets[2 * k], sets[2 * k + 1]) >= 0.7 for k in range(200)]

    def merged(verify_by):
        found = decisions(flat, ids, verify=0.7, verify_by=verify_by)
        return [found[ids[2 * k]][0] is not None or found[ids[2 * k + 1]][0] is not None for k in range(200)]

    assert merged("shingles") == alike
    estimated = merged("minhash")
    assert any(e and not a for e, a in zip(estimated, alike, strict=True))
    assert any(a and not e for e, a in zip(estimated, alike, strict=True))


def test_documents_below_a_shingle_are_equal_or_apart():
    found = decisions(["a, b", "A b", "a c", ""], ["1", "2", "3", "4"], verify_by="shingles")
    assert [found[name][2] for name in "1234"] == [None, "exact_duplicate", None, "empty_text"]


def test_what_is_missing_is_named():
    with pytest.raises(ValueError, match="needs the shingles of every candidate"):
        cluster(candidates(family(1, [3])), DedupSettings(verify_by="shingles"))
    batch = pa.RecordBatch.from_pydict({"text": ["a"]})
    with pytest.raises(ValueError, match="minhash or shingles, not 'words'"):
        list(deduplicate([batch], verify_by="words"))
    with pytest.raises(ValueError, match="prefer needs source"):
        list(deduplicate([batch], prefer=["a"]))
    with pytest.raises(KeyError, match="no column 'origin'"):
        list(deduplicate([batch], prefer=["a"], source="origin"))
