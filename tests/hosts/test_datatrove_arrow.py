"""ArrowReader and ArrowWriter: batches go through our steps with the same results as Documents, nothing is lost."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datatrove.data import Document
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.readers import ParquetReader
from datatrove.pipeline.writers import JsonlWriter

from curation import detect_synthetic
from curation.datatrove import ArrowReader, ArrowWriter, DetectSynthetic, MeasureDiversity, MergeDiversity
from hosts.world import every_third_synthetic, llm, rows, table, write


def executed(folder: Path, reader: object, tasks: int, *steps: object) -> LocalPipelineExecutor:
    states = MeasureDiversity(str(folder / "states"))
    pipeline = [reader, DetectSynthetic(), states, *steps]
    return LocalPipelineExecutor(pipeline, tasks=tasks, workers=1, logging_dir=str(folder / "logs"))


def test_batches_give_what_documents_give(tmp_path: Path) -> None:
    source = write(tmp_path / "in", 3)
    for name, reader, tasks in (("batches", ArrowReader(source), 2), ("documents", ParquetReader(source), 3)):
        folder = tmp_path / name
        executed(folder, reader, tasks, ArrowWriter(str(folder / "out"))).run()
    written = [pq.read_table(f) for f in sorted((tmp_path / "batches" / "out").glob("*.parquet"))]
    assert len(written) == 2
    assert rows(pa.concat_tables(written)) == rows(detect_synthetic(table()))
    documents = [pq.read_table(f) for f in sorted((tmp_path / "documents" / "out").glob("*.parquet"))]
    wanted = ["p_synthetic", "synthetic_label", "text"]
    as_documents = pa.concat_tables(documents, promote_options="permissive").select(wanted).to_pylist()
    plain = pa.concat_tables(written).select(wanted).to_pylist()
    kept = [row for row in plain if row["text"]]  # datatrove's reader drops documents without text
    assert sorted(map(repr, as_documents)) == sorted(map(repr, kept))


def test_statistics_do_not_depend_on_how_rows_come(tmp_path: Path) -> None:
    rows = table().filter(pa.compute.greater(pa.compute.utf8_length(table()["text"]), 0))
    rows = rows.set_column(0, "id", pa.array([f"r{i}" for i in range(len(rows))]))
    (tmp_path / "in").mkdir()
    pq.write_table(rows, tmp_path / "in" / "part.parquet")
    found = []
    for name, reader in (("batches", ArrowReader), ("documents", ParquetReader)):
        executed(tmp_path / name, reader(str(tmp_path / "in")), 1).run()
        list(MergeDiversity(str(tmp_path / name / "states"), str(tmp_path / name)).run(None))
        found.append(json.loads((tmp_path / name / "diversity.json").read_text()))
    assert found[0] == found[1] and sum(entry["value"] is not None for entry in found[0].values()) > 10


def test_excluded_rows_go_to_the_exclusion_writer_and_no_further(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    every_third_synthetic(monkeypatch)
    (tmp_path / "in").mkdir()
    pq.write_table(pa.table({"text": llm(), "n": range(len(llm()))}), tmp_path / "in" / "part.parquet")
    gone_to = JsonlWriter(str(tmp_path / "gone"), compression=None)
    step = DetectSynthetic(exclude=True, exclusion_writer=gone_to)
    pipeline = [ArrowReader(str(tmp_path / "in")), step, ArrowWriter(str(tmp_path / "out"), format="jsonl")]
    LocalPipelineExecutor(pipeline, logging_dir=str(tmp_path / "logs")).run()
    kept = [json.loads(line) for line in (tmp_path / "out" / "00000.jsonl").read_text().splitlines()]
    gone = [json.loads(line) for file in (tmp_path / "gone").glob("*") for line in file.read_text().splitlines()]
    assert gone and {row["metadata"]["filter_reason"] for row in gone} == {"synthetic"}
    numbers = [row["n"] for row in kept] + [row["metadata"]["n"] for row in gone]
    assert sorted(numbers) == list(range(len(llm())))
    assert "synthetic" not in {row["synthetic_label"] for row in kept}


def test_bad_records_and_other_schemas_are_told(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": "good"}\n{"text": broken\n')
    reader = ArrowReader(str(tmp_path / "in.jsonl"))
    with pytest.raises(ValueError, match=r"in.jsonl, record 1.*skip_bad=True"):
        list(reader.run())
    found = list(ArrowReader(str(tmp_path / "in.jsonl"), skip_bad=True).run())
    assert sum(batch.num_rows for batch in found) == 1
    writer = ArrowWriter(str(tmp_path / "out"))
    batches = [pa.RecordBatch.from_pydict({"text": ["a"]}), pa.RecordBatch.from_pydict({"text": [1]})]
    with pytest.raises(ValueError, match="batches of two schemas"):
        list(writer.run(iter(batches)))
    assert not list((tmp_path / "out").rglob("*.parquet"))
    documents = [Document(text="a", id=str(i), metadata={"n": i} if i < 8192 else {"m": i}) for i in range(8193)]
    with pytest.raises(ValueError, match="a key 'm' that the first documents did not have"):
        list(writer.run(iter(documents)))
    with pytest.raises(ValueError, match="format must be one of"):
        ArrowWriter("out", format="csv")
