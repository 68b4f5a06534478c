"""Scores averaged by host: the same from any sharding, the largest hosts, and none without URLs."""

import json
from pathlib import Path

import corpus
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation import curate
from curation.jobs import hosts
from curation.synthetic.prevalence import UNIT

SITES = ("https://www.human.example/a", "http://machine.example/b", "https://few.example/c")


def rows():
    """Documents with a URL: human passages on one host, LLM texts on another, two on a third; one without."""
    found = [(SITES[0], text) for text in corpus.human()[:160]] + [(SITES[1], text) for text in corpus.llm()]
    found += [(SITES[2], text) for text in corpus.human()[160:162]] + [(None, corpus.human()[170]), ("", "short")]
    return [{"id": f"d{i}", "url": url, "text": text} for i, (url, text) in enumerate(found)]


def run(folder, shards, **changes):
    table = pa.Table.from_pylist(rows())
    (folder / "in").mkdir(parents=True)
    size = -(-len(table) // shards)
    for i in range(shards):
        pq.write_table(table.slice(i * size, size), folder / "in" / f"{i}.parquet")
    anchors = folder / "anchors"
    anchors.mkdir()
    human = [{"id": f"h{i}", "url": None, "text": text} for i, text in enumerate(corpus.human()[200:])]
    pq.write_table(pa.Table.from_pylist(human, schema=table.schema), anchors / "a.parquet")
    inputs = [{"path": str(folder / "in"), "source": "crawl"}, {"path": str(anchors), "source": "h", "trust": "human"}]
    columns = {"id": "id", "url": "url"}
    off = {"measure": {"enabled": False}, "dedup": {"enabled": False}, "mix": {"mode": "none"}}
    return curate(**{"inputs": inputs, "output": str(folder / "out"), "columns": columns, **off, **changes})


def test_hosts_have_their_documents_means_and_shares(tmp_path):
    report = run(tmp_path / "one", 1)
    found = report["synthetic"]["by_host"]
    human, machine, few = (found[name] for name in ("human.example", "machine.example", "few.example"))
    assert human["documents"] == 160 and machine["documents"] == len(corpus.llm()) and few["documents"] == 2
    signals = pa.concat_tables(
        pq.read_table(f, columns=["id", "host"]) for f in sorted((tmp_path / "one/out/signals").rglob("*.parquet"))
    )
    kept = pa.concat_tables(
        pq.read_table(f, columns=["id", "p_synthetic"]) for f in sorted((tmp_path / "one/out/kept").rglob("*.parquet"))
    )
    host = dict(zip(signals["id"].to_pylist(), signals["host"].to_pylist(), strict=True))
    p = [v for i, v in zip(*(kept[c].to_pylist() for c in ("id", "p_synthetic")), strict=True) if v is not None
         and host[i] == "machine.example"]  # fmt: skip
    assert machine["judged"] == len(p)
    assert machine["mean_p"] == pytest.approx(np.mean(p), abs=2 / UNIT + 1e-6)
    assert machine["mean_p"] > machine["shrunk_p"] > human["shrunk_p"] > 0
    # two documents are mostly the mean of all
    assert abs(few["shrunk_p"] - few["mean_p"]) > abs(human["shrunk_p"] - human["mean_p"])
    # most of the reference manual is mixed with code, so there are too few anchors for a share
    assert machine["prevalence"]["documents"] == machine["documents"]
    assert "too few human anchors" in machine["prevalence"]["reason"]
    assert "machine.example" in (tmp_path / "one/out/report/report.html").read_text()
    again = run(tmp_path / "four", 4)
    assert again["synthetic"]["by_host"] == found


def test_only_the_largest_hosts_are_kept_and_the_rest_is_counted_in_the_mean(tmp_path, monkeypatch):
    monkeypatch.setattr(hosts, "MOST", 1)
    found = run(tmp_path, 3)["synthetic"]["by_host"]
    most = max(160, len(corpus.llm()))
    assert [host["documents"] for host in found.values()] == [most]
    stored = json.loads(Path(tmp_path / "out/decisions/hosts.json").read_text())
    assert stored["hosts"] == found


def test_without_urls_there_are_no_hosts(tmp_path):
    report = run(tmp_path, 1, columns={"id": "id"})
    assert report["synthetic"]["by_host"] == {}
    assert not (tmp_path / "out/decisions/hosts.json").exists()
