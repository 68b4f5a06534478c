"""Reading, cutting and splitting human text, and the look-up that stands for spelling a document out."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from collapselib import corpus

from curation.text import tokenise

from .texts import story


@pytest.fixture(scope="module")
def built():
    texts = [story(i, 30) for i in range(400)]
    return corpus.build(texts, ["a" if i % 3 else "b" for i in range(400)])


def test_looked_up_tokens_are_those_of_the_spelt_text(built):
    words = sorted({word for i in range(400) for word in story(i, 30).replace(".", " . ").replace(",", " , ").split()})
    spelling = {}
    for word, found in zip(words, (tokenise(pa.array([w])) for w in words), strict=True):
        assert len(found.hash) == 1
        spelling[int(found.hash[0]), int(found.kind[0]) & ~32] = word
    surface = [spelling[int(h), int(k)] for h, k in zip(built.vocabulary.hash, built.vocabulary.kind, strict=True)]
    rng = np.random.default_rng(5)
    ids = rng.integers(0, len(surface), 500).astype(np.int32)
    written = corpus.Texts(ids, np.array([0, 200, 200, 500]), np.full(3, -1))
    spelt = [" ".join(surface[i] for i in ids[a:b]) for a, b in ((0, 200), (200, 200), (200, 500))]
    expected = tokenise(pa.array(spelt))
    for mine, theirs in zip(corpus.as_tokens(written, built.vocabulary), expected, strict=True):
        assert np.array_equal(mine, theirs)


def test_chunks_are_40_to_250_tokens_and_a_document_falls_on_one_side(built):
    for part in (built.test, built.reference, built.pool):
        sizes = np.diff(part.offsets)
        assert sizes.min() >= corpus.SHORTEST
        assert sizes.max() <= corpus.LONGEST
    assert len(built.pool.genre) > 5 * len(built.test.genre) > 0
    others = [story(j, 30) for j in range(1000, 1300)]
    for each in (corpus.build([story(i, 200), *others], ["x"] + ["y"] * 300) for i in (1, 2)):
        inside = [int((part.genre == 0).sum()) for part in (each.test, each.reference, each.pool)]
        assert sorted(inside)[:2] == [0, 0] and sum(inside) > 3


def test_take_and_join_are_what_they_say(built):
    rows = np.array([3, 0, 2])
    some = corpus.take(built.pool, rows)
    for place, row in enumerate(rows):
        a, b = built.pool.offsets[row], built.pool.offsets[row + 1]
        assert np.array_equal(some.tokens[some.offsets[place] : some.offsets[place + 1]], built.pool.tokens[a:b])
    again = corpus.join([corpus.take(built.pool, rows[:1]), corpus.take(built.pool, rows[1:])])
    assert all(np.array_equal(x, y) for x, y in zip(some, again, strict=True))


def test_no_genre_is_larger_than_asked_for():
    texts = [story(i, 30) for i in range(300)]
    built = corpus.build(texts, ["small" if i < 30 else "large" for i in range(300)], genre_tokens=20_000)
    sizes = [
        sum(int(np.diff(p.offsets)[p.genre == g].sum()) for p in (built.test, built.reference, built.pool))
        for g in range(2)
    ]
    assert built.genres == ("large", "small")
    assert 20_000 <= sizes[0] < 20_000 + corpus.LONGEST
    assert sizes[1] < 10_000


def test_human_english_prose_is_read_from_parquet_and_lines(tmp_path):
    human, machine = [story(i, 12) for i in range(20)], [story(i, 12) for i in range(100, 110)]
    pq.write_table(
        pa.table({"text": human[:10] + machine, "label": [0] * 10 + [1] * 10, "domain": ["letters"] * 20}),
        tmp_path / "labelled.parquet",
    )
    lines = [json.dumps({"text": text}) for text in human[5:]] + [json.dumps({"text": "x = f(y); " * 40})]
    (tmp_path / "plain.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    texts, genres = corpus.documents([str(tmp_path)], "all")
    assert sorted(texts) == sorted(human)  # each once, machine text and code left out
    assert set(genres) == {"letters", "plain"}
    halves = [corpus.documents([str(tmp_path)], side)[0] for side in ("odd", "even")]
    assert sorted(halves[0] + halves[1]) == sorted(human)
    assert halves[0] and halves[1]


def test_too_little_text_is_named():
    with pytest.raises(ValueError, match="give more text"):
        corpus.build([story(1, 30)], ["a"])
