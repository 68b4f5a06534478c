"""Parquet in, kept and excluded Parquet out, each run a fresh process: curation and Polars on the same files."""

import shutil
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchlib.corpus import SCHEMA, ciphered, uniform
from benchlib.costs import SINGLE_THREAD, fit, rate, run_process
from benchlib.tables import Cell, table

SHARES = (0.25, 1.0)
ROW_GROUP = 8192

#: Polars on one thread: the first of equal texts stays, the others are written beside
POLARS = """
import sys, polars as pl
frame = pl.read_parquet(sys.argv[1])
first = pl.col("text").is_first_distinct()
for name, rows in (("kept", frame.filter(first)), ("excluded", frame.filter(~first))):
    rows.write_parquet(f"{sys.argv[2]}/{name}.parquet", compression="zstd", compression_level=1)
"""


def write(texts: Sequence[str], folder: Path, times: int = 1) -> list[tuple[Path, float]]:
    """(file, MB of text) of nested samples of the texts, the smaller first; they go in `times` times, each time in a
    cipher of its own."""
    found = []
    for share in SHARES:
        chosen = [text for text in texts if uniform(text, "size") < share]
        path = folder / f"sample-{share:g}.parquet"
        size = 0
        with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
            for round_ in range(times):
                part = ciphered(chosen, round_)
                ids = [f"d{round_}-{n}" for n in range(len(part))]
                writer.write_table(pa.table([ids, part], schema=SCHEMA), row_group_size=ROW_GROUP)
                size += sum(len(text.encode()) for text in part)
        found.append((path, size / 1e6))
    return found


def measure(
    texts: Sequence[str], folder: Path, repeats: int, polars: bool, times: int = 1
) -> list[dict[str, Any]]:
    """For each job its CPU seconds at both sizes, and the marginal rate. The jobs take turns, so that a machine that
    slows down does so for all."""
    files = write(texts, folder, times)
    output = folder / "out"
    ours = [sys.executable, "-m", "curation.cli", "dedup", "--quiet", "--set", "run.workers=1", "--output", str(output)]
    commands: dict[str, Any] = {
        "curation dedup": lambda path: [*ours, "--input", f"bench={path}"],
        "curation dedup, equal words only": lambda path: [
            *ours, "--set", "dedup.near=false", "--input", f"bench={path}",
        ],
        "curation dedup, equal text only": lambda path: [
            *ours, "--set", "dedup.near=false", "--set", "dedup.equal=text", "--input", f"bench={path}",
        ],
    }  # fmt: skip
    if polars:
        commands["Polars, equal text only"] = lambda path: [sys.executable, "-c", POLARS, str(path), str(output)]
    root = str(Path(__file__).resolve().parents[2])
    spent: dict[str, list[list[float]]] = {name: [[] for _ in files] for name in commands}
    for _ in range(repeats):
        for at, (path, _) in enumerate(files):
            for name, command in commands.items():
                shutil.rmtree(output, ignore_errors=True)
                output.mkdir()
                done = run_process(command(path), {"PYTHONPATH": root, **SINGLE_THREAD})
                spent[name][at].append(done.cpu_seconds)
    shutil.rmtree(output, ignore_errors=True)
    sizes = [megabytes for _, megabytes in files]
    results = []
    for name, by_size in spent.items():
        line = fit(sizes, [min(costs) for costs in by_size])
        results.append({
            "name": name, "megabytes": sizes, "cpu_seconds": by_size,
            "medians": [statistics.median(costs) for costs in by_size], "marginal_rate": rate(line),
            "start_up": line.fixed,
        })  # fmt: skip
    return results


def markdown(results: Sequence[dict[str, Any]], rensa: float | None) -> str:
    """One row for each job; with the rate of rensa's signatures, how many times as fast a job is."""
    rows: list[list[Cell]] = []
    for r in results:
        times = r["marginal_rate"] / rensa if rensa and r["marginal_rate"] else None
        rows.append([r["name"], r["marginal_rate"], times, r["start_up"]])
    header = ["Parquet to Parquet", "MB per CPU s (marginal)", "times rensa's signatures", "start-up CPU s"]
    sizes = " and ".join(f"{megabytes:.0f}" for megabytes in results[0]["megabytes"])
    return f"{sizes} MB, the best run of each size:\n\n{table(header, rows)}"
