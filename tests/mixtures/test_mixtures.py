"""The library behind scripts/real_mixtures, on made-up text and numbers."""

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash
from mixturelib import data, judge, rules
from mixturelib.main import main

from curation.mixing.features import HELD_OUT
from curation.text import tokenise


def documents(people, machines, source="a"):
    texts = [f"text {i} of {source}" for i in range(people + machines)]
    ids = [xxhash.xxh3_128_hexdigest(text.encode()) for text in texts]
    label = [0] * people + [1] * machines
    return pa.table({"id": ids, "text": texts, "label": label, "source": [source] * len(texts)})


@pytest.mark.parametrize("odd", [False, True])
def test_a_mixture_has_its_share_and_no_text_stands_on_two_sides(odd):
    table = pa.concat_tables([documents(900, 900), documents(50, 50, "b")])
    found = data.mixture(table, "a", odd)
    crawl, reference, target = (
        set(batch.column("id").to_pylist()) for batch in (found.crawl, found.reference, found.target)
    )
    assert len(found.human) == found.crawl.num_rows == len(crawl)
    assert found.human.mean() == pytest.approx(1 - data.SHARE, abs=0.01)
    assert not crawl & reference and not crawl & target and not reference & target
    label = dict(zip(table["id"].to_pylist(), table["label"].to_pylist(), strict=True))
    assert [label[i] == 0 for i in found.crawl.column("id").to_pylist()] == found.human.tolist()
    assert not any(label[i] for i in reference | target)
    # settings are chosen on odd documents, figures come from even ones
    assert {int(i[:16], 16) & 1 for i in crawl | target} == {int(odd)}
    assert {int(i[:16], 16) & 1 for i in reference} == {1}
    assert not any(text.endswith("of b") for text in found.crawl.column("text").to_pylist())


def test_reading_drops_copies_and_other_languages_and_names_what_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match="paired_train.parquet is missing"):
        data.read(tmp_path)
    for folder, names in data.FOLDERS.items():
        (tmp_path / folder).mkdir()
        for name in names:
            rows = [("the same text", 0, "en"), (f"only in {name}", 1, "en"), (f"anders in {name}", 0, "de")]
            columns = {key: [row[i] for row in rows] for i, key in enumerate(("text", "label", "lang"))}
            table = pa.table(columns | dict.fromkeys(("source", "domain", "generator"), ["x"] * 3))
            pq.write_table(table, tmp_path / folder / f"{name}.parquet")
    texts = data.read(tmp_path)["text"].to_pylist()
    assert len(texts) == len(set(texts)) == 9
    assert not any(text.startswith("anders") for text in texts)


def test_the_command_ends_with_one_without_data(tmp_path, capsys):
    assert main([str(tmp_path)]) == 1
    assert "is missing" in capsys.readouterr().err


def test_tempering_reaches_the_effective_share_and_keeps_the_order():
    w = np.random.default_rng(1).gamma(0.1, 1, 2000)
    w /= w.mean()
    assert rules.ess(w) < rules.LEAST_ESS
    found = rules.tempered(w)
    assert rules.ess(found) == pytest.approx(rules.LEAST_ESS, abs=1e-3)
    assert found.mean() == pytest.approx(1)
    assert (np.diff(found[np.argsort(w)]) >= 0).all()
    even = np.ones(10)
    assert rules.tempered(even) is even
    assert rules.ess(np.zeros(3)) == 0
    assert rules.ess(np.array([1.0, 1, 0, 0])) == 0.5


def test_importance_weights_prefer_the_words_of_the_reference():
    trusted = tokenise(pa.array(["apples and pears in the garden"] * 20))
    crawl = tokenise(pa.array(["apples and pears", "engines with pistons"] * 10))
    score = rules.log_ratio(trusted, crawl)
    assert score[::2].min() > score[1::2].max()


def test_pairs_of_words_do_not_cross_documents():
    one = tokenise(pa.array(["alpha beta", "gamma delta"]))
    both = tokenise(pa.array(["alpha beta gamma delta"]))
    assert rules._bags(one).sum() == 4 + 2
    assert rules._bags(both).sum() == 4 + 3


@pytest.fixture(scope="module")
def judged():
    rng = np.random.default_rng(5)
    human = np.arange(1500) < 450
    held_out = rng.normal(np.where(human, 0, 0.4)[:, None], np.where(human, 1, 0.6)[:, None], (1500, HELD_OUT))
    return SimpleNamespace(held_out=held_out, target=rng.normal(0, 1, (600, HELD_OUT))), human


def test_an_oracle_is_at_its_own_distance_and_a_crawl_left_alone_is_far(judged, monkeypatch):
    monkeypatch.setattr(judge, "REPLICATES", 8)
    monkeypatch.setattr(judge, "SUBSAMPLES", 4)
    found, human = judged
    oracle = judge.judge(found, human, human / human.mean())
    alone = judge.judge(found, human, np.ones(len(human)))
    assert oracle.human[0] == pytest.approx(1)
    assert oracle.ess == pytest.approx(0.3)
    assert oracle.frechet[0] == pytest.approx(1)  # the same documents
    assert oracle.moments[0] == pytest.approx(1)
    assert alone.human[0] == pytest.approx(0.3)
    assert alone.frechet[0] > 5 * oracle.frechet[0]
    assert alone.moments[0] > 3 * oracle.moments[0]
    for value in (alone.human, alone.frechet, alone.moments):
        assert value[1] < value[2]
    # the same question has the same answer
    assert judge.judge(found, human, np.ones(len(human))) == alone
