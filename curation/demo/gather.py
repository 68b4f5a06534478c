"""Write the demo's crawl, reference and truth.

The human documents of this machine are split in two by the hash of their text, so equal texts fall on one
side: one half is the reference, the other is mixed with all LLM texts into the crawl. The last of the four
shards of the crawl holds 40 % of the LLM texts and only half as many human documents as the others: a shard
that a report should find conspicuous. A crawl file holds `id` and `text` and nothing else; ids are hashes and
say nothing about origin.
"""

import json
import shutil
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from curation.demo.sources import Document, digest, documents

SHARDS = 4
#: LLM texts in the last shard, in percent
HEAVY_PERCENT = 40
#: share of the size limit that each source may fill at first; what one leaves goes to the others in this order
QUOTAS = {"stdlib": 0.35, "topics": 0.05, "readme": 0.15, "licences": 0.10, "man": 0.20, "packages": 0.15}

CRAWL_SCHEMA = pa.schema([("id", pa.string()), ("text", pa.string())])
TRUTH_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("origin", pa.string()),  # human or llm
        ("kind", pa.string()),  # docstring, readme, ...
        ("source", pa.string()),  # where a human text was found; llm for the others
        ("shard", pa.string()),  # file name in crawl
        ("planted", pa.string()),  # exact or near for a copy made on purpose, else null
        ("duplicate_of", pa.string()),  # id of what it copies, else null
    ]
)


class _Entry(NamedTuple):
    id: str
    text: str
    origin: str
    kind: str
    source: str
    planted: str | None = None
    duplicate_of: str | None = None


def llm_texts() -> list[dict[str, Any]]:
    """The LLM texts of the repository, by genre file and line; keys as in PROVENANCE.md."""
    folder = resources.files("curation.demo") / "llm"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".jsonl")), key=lambda file: file.name)
    return [json.loads(line) for file in files for line in file.read_text("utf-8").splitlines() if line]


def gather(output_folder: str, *, limit_mb: float = 12.0) -> dict[str, Any]:
    """Write OUT/reference/*.parquet, OUT/crawl/part-0000N.parquet and OUT/truth.parquet; returns what was
    written.

    `limit_mb` bounds the UTF-8 text of all human documents together, in millions of bytes. Files from an
    earlier call are replaced. The same machine gives the same files: sources are read in sorted order and
    every choice is a hash. Raises ValueError for a limit that is not positive, and where the machine has no
    human text to offer.
    """
    if not limit_mb > 0:
        raise ValueError(f"limit_mb must be positive, not {limit_mb}")
    human = [_human(document) for document in select(documents(), int(limit_mb * 1e6))]
    if not human:
        raise ValueError("found no documentation on this machine; a Python installation with its .py files is needed")
    reference = [entry for entry in human if _bucket(entry.text, 2, "side") == 0]
    crawl = [entry for entry in human if _bucket(entry.text, 2, "side") == 1]
    generated = [_generated(text) for text in llm_texts()]
    shards: dict[str, list[_Entry]] = {f"part-{number:05d}.parquet": [] for number in range(SHARDS)}
    names = list(shards)
    for entry in crawl:
        # eleven slots: two for each shard but the last, which gets one
        shards[names[_bucket(entry.id, 2 * SHARDS - 1, "human shard") // 2]].append(entry)
    for rank, entry in enumerate(sorted(generated, key=lambda entry: digest(f"llm shard {entry.id}"))):
        heavy = rank < len(generated) * HEAVY_PERCENT // 100
        shards[names[-1] if heavy else names[rank % (SHARDS - 1)]].append(entry)

    root = Path(output_folder)
    for folder in ("reference", "crawl"):
        shutil.rmtree(root / folder, ignore_errors=True)
        (root / folder).mkdir(parents=True)
    _write(root / "reference" / "part-00000.parquet", _texts(reference))
    for name, entries in shards.items():
        _write(root / "crawl" / name, _texts(entries))
    truth = [dict(entry._asdict(), shard=name) for name, entries in shards.items() for entry in _in_order(entries)]
    _write(root / "truth.parquet", pa.Table.from_pylist(truth, schema=TRUTH_SCHEMA))
    return {
        "reference": len(reference),
        "crawl": {"human": len(crawl), "llm": len(generated)},
        "human_by_source": {name: sum(entry.source == name for entry in human) for name in QUOTAS},
        "human_megabytes": round(sum(_size(entry.text) for entry in human) / 1e6, 3),
        "shards": {
            name: {origin: sum(entry.origin == origin for entry in entries) for origin in ("human", "llm")}
            for name, entries in shards.items()
        },
    }


def select(found: dict[str, list[Document]], limit: int) -> list[Document]:
    """Documents of all sources in at most `limit` bytes: each source's quota in hash order, then what still
    fits."""
    chosen: list[Document] = []
    waiting: list[Document] = []
    left = limit
    for name, share in QUOTAS.items():
        allowance = int(limit * share)
        for document in sorted(found.get(name, []), key=lambda d: digest(f"{d.source}:{d.place}")):
            size = _size(document.text)
            if size <= allowance:
                chosen.append(document)
                allowance, left = allowance - size, left - size
            else:
                waiting.append(document)
    for document in waiting:
        size = _size(document.text)
        if size <= left:
            chosen.append(document)
            left -= size
    return chosen


def _human(document: Document) -> _Entry:
    identity = digest(f"{document.source}:{document.place}")
    return _Entry(identity, document.text, "human", document.kind, document.source)


def _generated(text: dict[str, Any]) -> _Entry:
    copied = text["duplicate_of"]
    return _Entry(
        digest(f"llm:{text['id']}"),
        text["text"],
        "llm",
        text["genre"],
        "llm",
        text["planted"],
        digest(f"llm:{copied}") if copied else None,
    )


def _bucket(text: str, buckets: int, purpose: str) -> int:
    return int(digest(f"{purpose} {text}"), 16) % buckets


def _size(text: str) -> int:
    return len(text.encode("utf-8"))


def _in_order(entries: Iterable[_Entry]) -> list[_Entry]:
    return sorted(entries, key=lambda entry: entry.id)


def _texts(entries: Iterable[_Entry]) -> pa.Table:
    rows = [{"id": entry.id, "text": entry.text} for entry in _in_order(entries)]
    return pa.Table.from_pylist(rows, schema=CRAWL_SCHEMA)


def _write(path: Path, table: pa.Table) -> None:
    pq.write_table(table, path, compression="zstd")
