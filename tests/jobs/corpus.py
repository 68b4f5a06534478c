"""A small real corpus for the job's tests: documentation of the standard library and the repository's LLM texts."""

import json
import textwrap
from importlib import resources
from pathlib import Path
from pydoc_data.topics import topics

import pyarrow as pa
import pyarrow.parquet as pq


def human() -> list[str]:
    """Passages of Python's reference manual, some 100 to 400 words each, in a fixed order."""
    found = []
    for name in sorted(topics):
        words = textwrap.dedent(topics[name]).split(" ")
        step = 220
        found += [" ".join(words[i : i + step]) for i in range(0, max(len(words) - 60, 1), step)]
    return found


def llm() -> list[str]:
    """The texts that a language model wrote for the demo."""
    folder = resources.files("curation.demo")
    files = [f for f in folder.iterdir() if f.name.endswith(".jsonl")]
    if folder.joinpath("llm").is_dir():
        files += [f for f in folder.joinpath("llm").iterdir() if f.name.endswith(".jsonl")]
    lines = [line for f in sorted(files, key=lambda f: f.name) for line in f.read_text("utf-8").splitlines()]
    return [json.loads(line)["text"] for line in lines]


def documents() -> list[dict]:
    """Rows with id, text, date and n: human passages, LLM texts, exact and near duplicates, and an empty text."""
    texts = human()[:260] + llm()[:150]
    texts += texts[10:25]  # exact
    texts += [t.replace(" the ", " a ", 1) for t in texts[40:60] if len(t) > 900]  # near
    texts += ["", "too short", "too short", "漢字かな交じり文の例です。" * 5]
    rows = [
        {"id": f"d{i:04}", "text": text, "date": f"20{10 + i % 14}-01-0{1 + i % 9}", "n": i}
        for i, text in enumerate(texts)
    ]
    return sorted(rows, key=lambda row: (row["n"] * 7919) % len(rows))


def write(folder: Path, rows: list[dict], shards: int) -> str:
    """Write rows to Parquet shards and return the glob that matches them."""
    folder.mkdir(parents=True, exist_ok=True)
    size = -(-len(rows) // shards)
    for i in range(shards):
        part = pa.Table.from_pylist(rows[i * size : (i + 1) * size], schema=SCHEMA)
        pq.write_table(part, folder / f"part-{i:03}.parquet", row_group_size=37)
    return str(folder / "*.parquet")


SCHEMA = pa.schema([("id", pa.string()), ("text", pa.string()), ("date", pa.string()), ("n", pa.int64())])
