"""Deduplication in whole jobs: earlier runs, shared weights, take-downs, URLs, columns to keep by, and refusals."""

import json
import random
import shutil
from pathlib import Path

import corpus
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_job import rows_of
from typer.testing import CliRunner

from curation import curate, deduplicate
from curation.cli import app
from curation.config import ConfigError, load
from curation.kernels.words import spaced_words
from curation.text import text_buffer

QUICK = {
    "detect": {"enabled": False},
    "measure": {"enabled": False},
    "mix": {"mode": "none"},
    "signals": {"features": False},
    "run": {"workers": 1},
}


def words(seed, count=120):
    drawn = random.Random(seed)
    return [f"w{drawn.randrange(10_000):04}" for _ in range(count)]


def variant(family, edit):
    """Text `edit` of a family: 0 is the original, 1 differs in case and marks only, from 2 on a word differs."""
    text = words(family)
    if edit >= 2:
        text[-edit] = f"x{edit:04}"
    joined = " ".join(text)
    return joined.upper() + "!" if edit == 1 else joined


def rows_for(drawn, prefix):
    return [
        {"id": f"{prefix}{i:03}", "text": variant(family, edit), "date": None, "n": i}
        for i, (family, edit) in enumerate(drawn)
    ]


def job(folder, rows, name="out", shards=2, **changes):
    values = {**QUICK, "inputs": [{"path": corpus.write(folder / f"{name}-in", rows, shards), "source": "s"}]}
    for key, value in changes.items():
        values[key] = {**values.get(key, {}), **value} if isinstance(value, dict) else value
    return curate(output=str(folder / name), **values)


def decided(output):
    """By id: duplicate_of, similarity and reason."""
    keep = ("duplicate_of", "similarity", "filter_reason")
    return {row["id"]: tuple(row[key] for key in keep) for row in rows_of(output).values()}


def graded(family, edits):
    """Text of a family in which some words differ: a similarity of .96 to .48, so that chains and misses occur."""
    text = words(family)
    for edit in edits:
        text[7 + 9 * edit] = f"x{edit:04}"
    return " ".join(text)


families = st.lists(st.tuples(st.integers(0, 2), st.sets(st.integers(0, 11), max_size=8)), min_size=1, max_size=16)


def graded_rows(drawn, prefix):
    return [
        {"id": f"{prefix}{i:03}", "text": graded(family, sorted(edits)), "date": None, "n": i}
        for i, (family, edits) in enumerate(drawn)
    ]


@given(families, families, st.integers(1, 3))
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_against_an_earlier_run_equals_one_run_that_prefers_its_documents(tmp_path_factory, first, second, shards):
    folder = tmp_path_factory.mktemp("against")
    a, b = graded_rows(first, "a"), graded_rows(second, "b")
    job(folder, a, "a", shards)
    job(folder, b, "b", shards, against=[str(folder / "a")])
    both = {
        "inputs": [
            {"path": corpus.write(folder / "together-a", a, 1), "source": "a"},
            {"path": corpus.write(folder / "together-b", [{**r, "n": r["n"] + 1000} for r in b], 2), "source": "b"},
        ]
    }
    job(folder, [], "together", 1, **both, dedup={"prefer": ["a"]})
    assert decided(folder / "together") == decided(folder / "a") | decided(folder / "b")
    left = {name for name, row in decided(folder / "b").items() if row[2] is None}
    # what is left of b is new: against a and b nothing of it stays
    again = job(
        folder, [r for r in b if r["id"] in left], "again", 1, against=[str(folder / "a"), str(folder / "b")]
    )
    assert again["documents"]["kept"] == 0
    assert again["duplicates"]["against"] == len(left)


@given(families, families)
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
def test_what_leaves_for_what_was_kept_also_leaves_for_all_that_was_read(tmp_path_factory, first, second):
    folder = tmp_path_factory.mktemp("all")
    job(folder, graded_rows(first, "a"), "a")
    for name, every in (("kept", False), ("all", True)):
        job(folder, graded_rows(second, "b"), name, against=[str(folder / "a")], against_all=every)
    kept, everything = decided(folder / "kept"), decided(folder / "all")
    for name, (of, _, _) in kept.items():
        if of is not None and of.startswith("a"):
            assert everything[name][0].startswith("a")


def shingle_sets(rows):
    """By id the 5-word shingles of texts whose words are separated by one space."""
    sets = {}
    for row in rows:
        text = row["text"].split()
        sets[row["id"]] = {tuple(text[k : k + 5]) for k in range(len(text) - 4)}
    return sets


@given(families, st.integers(1, 4))
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
def test_similarities_are_counted_on_request(tmp_path_factory, drawn, shards):
    folder = tmp_path_factory.mktemp("counted")
    rows = graded_rows(drawn, "a")
    sets = shingle_sets(rows)
    counted = {"verify_by": "shingles"}
    job(folder, rows, "out", shards, dedup=counted)
    found = decided(folder / "out")
    for name, (of, similarity, _) in found.items():
        if of is not None:
            true = len(sets[name] & sets[of]) / len(sets[name] | sets[of])
            assert similarity == pytest.approx(true, abs=1e-7) and true >= 0.7
    assert not [path for path in (folder / "out" / "decisions" / "shingles").rglob("*") if path.is_file()]
    # one shard decides the same, so does memory, and a second run drops nothing
    job(folder, rows, "one", 1, dedup=counted)
    assert decided(folder / "one") == found
    [batch] = pa.Table.from_pylist(rows).combine_chunks().to_batches()
    [held] = deduplicate(batch, id="id", verify_by="shingles")
    keep = ("duplicate_of", "similarity", "filter_reason")
    assert {row["id"]: tuple(row[key] for key in keep) for row in held.to_pylist()} == found
    left = [row for row in rows if found[row["id"]][0] is None]
    assert job(folder, left, "again", 2, dedup=counted)["documents"]["excluded"] == 0


def test_similarities_are_counted_alike_on_another_host(tmp_path):
    drawn = random.Random(3)
    rows = graded_rows([(k % 3, set(drawn.sample(range(12), drawn.randrange(6)))) for k in range(18)], "a")
    job(tmp_path, rows, "plain", 1, dedup={"verify_by": "shingles"})
    job(tmp_path, rows, "other", 3, run={"runner": "FnApiRunner", "workers": 2}, dedup={"verify_by": "shingles"})
    assert rows_of(tmp_path / "plain") == rows_of(tmp_path / "other")


@pytest.fixture(scope="module")
def earlier(tmp_path_factory):
    folder = tmp_path_factory.mktemp("earlier")
    job(folder, rows_for([(0, 0), (0, 2), (1, 0), (2, 0)], "a"), "a")
    return folder


def test_against_reads_no_text_and_gives_the_id_and_similarity(earlier, tmp_path):
    shutil.copytree(earlier / "a", tmp_path / "a")
    shutil.rmtree(tmp_path / "a" / "kept")
    rows = rows_for([(0, 3), (1, 1), (5, 0), (5, 2)], "b")
    report = job(tmp_path, rows, "b", against=[str(tmp_path / "a")], dedup={"keep": "longest"})
    found = decided(tmp_path / "b")
    assert found["b000"][0] == "a000" and 0.7 <= found["b000"][1] < 1 and found["b000"][2] == "near_duplicate"
    assert found["b001"] == ("a002", 1.0, "exact_duplicate")
    assert report["duplicates"]["against"] == 2 and report["duplicates"]["removed"] == 3
    assert {e["survivor"]["id"] for e in report["duplicates"]["examples"]} >= {"a000", "a002"}


def test_against_all_counts_what_the_earlier_run_removed(earlier, tmp_path):
    rows = rows_for([(0, 2)], "b")
    job(tmp_path, rows, "kept", against=[str(earlier / "a")])
    job(tmp_path, rows, "all", against=[str(earlier / "a")], against_all=True)
    assert decided(tmp_path / "kept")["b000"][::2] == ("a000", "near_duplicate")
    assert decided(tmp_path / "all")["b000"] == ("a001", 1.0, "exact_duplicate")


def test_an_id_of_an_earlier_run_is_not_given_twice(earlier, tmp_path):
    rows = [{"id": "a000", "text": "something else entirely", "date": None, "n": 0}]
    rows.append({"id": "a002", "text": variant(1, 0), "date": None, "n": 1})
    job(tmp_path, rows, "b", against=[str(earlier / "a")])
    found = {row["n"]: row for row in rows_of(tmp_path / "b").values()}
    assert found[0]["filter_reason"] is None and found[0]["cluster_id"].startswith("a000#")
    assert found[1]["duplicate_of"] == "a002"


@pytest.mark.parametrize("runner", ["local", "FnApiRunner"])
def test_against_on_every_host(earlier, tmp_path, runner):
    rows = rows_for([(0, 3), (1, 1), (5, 0), (5, 2), (9, 0)], "b")
    changes = {"against": [str(earlier / "a")], "dedup": {"lines": {"enabled": True, "max_repeats": 1}}}
    job(tmp_path, rows, "plain", 1, **changes)
    job(tmp_path, rows, "other", 3, run={"runner": runner, "workers": 2}, **changes)
    assert rows_of(tmp_path / "plain") == rows_of(tmp_path / "other")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dedup": {"bands": 20}}, "dedup.bands is 14 there and 20 here"),
        ({"dedup": {"ngram": 6}}, "dedup.ngram is 5 there and 6 here"),
        ({"dedup": {"seed": 2}}, "dedup.seed is 1 there and 2 here"),
        ({"against": ["{folder}"]}, "holds no finished run: there is no manifest.json in it"),
        ({"against": ["{out}"]}, "is the output folder of this run"),
        ({"against": [], "against_all": True}, "against_all needs against"),
        ({"dedup": {"enabled": False}}, "against needs duplicates"),
        ({"exclude_near": True}, "exclude_near needs exclude_ids"),
        ({"dedup": {"verify_by": "shingles"}}, "against has only the signals of earlier runs"),
        ({"against": [], "dedup": {"verify_by": "shingles", "near": False}}, "verify_by shingles needs dedup.near"),
        ({"dedup": {"prefer": ["t"]}}, "dedup.prefer names source 't'"),
        ({"dedup": {"prefer": ["s", "s"]}}, "source 's' stands there twice"),
        ({"dedup": {"verify": 0.3}}, "at verify 0.3"),
        ({"select": {"floors": {"t": 0.5}}}, "select.floors names source 't'"),
        ({"dedup": {"keep": "column:nn:desc"}}, "has no column 'nn': did you mean 'n'?"),
        ({"decontaminate": {"paths": ["{folder}/none.jsonl"]}}, "decontaminate.paths: there is no file"),
        ({"decontaminate": {"paths": ["{short}"]}}, "none of the 1 benchmark documents has 13 words"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_work(earlier, tmp_path, changes, message):
    (tmp_path / "short.jsonl").write_text('{"text": "too short"}\n')
    places = {"folder": tmp_path, "out": tmp_path / "b", "short": tmp_path / "short.jsonl"}

    def filled(value):
        if isinstance(value, str):
            return value.format(**places)
        if isinstance(value, list):
            return [filled(item) for item in value]
        return {k: filled(v) for k, v in value.items()} if isinstance(value, dict) else value

    wanted = {"against": [str(earlier / "a")], **filled(changes)}
    with pytest.raises(ConfigError) as error:
        job(tmp_path, rows_for([(0, 0)], "b"), "b", **wanted)
    assert message in str(error.value)
    assert not (tmp_path / "b" / "signals").exists()


def test_another_tokeniser_is_refused_by_name(earlier, tmp_path):
    shutil.copytree(earlier / "a", tmp_path / "a")
    manifest = tmp_path / "a" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"tokeniser": "', '"tokeniser": "older-'))
    with pytest.raises(ConfigError, match="version of the tokeniser is older-"):
        job(tmp_path, rows_for([(0, 0)], "b"), "b", against=[str(tmp_path / "a")])


def _rewrite(name, change):
    def edit(folder):
        path = folder / name
        path.write_text(json.dumps(change(json.loads(path.read_text()))))

    return edit


@pytest.mark.parametrize(
    ("edit", "code", "message"),
    [
        (shutil.rmtree, "no-finished-run", "no such folder"),
        (lambda a: (shutil.rmtree(a), a.write_text("x")), "no-finished-run", "no such folder"),
        (lambda a: (a / "manifest.json").unlink(), "no-finished-run", "there is no manifest.json"),
        (lambda a: (a / "manifest.json").write_text("{"), "no-finished-run", "manifest.json is damaged"),
        (_rewrite("manifest.json", lambda _: []), "no-finished-run", "its manifest.json is not that of a run"),
        (_rewrite("manifest.json", lambda _: {"name": "x"}), "no-finished-run", "its manifest.json is not that of"),
        (lambda a: (a / "decisions/weights.json").unlink(), "no-finished-run", "there is no decisions/weights.json"),
        (_rewrite("decisions/weights.json", lambda _: {}), "no-finished-run", "its decisions/weights.json is not"),
        (lambda a: shutil.rmtree(a / "signals"), "no-finished-run", "lacks the signals of s/part-000"),
        (lambda a: shutil.rmtree(a / "decisions/clusters"), "no-finished-run", "lacks the clusters of s/part-000"),
        (lambda a: shutil.rmtree(a / "decisions/weights"), "no-finished-run", "lacks the weights of s/part-000"),
        (
            _rewrite("manifest.json", lambda m: {**m, "config": {**m["config"], "novel": 1}}),
            "setting",
            "made with a configuration that this release does not know (unknown key 'novel'",
        ),
    ],
)
def test_a_folder_that_is_no_run_is_refused_before_work(earlier, tmp_path, edit, code, message):
    shutil.copytree(earlier / "a", tmp_path / "a")
    edit(tmp_path / "a")
    with pytest.raises(ConfigError) as error:
        job(tmp_path, rows_for([(0, 0)], "b"), "b", against=[str(tmp_path / "a")])
    assert message in str(error.value) and error.value.code == code
    assert not (tmp_path / "b" / "signals").exists()


def test_the_command_line_takes_earlier_runs(earlier, tmp_path):
    pattern = corpus.write(tmp_path / "in", rows_for([(0, 0), (7, 0)], "b"), 1)
    arguments = ["dedup", "-i", pattern, "-o", str(tmp_path / "b"), "--against", str(earlier / "a"), "-q"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert [row["id"] for row in rows_of(tmp_path / "b", ("kept",)).values()] == ["b001"]


def test_duplicates_that_stay_share_the_weight_of_their_cluster(tmp_path):
    rows = rows_for([(0, 0), (0, 1), (0, 2), (1, 0), (2, 0), (2, 1)], "a")
    report = job(tmp_path, rows, dedup={"action": "keep"})
    found = {row["id"]: row for row in rows_of(tmp_path / "out").values()}
    assert report["documents"]["kept"] == 6
    assert found["a001"]["cluster_size"] == 3 and found["a000"]["similarity"] == 1.0
    assert sum(row["duplicate_of"] is not None for row in found.values()) == 3
    unit = found["a003"]["weight"]
    assert [found[f"a00{i}"]["weight"] / unit for i in range(6)] == pytest.approx([1 / 3] * 3 + [1] + [1 / 2] * 2, 1e-4)
    assert sum(row["weight"] for row in found.values()) / 6 == pytest.approx(1, abs=1e-4)
    job(tmp_path, rows, "half", dedup={"action": "keep"}, mix={"gamma": 0.5})
    half = {row["id"]: row["weight"] for row in rows_of(tmp_path / "half").values()}
    assert half["a000"] / half["a003"] == pytest.approx(3**-0.5, 1e-4)


def test_rehydration_weighs_survivors_by_the_size_of_their_cluster(tmp_path):
    rows = rows_for([(0, 0), (0, 1), (0, 2), (0, 3), (0, 4), (1, 0), (2, 0), (2, 1)], "a")
    job(tmp_path, rows, mix={"rehydration": {1: 1.0, 2: 2.0, 4: 3.0}})
    found = {row["cluster_size"]: row["weight"] for row in rows_of(tmp_path / "out", ("kept",)).values()}
    assert found[2] / found[1] == pytest.approx(2, 1e-4) and found[5] / found[1] == pytest.approx(3, 1e-4)
    with pytest.raises(ConfigError, match="give one of them"):
        load(None, {"mix": {"rehydration": {1: 1}, "gamma": 0.5}})


def test_near_duplicates_of_excluded_ids_leave_with_them(tmp_path):
    rows = rows_for([(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)], "a")
    (tmp_path / "ids.txt").write_text("a002\n")
    changes = {"exclude_ids": str(tmp_path / "ids.txt")}
    job(tmp_path, rows, "alone", **changes)
    alone = decided(tmp_path / "alone")
    assert alone["a002"][2] == "exclude_id" and {alone["a000"][2], alone["a001"][2]} == {None, "exact_duplicate"}
    for action in ("remove", "keep"):
        job(tmp_path, rows, action, **changes, exclude_near=True, dedup={"action": action})
        found = decided(tmp_path / action)
        assert found["a002"][2] == "exclude_id"
        for name in ("a000", "a001"):
            assert found[name][0] == "a002" and found[name][2] == "exclude_near_duplicate" and found[name][1] >= 0.7
        assert {found["a003"][2], found["a004"][2]} == ({None, "exact_duplicate"} if action == "remove" else {None})


def test_one_document_of_each_canonical_url_stays(tmp_path):
    addresses = ["http://Example.com/a?utm_source=x", "https://www.example.com/a/", "https://example.com/b", None, None]
    rows = [{"url": url, "text": variant(i, 0), "n": i} for i, url in enumerate(addresses)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "in.parquet")
    values = {**QUICK, "inputs": [{"path": str(tmp_path / "in.parquet")}], "columns": {"url": "url"}}
    curate(output=str(tmp_path / "off"), **values)
    report = curate(output=str(tmp_path / "on"), dedup={"url": True}, **values)
    assert len(rows_of(tmp_path / "off", ("kept",))) == 5
    assert report["documents"]["by_reason"] == {"url_duplicate": 1}
    [gone] = rows_of(tmp_path / "on", ("excluded",)).values()
    assert gone["n"] in (0, 1) and gone["filter_reason"] == "url_duplicate"


@pytest.mark.parametrize(("direction", "survivor"), [("desc", 2), ("asc", 1)])
def test_any_column_says_which_document_is_kept(tmp_path, direction, survivor):
    scores = [None, 0.25, 7.5, None]
    rows = [{"text": variant(0, i), "score": score, "n": i} for i, score in enumerate(scores)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "in.parquet")
    report = curate(
        inputs=[{"path": str(tmp_path / "in.parquet")}],
        output=str(tmp_path / "out"),
        **QUICK,
        dedup={"keep": f"column:score:{direction}"},
    )
    assert list(rows_of(tmp_path / "out", ("kept",))) == [survivor]
    assert any("2 of 4 candidates have no value" in text for text in report["run"]["warnings"])
    assert any("DUPLICATES ARE 75% OF SOURCE 'default' (3 of 4" in text for text in report["run"]["warnings"])


def test_a_column_without_any_value_is_reported(tmp_path):
    """JSON lines of nulls have no type at all; beside them another file may have one."""
    lines = [json.dumps({"text": variant(0, i), "score": None, "n": i}) + "\n" for i in range(3)]
    (tmp_path / "a.jsonl").write_text("".join(lines))
    inputs = {"inputs": [{"path": str(tmp_path / "*.jsonl")}], "dedup": {"keep": "column:score:desc"}, **QUICK}
    report = curate(output=str(tmp_path / "none"), **inputs)
    assert report["documents"]["kept"] == 1
    assert any("3 of 3 candidates have no value" in text for text in report["run"]["warnings"])
    (tmp_path / "b.jsonl").write_text(json.dumps({"text": variant(0, 3), "score": 1, "n": 3}) + "\n")
    curate(output=str(tmp_path / "some"), **inputs)
    assert [row["n"] for row in rows_of(tmp_path / "some", ("kept",)).values()] == [3]


@pytest.mark.parametrize(
    ("scores", "message"),
    [([[1]], "'score' of .*a.jsonl is list.*, which has no order"), ([1, None, "high"], "'score' of .*several types")],
)
def test_a_column_without_an_order_is_refused(tmp_path, scores, message):
    lines = [json.dumps({"text": "a", "score": score}) + "\n" for score in scores]
    (tmp_path / "a.jsonl").write_text("".join(lines))
    values = {**QUICK, "inputs": [{"path": str(tmp_path / "a.jsonl")}], "output": str(tmp_path / "out")}
    with pytest.raises(ConfigError, match=message) as error:
        curate(**values, dedup={"keep": "column:score:asc"})
    assert error.value.code == "wrong-column-type"


def test_a_column_of_mixed_types_is_refused(tmp_path):
    for name, kind in (("a", pa.int64()), ("b", pa.string())):
        table = pa.table({"text": ["some text"], "score": pa.array([1]).cast(kind)})
        pq.write_table(table, tmp_path / f"{name}.parquet")
    values = {**QUICK, "inputs": [{"path": str(tmp_path / "*.parquet")}], "output": str(tmp_path / "out")}
    with pytest.raises(ConfigError, match=r"'score' is int64 in .*a\.parquet and string in .*b\.parquet"):
        curate(**values, dedup={"keep": "column:score:asc"})


def test_the_curves_of_candidates_and_merges_are_reported(tmp_path):
    report = job(tmp_path, corpus.documents(), "out", 3)
    curves = report["duplicates"]["curves"]
    assert sum(curves["merged"]) == report["documents"]["by_reason"]["near_duplicate"]
    assert sum(curves["candidates"]) >= sum(curves["merged"])
    assert sum(curves["merged"][:35]) == 0
    assert report["duplicates"]["split_buckets"] == 0


def test_a_floor_that_was_missed_comes_with_its_numbers(tmp_path, capsys):
    rows = rows_for([(0, 0), (0, 1), (0, 2), (1, 0)], "a")
    pattern = corpus.write(tmp_path / "in", rows, 1)
    floors = ["-s", "select.floors={s: 0.9}", "-s", "select.on_floor=fail"]
    result = CliRunner().invoke(app, ["dedup", "-i", f"s={pattern}", "-o", str(tmp_path / "out"), *floors])
    assert result.exit_code == 1
    assert "FLOOR MISSED: 50.0% of source 's'" in result.output
    assert "2 documents too few; 1 left as exact_duplicate; 1 left as near_duplicate" in result.output


def test_near_duplicates_are_the_same_whatever_the_preset_is_called(tmp_path):
    rows = rows_for([(0, 0), (0, 2), (1, 0)], "a")
    for preset in ("default", "fineweb", "nemo", "strict"):
        report = job(tmp_path, rows, preset, dedup={"preset": preset})
        assert report["documents"]["by_reason"] == {"near_duplicate": 1}
    assert Path(tmp_path, "nemo", "manifest.json").exists()


def test_equal_text_compares_bytes_alone_and_an_earlier_run_must_do_the_same(tmp_path):
    texts = ["A rose is a rose", "a rose is a ROSE", "A rose is a rose", "  \n", "  \n", "…", ""]
    rows = [{"id": f"d{i}", "text": text, "date": None, "n": i} for i, text in enumerate(texts)]
    plain = {"near": False, "equal": "text"}
    job(tmp_path, rows, "text", dedup=plain)
    found = {name: row["filter_reason"] for name, row in by_id(tmp_path / "text").items()}
    copy, empty = "exact_duplicate", "empty_text"
    assert found == {"d0": None, "d1": None, "d2": copy, "d3": None, "d4": copy, "d5": None, "d6": empty}
    job(tmp_path, rows, "words", dedup={"near": False})
    found = {name: row["filter_reason"] for name, row in by_id(tmp_path / "words").items()}
    assert found == {"d0": None, "d1": copy, "d2": copy, "d3": None, "d4": None, "d5": None, "d6": empty}
    with pytest.raises(ConfigError, match=r"dedup.equal"):
        job(tmp_path, rows, "after", dedup=plain, against=[str(tmp_path / "words")])
    job(tmp_path, rows, "after", dedup=plain, against=[str(tmp_path / "text")])
    assert all(row["filter_reason"] for row in by_id(tmp_path / "after").values())


def by_id(output):
    return {row["id"]: row for row in rows_of(output).values()}


@given(st.lists(st.text(alphabet="ab \t\n\u00a0é", max_size=12), max_size=8), st.integers(1, 60))
def test_words_between_spaces_are_counted_without_tokens(texts, times):
    texts = [text * times for text in texts]  # more than a block, with words across its ends
    data, starts = text_buffer(pa.array(texts, pa.string()))
    assert spaced_words(data, starts).tolist() == [len(text.encode().split()) for text in texts]
