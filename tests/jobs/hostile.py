"""Input that nobody has looked at, and what a job must do with it whatever it is: lose nothing, invent nothing."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import corpus
import pyarrow as pa
import pyarrow.json
import pyarrow.parquet as pq
import zstandard

from curation import curate
from curation.io import read_quarantine

JSON_FORMATS = ("jsonl", "jsonl.gz", "jsonl.zst")
PACK: dict[str, Callable[[bytes], bytes]] = {
    "jsonl": bytes,
    "jsonl.gz": lambda data: gzip.compress(data, mtime=0),
    "jsonl.zst": zstandard.compress,
}


def lines(records: list[Any]) -> bytes:
    """Records as JSON lines; bytes are a line as they are."""
    return b"".join((r if isinstance(r, bytes) else json.dumps(r).encode()) + b"\n" for r in records)


def good(count: int, prefix: str = "g") -> list[dict[str, Any]]:
    """Records with different texts, ids and a number."""
    texts = corpus.human()
    return [{"id": f"{prefix}{i}", "text": texts[i], "n": i} for i in range(count)]


def run(inputs: Path | str | list[Any], output: Path, **settings: Any) -> dict[str, Any]:
    """The report of a job on a folder, its records accounted for in the files that it wrote."""
    settings = {"mix": {"mode": "none"}, **settings}
    given = [{"path": str(inputs)}] if isinstance(inputs, Path | str) else inputs
    report = curate(inputs=given, output=str(output), **settings)
    counts = report["documents"]
    assert counts["read"] == counts["kept"] + counts["excluded"] + counts["quarantined"]
    assert len(documents(output, "kept")) == counts["kept"]
    assert len(documents(output, "excluded")) == counts["excluded"]
    assert sum(bad.count for bad in quarantined(output)) == counts["quarantined"]
    assert not list(Path(output).rglob(".tmp-*"))
    return report


def documents(output: Path, folder: str) -> list[dict[str, Any]]:
    """Rows of every file below a folder of the output."""
    found = []
    for file in sorted(Path(output, folder).rglob("*.parquet")):
        table = pq.read_table(file, partitioning=None)
        for i, field in enumerate(table.schema):
            if pa.types.is_timestamp(field.type):  # nanoseconds have no Python form
                table = table.set_column(i, field.name, table.column(i).cast(pa.int64()))
        found += table.to_pylist()
    return found


def everything(output: Path) -> list[dict[str, Any]]:
    """Kept and excluded documents."""
    return documents(output, "kept") + documents(output, "excluded")


def quarantined(output: Path) -> list[Any]:
    """Every record in quarantine."""
    files = sorted(Path(output, "quarantine").rglob("*.parquet"))
    return [bad for file in files for bad in read_quarantine(str(file))]


def errors(output: Path) -> list[str]:
    """What was wrong with the records in quarantine."""
    return sorted(bad.error for bad in quarantined(output))


def parquet(path: Path, records: list[dict[str, Any]], group: int = 100, **options: Any) -> Path:
    """Write records to Parquet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(records), path, row_group_size=group, **options)
    return path
