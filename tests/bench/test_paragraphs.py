"""Paragraphs counted from files, beside a peer that runs in a Python of its own."""

import gzip
import json
import sys

import pytest
from benchlib import apart, paragraphs
from benchlib.costs import run_process

from curation.dedup.lines import reference_units


@pytest.fixture
def path(tmp_path):
    texts = [f"a notice of thirty characters!\n\nwhat only document {n} has to say" for n in range(14)]
    file = tmp_path / "units" / "documents" / "a.jsonl.gz"
    file.parent.mkdir(parents=True)
    rows = "".join(json.dumps({"id": str(n), "text": text, "source": "s"}) + "\n" for n, text in enumerate(texts))
    file.write_bytes(gzip.compress(rows.encode()))
    assert all(len(reference_units(t.encode(), unit="paragraph", min_chars=20)[0]) == 2 for t in texts)
    return file


def test_marked_are_the_units_of_many_documents(path):
    assert paragraphs.mark(str(path), "paragraph") == paragraphs.mark(str(path), "line") == 14
    assert paragraphs.mark(str(path), None) == 0


def settings(path, scratch, elements):
    arguments = apart.dolma(path, scratch, separator="\n", min_length=20, elements=elements)
    return json.loads(arguments[-1])


def test_a_peers_filter_is_full_and_nothing_of_an_earlier_run_is_left(path, tmp_path):
    (tmp_path / "bloom.bin").touch()
    (path.parent.parent / "attributes").mkdir()
    assert settings(path, tmp_path, 100)["bloom_filter"]["estimated_doc_count"] == apart.FILLED
    assert settings(path, tmp_path, 2 * apart.FILLED + 1)["bloom_filter"]["estimated_doc_count"] == 4 * apart.FILLED
    assert not (tmp_path / "bloom.bin").exists() and not (path.parent.parent / "attributes").exists()


def test_a_python_without_the_peer_says_so(path, tmp_path):
    arguments = apart.dolma(path, tmp_path, separator="\n", min_length=20, elements=1)
    with pytest.raises(RuntimeError, match="dolma"):
        run_process([sys.executable, *arguments])


def test_rates_with_the_reading_taken_off():
    def run(ours, theirs):
        return {"megabytes": [1.0, 4.0], "curation": {"slope": ours}, "dolma": {"slope": theirs}}

    beside = {}
    for form, read in (("JSONL.gz", 0.02), ("JSONL", 0.01)):
        beside |= {f"{unit}s, {form}": run(read + 0.001, read + 0.004) for unit in paragraphs.SEPARATORS}
        beside[f"{form} only read"] = run(read, read)
    rates = {f"{unit}s counted": 500.0 for unit in paragraphs.SEPARATORS}
    text = paragraphs.markdown(rates, beside)
    assert "| paragraphs, JSONL, reading taken off | 1,000 | 250 | 4.00 |" in text
    assert "| lines, curation from Arrow, dolma from JSONL.gz | 500 | 41.7 | 12.0 |" in text
    assert "1 and 4 MB" in text
    assert "dolma" not in paragraphs.markdown(rates)
