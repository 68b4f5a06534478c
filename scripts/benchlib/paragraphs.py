"""Counting paragraphs: found and hashed, with what a shuffle of their hashes costs; and from files beside dolma."""

import gzip
import json
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchlib.apart import SHARES, dolma
from benchlib.corpus import batches, uniform
from benchlib.costs import SINGLE_THREAD, cpu_seconds, fit, run_process
from benchlib.tables import Cell, table

PARTITIONS = 8
MAX_REPEATS = 10
MIN_CHARS = 20
SEPARATORS = {"paragraph": "\n\n", "line": "\n"}
FORMATS = {"JSONL.gz": "jsonl.gz", "JSONL": "jsonl"}
NEVER = 1 << 40  # least length of a unit that no unit has: a peer then only reads, splits and writes


def measure(texts: Sequence[str], repeats: int) -> dict[str, float]:
    """MB of text per CPU second: `found` only finds and hashes, `counted` also emits the hashes and counts them."""
    from curation.dedup import count_units, emit_units, find_units
    from curation.dedup.lines import pack_units, unpack_units

    columns: list[pa.Array] = [batch.column("text") for batch in batches(texts)]
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    found = {}
    for unit in SEPARATORS:

        def find(unit: str = unit) -> None:
            for column in columns:
                find_units(column, unit=unit, min_chars=MIN_CHARS)

        def count(unit: str = unit) -> None:
            chunks: dict[int, list] = {}
            for column in columns:
                records, offsets = unpack_units(pack_units(find_units(column, unit=unit, min_chars=MIN_CHARS)))
                for number, chunk in emit_units(records, offsets, PARTITIONS).items():
                    chunks.setdefault(number, []).append(chunk)
            for number in sorted(chunks):
                count_units(chunks[number], MAX_REPEATS)

        found[f"{unit}s found"] = megabytes / cpu_seconds(find, repeats)
        found[f"{unit}s counted"] = megabytes / cpu_seconds(count, repeats)
    return found


def mark(path: str, unit: str | None) -> int:
    """How many units of a JSONL file stand in more than MAX_REPEATS documents, each marked; without a unit, read it."""
    from curation.dedup import count_units, emit_units, find_units
    from curation.dedup.lines import is_repeated, pack_units, unpack_units
    from curation.io.readers import read_shard
    from curation.plan import Shard

    shard = Shard(0, path, "bench", Path(path).name)
    # given, since dolma's is fixed; else the reader looks at all records before it delivers the first
    schema = pa.schema([(name, pa.string()) for name in ("id", "text", "source")])
    chunks: dict[int, list] = {}
    held = []
    for batch, _ in read_shard(shard, text="text", batch_bytes=4 << 20, schema=schema, on_bad=_refuse):
        if unit is None:
            continue
        records, offsets = unpack_units(pack_units(find_units(batch.column("text"), unit=unit, min_chars=MIN_CHARS)))
        held.append(records["hash"])
        for number, chunk in emit_units(records, offsets, PARTITIONS).items():
            chunks.setdefault(number, []).append(chunk)
    counted = [count_units(chunks[number], MAX_REPEATS)[0] for number in sorted(chunks)]
    repeated = np.concatenate(counted) if counted else np.empty((0, 2), np.uint64)
    return sum(int(is_repeated(hashes, repeated).sum()) for hashes in held)


def _refuse(bad: Any) -> None:
    raise ValueError(f"the reader refuses a record of the benchmark: {bad}")


def from_files(texts: Sequence[str], folder: Path, repeats: int, python: str) -> dict[str, dict[str, Any]]:
    """For each kind of run, CPU seconds at both sizes of curation here and of processes of dolma (run by `python`) on
    the same files, and the lines through the cheapest of each size."""
    sizes, paths = _write(texts, folder)

    def theirs(path: Path, unit: str | None) -> float:
        separator = SEPARATORS[unit or "paragraph"]
        elements = sum(text.count(separator) + 1 for text in texts)
        least = MIN_CHARS if unit else NEVER
        arguments = dolma(path, folder, separator=separator, min_length=least, elements=elements)
        return run_process([python, *arguments], SINGLE_THREAD).cpu_seconds

    results: dict[str, dict[str, Any]] = {}
    for form, files in paths.items():
        for unit in (*SEPARATORS, None):
            spent: dict[str, list[list[float]]] = {"curation": [[] for _ in sizes], "dolma": [[] for _ in sizes]}
            for _ in range(repeats):  # alternating, so that both meet the same machine
                for at, path in enumerate(files):
                    spent["curation"][at].append(cpu_seconds(partial(mark, str(path), unit), 1))
                    spent["dolma"][at].append(theirs(path, unit))
            lines = {tool: fit(sizes, [min(each) for each in costs])._asdict() for tool, costs in spent.items()}
            results[_kind(unit, form)] = {"megabytes": sizes, "cpu_seconds": spent, **lines}
    shutil.rmtree(folder / "units")
    return results


def _kind(unit: str | None, form: str) -> str:
    return f"{unit}s, {form}" if unit else f"{form} only read"


def _write(texts: Sequence[str], folder: Path) -> tuple[list[float], dict[str, list[Path]]]:
    """MB of nested samples of the texts, the smaller first, and by format their files, in folders as dolma wants."""
    sizes: list[float] = []
    paths: dict[str, list[Path]] = {form: [] for form in FORMATS}
    for share in SHARES:
        chosen = [text for text in texts if uniform(text, "size") < share]
        sizes.append(sum(len(text.encode()) for text in chosen) / 1e6)
        rows = "".join(
            json.dumps({"id": f"d{n}", "text": text, "source": "bench"}, ensure_ascii=False) + "\n"
            for n, text in enumerate(chosen)
        ).encode()
        for form, suffix in FORMATS.items():
            path = folder / "units" / f"{share:g}" / "documents" / f"bench.{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(gzip.compress(rows, 6) if suffix.endswith("gz") else rows)
            paths[form].append(path)
    return sizes, paths


def markdown(rates: dict[str, float], beside: dict[str, dict[str, Any]] | None = None) -> str:
    """One row for each rate; then curation beside dolma from files."""
    rows: list[list[Cell]] = [[name, found] for name, found in rates.items()]
    text = table(["units of text", "MB per CPU s"], rows)
    if not beside:
        return text
    slopes = {name: (run["curation"]["slope"], run["dolma"]["slope"]) for name, run in beside.items()}
    for unit in SEPARATORS:
        pairs = zip(slopes[f"{unit}s, JSONL"], slopes["JSONL only read"], strict=True)
        slopes[f"{unit}s, JSONL, reading taken off"] = tuple(whole - read for whole, read in pairs)
    for unit in SEPARATORS:
        costs = 1 / rates[f"{unit}s counted"], slopes[f"{unit}s, JSONL.gz"][1]
        slopes[f"{unit}s, curation from Arrow, dolma from JSONL.gz"] = costs
    compared: list[list[Cell]] = []
    for name, costs in slopes.items():
        our, their = (1 / cost if cost > 1e-9 else None for cost in costs)
        compared.append([name, our, their, our / their if our and their else None])
    header = ["from files", "curation, MB per CPU s", "dolma, MB per CPU s", "times"]
    done = beside["JSONL only read"]["megabytes"]
    head = f"{' and '.join(f'{size:.0f}' for size in done)} MB, marginal, the best run of each size:"
    return f"{text}\n\n{head}\n\n{table(header, compared)}"
