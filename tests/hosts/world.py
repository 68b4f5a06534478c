"""Documents for the hosts' tests: passages of Python's reference manual with duplicates, cut in any way."""

import json
import textwrap
from functools import cache
from importlib import resources
from pathlib import Path
from pydoc_data.topics import topics

import pyarrow as pa
import pyarrow.parquet as pq

from curation import curate
from curation.config import load
from curation.jobs import build_reference

SCHEMA = pa.schema(
    [("id", pa.string()), ("text", pa.string()), ("date", pa.string()), ("trust", pa.string()), ("n", pa.int64())]
)

#: what Beam's workers, threads of this process, have been given to keep; this module is pickled by reference
KEPT: dict[str, list] = {}


def keep(element, name: str) -> None:
    """Put an element where the test that started the pipeline finds it."""
    KEPT[name].append(element)


@cache
def table() -> pa.Table:
    """133 rows in a fixed, mixed order: exact and near duplicates, equal rows, repeated ids, empty and null texts."""
    texts = []
    for name in sorted(topics):
        words = textwrap.dedent(topics[name]).split(" ")
        texts += [" ".join(words[i : i + 220]) for i in range(0, max(len(words) - 60, 1), 220)]
    texts = texts[:100]
    texts += texts[10:20]
    texts += [text.replace(" the ", " a ", 1) for text in texts[30:40]]
    texts += ["", "", None, "too short", "too short"]
    rows = [
        {"id": f"d{i % 110:03}", "text": text, "date": f"20{10 + i % 14}-01-0{1 + i % 9}", "trust": "unknown", "n": i}
        for i, text in enumerate(texts)
    ]
    rows[3]["trust"] = rows[112]["trust"] = "human"
    rows += rows[5:9] + rows[5:9]
    rows = sorted(rows, key=lambda row: (row["n"] * 7919) % 127)
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def every_third_synthetic(monkeypatch) -> None:
    """Let datatrove's step call every third document synthetic: what is dropped is tested, not what is found."""
    from curation.datatrove import detect

    real = detect.synthetic.detect_synthetic

    def labelled(found: pa.Table, **settings) -> pa.Table:
        out = real(found, **settings)
        names = ["synthetic" if i % 3 == 0 else "undetermined" for i in range(out.num_rows)]
        return out.set_column(out.schema.get_field_index("synthetic_label"), "synthetic_label", pa.array(names))

    monkeypatch.setattr(detect.synthetic, "detect_synthetic", labelled)


def llm() -> list[str]:
    """Prose that a language model wrote for the demo."""
    folder = resources.files("curation.demo").joinpath("llm")
    names = ("encyclopedia", "essay", "forum", "howto", "abstract", "product", "review", "licence")
    lines = [line for name in names for line in folder.joinpath(f"{name}.jsonl").read_text("utf-8").splitlines()]
    return [json.loads(line)["text"] for line in lines]


def batches(size: int) -> list[pa.RecordBatch]:
    """The table in batches of `size` rows."""
    return table().combine_chunks().to_batches(max_chunksize=size)


def write(folder: Path, shards: int) -> str:
    """Write the table as Parquet shards and return their folder."""
    folder.mkdir(parents=True)
    size = -(-table().num_rows // shards)
    for i in range(shards):
        pq.write_table(table().slice(i * size, size), folder / f"part-{i}.parquet")
    return str(folder)


def rows(found) -> list[str]:
    """All rows of batches or a table, in an order of their own, to compare as multisets."""
    parts = found.to_batches() if isinstance(found, pa.Table) else found
    return sorted(repr(sorted(row.items())) for part in parts for row in part.to_pylist())


def settings(folder: Path, kind: str) -> dict:
    """A configuration without `output`: `soft` counts similarities, weighs and selects, `balance` has a reference,
    `all` also compares with an earlier run and with benchmark text, cuts repeated lines and takes ids down."""
    values = {
        "inputs": [{"path": write(folder / "in", 3), "source": "docs", "trust": "human"}],
        "columns": {"date": "date"},
        "mix": {"mode": "soft" if kind == "soft" else "balance", "reservoir": 100},
        "select": {"documents": 60},
    }
    if kind == "soft":
        values["dedup"] = {"verify_by": "shingles", "verify": 0.8}
    else:
        values["reference"] = str(folder / "docs.profile")
        build_reference(load(None, {"inputs": values["inputs"]}), values["reference"], quiet=True)
    if kind == "all":
        (folder / "earlier").mkdir()
        pq.write_table(table().slice(0, 20), folder / "earlier/e.parquet")
        curate(inputs=[{"path": str(folder / "earlier")}], output=str(folder / "before"))
        texts = [row["text"] for row in table().slice(60, 20).to_pylist() if row["text"]]
        (folder / "benchmark.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts[:2]))
        values["against"] = [str(folder / "before")]
        values["decontaminate"] = {"paths": [str(folder / "benchmark.jsonl")]}
        (folder / "ids").write_text("d040\nd011\n")
        values |= {"exclude_ids": str(folder / "ids"), "exclude_near": True}
        values["dedup"] = {"lines": {"enabled": True, "unit": "line", "max_repeats": 2}}
    return values
