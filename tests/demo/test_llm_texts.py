"""The texts by a language model that the repository holds."""

import re
from collections import Counter

import pytest

from curation.demo.gather import llm_texts

GENRES = {
    "docstring": 30,
    "readme": 25,
    "manpage": 15,
    "licence": 10,
    "howto": 15,
    "forum": 20,
    "essay": 15,
    "review": 12,
    "abstract": 12,
    "product": 10,
    "encyclopedia": 10,
}


@pytest.fixture(scope="module")
def texts():
    return llm_texts()


def shingles(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[i : i + 5]) for i in range(len(words) - 4)}


def test_every_genre_has_its_documents(texts):
    originals = Counter(text["genre"] for text in texts if text["planted"] is None)
    assert originals == GENRES
    assert sum(originals.values()) >= 160


def test_fields_are_filled_and_ids_unique(texts):
    keys = {"id", "genre", "title", "prompt", "text", "planted", "duplicate_of"}
    assert all(set(text) == keys for text in texts)
    assert all(text[key].strip() for text in texts for key in ("id", "genre", "title", "prompt", "text"))
    assert len({text["id"] for text in texts}) == len(texts)


def test_lengths_are_those_of_short_documents(texts):
    words = {text["id"]: len(text["text"].split()) for text in texts}
    assert {name: n for name, n in words.items() if not 120 <= n <= 450} == {}


def test_planted_duplicates_are_what_they_say(texts):
    by_id = {text["id"]: text for text in texts}
    planted = [text for text in texts if text["planted"]]
    assert Counter(text["planted"] for text in planted) == {"exact": 1, "near": 5}
    for text in planted:
        original = by_id[text["duplicate_of"]]
        assert original["planted"] is None
        if text["planted"] == "exact":
            assert text["text"] == original["text"]
        else:
            mine, other = shingles(text["text"]), shingles(original["text"])
            assert text["text"] != original["text"]
            assert len(mine & other) / len(mine | other) > 0.85


def test_nothing_else_is_a_near_duplicate(texts):
    originals = [(text["id"], shingles(text["text"])) for text in texts if text["planted"] is None]
    alike = [
        (a, b)
        for i, (a, mine) in enumerate(originals)
        for b, other in originals[:i]
        if len(mine & other) > 0.1 * len(mine | other)
    ]
    assert alike == []
