"""Edges of the input: many shards, one huge document, shards without documents, names that need care."""

from pathlib import Path

import corpus
import pyarrow as pa
import pyarrow.parquet as pq
from test_job import rows_of

from curation import curate


def test_a_document_larger_than_a_batch_and_one_of_a_single_character(tmp_path):
    words = " ".join(f"word{i % 5000}" for i in range(300_000))
    rows = [
        {"id": "big", "text": words, "date": None, "n": 0},
        {"id": "same", "text": "a" * 2_000_000, "date": None, "n": 1},
        {"id": "nul", "text": "\0" * 100 + "\u202e text \u200b with odd characters", "date": None, "n": 2},
    ]
    report = curate(
        inputs=[{"path": corpus.write(tmp_path / "in", rows, 1)}],
        output=str(tmp_path / "out"),
        run={"batch_mb": 0.1},
    )
    assert report["documents"]["kept"] == 3
    found = rows_of(tmp_path / "out")
    assert [found[n]["text"] for n in range(3)] == [row["text"] for row in rows]


def test_names_with_spaces_quotes_and_letters_of_any_script(tmp_path):
    folder = tmp_path / "in" / "a b" / "d'é 漢"
    folder.mkdir(parents=True)
    table = pa.Table.from_pylist(corpus.documents()[:5], schema=corpus.SCHEMA)
    pq.write_table(table, folder / 'x "y".parquet')
    pq.write_table(table.slice(0, 0), folder / "empty.parquet")
    curate(inputs=[{"path": str(tmp_path / "in")}], output=str(tmp_path / "out"))
    kept = sorted(str(f.relative_to(tmp_path / "out" / "kept")) for f in Path(tmp_path, "out/kept").rglob("*.parquet"))
    assert kept == ["default/a b/d'é 漢/empty.parquet", "default/a b/d'é 漢/x \"y\".parquet"]


def test_every_document_the_same(tmp_path):
    rows = [{"id": f"d{i}", "text": corpus.human()[3], "date": None, "n": i} for i in range(40)]
    report = curate(inputs=[{"path": corpus.write(tmp_path / "in", rows, 3)}], output=str(tmp_path / "out"))
    assert report["documents"]["kept"] == 1
    assert report["documents"]["by_reason"] == {"exact_duplicate": 39}


def test_documents_without_words_are_kept_unless_empty(tmp_path):
    texts = ["!!!", "   ", "", None, "...", "???"]
    rows = [{"id": f"d{i}", "text": text, "date": None, "n": i} for i, text in enumerate(texts)]
    report = curate(inputs=[{"path": corpus.write(tmp_path / "in", rows, 1)}], output=str(tmp_path / "out"))
    assert report["documents"]["by_reason"] == {"empty_text": 2}
    assert report["documents"]["kept"] == 4
