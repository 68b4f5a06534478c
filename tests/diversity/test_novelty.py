"""Statistics that set documents against others: novelty, distance from human text, contradiction inside threads."""

import numpy as np
import pyarrow as pa
import pytest

from curation import diversity
from curation.diversity import examples
from curation.diversity.human import human_of, squared_distances
from curation.diversity.measure import add_batch
from curation.text import text_buffer, tokenise

RULER = diversity.load_ruler()
WORDS = ["river", "stone", "market", "window", "garden", "letter", "sun", "engine", "ice", "bridge", "paper", "song"]


def state(texts, threads=None):
    column = pa.array(texts)
    data, starts = text_buffer(column)
    return diversity.update(
        diversity.empty(RULER), ruler=RULER, tokens=tokenise(column), data=data, starts=starts,
        ids_hash=np.arange(len(texts), dtype=np.uint64), threads=threads,
    )  # fmt: skip


def sentence(i):
    return " ".join(WORDS[(i * k + k) % 12] + str(i) for k in range(1, 12))


def novelty(a, b):
    return diversity.result(a, RULER, corpus=b)["novelty"]


def test_novelty_is_the_share_of_runs_that_others_do_not_have():
    mine = state([sentence(i) for i in range(100)])
    assert novelty(mine, state([sentence(i) for i in range(100, 200)]))["value"] == 1.0
    assert novelty(mine, mine)["value"] == 0.0
    assert novelty(mine, state([sentence(i) for i in range(75, 175)]))["value"] == pytest.approx(0.75)
    assert "other documents" in novelty(mine, None)["reason"]
    assert novelty(state(["one two"]), mine)["value"] is None


def test_a_shard_is_compared_with_the_rest_of_its_own_corpus():
    a, b = state([sentence(i) for i in range(60)]), state([sentence(i) for i in range(30, 90)])
    total = diversity.merge(a, b)
    assert novelty(a, diversity.without(total, a))["value"] == pytest.approx(novelty(a, b)["value"]) == 0.5
    assert novelty(total, diversity.without(total, total))["value"] == 1.0


def thread_hashes(names):
    return np.array([hash_of for name in names for hash_of in [np.uint64(0 if name is None else 2 * ord(name) + 1)]])


def test_contradiction_counts_pairs_of_voices_in_one_thread():
    texts = ["The bridge is safe.", "The bridge is not safe.", "The bridge is safe. The bridge is not safe.", "Bridge."]
    one = state(texts[:2], thread_hashes("aa"))
    found = diversity.result(one, RULER)["thread_disagreement"]
    # bridge agrees (no negator before it), safe disagrees
    assert found["value"] == pytest.approx(0.5) and found["n"] == 2
    alone = diversity.result(state(texts[2:3], thread_hashes("a")), RULER)["thread_disagreement"]
    assert alone["value"] is None and "two documents" in alone["reason"]
    apart = diversity.result(state(texts[:2], thread_hashes("ab")), RULER)["thread_disagreement"]
    assert apart["value"] is None
    assert "columns.thread" in diversity.result(state(texts), RULER)["thread_disagreement"]["reason"]


def test_threads_merge_exactly():
    texts = [f"The {WORDS[i % 12]} is {'not ' * (i % 2)}{WORDS[i % 5]} and {WORDS[(i * 7) % 12]}." for i in range(300)]
    threads = (np.arange(300) % 40 + 1).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    whole = state(texts, threads)
    order = np.random.default_rng(3).permutation(300)
    parts = [state([texts[i] for i in part], threads[part]) for part in np.array_split(order, 7)]
    merged = parts[0]
    for part in parts[1:]:
        merged = diversity.merge(part, merged)
    assert np.array_equal(whole["thread_keys"], merged["thread_keys"])
    assert np.array_equal(whole["thread_values"], merged["thread_values"])
    again = diversity.load(diversity.dump(merged))
    name = "thread_disagreement"
    assert diversity.result(again, RULER)[name] == diversity.result(whole, RULER)[name]


def test_far_documents_are_one_in_twenty_of_human_ones_and_all_of_another_kind():
    random = np.random.default_rng(2)
    values = random.normal(size=(4000, 16))
    human = human_of(values)
    fresh = squared_distances(random.normal(size=(4000, 16)), human.mean, human.precision)
    assert (fresh > human.radius[1]).mean() == pytest.approx(0.05, abs=0.015)
    assert (squared_distances(values + 9, human.mean, human.precision) > human.radius[2]).all()
    assert human_of(values[:100]) is None
    found = diversity.result(state([sentence(i) for i in range(20)]), RULER)["far_documents"]
    assert found["value"] is None and "reference" in found["reason"]


@pytest.mark.parametrize("texts", [[], [""], ["..."], ["一二三四五六七八九十" * 40] * 3, ["same text again"] * 500])
def test_what_cannot_be_told_is_null_with_a_reason(texts):
    human = human_of(np.random.default_rng(1).normal(size=(500, 16)))
    made = add_batch(diversity.empty(RULER), pa.record_batch({"text": pa.array(texts, pa.string())}), RULER)
    for name, found in diversity.result(made, RULER, human, made).items():
        assert (found["value"] is None) == (found["reason"] is not None), name
        assert found["value"] is None or np.isfinite(found["value"]), name


def test_what_drives_a_number_is_shown_as_text():
    rest = [f"{sentence(i)}. Nothing here is alike {i}.".encode() for i in range(60)]
    mine = [f"In conclusion, it is the {w} of the {v} that we like best.".encode() for w in WORDS for v in WORDS[:5]]
    found = examples.driving(mine, rest, RULER)
    assert found["openers"][0]["text"] == "in conclusion" and found["openers"][0]["share"] == 1.0
    assert any("of the" in row["text"] and row["share"] == 1.0 for row in found["templates"])
    assert all(row["share"] > row["rest"] for rows in found.values() for row in rows)
    assert examples.driving([], rest, RULER) == {"templates": [], "runs": [], "openers": [], "words": []}
