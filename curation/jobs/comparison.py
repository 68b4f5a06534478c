"""`measure --compare A B`: the statistics of two corpora, or of what two runs read, side by side."""

import math
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from curation import diversity, io, layout
from curation.config import ConfigError, Input
from curation.diversity import reference, statistics
from curation.diversity.measure import add_batch
from curation.diversity.registry import BLOCK, STATISTICS
from curation.jobs import stages
from curation.plan import Shard
from curation.report.words import value

BLOCKS = 12
NOISE = 3.0  # standard errors from which a difference is marked: of thirty statistics one passes 2 by chance

SCHEMA = pa.schema(
    [
        ("statistic", pa.string()),
        ("a", pa.float64()),
        ("b", pa.float64()),
        ("difference", pa.float64()),
        ("error", pa.float64()),
        ("z", pa.float64()),
        ("beyond_noise", pa.bool_()),
        ("reason", pa.string()),
    ]
)


class Row(NamedTuple):
    """One statistic of both sides; error: standard error of the difference; reason: why something is None."""

    statistic: str
    a: float | None
    b: float | None
    difference: float | None
    error: float | None
    z: float | None
    beyond_noise: bool | None
    reason: str | None


def compare(a: diversity.State, b: diversity.State, human: diversity.Human | None = None) -> list[Row]:
    """Every statistic of two states on blocks of 350 documents, with the error of their difference.

    A mean over blocks that are drawn from n documents errs like one of n documents: the spread of blocks times
    sqrt(350 / n). Novelty is that of each side against the other and has its own error. A side with fewer than 700
    documents has no spread, so its differences are not judged.
    """
    ruler = diversity.load_ruler()
    sides = [diversity.at_block_size(state, ruler, BLOCKS, human) for state in (a, b)]
    sizes = [len(state["reservoir_length"]) for state in (a, b)]
    news = statistics.novelty(a, b), statistics.novelty(b, a)
    rows = []
    for name, entry in STATISTICS.items():
        if entry.worse == "none":
            continue
        if name == "novelty":
            found, errors = [n[0] for n in news], [n[1] for n in news]
            reason = news[0][3] or news[1][3]
        else:
            found = [side.mean[name] for side in sides]
            spreads = [side.spread[name] for side in sides]
            errors = [s * math.sqrt(BLOCK / n) if s is not None and n >= 2 * BLOCK else None
                      for s, n in zip(spreads, sizes, strict=True)]  # fmt: skip
            reason = sides[0].reason or sides[1].reason
        rows.append(_row(name, found, errors, reason))
    return rows


def _row(name: str, found: list[float | None], errors: list[float | None], reason: str | None) -> Row:
    a, b = found
    if a is None or b is None:
        return Row(name, a, b, None, None, None, None, reason or "cannot be told from these texts")
    if errors[0] is None or errors[1] is None:
        return Row(name, a, b, b - a, None, None, None, f"needs {2 * BLOCK} documents on both sides to be judged")
    error = math.hypot(errors[0], errors[1])
    z = (b - a) / error if error > 0 else None
    return Row(name, a, b, b - a, error, z, abs(z) >= NOISE if z is not None else a != b, None)


def state_of(place: str, text: str = "text") -> diversity.State:
    """The statistics of what a run read (its output folder), or of the files that a path or glob names.

    Raises ConfigError for a place that holds neither.
    """
    ruler = diversity.load_ruler()
    state = diversity.empty(ruler)
    try:
        manifest = io.read_manifest(place.rstrip("/"))
    except NotADirectoryError:  # a file
        manifest = None
    if manifest is not None:
        for number, entry in enumerate(manifest["inputs"]):
            shard = Shard(number, entry["url"], entry["source"], entry["relative"], entry["trust"])
            path = layout.path(place.rstrip("/"), "signals", shard, ".state")
            if not io.exists(path):
                if not (manifest["config"].get("measure") or {}).get("enabled", True):
                    raise ConfigError(
                        f"--compare: the run {place} collected no statistics (measure.enabled: false, as detect and "
                        f"dedup have it): compare its kept/ ({place.rstrip('/')}/kept) or its inputs instead, or "
                        "another output of `curation measure --input GLOB --output DIR`"
                    )
                raise ConfigError(f"--compare: the run {place} has no statistics of {shard.relative}; measure it again")
            with io.open_file(path) as file:
                state = diversity.merge(state, diversity.load(file.read()))
        return state
    for shard in io.expand([Input(path=place)], ""):
        schema = io.final_schema(shard, text=text)
        for batch, _ in io.read_shard(shard, text=text, batch_bytes=4_000_000, schema=schema, on_bad=_leave):
            add_batch(state, batch, ruler, text=text)
    return state


def _leave(_: Any) -> None:
    """What cannot be read is not compared."""


def table(rows: list[Row], a: str, b: str) -> str:
    """The comparison for a terminal, the differences beyond noise first and marked *."""
    order = sorted(rows, key=lambda row: (not row.beyond_noise, -abs(row.z or 0.0), row.statistic))
    lines = [["", a[-24:], b[-24:], "difference", "errors"]]
    for row in order:
        title = STATISTICS[row.statistic].title
        moved = "-" if row.difference is None else value(row.difference)
        if row.error is not None:
            moved += f" ± {value(row.error)}"
        judged = row.reason if row.z is None and row.reason else "-" if row.z is None else f"{row.z:+.1f}"
        mark = "* " if row.beyond_noise else "  "
        shown = ["-" if x is None else value(x) for x in (row.a, row.b)]
        lines.append([mark + title, *shown, moved, judged])
    widths = [max(len(line[i]) for line in lines) for i in range(4)]
    told = ["  ".join([line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:4], widths[1:], strict=True)),
                       line[4]]).rstrip() for line in lines]  # fmt: skip
    beyond = sum(bool(row.beyond_noise) for row in rows)
    told.append(f"{beyond} of {len(rows)} statistics differ by {NOISE:g} standard errors or more (*)")
    return "\n".join(told)


def run(
    a: str, b: str, output: str | None = None, text: str = "text", profile: str = reference.DEFAULT
) -> int:
    """Print the comparison, with distances from the reference `profile`, and write it where `output` is given; 0."""
    known = stages.load_profile(profile).human
    human = diversity.Human(**known) if known else None
    rows = compare(state_of(a, text), state_of(b, text), human)
    print(table(rows, a, b))
    if output:
        with io.atomic(f"{output.rstrip('/')}/comparison.parquet") as file:
            pq.write_table(pa.Table.from_pylist([row._asdict() for row in rows], SCHEMA), file, compression="zstd")
        print(f"\nwrote {output.rstrip('/')}/comparison.parquet")
    return 0
