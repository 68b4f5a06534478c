"""The whole job over every format: nothing is lost, columns pass through, and inputs may name their columns."""

import csv
import json
from io import BytesIO
from pathlib import Path

import corpus
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation import curate

TEXTS = corpus.human()[:60]


def write_inputs(folder: Path) -> list[dict]:
    """Ten documents in each format, under other column names in each; a bad record in some."""
    warcs = pytest.importorskip("warcio.warcwriter")
    folder.mkdir(parents=True)
    with (folder / "a.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["key", "body", "day"])
        writer.writerows([f"c{i}", text, "2020-01-01"] for i, text in enumerate(TEXTS[:10]))
        writer.writerow(["bad"])
    table = pa.table({"text": TEXTS[10:20], "nested": [{"a": [i]} for i in range(10)]})
    with pa.ipc.new_file(str(folder / "b.arrow"), table.schema) as sink:
        sink.write_table(table, max_chunksize=3)
    out = BytesIO()
    writer = warcs.WARCWriter(out, gzip=True)
    for i, text in enumerate(TEXTS[20:30]):
        body = BytesIO(text.encode())
        writer.write_record(
            writer.create_warc_record(
                f"http://x.org/{i}", "conversion", payload=body, warc_content_type="text/plain"
            )
        )
    (folder / "c.warc.wet.gz").write_bytes(out.getvalue())
    (folder / "texts").mkdir()
    for i, text in enumerate(TEXTS[30:40]):
        (folder / "texts" / f"{i}.txt").write_text(text)
    (folder / "d.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in TEXTS[40:50]) + "{broken\n")
    return [
        {"path": str(folder / "a.csv"), "source": "csv", "columns": {"text": "body", "id": "key", "date": "day"}},
        {"path": str(folder / "b.arrow"), "source": "arrow"},
        {"path": str(folder / "c.warc.wet.gz"), "source": "wet", "columns": {"url": "url"}},
        {"path": str(folder / "texts"), "source": "texts"},
        {"path": str(folder / "d.jsonl"), "source": "json"},
    ]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("formats")
    inputs = write_inputs(folder / "in")
    report = curate(inputs=inputs, output=str(folder / "out"), run={"format": "same"}, dedup={"url": True})
    return report, folder / "out", inputs


def test_every_record_of_every_format_is_accounted_for(finished):
    report, out, _ = finished
    found = report["documents"]
    assert (found["read"], found["quarantined"]) == (52, 2)
    assert found["kept"] + found["excluded"] == 50
    assert {name: s["read"] for name, s in found["by_source"].items()} == {
        "csv": 11,
        "arrow": 10,
        "wet": 10,
        "texts": 10,
        "json": 11,
    }
    kept = {str(f.relative_to(out / "kept")) for f in (out / "kept").rglob("*") if f.is_file()}
    assert kept == {
        "csv/a.csv.parquet",
        "arrow/b.arrow.parquet",
        "wet/c.warc.wet.gz.parquet",
        "texts/texts-00000.txt.parquet",
        "json/d.jsonl",
    }


def test_columns_have_the_common_names_and_pass_through(finished):
    _, out, _ = finished
    table = pq.read_table(out / "kept/csv/a.csv.parquet")
    assert table.schema.names[:3] == ["id", "text", "date"] and set(table["text"].to_pylist()) <= set(TEXTS[:10])
    arrow = pq.read_table(out / "kept/arrow/b.arrow.parquet")
    assert arrow.schema.field("nested").type == pa.struct([("a", pa.list_(pa.int64()))])
    texts = pq.read_table(out / "kept/texts/texts-00000.txt.parquet")
    assert set(texts["id"].to_pylist()) <= {f"{i}.txt" for i in range(10)}


def test_another_run_over_the_same_inputs_has_nothing_to_do(finished):
    _, out, inputs = finished
    before = {f: f.stat().st_mtime_ns for f in (out / "kept").rglob("*") if f.is_file()}
    curate(inputs=inputs, output=str(out), run={"format": "same"}, dedup={"url": True})
    assert before == {f: f.stat().st_mtime_ns for f in (out / "kept").rglob("*") if f.is_file()}


@pytest.mark.parametrize(
    "kind",
    [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())],
    ids=str,
)
def test_parquet_text_of_every_string_type(tmp_path, kind):
    text = pa.chunked_array([pa.array(TEXTS[:20] + TEXTS[:3] + [None]).cast(kind)])
    nested = pa.array([{"tags": ["a", None], "more": {"x": i}} for i in range(24)])
    pq.write_table(pa.table({"text": text, "nested": nested}), tmp_path / "a.parquet", row_group_size=7)
    report = curate(inputs=str(tmp_path / "a.parquet"), output=str(tmp_path / "out"))
    found = report["documents"]
    assert (found["read"], found["quarantined"], found["by_reason"]["empty_text"]) == (24, 0, 1)
    assert found["by_reason"]["exact_duplicate"] == 3
    kept = pq.read_table(tmp_path / "out/kept/default/a.parquet")
    assert kept.schema.field("text").type == kind and kept.schema.field("nested").type == nested.type
    assert set(kept["text"].cast(pa.string()).to_pylist()) <= set(TEXTS[:20])
