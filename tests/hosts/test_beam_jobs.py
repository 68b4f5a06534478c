"""Whole jobs and files through Beam: the same bytes as from the local runner."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to

from curation import ConfigError, curate
from curation import beam as curation_beam
from hosts.world import KEPT, batches, keep, rows, settings, table, write


def checksums(folder):
    found = sorted(Path(folder).rglob("*.parquet"))
    return {str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest() for f in found}


@pytest.mark.engines
@pytest.mark.parametrize("kind", ["soft", "all"])
def test_curate_keeps_the_same_bytes_as_the_local_runner(kind, tmp_path):
    values = settings(tmp_path, kind)
    local = curate(output=str(tmp_path / "local"), **values)
    with beam.Pipeline(runner=FnApiRunner()) as p:
        reports = p | curation_beam.Curate(values, output=str(tmp_path / "beam"))
        assert_that(reports | beam.Map(lambda report: report["documents"]), equal_to([local["documents"]]))
    assert local["documents"]["excluded"] > 30
    for folder in ("kept", "excluded", "decisions"):
        expected = checksums(tmp_path / "local" / folder)
        assert len(expected) >= 3
        assert checksums(tmp_path / "beam" / folder) == expected
    with (tmp_path / "beam/report/report.json").open() as file:
        assert json.load(file)["documents"] == local["documents"]


def test_curate_tells_what_is_missing_when_the_pipeline_is_built(tmp_path):
    with pytest.raises(ConfigError, match="no/such"), beam.Pipeline(runner=FnApiRunner()) as p:
        _ = p | curation_beam.Curate(inputs=[{"path": "no/such"}], output=str(tmp_path / "out"))


def test_read_shards_gives_all_rows_and_checks_columns_when_the_pipeline_is_built(tmp_path):
    folder = write(tmp_path / "in", 3)
    KEPT["out"] = []
    with beam.Pipeline(runner=FnApiRunner()) as p:
        read = p | curation_beam.ReadShards(inputs=[f"{folder}/part-0.parquet", f"{folder}/part-[12]*"], batch_mb=0.02)
        assert read.element_type == pa.RecordBatch
        read | beam.Map(keep, "out")
    assert rows(KEPT["out"]) == rows(table())
    assert len(KEPT["out"]) > 6
    with pytest.raises(ConfigError, match="no column 'texts'.*did you mean 'text'"):
        _ = beam.Pipeline(runner=FnApiRunner()) | curation_beam.ReadShards(inputs=folder, text="texts")


def test_records_that_cannot_be_read_go_to_the_second_output(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\n{"text": \n{"text": 3}\n{"text": "two"}\n')
    KEPT["good"], KEPT["bad"] = [], []
    with beam.Pipeline(runner=FnApiRunner()) as p:
        good, bad = p | curation_beam.ReadShards(inputs=str(tmp_path / "a.jsonl"), with_errors=True)
        good | "Good" >> beam.Map(keep, "good")
        bad | "Bad" >> beam.Map(keep, "bad")
    assert [text for batch in KEPT["good"] for text in batch.column("text").to_pylist()] == ["one", "two"]
    found = [(row.column("row")[0].as_py(), row.column("error")[0].as_py()) for row, _ in KEPT["bad"]]
    assert found == [(1, "invalid_json"), (2, "text_not_a_string")]
    assert all("a.jsonl" in message for _, message in KEPT["bad"])
    with pytest.raises(Exception, match="with_errors=True"), beam.Pipeline(runner=FnApiRunner()) as p:
        _ = p | curation_beam.ReadShards(inputs=str(tmp_path / "a.jsonl"))


@pytest.mark.parametrize("format", ["parquet", "jsonl.gz"])
def test_write_shards_depends_on_the_rows_alone(format, tmp_path):
    written = []
    for number, given in enumerate([batches(1000), batches(10)[::-1], [*batches(3), batches(1)[0].slice(0, 0)]]):
        output = tmp_path / str(number)
        KEPT["paths"] = []
        with beam.Pipeline(runner=FnApiRunner()) as p:
            write_shards = curation_beam.WriteShards(output=str(output), files=3, format=format)
            p | beam.Create(given) | write_shards | beam.Map(keep, "paths")
        assert sorted(KEPT["paths"]) == sorted(str(path) for path in output.iterdir())
        assert len(KEPT["paths"]) == 3
        written.append({path.name: path.read_bytes() for path in output.iterdir()})
    assert written[0] == written[1] == written[2]
    if format == "parquet":
        assert rows(pa.concat_tables(pq.read_table(path) for path in output.iterdir())) == rows(table())
    with pytest.raises(ValueError, match="of an earlier run"), beam.Pipeline(runner=FnApiRunner()) as p:
        _ = p | beam.Create(batches(9)) | curation_beam.WriteShards(output=str(output))


def test_write_shards_refuses_two_schemas(tmp_path):
    given = [pa.RecordBatch.from_pydict({"text": ["a"]}), pa.RecordBatch.from_pydict({"text": ["a"], "n": [1]})]
    with pytest.raises(Exception, match="two schemas"), beam.Pipeline(runner=FnApiRunner()) as p:
        _ = p | beam.Create(given) | curation_beam.WriteShards(output=str(tmp_path / "out"), files=1)


def test_nothing_but_the_hosts_imports_their_engines():
    code = (
        "import sys, curation, curation.jobs, curation.local, curation.annotate\n"
        "curation.curate, curation.deduplicate, curation.detect_synthetic, curation.measure\n"
        "print(sorted({'apache_beam', 'datatrove'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found.strip() == "[]"
