"""What a run says of single shards: documents to look at, their weight, and the thresholds behind the labels."""

import json

import corpus
import pytest
from typer.testing import CliRunner

from curation import curate
from curation.cli import app


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    rows = corpus.documents()
    crawl = [{"path": corpus.write(folder / "in", rows, 2), "source": "crawl"}]
    lines = folder / "lines.jsonl"
    lines.write_text("\n".join(json.dumps(row | {"id": f"j{row['id']}"}) for row in corpus.documents()[:20]))
    crawl.append({"path": str(lines), "source": "lines"})
    return folder, curate(inputs=crawl, output=str(folder / "out"), run={"format": "parquet"})


def shown(folder, *arguments):
    return CliRunner().invoke(app, ["inspect", str(folder / "out"), *arguments])


def heads(text):
    return [line for line in text.splitlines() if line.endswith(")") and not line.startswith(" ")]


def test_inspect_shows_kept_and_excluded_documents_of_one_shard(finished):
    folder, report = finished
    found = shown(folder, "--shard", "crawl/part-001.parquet", "--limit", "6")
    assert found.exit_code == 0
    lines = heads(found.stdout)
    assert sum("(kept/crawl/part-001.parquet)" in line for line in lines) == 3
    assert sum("(excluded/crawl/part-001.parquet)" in line for line in lines) == 3
    everything = heads(shown(folder, "--shard", "crawl/part-001.parquet", "--limit", "1000").stdout)
    (row,) = [s for s in report["documents"]["by_shard"] if s["shard"] == "crawl/part-001.parquet"]
    assert len(everything) == row["read"]


def test_inspect_finds_a_shard_whose_format_has_changed_by_its_name_in_the_report(finished):
    folder, report = finished
    (name,) = [s["shard"] for s in report["documents"]["by_shard"] if s["source"] == "lines"]
    assert name == "lines/lines.jsonl"
    assert heads(shown(folder, "--shard", name).stdout)


def test_a_shard_narrows_a_reason_and_an_unknown_one_is_refused(finished):
    folder, _ = finished
    found = shown(folder, "--shard", "crawl/part-001.parquet", "--reason", "exact_duplicate")
    assert found.exit_code == 0
    assert all("excluded/crawl/part-001.parquet" in line for line in heads(found.stdout))
    wrong = shown(folder, "--shard", "crawl/part-01.parquet")
    assert wrong.exit_code == 2 and "has no shard" in wrong.stderr and "did you mean" in wrong.stderr


def test_the_report_has_weights_of_shards_and_thresholds(finished):
    folder, report = finished
    for shard in report["documents"]["by_shard"]:
        assert shard["weight"] == (pytest.approx(1.0) if shard["kept"] else None), shard
    synthetic = report["synthetic"]
    stored = json.loads((folder / "out" / "decisions" / "calibration.json").read_text())
    pooled = [s for s in synthetic["strata"] if s["source"] is None]
    assert [s["threshold"] for s in pooled] == [rates[0] for rates in stored["threshold"][0][-1]]
    assert synthetic["threshold"] in [s["threshold"] for s in pooled if s["words"] >= 150]
    heights = synthetic["histogram"]["counts"].values()
    assert synthetic["scored"] == sum(map(sum, heights)) >= synthetic["covered"]
    assert report["run"]["output"] == str(folder / "out")
