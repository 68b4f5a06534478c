"""`curation plan`: near what a run then does, for every format, and loud about what does not fit."""

import gzip
import json
from pathlib import Path

import corpus_for_cli as corpus
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from curation.cli import app
from curation.jobs import forecast


def invoke(*arguments):
    return CliRunner().invoke(app, list(map(str, arguments)))


def test_a_plan_is_near_what_the_run_does(tmp_path):
    data = corpus.write(tmp_path, copies=60)
    arguments = ["--input", f"crawl={data}", "--output", tmp_path / "out", "--set", "run.workers=1"]
    shown = invoke("plan", *arguments, "--json")
    assert shown.exit_code == 0, shown.stderr
    assert not (tmp_path / "out").exists()
    found = json.loads(shown.stdout)
    (source,) = found["inputs"]
    assert (source["source"], source["shards"], source["documents"]) == ("crawl", 1, 60 * corpus.DOCUMENTS)
    assert found["settings"]["dedup"]["bands"] == 14 and not found["warnings"]
    assert invoke("run", *arguments, "-q").exit_code == 0
    kept = sum(f.stat().st_size for f in (tmp_path / "out" / "kept").rglob("*.parquet"))
    signals = sum(f.stat().st_size for f in (tmp_path / "out" / "signals").rglob("*") if f.is_file())
    assert found["disk"]["kept"] == pytest.approx(kept, rel=0.5)
    assert found["disk"]["signals"] == pytest.approx(signals, rel=0.5)
    assert found["memory"]["bytes"] > found["memory"]["fixed"] > 0


def test_documents_are_estimated_from_the_beginning_of_each_file(tmp_path, monkeypatch):
    monkeypatch.setattr(forecast, "RAW_BYTES", 20_000)
    monkeypatch.setattr(forecast, "TEXT_BYTES", 10_000)
    data = pq.read_table(corpus.write(tmp_path, copies=50)).to_pylist()
    (tmp_path / "in").mkdir()
    for i in range(3):
        lines = b"".join(json.dumps(row).encode() + b"\n" for row in data[i * 600 : i * 600 + 600])
        (tmp_path / "in" / f"{i}.jsonl.gz").write_bytes(gzip.compress(lines))
    (tmp_path / "texts").mkdir()
    for i in range(200):
        (tmp_path / "texts" / f"{i}.txt").write_text(data[i]["text"])
    inputs = ["-i", f"a={tmp_path}/in", "-i", f"b={tmp_path}/texts"]
    shown = json.loads(invoke("plan", *inputs, "-o", tmp_path / "out", "--json").stdout)
    found = {item["source"]: item for item in shown["inputs"]}
    assert found["a"]["documents"] == pytest.approx(1800, rel=0.25)
    assert found["b"]["documents"] == 200 and found["a"]["quarantined"] == 0
    assert found["a"]["text_bytes"] == pytest.approx(sum(len(r["text"]) for r in data[:1800]), rel=0.25)


def test_what_does_not_fit_is_said_with_the_way_out(tmp_path, monkeypatch):
    data = corpus.write(tmp_path)
    monkeypatch.setattr(forecast, "_free", lambda place: 1000)
    monkeypatch.setattr(forecast, "_memory", lambda: 1000)
    arguments = ["plan", "-i", data, "-o", tmp_path / "out"]
    shown = invoke(*arguments)
    assert shown.exit_code == 0 and "WARNING: the run needs about" in shown.stdout and "run.workers" in shown.stdout
    checked = invoke(*arguments, "--check")
    assert checked.exit_code == 2 and "[does-not-fit]" in checked.stderr
    assert not Path(tmp_path / "out").exists()


def test_mistakes_stop_a_plan_as_they_stop_a_run(tmp_path):
    assert "[input-not-found]" in invoke("plan", "-i", tmp_path / "no.parquet", "-o", tmp_path / "out").stderr
