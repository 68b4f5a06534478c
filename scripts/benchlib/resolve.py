"""Resolve at the size of a corpus: synthetic signatures with planted clusters, through shuffle and clustering."""

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from benchlib.costs import fit, run_process
from benchlib.tables import Cell, table
from curation import dedup
from curation.dedup.shuffle import job_rows
from curation.kernels.hashing import mix64_array
from curation.local.runner import Partitions

BANDS, ROWS = 14, 8
FAMILY = 10  # documents of which two are near-duplicates
PART = 100_000  # documents made and emitted at a time


class Resolved(NamedTuple):
    """CPU seconds of keys to partitions, of groups, and of clustering the candidates; bytes that each takes at its
    peak beyond what the process had before, keys and groups together."""

    documents: int
    memory_mb: int
    emit: float
    group: float
    cluster: float
    candidates: int
    removed: int
    keys_peak: int
    cluster_peak: int
    peak_rss: int


def minima(documents: np.ndarray) -> np.ndarray:
    """Full minima uint64[n, 112] of documents int64[n]: the second of each ten shares 11 of 14 bands with the first."""
    own = documents.astype(np.uint64)
    twin = np.where(documents % FAMILY == 1, documents - 1, documents).astype(np.uint64)
    found = np.empty((len(documents), BANDS * ROWS), np.uint64)
    for p in range(BANDS * ROWS):
        source = own if p >= 11 * ROWS else twin
        found[:, p] = mix64_array(source * np.uint64(BANDS * ROWS) + np.uint64(p)) >> np.uint64(32)
    return found


def band_hashes(found: np.ndarray) -> np.ndarray:
    """uint64[n, 14] of minima uint64[n, 112]."""
    bands = np.zeros((len(found), BANDS), np.uint64)
    for row in range(ROWS):
        bands = mix64_array(bands * np.uint64(31) + found.reshape(-1, BANDS, ROWS)[:, :, row] + np.uint64(1))
    return bands


def candidates(rows: np.ndarray) -> pa.Table:
    """What `dedup.cluster` takes, of the documents with these rows."""
    found = minima(rows)
    n = len(rows)

    def digest(salt: int) -> pa.Array:
        words = np.stack([mix64_array(rows.astype(np.uint64) + np.uint64(salt + k)) for k in range(2)], 1)
        return dedup.fixed_binary(np.ascontiguousarray(words).view(np.uint8))

    return pa.table({
        "job_row": job_rows(0, rows),
        "id": pa.array(np.char.add("d", rows.astype(np.str_)).tolist(), pa.string()),
        "source": pa.repeat("bench", n),
        "trust": pa.repeat("unknown", n),
        "label": pa.repeat("undetermined", n),
        "bytes": pa.array(3000 + rows % 100),
        "date": pa.nulls(n, pa.date32()),
        "content_hash": digest(1 << 40),
        "row_hash": digest(2 << 40),
        "norm_hash": digest(3 << 40),
        "url_key": pa.nulls(n, pa.binary(16)),
        "bands": dedup.fixed_binary(band_hashes(found).view(np.uint8)),
        "signature": dedup.fixed_binary(found.astype("<u2").view(np.uint8)),
    })  # fmt: skip


def resolve(documents: int, memory_mb: int) -> Resolved:
    """Resolve so many documents; keys beyond memory_mb go to files. What makes the documents is outside the clock."""
    before = _settled()
    partitions = max(8, 2 * documents * (BANDS + 2) * 16 // (memory_mb << 20) + 1)
    emitting = 0.0
    with Partitions(memory_mb << 20) as shuffle:
        for start in range(0, documents, PART):
            rows = np.arange(start, min(start + PART, documents))
            own, every = rows.astype(np.uint64), np.ones(len(rows), bool)
            keys = {
                "id": dedup.Keys(mix64_array(own + np.uint64(1 << 41)), every),
                "norm_hash": dedup.Keys(mix64_array(own + np.uint64(1 << 42)), every),
                "bands": dedup.Keys(band_hashes(minima(rows)), every),
            }
            _, spent = _clocked(_emit, shuffle, keys, job_rows(0, rows), partitions)
            emitting += spent
        found, grouping = _clocked(_group, shuffle)
    keys_peak = peak_rss() - before
    before = _settled()
    decided, clustering = _clocked(dedup.cluster, _candidates(found), dedup.DedupSettings())
    removed = len(decided) - decided.column("duplicate_of").null_count
    peak = peak_rss()
    return Resolved(
        documents, memory_mb, emitting, grouping, clustering, len(found), removed, keys_peak, peak - before,
        max(peak, before + keys_peak),
    )  # fmt: skip


def _candidates(rows: np.ndarray) -> pa.Table:
    """All candidates, as a job gathers them from one batch of signals after another."""
    gathered = dedup.Gathered(len(rows))
    for at in range(0, len(rows), PART):
        for batch in candidates(rows[at : at + PART]).to_batches():
            gathered.add(batch)
    table = gathered.table()
    assert table is not None
    return table


def _settled() -> int:
    """Bytes that the process holds now, from which its next peak is counted."""
    pa.default_memory_pool().release_unused()
    Path("/proc/self/clear_refs").write_text("5")
    return peak_rss()


def peak_rss() -> int:
    """Most bytes held by this process since it began, or since `_settled`."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


def _clocked(call: Callable[..., Any], *arguments: Any) -> tuple[Any, float]:
    """(result, CPU seconds) of one call."""
    started = time.process_time()
    result = call(*arguments)
    return result, time.process_time() - started


def _emit(shuffle: Partitions, keys: dict[str, dedup.Keys], rows: np.ndarray, partitions: int) -> None:
    shuffle.add(dedup.emit(keys, rows, partitions))


def _group(shuffle: Partitions) -> np.ndarray:
    return dedup.distinct(*(dedup.group(shuffle.chunks(number)) for number in shuffle.numbers()))


def measure(sizes: Sequence[int], memories: Sequence[int]) -> list[dict[str, Any]]:
    """Each size with each limit of memory (MB) in a process of its own; its kernels are loaded before the clock."""
    root = Path(__file__).resolve().parents[2]
    results = []
    for memory in memories:
        for size in sizes:
            call = (
                "import json; from benchlib.resolve import resolve; resolve(2000, 16); "
                f"print(json.dumps(resolve({size}, {memory})._asdict()))"
            )
            done = run_process([sys.executable, "-c", call], {"PYTHONPATH": f"{root}:{root / 'scripts'}"})
            results.append(json.loads(done.output.splitlines()[-1]))
    return results


def markdown(results: Sequence[dict[str, Any]]) -> str:
    """One row for each size and limit, and for each limit what a million documents cost at the margin."""
    rows: list[list[Cell]] = []
    costs: dict[int, list[tuple[float, float]]] = {}
    for r in results:
        total = r["emit"] + r["group"] + r["cluster"]
        costs.setdefault(r["memory_mb"], []).append((r["documents"] / 1e6, total))
        rows.append(
            [f"{r['documents']:,}", r["memory_mb"], f"{r['candidates']:,}", f"{r['removed']:,}", r["emit"], r["group"],
             r["cluster"], total, r["keys_peak"] / 1e6, r["cluster_peak"] / 1e6, r["cluster_peak"] / r["candidates"],
             r["peak_rss"] / 1e6]
        )  # fmt: skip
    header = [
        "documents", "memory_mb", "candidates", "removed", "keys, CPU s", "groups, CPU s", "clusters, CPU s",
        "all, CPU s", "keys and groups, MB", "clusters, MB", "bytes per candidate", "peak of the process, MB",
    ]  # fmt: skip
    slopes = (
        f"A million documents more cost {fit(*zip(*points, strict=True)).slope:.2f} CPU s with {memory} MB."
        for memory, points in costs.items()
    )
    return f"{table(header, rows)}\n\n{' '.join(slopes)}"
