"""The whole job: the same decisions whatever the host, sharding and workers; resume; every record accounted for."""

import hashlib
import json
import shutil
from pathlib import Path

import corpus
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from curation import curate, jobs
from curation.cli import app
from curation.config import ConfigError, load

DECISIONS = (
    *("cluster_id", "cluster_size", "duplicate_of", "similarity", "p_synthetic", "synthetic_label"),
    *("synthetic_reason", "weight", "copies", "filter_reason"),
)


@pytest.fixture(scope="module")
def profile(tmp_path_factory):
    """A reference profile of the human passages that the crawl does not hold."""
    folder = tmp_path_factory.mktemp("reference")
    rows = [{"id": f"r{i}", "text": t, "date": None, "n": i} for i, t in enumerate(corpus.human()[260:])]
    target = str(folder / "reference.profile")
    config = load(None, {"inputs": [{"path": corpus.write(folder / "in", rows, 2)}]})
    assert jobs.build_reference(config, target, licences=["PSF-2.0"], quiet=True) == 0
    return target


def run(folder, rows, shards, profile, **changes):
    values = {
        "inputs": [{"path": corpus.write(folder / f"in{shards}", rows, shards), "source": "crawl"}],
        "output": str(folder / "out"),
        "columns": {"date": "date"},
        "reference": profile,
    }
    for key, value in changes.items():
        values[key] = {**values.get(key, {}), **value} if isinstance(value, dict) else value
    return curate(**values)


def rows_of(output, folders=("kept", "excluded")):
    found = {}
    for folder in folders:
        for file in sorted(Path(output, folder).rglob("*.parquet")):
            for row in pq.read_table(file).to_pylist():
                assert row["n"] not in found
                found[row["n"]] = row
    return found


def hashes_of(output, folders=("kept", "excluded", "decisions/weights", "decisions/clusters")):
    return {
        str(f.relative_to(output)): hashlib.sha256(f.read_bytes()).hexdigest()
        for folder in folders
        for f in sorted(Path(output, folder).rglob("*.parquet"))
    }


@pytest.fixture(scope="module")
def baseline(tmp_path_factory, profile):
    folder = tmp_path_factory.mktemp("baseline")
    report = run(folder, corpus.documents(), 4, profile, select={"rate": 0.6}, run={"workers": 1})
    return folder, report, rows_of(folder / "out")


def test_every_record_is_accounted_for_and_untouched(baseline):
    folder, report, rows = baseline
    documents = corpus.documents()
    counts = report["documents"]
    assert counts["read"] == len(documents) == counts["kept"] + counts["excluded"] + counts["quarantined"]
    assert sorted(rows) == sorted(row["n"] for row in documents)
    for row in documents:
        assert {k: rows[row["n"]][k] for k in row} == row
    assert counts["by_reason"]["exact_duplicate"] >= 12
    assert counts["by_reason"]["near_duplicate"] >= 10
    assert counts["by_reason"]["empty_text"] == 1
    assert counts["by_reason"]["not_selected"] > 50


def test_duplicates_name_a_survivor_that_stays_a_duplicate_of_nothing(baseline):
    _, _, rows = baseline
    by_id = {row["id"]: row for row in rows.values()}
    removed = [row for row in rows.values() if row["duplicate_of"] is not None]
    assert removed
    for row in removed:
        assert by_id[row["duplicate_of"]]["duplicate_of"] is None
        assert row["similarity"] >= 0.7 - 1e-6
        assert by_id[row["duplicate_of"]]["cluster_id"] == row["cluster_id"]


def test_weights_favour_human_text_and_selection_keeps_expectations(baseline):
    _, report, rows = baseline
    kept = [row for row in rows.values() if row["filter_reason"] is None]
    assert all(row["copies"] == 1 and row["weight"] > 0 for row in kept)
    considered = [r for r in rows.values() if r["filter_reason"] in (None, "not_selected")]
    wanted = round(0.6 * len(considered))
    assert abs(len(kept) - wanted) <= 1
    human = {row["n"] for row in corpus.documents() if row["n"] < 260}
    share = sum(r["n"] in human for r in kept) / len(kept)
    before = sum(r["n"] in human for r in considered) / len(considered)
    assert share > before + 0.05
    assert report["mixing"]["mode"] == "balance"


@pytest.mark.parametrize(
    ("shards", "workers", "runner"),
    [
        (1, 2, "local"),
        (16, 2, "local"),
        pytest.param(4, 2, "local", marks=pytest.mark.slow),
        pytest.param(1, 1, "FnApiRunner", marks=pytest.mark.engines),
        (4, 2, "FnApiRunner"),
        pytest.param(16, 2, "FnApiRunner", marks=pytest.mark.engines),
    ],
)
def test_decisions_do_not_depend_on_host_sharding_or_workers(baseline, profile, tmp_path, shards, workers, runner):
    folder, report, rows = baseline
    other = run(
        tmp_path,
        corpus.documents(),
        shards,
        profile,
        select={"rate": 0.6},
        run={"workers": workers, "runner": runner, "batch_mb": 0.05},
    )
    assert rows_of(tmp_path / "out") == rows
    if shards == 4:
        assert hashes_of(tmp_path / "out") == hashes_of(folder / "out")
    for section in ("synthetic", "variance", "mixing"):
        assert _plain(other[section], "by_shard") == _plain(report[section], "by_shard")
    assert other["diversity"]["before"]["total"] == report["diversity"]["before"]["total"]
    assert other["diversity"]["after"]["total"] == report["diversity"]["after"]["total"]


def _plain(section, without):
    return json.dumps({k: v for k, v in section.items() if k != without}, sort_keys=True, default=str)


def test_a_second_run_over_the_output_drops_nothing(baseline, profile, tmp_path):
    folder, _, rows = baseline
    report = curate(
        inputs=[{"path": str(folder / "out" / "kept")}],
        output=str(tmp_path / "again"),
        columns={"date": "date"},
        reference=profile,
    )
    assert report["documents"]["excluded"] == 0
    again = rows_of(tmp_path / "again")
    assert sorted(again) == sorted(n for n, row in rows.items() if row["filter_reason"] is None)
    names = list(next(iter(again.values())))
    assert len(names) == len(set(names)) == len(corpus.SCHEMA) + 11


def test_an_interrupted_run_is_completed_by_the_same_command(baseline, profile, tmp_path):
    folder, _, _ = baseline
    shutil.copytree(folder / "in4", tmp_path / "in4", copy_function=shutil.copy2)
    arguments = dict(profile=profile, select={"rate": 0.6}, run={"workers": 1})
    run(tmp_path, corpus.documents(), 4, **arguments)
    whole = hashes_of(tmp_path / "out")
    assert whole == hashes_of(folder / "out")
    # as after a kill: some files of every phase are missing, and one is half-written under its temporary name
    out = tmp_path / "out"
    for path in [
        *list((out / "signals").rglob("*.parquet"))[:2],
        *list((out / "decisions/weights").rglob("*.parquet"))[:1],
        *list((out / "kept").rglob("*.parquet"))[2:3],
        *list((out / "excluded").rglob("*.parquet"))[1:2],
        out / "decisions/weights.json",
        out / "manifest.json",
    ]:
        path.unlink()
    (out / "kept" / "crawl" / ".part-000.parquet.tmp").write_bytes(b"PAR1 half")
    values = {
        "inputs": [{"path": str(tmp_path / "in4" / "*.parquet"), "source": "crawl"}],
        "output": str(out),
        "columns": {"date": "date"},
        "reference": profile,
        "select": {"rate": 0.6},
        "run": {"workers": 1},
    }
    curate(**values)
    assert hashes_of(out) == whole
    before = {f: f.stat().st_mtime_ns for f in out.rglob("*.parquet")}
    curate(**values)
    assert {f: f.stat().st_mtime_ns for f in out.rglob("*.parquet")} == before


def test_a_replaced_shard_is_annotated_again(tmp_path):
    rows = corpus.documents()[:60]
    run(tmp_path, rows, 2, None)
    changed = [{**row, "text": row["text"] + " And one more sentence."} for row in rows]
    report = run(tmp_path, changed, 2, None)
    assert all(row["text"].endswith("one more sentence.") for row in rows_of(tmp_path / "out").values())
    assert report["documents"]["read"] == 60


def test_mix_runs_again_from_signals_with_another_budget(baseline, profile, tmp_path):
    run(tmp_path, corpus.documents(), 2, profile)
    signals = {f: f.stat().st_mtime_ns for f in (tmp_path / "out" / "signals").rglob("*")}
    result = CliRunner().invoke(app, ["mix", "-o", str(tmp_path / "out"), "-s", "select.documents=50", "-q"])
    assert result.exit_code == 0, result.output
    assert {f: f.stat().st_mtime_ns for f in (tmp_path / "out" / "signals").rglob("*")} == signals
    assert sum(r["filter_reason"] is None for r in rows_of(tmp_path / "out").values()) in (49, 50)


def test_a_budget_beyond_the_repeats_is_reported_with_the_numbers(tmp_path):
    report = run(tmp_path, corpus.documents()[:50], 1, None, select={"documents": 1000, "max_repeats": 2})
    budget = report["mixing"]["budget"]
    assert budget["selected_documents"] < 1000
    assert "select.max_repeats 2" in budget["warnings"][0]


@pytest.mark.parametrize("verb", ["dedup", "detect", "measure"])
def test_each_verb_writes_the_whole_layout(verb, tmp_path):
    rows = corpus.documents()
    pattern = corpus.write(tmp_path / "in", rows, 2)
    result = CliRunner().invoke(app, [verb, "-i", f"crawl={pattern}", "-o", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    found = rows_of(tmp_path / "out")
    assert len(found) == len(rows)
    removed = {row["filter_reason"] for row in found.values()} - {None}
    expected = {"exact_duplicate", "near_duplicate", "empty_text"} if verb == "dedup" else {"empty_text"}
    assert removed == expected
    assert any(row["p_synthetic"] is not None for row in found.values()) == (verb == "detect")
    report = json.loads((tmp_path / "out" / "report" / "report.json").read_text())
    assert ("reason" in report["diversity"]) == (verb != "measure")
    assert "<html" in (tmp_path / "out" / "report" / "report.html").read_text()
    assert (tmp_path / "out" / "manifest.json").exists()


def test_jsonl_in_and_out_with_records_that_cannot_be_read(tmp_path):
    rows = corpus.documents()[:30]
    lines = [json.dumps(row) for row in rows]
    lines[3:3] = ['{"id": "broken", "text": ', '{"id": "x", "text": 5}', '{"id": "y"}', "[1, 2]"]
    (tmp_path / "in.jsonl").write_bytes("\n".join(lines).encode() + b'\n{"id": "z", "text": "\xff\xfe"}\n')
    report = curate(
        inputs=[{"path": str(tmp_path / "in.jsonl")}], output=str(tmp_path / "out"), run={"format": "jsonl.zst"}
    )
    counts = report["documents"]
    assert (counts["read"], counts["quarantined"]) == (35, 5)
    assert counts["read"] == counts["kept"] + counts["excluded"] + counts["quarantined"]
    shown = CliRunner().invoke(app, ["inspect", str(tmp_path / "out"), "--reason", "quarantine"])
    assert shown.exit_code == 0
    for code in ("invalid_json", "text_not_a_string", "text_missing", "not_an_object", "invalid_utf8"):
        assert code in shown.stdout
    one = CliRunner().invoke(app, ["inspect", str(tmp_path / "out"), "--id", rows[0]["id"]])
    assert one.exit_code == 0 and rows[0]["id"] in one.stdout


def test_inspect_shows_a_duplicate_beside_its_survivor(baseline):
    folder, _, rows = baseline
    row = next(r for r in rows.values() if r["filter_reason"] == "near_duplicate")
    shown = CliRunner().invoke(app, ["inspect", str(folder / "out"), "--id", row["id"]]).stdout
    assert row["id"] in shown and row["duplicate_of"] in shown and "near_duplicate" in shown
    by_reason = CliRunner().invoke(app, ["inspect", str(folder / "out"), "--reason", "near_dup"])
    assert by_reason.exit_code == 1
    assert "did you mean 'near_duplicate'?" in by_reason.stderr


def test_the_manifest_has_checksums_of_what_stands(baseline):
    import xxhash

    folder, report, _ = baseline
    manifest = json.loads((folder / "out" / "manifest.json").read_text())
    assert len(manifest["inputs"]) == 4
    for entry in manifest["outputs"]:
        file = folder / "out" / entry["path"]
        assert entry["xxh3_128"] == xxhash.xxh3_128_hexdigest(file.read_bytes())
        assert entry["rows"] == pq.read_metadata(file).num_rows
    assert manifest["documents"]["read"] == report["documents"]["read"]


def test_declared_human_text_survives_and_is_never_excluded_as_synthetic(tmp_path):
    rows = corpus.documents()
    twins = [{**row, "id": "h" + row["id"], "n": row["n"] + 10_000} for row in rows if len(row["text"]) > 900]
    report = curate(
        inputs=[
            {"path": corpus.write(tmp_path / "crawl", rows, 2), "source": "crawl"},
            {"path": corpus.write(tmp_path / "books", twins, 1), "source": "books", "trust": "human"},
        ],
        output=str(tmp_path / "out"),
        detect={"exclude": True},
    )
    found = rows_of(tmp_path / "out")
    human = [row for n, row in found.items() if n >= 10_000]
    assert human and not any(row["filter_reason"] == "synthetic" for row in human)
    for row in human:
        if row["duplicate_of"] is not None:
            assert row["duplicate_of"].startswith("h")
    assert report["documents"]["by_source"]["books"]["trust"] == "human"


def test_excluded_ids_leave_with_their_own_reason_and_their_copies_stay(tmp_path):
    rows = corpus.documents()
    ids = sorted(row["id"] for row in rows)[10:14]
    (tmp_path / "ids.txt").write_text("\n".join(ids) + "\n\n")
    report = run(tmp_path, rows, 2, None, exclude_ids=str(tmp_path / "ids.txt"))
    found = {row["id"]: row for row in rows_of(tmp_path / "out").values()}
    assert {found[i]["filter_reason"] for i in ids} == {"exclude_id"}
    assert report["documents"]["by_reason"]["exclude_id"] == 4
    assert not any(row["duplicate_of"] in ids for row in found.values())
    assert not any("exclude_ids" in warning for warning in report["run"]["warnings"])


def test_excluded_ids_that_no_document_has_are_counted_and_named(tmp_path):
    rows = corpus.documents()
    (tmp_path / "ids.txt").write_text("\n".join([rows[3]["id"], *(f"nobody-{n}" for n in range(7))]))
    report = run(tmp_path, rows, 2, None, exclude_ids=str(tmp_path / "ids.txt"))
    [warning] = [warning for warning in report["run"]["warnings"] if "exclude_ids" in warning]
    assert "7 of 8 ids" in warning and "'nobody-0'" in warning and "'nobody-4', ..." in warning
    assert "nobody-5" not in warning and rows[3]["id"] not in warning


def test_a_floor_that_is_missed_is_loud_and_fails_when_asked(tmp_path):
    pattern = corpus.write(tmp_path / "in", corpus.documents(), 1)
    arguments = ["run", "-i", f"crawl={pattern}", "-o", str(tmp_path / "out"), "-s", "select.floors={crawl: 0.999}"]
    loud = CliRunner().invoke(app, arguments)
    assert loud.exit_code == 0 and "FLOOR MISSED" in loud.stderr
    failed = CliRunner().invoke(app, [*arguments, "-s", "select.on_floor=fail"])
    assert failed.exit_code == 1 and "FLOOR MISSED" in failed.stderr


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"columns": {"text": "txt"}}, "did you mean 'text'?"),
        ({"columns": {"date": "dat"}}, "did you mean 'date'?"),
        ({"dedup": {"url": True}}, "columns.url"),
        ({"mix": {"multipliers": {"crwl": 2}}}, "crwl"),
        ({"reference": "no/such.profile"}, "no/such.profile"),
        ({"exclude_ids": "no/such.txt"}, "no/such.txt"),
        ({"run": {"runner": "FnApiRuner"}}, "did you mean 'FnApiRunner'?"),
        ({"mix": {"mode": "balance"}}, "reference"),
        ({"detect": {"model": "no/such.model"}}, "no/such.model"),
        ({"inputs": [{"path": "in/*.parquet", "before": "2020-01-01"}]}, "columns.date"),
        ({"reference": "."}, "reference"),
    ],
)
def test_what_cannot_be_run_is_said_before_work_starts(tmp_path, changes, message):
    pattern = corpus.write(tmp_path / "in", corpus.documents()[:5], 1)
    values = {"inputs": [{"path": pattern, "source": "crawl"}], "output": str(tmp_path / "out"), **changes}
    with pytest.raises(ConfigError, match=message.replace("?", r"\?")):
        curate(**values)
    assert not Path(tmp_path, "out", "signals").exists()


@pytest.mark.parametrize("rows", [[], [{"id": "a", "text": "", "date": None, "n": 0}]])
def test_nothing_to_keep_is_a_finished_run(tmp_path, profile, rows):
    report = run(tmp_path, rows, 1, profile)
    assert report["documents"]["kept"] == 0
    assert report["documents"]["read"] == len(rows)
    kept = list((tmp_path / "out" / "kept").rglob("*.parquet"))
    assert [pq.read_schema(f).names[:4] for f in kept] == [["id", "text", "date", "n"]]


def test_every_arrow_type_passes_through(tmp_path):
    rows = corpus.documents()[:20]
    table = pa.table(
        {
            "text": pa.array([r["text"] for r in rows], pa.large_string()),
            "key": pa.array(range(20), pa.int32()),
            "tags": pa.array([["a", None]] * 20, pa.list_(pa.string())),
            "nested": pa.array([{"x": 1, "y": [{"z": "q"}]}] * 20),
            "kind": pa.array(["a", "b"] * 10).dictionary_encode(),
            "when": pa.array([1_600_000_000_000_000] * 20, pa.timestamp("us", "UTC")),
            "blob": pa.array([b"\x00\xff"] * 20),
        }
    )
    pq.write_table(table, tmp_path / "in.parquet")
    curate(inputs=[{"path": str(tmp_path / "in.parquet")}], output=str(tmp_path / "out"), run={"batch_mb": 0.01})
    files = [f for folder in ("kept", "excluded") for f in (tmp_path / "out" / folder).rglob("*.parquet")]
    parts = [pq.read_table(f) for f in files]
    whole = pa.concat_tables(parts).sort_by("key")
    assert whole.num_rows == 20
    for name in table.schema.names:
        assert whole.schema.field(name).type == table.schema.field(name).type
        assert whole.column(name).to_pylist() == table.column(name).to_pylist()


def test_an_output_of_other_inputs_is_refused_and_a_grown_crawl_is_not(tmp_path):
    rows = corpus.documents()[:60]
    pattern = corpus.write(tmp_path / "in", rows, 3)
    one = {"inputs": [{"path": str(tmp_path / "in" / "part-000.parquet")}], "output": str(tmp_path / "out")}
    curate(**one)
    report = curate(**{**one, "inputs": pattern})
    assert report["documents"]["read"] == 60
    with pytest.raises(ConfigError, match=r"part-001\.parquet .* give another --output"):
        curate(**one)


def test_files_of_another_format_do_not_stay_beside_the_new_ones(tmp_path):
    values = {"inputs": corpus.write(tmp_path / "in", corpus.documents()[:20], 2), "output": str(tmp_path / "out")}
    curate(**values)
    curate(**values, run={"format": "jsonl", "excluded": "none"})
    names = sorted(f.name for f in (tmp_path / "out" / "kept").rglob("*") if f.is_file())
    assert names == ["part-000.parquet.jsonl", "part-001.parquet.jsonl"]
    assert not [f for f in (tmp_path / "out" / "excluded").rglob("*") if f.is_file()]


def test_mix_takes_another_kind_of_budget(tmp_path):
    pattern = corpus.write(tmp_path / "in", corpus.documents()[:80], 1)
    arguments = ["-q", "-o", str(tmp_path / "out")]
    first = CliRunner().invoke(app, ["run", "-i", pattern, *arguments, "-s", "select.documents=30"])
    again = CliRunner().invoke(app, ["mix", *arguments, "-s", "select.tokens=1e3"])
    assert (first.exit_code, again.exit_code) == (0, 0), again.output
    budget = json.loads((tmp_path / "out/report/report.json").read_text())["mixing"]["budget"]
    assert budget["tokens"] == 1000 and budget["selected_tokens"] <= 1000
