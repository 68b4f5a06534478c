"""Repeated lines and paragraphs, and benchmark text, in whole jobs."""

import json
import shutil
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_dedup_runs import QUICK, job, words
from test_job import rows_of

from curation import curate
from curation.dedup.lines import reference_units

NOTICE = "Subscribe to our newsletter and never miss a story."
FOOTER = "All rights reserved by the publisher of this page."


def pages(count=12):
    rows = []
    for i in range(count):
        own = " ".join(words(i, 60))
        text = f"{own}\n\n{NOTICE}\n\nshort\n\n{own[::-1]}\n\n{FOOTER if i % 3 == 0 else own[5:200]}"
        rows.append({"id": f"p{i:03}", "text": text, "date": None, "n": i})
    rows.append({"id": "only", "text": f"{NOTICE}\n\n  {FOOTER}  \r\n", "date": None, "n": count})
    return rows


def expected(rows, unit, least, most):
    """Texts after cutting, by a count in plain Python over the documents that stay."""
    found = {row["id"]: reference_units(row["text"].encode(), unit=unit, min_chars=least)[0] for row in rows}
    counts = Counter(content for units in found.values() for content in {c for _, _, c in units})
    texts = {}
    for row in rows:
        data, out, at = row["text"].encode(), b"", 0
        for start, end, content in found[row["id"]]:
            if counts[content] > most:
                out, at = out + data[at:start], end
        texts[row["id"]] = (out + data[at:]).decode()
    return texts


@pytest.mark.parametrize(("unit", "most"), [("paragraph", 4), ("paragraph", 5), ("line", 12), ("line", 13)])
def test_units_in_more_than_k_documents_are_cut_exactly(tmp_path, unit, most):
    rows = pages()
    lines = {"enabled": True, "unit": unit, "max_repeats": most, "min_chars": 10}
    report = job(tmp_path, rows, shards=3, dedup={"lines": lines})
    wanted = expected(rows, unit, 10, most)
    found = {row["id"]: row for row in rows_of(tmp_path / "out").values()}
    emptied = {name for name, text in wanted.items() if not text.strip()}
    assert emptied == ({"only"} if most < 5 else set())
    for row in rows:
        got = found[row["id"]]
        if row["id"] in emptied:
            assert got["filter_reason"] == "empty_after_lines" and got["text"] == row["text"]
        else:
            assert got["filter_reason"] is None and got["text"] == wanted[row["id"]]
    counts = report["duplicates"]["lines"]["by_source"]["s"]
    changed = [row for row in rows if wanted[row["id"]] != row["text"]]
    assert counts["documents"] == len(changed) and counts["emptied"] == len(emptied)
    assert counts["bytes"] == sum(len(row["text"].encode()) - len(wanted[row["id"]].encode()) for row in changed)
    assert report["duplicates"]["lines"]["repeated"] == sum(k > most for k in (13, 5))
    assert report["duplicates"]["lines"]["most_documents"] == (13 if most < 13 else 0)


def test_spans_are_added_and_the_text_stays_on_request(tmp_path):
    rows = pages()
    lines = {"enabled": True, "unit": "line", "max_repeats": 4, "min_chars": 10}
    job(tmp_path, rows, "cut", dedup={"lines": lines})
    report = job(tmp_path, rows, "spans", dedup={"lines": {**lines, "action": "annotate"}})
    cut = {row["id"]: row["text"] for row in rows_of(tmp_path / "cut", ("kept",)).values()}
    assert report["documents"]["excluded"] == 0
    for row in rows_of(tmp_path / "spans", ("kept",)).values():
        data, edges = row["text"].encode(), [0, *(row["repeated_spans"] or []), None]
        left = b"".join(data[a:b] for a, b in zip(edges[::2], edges[1::2], strict=True)).decode()
        assert left == cut.get(row["id"], left) and (row["id"] in cut or not left.strip())
    # a run over the output replaces the column
    again = curate(**{**QUICK, "inputs": [{"path": str(tmp_path / "spans")}]}, output=str(tmp_path / "again"))
    assert again["documents"]["kept"] == 13
    assert "repeated_spans" not in rows_of(tmp_path / "again", ("kept",))[0]


def test_documents_that_leave_do_not_count(tmp_path):
    text = " ".join(words(1, 60))
    rows = [{"id": f"c{i}", "text": text, "date": None, "n": i} for i in range(20)]
    report = job(tmp_path, rows, dedup={"lines": {"enabled": True, "unit": "line", "max_repeats": 1}})
    assert report["documents"]["kept"] == 1
    assert report["duplicates"]["lines"]["repeated"] == 0


def test_an_interrupted_count_is_done_again_and_other_limits_need_no_text(tmp_path):
    rows, lines = pages(), {"enabled": True, "unit": "line", "max_repeats": 4, "min_chars": 10}
    job(tmp_path, rows, dedup={"lines": lines})
    out, first = tmp_path / "out", rows_of(tmp_path / "out")
    for path in (out / "decisions" / "lines.json", next((out / "decisions" / "lines").rglob("*.parquet"))):
        path.unlink()
    job(tmp_path, rows, dedup={"lines": lines})
    assert rows_of(out) == first
    assert not list((out / "decisions").rglob("*.npy"))
    times = {path: path.stat().st_mtime_ns for path in (out / "signals").rglob("*")}
    values = {**QUICK, "inputs": [{"path": str(tmp_path / "out-in" / "*.parquet"), "source": "s"}]}
    curate(**values, output=str(out), dedup={"lines": {**lines, "max_repeats": 50}})
    assert {path: path.stat().st_mtime_ns for path in (out / "signals").rglob("*")} == times
    assert all(row["filter_reason"] is None for row in rows_of(out).values())


@pytest.mark.parametrize("kind", [pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())])
def test_the_type_of_the_text_stays(tmp_path, kind):
    rows = pages(6)
    texts = pa.array([row["text"] for row in rows])
    texts = texts.dictionary_encode() if pa.types.is_dictionary(kind) else texts.cast(kind)
    pq.write_table(pa.table({"text": texts, "n": range(7)}), tmp_path / "in.parquet")
    curate(
        **{**QUICK, "inputs": [{"path": str(tmp_path / "in.parquet")}], "output": str(tmp_path / "out")},
        dedup={"lines": {"enabled": True, "unit": "line", "max_repeats": 2, "min_chars": 10}},
    )
    [file] = Path(tmp_path, "out", "kept").rglob("*.parquet")
    assert pq.read_schema(file).field("text").type == kind
    assert all(NOTICE not in text for text in pq.read_table(file).column("text").to_pylist())


QUESTION = "A train leaves the station at noon and travels north at sixty miles an hour for three hours; how far is it?"


def test_documents_that_share_a_run_with_a_benchmark_leave_with_the_match(tmp_path):
    bench = tmp_path / "bench"
    bench.mkdir()
    lines = [json.dumps({"question": q}) for q in (QUESTION, "too short", " ".join(words(77, 40)))]
    (bench / "maths.jsonl").write_text("\n".join(lines) + "\n")
    inside = " ".join(words(77, 40)[:20])
    texts = [
        " ".join(words(1, 50)) + " " + QUESTION.upper() + " " + " ".join(words(2, 50)),
        " ".join(words(3, 50)) + " " + inside + " " + " ".join(words(4, 50)),
        " ".join(words(5, 50)) + " " + " ".join(QUESTION.split()[:12]),
        " ".join(words(6, 80)),
    ]
    rows = [{"id": f"t{i}", "text": text, "date": None, "n": i} for i, text in enumerate(texts)]
    settings = {"paths": [str(bench)], "text": "question"}
    report = job(tmp_path, rows, decontaminate=settings)
    found = {row["id"]: row for row in rows_of(tmp_path / "out").values()}
    assert [found[f"t{i}"]["filter_reason"] for i in range(4)] == ["contaminated"] * 2 + [None] * 2
    assert found["t0"]["contaminated_by"] == "maths.jsonl:0" and found["t0"]["contaminated_share"] == 1
    assert found["t0"]["contaminated_match"] == QUESTION.lower().replace(";", "").replace("?", "")
    assert found["t1"]["contaminated_match"] == inside
    assert found["t1"]["contaminated_share"] == pytest.approx(8 / 28)
    assert found["t2"]["contaminated_by"] is None
    told = report["contamination"]
    assert (told["benchmarks"], told["too_short"], told["documents"]) == (3, 1, 2)
    assert told["by_benchmark"]["maths.jsonl"]["example"]["benchmark"] in ("maths.jsonl:0", "maths.jsonl:2")
    # a threshold spares what shares less, and marking excludes nothing
    job(tmp_path, rows, "most", decontaminate={**settings, "overlap": 0.5})
    most = {row["id"]: row["filter_reason"] for row in rows_of(tmp_path / "most").values()}
    assert most == {"t0": "contaminated", "t1": None, "t2": None, "t3": None}
    marked = job(tmp_path, rows, "mark", decontaminate={**settings, "action": "mark"})
    assert marked["documents"]["excluded"] == 0
    columns = ("contaminated_by", "contaminated_share", "contaminated_match")
    marks = {row["id"]: [row[c] for c in columns] for row in rows_of(tmp_path / "mark").values()}
    assert marks == {name: [row[c] for c in columns] for name, row in found.items()}


def test_other_benchmarks_are_searched_for_anew(tmp_path):
    bench = tmp_path / "bench.jsonl"
    bench.write_text(json.dumps({"text": " ".join(words(50, 30))}) + "\n")
    rows = [{"id": f"t{i}", "text": " ".join(words(i, 60)), "date": None, "n": i} for i in range(4)]
    assert job(tmp_path, rows, decontaminate={"paths": [str(bench)]})["documents"]["excluded"] == 0
    bench.unlink()
    other = tmp_path / "other.jsonl"
    other.write_text(json.dumps({"text": " ".join(words(2, 60)[10:40])}) + "\n")
    assert job(tmp_path, rows, decontaminate={"paths": [str(other)]})["documents"]["by_reason"] == {"contaminated": 1}
    shutil.rmtree(tmp_path / "out")


def test_the_page_shows_lines_and_benchmarks(tmp_path):
    (tmp_path / "b.jsonl").write_text(json.dumps({"text": QUESTION + " <script>"}) + "\n")
    rows = [*pages(), {"id": "<i>x", "text": QUESTION, "date": None, "n": 99}]
    lines = {"enabled": True, "unit": "line", "max_repeats": 4, "min_chars": 10}
    job(tmp_path, rows, dedup={"lines": lines}, decontaminate={"paths": [str(tmp_path / "b.jsonl")]})
    page = (tmp_path / "out" / "report" / "report.html").read_text()
    assert "in more than 4 documents: 2 distinct, the commonest in 13" in page
    assert "with a run of 13 words" in page and "b.jsonl" in page and "train leaves the station" in page
    assert "&lt;i&gt;x" in page and "<i>x" not in page
