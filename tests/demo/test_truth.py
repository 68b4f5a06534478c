"""The comparison of a finished run with the truth, on an output made by hand."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation.demo.__main__ import main
from curation.demo.gather import TRUTH_SCHEMA
from curation.demo.truth import compare
from curation.schema import ADDED_SCHEMA

NAMES = ("id", "origin", "label", "p", "weight", "cluster", "reason", "planted", "duplicate_of")
# four human documents, one of them a duplicate; four LLM texts, one a planted copy that was found and one that was not
ROWS = [
    ("h1", "human", "human", 0.1, 1.5, "h1", None, None, None),
    ("h2", "human", "human", 0.2, 1.5, "h2", None, None, None),
    ("h3", "human", "undetermined", None, 1.0, "h3", None, None, None),
    ("h4", "human", "human", 0.1, 0.0, "h1", "exact_duplicate", None, None),
    ("l1", "llm", "synthetic", 0.9, 0.5, "l1", None, None, None),
    ("l2", "llm", "synthetic", 0.9, 0.0, "l1", "near_duplicate", "near", "l1"),
    ("l3", "llm", "undetermined", None, 0.5, "l3", None, None, None),
    ("l4", "llm", "human", 0.3, 0.0, "l4", None, "exact", "l3"),
]


@pytest.fixture
def finished(tmp_path):
    rows = [dict(zip(NAMES, row, strict=True)) for row in ROWS]
    schema = pa.schema([("id", pa.string()), ("text", pa.string()), *ADDED_SCHEMA])
    for folder in ("kept", "excluded"):
        found = [
            {
                "id": row["id"],
                "text": "a text",
                "cluster_id": row["cluster"],
                "p_synthetic": row["p"],
                "synthetic_label": row["label"],
                "weight": row["weight"],
                "filter_reason": row["reason"],
            }
            for row in rows
            if (row["reason"] is None) == (folder == "kept")
        ]
        path = tmp_path / "out" / folder / "crawl" / "part.parquet"
        path.parent.mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(found, schema=schema), path)
    truth = [
        {key: row[key] for key in ("id", "origin", "planted", "duplicate_of")} | {"shard": f"part-{i % 2}"}
        for i, row in enumerate(rows)
    ]
    pq.write_table(pa.Table.from_pylist(truth, schema=TRUTH_SCHEMA), tmp_path / "truth.parquet")
    return str(tmp_path / "out"), str(tmp_path / "truth.parquet")


def cells(text: str, start: str) -> str:
    (line,) = [line for line in text.splitlines() if line.startswith(start)]
    return " ".join(line[len(start) :].split())


def test_numbers(finished):
    text = compare(*finished)
    assert cells(text, "read") == "4 4"
    assert cells(text, "removed: exact duplicate") == "1 0"
    assert cells(text, "removed: near duplicate") == "0 1"
    assert cells(text, "removed as duplicates") == "1 1"
    assert cells(text, "kept") == "3 3"
    assert cells(text, "human  ") == "3 (75.0 %) 1 (25.0 %)"
    assert cells(text, "undetermined") == "1 (25.0 %) 1 (25.0 %)"
    assert cells(text, "synthetic  ") == "0 (0.0 %) 2 (50.0 %)"
    assert cells(text, "mean p_synthetic") == "0.133 0.700"
    assert cells(text, "mean of kept") == "1.333 0.333"
    assert cells(text, "human share of the documents read") == "50.0 %"
    assert cells(text, "human share of the documents kept") == "50.0 %"
    assert cells(text, "human share of the weight") == "80.0 %"
    assert cells(text, "planted near duplicates found") == "1 of 1"
    assert cells(text, "planted exact duplicates found") == "0 of 1"
    assert cells(text, "part-0") == "4 50.0 % 25.0 %"
    assert "not an accuracy figure" in text.splitlines()[-1]


def test_the_true_share_stands_beside_the_estimate_on_the_same_documents(finished):
    assert cells(compare(*finished), "LLM share of the 6 documents that can be judged") == "50.0 %"
    report = Path(finished[0]) / "report" / "report.json"
    report.parent.mkdir()
    found = {"estimate": 0.4, "low": 0.25, "high": 0.6, "scored": 6.0}
    report.write_text(json.dumps({"synthetic": {"prevalence": found}}))
    assert cells(compare(*finished), "what the run estimated for them") == "40.0 % (25.0 % to 60.0 %)"
    report.write_text(json.dumps({"synthetic": {"prevalence": found | {"scored": 4.0}}}))
    assert "from the 4 of kinds that the reference covers" in compare(*finished)


def test_the_label_human_on_llm_text_is_explained_where_it_occurs(finished, tmp_path):
    assert "Generators that training did not know look human" in compare(*finished)
    for path in (tmp_path / "out").rglob("*.parquet"):
        table = pq.read_table(path)
        labels = pa.array(["undetermined"] * len(table))
        at = table.schema.get_field_index("synthetic_label")
        pq.write_table(table.set_column(at, "synthetic_label", labels), path)
    assert "was not trained" not in compare(*finished)


def test_documents_that_the_run_lost_are_named(finished, tmp_path):
    (tmp_path / "out" / "excluded" / "crawl" / "part.parquet").unlink()
    assert "2 documents of the truth are neither in kept nor in excluded" in compare(*finished)


def test_output_without_kept_shards(tmp_path, finished):
    with pytest.raises(ValueError, match=r"nothing/kept holds no Parquet rows"):
        compare(str(tmp_path / "nothing"), finished[1])


def test_columns_that_are_missing_are_named(finished, tmp_path):
    path = tmp_path / "out" / "kept" / "crawl" / "part.parquet"
    pq.write_table(pq.read_table(path).drop(["weight"]), path)
    with pytest.raises(ValueError, match="has no column weight"):
        compare(*finished)


def test_truth_of_another_crawl(finished, tmp_path):
    other = pa.Table.from_pylist([{"id": "other", "origin": "human"}], schema=TRUTH_SCHEMA)
    pq.write_table(other, tmp_path / "other.parquet")
    with pytest.raises(ValueError, match="no id in"):
        compare(finished[0], str(tmp_path / "other.parquet"))


def test_command_line(finished, capsys, tmp_path):
    assert main(["compare", *finished]) == 0
    assert "human share of the weight" in capsys.readouterr().out
    assert main(["compare", str(tmp_path), finished[1]]) == 1
    assert "holds no Parquet rows" in capsys.readouterr().err
