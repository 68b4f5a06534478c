"""Crawls, rules, statistics, records and tables, and the order of the rules on little text."""

import json
import math

import numpy as np
import pytest
from collapselib import corpus, crawl, dsir, loop, main, plan, rules, statistics, tables, world

from .texts import story

SIZES = loop.Sizes(30_000, 10_000)


@pytest.fixture(scope="module")
def small():
    texts = [story(i, 60) for i in range(900)]
    return world.build(corpus.build(texts, ["plain"] * 900))


@pytest.fixture(scope="module")
def start(small):
    return loop.Start(small, 1, SIZES)


def crawled(small, start, **over):
    settings = dict(seed=1, generation=1, share=0.5, sharpness=1.0, tokens=SIZES.crawl) | over
    return crawl.make(small, [start.model], **settings)


def given(small, start, fresh, share=0.5):
    return rules.Given(small, fresh, start.detector, share, SIZES.train, 1)


def test_a_crawl_has_its_share_and_the_luck_is_common(small, start):
    fresh = crawled(small, start)
    sizes = np.diff(fresh.texts.offsets)
    assert abs(sizes[~fresh.human].sum() / sizes.sum() - 0.5) < 0.03
    assert abs(sizes.sum() - SIZES.crawl) < 600
    other = crawl.make(small, [loop.Start(small, 2, SIZES).model], seed=1, generation=1, share=0.5, sharpness=1.0,
                       tokens=SIZES.crawl)  # fmt: skip
    assert np.array_equal(fresh.human, other.human)
    assert np.array_equal(fresh.texts.offsets, other.texts.offsets)
    humans = int(sizes[fresh.human].sum())
    assert np.array_equal(fresh.texts.tokens[:humans], other.texts.tokens[:humans])
    assert not np.array_equal(fresh.texts.tokens, other.texts.tokens)
    later = crawled(small, start, generation=2)
    assert not np.array_equal(later.texts.tokens[:100], fresh.texts.tokens[:100])


def test_several_models_write_equal_parts(small, start):
    fresh = crawl.make(small, [start.model, start.model], seed=1, generation=1, share=1.0, sharpness=1.0, tokens=20_000)
    names = fresh.signals.column("id").to_pylist()
    first = sum(name.startswith("s0-") for name in names)
    assert abs(first - len(names) / 2) <= 1
    assert not fresh.human.any()


@pytest.mark.parametrize("rule", list(rules.RULES))
def test_every_rule_weighs_every_document_and_the_budget_is_kept(small, start, rule):
    fresh = crawled(small, start)
    weights, notes = rules.RULES[rule](given(small, start, fresh))
    assert weights.shape == fresh.human.shape
    assert np.isfinite(weights).all() and (weights >= 0).all() and weights.sum() > 0
    rows = rules.chosen(given(small, start, fresh), weights)
    assert len(set(rows.tolist())) == len(rows)
    assert 0.7 * SIZES.train < np.diff(fresh.texts.offsets)[rows].sum() <= SIZES.train
    json.dumps(notes, allow_nan=False)


def test_the_oracle_keeps_human_documents_only(small, start):
    fresh = crawled(small, start)
    rows = rules.chosen(given(small, start, fresh), rules.oracle(given(small, start, fresh))[0])
    assert fresh.human[rows].all()


def test_the_hard_cut_keeps_the_true_share(small, start):
    fresh = crawled(small, start, share=0.8)
    weights, _ = rules.hard(given(small, start, fresh, 0.8))
    sizes = np.diff(fresh.texts.offsets)
    assert abs(sizes[weights > 0].sum() / sizes.sum() - 0.2) < 0.02


def test_dsir_scores_are_sums_of_log_ratios():
    texts = corpus.Texts(np.array([0, 1, 0, 2], np.int32), np.array([0, 2, 4]), np.zeros(2, int))
    reference = corpus.Texts(np.array([0, 1, 0, 1], np.int32), np.array([0, 2, 4]), np.zeros(2, int))
    hashes = np.array([11, 22, 33], np.uint64)  # no two n-grams share a bucket
    scores = dsir.log_ratios(texts, reference, hashes)
    assert scores[0] - scores[1] == pytest.approx(2 * (math.log(3 / 2) - math.log(1 / 2)))


def test_auc_counts_pairs():
    score, positive = np.array([1.0, 2.0, 2.0, 3.0]), np.array([False, False, True, True])
    assert rules.auc(score, positive) == pytest.approx((1 + 1 + 0.5 + 1) / 4)
    assert rules.auc(score, np.ones(4, bool)) is None


def test_statistics_of_an_output():
    tokens = np.array([0] * 90 + [1] * 5 + [2] * 4 + [3], np.int32)
    tail = statistics.tail_types(tokens, 6)
    assert tail.tolist() == [False, True, True, True, True, True]
    found = statistics.of_output(np.array([0, 0, 1, 3], np.int32), tail)
    assert found["hapax"] == 0.5 and found["tail"] == 0.5 and found["tail_types"] == 2 and found["types"] == 3
    assert found["entropy"] == pytest.approx(1.5)
    assert found["distinct_2"] == 1.0


def test_a_partial_reference_knows_the_largest_genres():
    texts = [story(i, 60) for i in range(600)]
    genres = ["large" if i % 10 < 5 else "middle" if i % 10 < 8 else "small" for i in range(600)]
    built = corpus.build(texts, genres)
    partial = world.build(built, 0.6)
    assert partial.missing == ("middle", "small")
    assert set(partial.reference.genre) == {built.genres.index("large")}
    assert len(partial.pool.genre) == len(built.pool.genre)


def records():
    found = []
    for seed in (1, 2):
        for rule, level in (("none", 400.0), ("oracle", 100.0), ("soft", 200.0), ("ours", 100.0)):
            for generation in range(4):
                found.append({
                    "setting": "0.5 1 replace", "rule": rule, "seed": seed, "generation": generation,
                    "perplexity": level * (1 + seed / 100), "tail_perplexity": level, "hapax": 0.1, "tail_types": 9,
                })  # fmt: skip
    return found


def test_gaps_ratios_and_intervals():
    found = records()
    assert tables.gap(found, "0.5 1 replace", "none", 1) == 0
    assert tables.gap(found, "0.5 1 replace", "oracle", 1) == 1
    assert tables.gap(found, "0.5 1 replace", "soft", 1) == pytest.approx(0.5)
    assert tables.ratio(found, "0.5 1 replace", "soft", 2) == pytest.approx(0.5)
    assert tables.drift(found, "0.5 1 replace", "soft", 2) == pytest.approx(0.0)
    assert tables.over_seeds([1.0, 3.0]) == (2.0, pytest.approx(12.706, abs=1e-3))
    assert "0.50 ± 0.00" in tables.markdown(found)
    assert tables.base("0.5 1 replace 0.4") == "0.5 1 replace"


def test_a_run_goes_on_where_it_stopped(tmp_path):
    path = tmp_path / "records.jsonl"
    lines = [json.dumps(r | {"run": "a"}) for r in records()]
    twice = lines[:4]  # two processes may have run the same lineage
    path.write_text("\n".join(lines + twice) + '\n{"setting": "0.5 1', "utf-8")
    done = plan.read(path, "a")
    assert len(done) == len(lines)
    lineage = plan.Lineage(loop.Setting(0.5), "ours", 2)
    assert plan.finished(done, lineage, 3)
    assert not plan.finished(done, lineage, 4)
    assert plan.read(path, "b") == []


@pytest.mark.parametrize("bad", ["x", "1-x", "3,y"])
def test_bad_seeds_are_named(bad, capsys):
    with pytest.raises(SystemExit):
        main.parser().parse_args(["--seeds", bad])
    assert "seeds are numbers" in capsys.readouterr().err


@pytest.mark.slow
def test_the_order_of_the_rules_on_the_text_of_this_machine(tmp_path):
    arguments = ["--small", "--seeds", "0", "--records", str(tmp_path / "r.jsonl"), "--plots", str(tmp_path / "plots")]
    assert main.main([*arguments, "--generations", "3"]) == 0
    found = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text("utf-8").splitlines()]
    for setting in ("0.5 1 replace", "0.8 1 replace"):
        gap = {rule: tables.gap(found, setting, rule, 0) for rule in ("dsir", "ours-alone", "ours")}
        assert gap["ours-alone"] > 0 and 0 < gap["dsir"] < gap["ours"], (setting, gap)
    before = (tmp_path / "r.jsonl").read_bytes()
    assert main.main([*arguments, "--generations", "3"]) == 0
    assert (tmp_path / "r.jsonl").read_bytes() == before
    assert "<svg" in (tmp_path / "plots" / "perplexity.svg").read_text("utf-8")
