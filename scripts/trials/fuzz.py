"""Records of every kind over every reader, through the public job.

Held after every round: the job ends well; read = kept + excluded + quarantined, by the report and by the rows of the
files themselves; of a file that is not damaged as a whole the number of records is known, and every good record stands
in kept or excluded once, with its text as it was.
"""

import json
import random
import shutil
import traceback
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from trials import records

SHARDS, RECORDS = 18, 1000  # of a round
READING = {"detect": {"enabled": False}, "measure": {"enabled": False}, "mix": {"mode": "none"}}
SETTINGS: tuple[dict[str, Any], ...] = (
    {},
    {**READING, "signals": {"features": False}},
    {**READING, "signals": {"features": False}, "run": {"batch_mb": 0.1}},
    {"columns": {"url": "text", "group": "text"}, "dedup": {"url": True}},
    {"dedup": {"lines": {"enabled": True, "action": "annotate"}}, "select": {"rate": 0.5}},
    {"run": {"batch_mb": 0.01}, "mix": {"mode": "soft"}},
)


def trial(folder: Path, count: int, seed: int, formats: Sequence[str] | None) -> int:
    """Feed `count` records; returns 1 if a round does not hold."""
    forms = list(formats or records.WRITERS)
    unknown = sorted(set(forms) - set(records.WRITERS))
    if unknown:
        raise ValueError(f"--formats takes {', '.join(records.WRITERS)}, not {', '.join(unknown)}")
    fed = number = 0
    total: Counter[str] = Counter()
    while fed < count:
        size = min(RECORDS, max(1, (count - fed) // SHARDS))
        place = folder / f"round-{number}"
        try:
            found = _round(place, forms, size, f"{seed}-{number}")
        except Exception:
            traceback.print_exc()
            print(f"fuzz: round {number} of seed {seed} failed after {fed:,} records")
            return 1
        shutil.rmtree(place)
        total.update(found)
        fed += size * SHARDS
        number += 1
        shown = ", ".join(f"{name} {value:,}" for name, value in total.items())
        print(f"{fed:,} records fed over {', '.join(forms)}: {shown}", flush=True)
    print(f"fuzz: {fed:,} records, {total['read']:,} of them read, every one accounted for; no crash")
    return 0


def _round(folder: Path, forms: Sequence[str], size: int, seed: str) -> dict[str, int]:
    from curation import curate

    draw = random.Random(f"round-{seed}")
    made: dict[str, records.Made] = {}
    for i in range(SHARDS):
        form = forms[i % len(forms)]
        made[f"part-{i:02}.{form}"] = records.shard(
            folder / "in" / f"part-{i:02}.{form}", form, size, i * size, f"{seed}-{i}"
        )
    report = curate(inputs=[{"path": str(folder / "in")}], output=str(folder / "out"), **draw.choice(SETTINGS))
    counts = report["documents"]
    _check(counts["read"] == counts["kept"] + counts["excluded"] + counts["quarantined"], f"counts {counts}")
    rows: dict[str, dict[int, str | None]] = {name: {} for name in made}
    kept = {"kept": 0, "excluded": 0}
    for part in kept:
        for file in sorted((folder / "out" / part).rglob("*.parquet")):
            name = next(n for n in made if file.name in (n, n + ".parquet"))
            kept[part] += pq.read_metadata(file).num_rows
            if made[name].records is None:
                continue
            if "n" not in pq.read_schema(file).names:  # archives have no place for it
                continue
            table = pq.ParquetFile(file).read(["n", "text"])
            numbers = map(int, table.column("n").to_pylist())  # strings in CSV
            for n, text in zip(numbers, table.column("text").to_pylist(), strict=True):
                _check(n not in rows[name], f"{name}: record {n} stands twice")
                rows[name][n] = text
    _check(kept == {key: counts[key] for key in kept}, f"{kept} rows, but {counts}")
    by_shard = {row["shard"].removeprefix("default/"): row for row in counts["by_shard"]}
    for name, wanted in made.items():
        if wanted.records is None:
            continue
        _check(by_shard[name]["read"] == wanted.records, f"{name}: {by_shard[name]} of {wanted.records} records")
        for n, text in wanted.texts.items():
            _check(n in rows[name], f"{name}: record {n} is lost, its text {text!r:.200}")
            _check(rows[name][n] == text, f"{name}: the text of {n} is {rows[name][n]!r:.200}, not {text!r:.200}")
    json.loads((folder / "out" / "manifest.json").read_bytes())
    return {key: counts[key] for key in ("read", "kept", "excluded", "quarantined")}


def _check(holds: bool, otherwise: str) -> None:
    if not holds:
        raise AssertionError(otherwise)
