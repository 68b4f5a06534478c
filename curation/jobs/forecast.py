"""What a run would read, take and write, before it runs: the job itself on a small sample of the input, scaled up."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from curation import io
from curation.config import ROLES, Config, ConfigError, Input, OwnColumns
from curation.jobs import stages
from curation.jobs.prepare import prepare
from curation.layout import family
from curation.plan import Shard

SHARDS = 8  # looked into
RAW_BYTES = 2 << 20  # read of each
TEXT_BYTES = 1 << 20  # and most text taken of each
MEMBERS = 64  # likewise of a shard of plain text
KEY_BYTES = 16  # of a key in the shuffle (docs/benchmarks.md)
CANDIDATE_BYTES = 1_000  # held of a candidate duplicate, as measured there
CANDIDATES = 0.25  # share of documents that are, at least: a sample finds fewer than the whole
CUT = ("jsonl", "csv", "tsv", "warc")  # formats of which the beginning can be read alone
FOLDERS = ("kept", "excluded", "signals", "decisions")


class Sampled(NamedTuple):
    """The first documents of a shard, what was counted in its beginning, and how many times as much the whole has."""

    shard: Shard
    batches: list[pa.RecordBatch]
    documents: int
    text: int
    quarantined: int
    factor: float


def forecast(config: Config) -> dict[str, Any]:
    """What a run with this configuration would be (keys as `curation plan --json` prints them).

    Raises ConfigError for what would stop the run at its beginning.
    """
    job = prepare(config)
    chosen = _spread(job.shards)
    longest = stages.longest(config)
    with tempfile.TemporaryDirectory(prefix="curation-plan-") as folder:
        sampled = [_sample(shard, config.columns.text, Path(folder), longest) for shard in chosen]
        documents = _scaled(job.shards, sampled, "documents")
        text = _scaled(job.shards, sampled, "text")
        quarantined = _scaled(job.shards, sampled, "quarantined")
        measured = _measure(config, sampled, folder)
    total = sum(documents.values())
    workers = config.run.workers or os.cpu_count() or 1
    found: dict[str, Any] = {
        "inputs": [
            {
                "source": source,
                "shards": sum(shard.source == source for shard in job.shards),
                "bytes": sum(shard.size for shard in job.shards if shard.source == source),
                "documents": documents[source],
                "text_bytes": text[source],
                "quarantined": quarantined[source],
            }
            for source in sorted(documents)
        ],
        "documents": total,
        "sample": {"shards": len(sampled), "documents": sum(b.num_rows for s in sampled for b in s.batches)},
        "settings": config.model_dump(mode="json"),
        "workers": workers,
    }
    keys = total * KEY_BYTES * ((config.dedup.bands if config.dedup.near else 0) + 3) * config.dedup.enabled
    candidates = int(total * max(CANDIDATES, measured["candidates"]) * CANDIDATE_BYTES) * config.dedup.enabled
    limit = config.dedup.memory_mb << 20
    batch = int(config.run.batch_mb * 1e6) * 20 * (workers - 1)
    found["memory"] = {
        "bytes": measured["peak"] + batch + min(keys, limit) + candidates,
        "fixed": measured["peak"] + batch,
        "candidates": candidates,
        "per_document": round((min(keys, limit) + candidates) / max(total, 1), 1),
        "available": _memory(),
    }
    sizes = {name: int(each * total) for name, each in measured["bytes"].items()}
    found["disk"] = {
        "bytes": sum(sizes.values()),
        **sizes,
        "available": _free(config.output),
        "temporary": max(0, keys - limit),
        "temporary_available": _free(tempfile.gettempdir()),
    }
    cpu = measured["cpu"] * sum(text.values())
    found["time"] = {"cpu_seconds": round(cpu, 1), "wall_seconds": round(measured["start"] + cpu / workers, 1)}
    found["kept_share"] = measured["kept"]
    found["warnings"] = _warnings(found)
    return found


def _spread(shards: tuple[Shard, ...]) -> list[Shard]:
    """A few shards, evenly spaced, at least one of each source."""
    step = max(1, len(shards) // SHARDS)
    first = {shard.source: shard for shard in reversed(shards)}
    return list({shard.index: shard for shard in (*shards[::step][:SHARDS], *first.values())}.values())


def _sample(shard: Shard, text: str, folder: Path, longest: int) -> Sampled:
    """The beginning of a shard. Formats that are read from the front are cut, so that no file is read whole."""
    looked, factor = shard, 1.0
    kind = family(shard.relative)
    if kind == "txt":
        looked = _with(shard, members=shard.members[:MEMBERS])
        factor = len(shard.members) / max(1, len(looked.members))
    elif kind in CUT and shard.size > RAW_BYTES:
        cut = folder / f"{shard.index}-{shard.relative.rpartition('/')[2]}"
        with io.open_file(shard.url) as source:
            cut.write_bytes(source.read(RAW_BYTES))
        looked, factor = _with(shard, url=str(cut)), shard.size / RAW_BYTES
    bad: list[io.BadRecord] = []
    batches: list[pa.RecordBatch] = []
    size = documents = raw = 0
    for batch, numbers in io.read_shard(
        looked, text=text, batch_bytes=TEXT_BYTES // 4, on_bad=bad.append, longest_line=longest
    ):
        if size < TEXT_BYTES:
            batches.append(batch)
        size += _text_bytes(batch, text)
        raw += batch.nbytes
        documents = int(numbers[-1]) + 1
        if size >= TEXT_BYTES and kind not in (*CUT, "txt"):
            factor *= _rest(shard, kind, documents, raw)
            break
    lost = sum(b.count for b in bad)
    if looked.url != shard.url and lost:
        lost -= 1  # the record that was cut
    return Sampled(shard, batches, documents - lost, size, lost, factor)


def _rest(shard: Shard, kind: str, rows: int, raw: int) -> float:
    """How many times as much a file holds as the rows of it that were read, which take `raw` bytes in memory."""
    if kind == "parquet":
        with io.open_file(shard.url) as file:
            return max(1.0, pq.read_metadata(file).num_rows / rows)
    return max(1.0, shard.size / raw)


def _with(shard: Shard, **changes: Any) -> Shard:
    return Shard(**{**shard.__dict__, **changes})


def _text_bytes(batch: pa.RecordBatch, text: str) -> int:
    from curation.batch import text_bytes

    return int(text_bytes(batch.column(text)).sum())


def _scaled(shards: tuple[Shard, ...], sampled: list[Sampled], count: str) -> dict[str, int]:
    """A count of the sample by source, scaled to all shards of the source by their bytes."""
    found: dict[str, int] = {}
    for source in sorted({shard.source for shard in shards}):
        mine = [s for s in sampled if s.shard.source == source]
        read = sum(s.shard.size for s in mine)
        whole = sum(shard.size for shard in shards if shard.source == source)
        found[source] = round(sum(getattr(s, count) * s.factor for s in mine) * (whole / read if read else 1))
    return found


def _measure(config: Config, sampled: list[Sampled], folder: str) -> dict[str, Any]:
    """The job on the sample, twice, since the first loads tables and kernels: the second is what scales."""
    from curation.jobs import curate

    inputs = []
    for number, part in enumerate(sampled):
        if part.batches:
            path = f"{folder}/sample/{number}.parquet"
            os.makedirs(os.path.dirname(path), exist_ok=True)
            pq.write_table(pa.Table.from_batches(part.batches), path)
            own = OwnColumns.model_validate({name: name for _, name in part.shard.columns if name in ROLES})
            shard = part.shard
            inputs.append(
                Input(path=path, source=shard.source, trust=shard.trust, before=shard.before, columns=own)
            )
    rows = sum(batch.num_rows for part in sampled for batch in part.batches)
    if not rows:
        none = dict.fromkeys(FOLDERS, 0.0)
        return {"peak": 0, "candidates": 0.0, "bytes": none, "cpu": 0.0, "start": 0.0, "kept": None}
    select = config.select.model_copy(update={"tokens": None, "documents": None, "on_floor": "warn", "floors": {}})
    costs = []
    for number in range(2):
        output = f"{folder}/out{number}"
        report = curate(config.model_copy(update={"inputs": inputs, "output": output, "select": select}))
        costs.append(sum(stage["cpu_seconds"] for stage in report["run"]["stages"].values()))
    counts = report["documents"]
    text = sum(_text_bytes(batch, config.columns.text) for part in sampled for batch in part.batches)
    sizes = {}
    for name in FOLDERS:
        here = Path(output, name)
        sizes[name] = sum(f.stat().st_size for f in here.rglob("*") if f.is_file()) / rows if here.exists() else 0.0
    return {
        "peak": int(max(stage["peak_rss"] for stage in report["run"]["stages"].values())),
        "candidates": counts["excluded"] / max(1, counts["read"]),
        "bytes": sizes,
        "cpu": costs[1] / max(1, text),
        "start": max(0.0, costs[0] - costs[1]),
        "kept": round(counts["kept"] / max(1, counts["read"]), 4),
    }


def _free(place: str) -> int | None:
    """Bytes free where a local path is or would be; None elsewhere."""
    if not place or not io.is_local(place):
        return None
    path = io.local_path(place)
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return shutil.disk_usage(path).free


def _memory() -> int | None:
    """Bytes of memory that this process may still have, by the kernel and by the limit of a container."""
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        found = next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return None
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text("ascii").strip()
        used = int(Path("/sys/fs/cgroup/memory.current").read_text("ascii"))
        return min(found, int(limit) - used) if limit != "max" else found
    except (OSError, ValueError):
        return found


def _warnings(found: dict[str, Any]) -> list[str]:
    said = []
    for what, need, have, way_out in (
        ("disk", found["disk"]["bytes"], found["disk"]["available"], "give another --output, or run.excluded none"),
        ("temporary disk", found["disk"]["temporary"], found["disk"]["temporary_available"], "set TMPDIR"),
        ("memory", found["memory"]["bytes"], found["memory"]["available"], "lower run.workers or dedup.memory_mb"),
    ):
        if have is not None and need > have:
            said.append(
                f"the run needs about {need / 1e9:,.1f} GB of {what} and {have / 1e9:,.1f} GB are free: {way_out}"
            )
    return said


def show(config: Config, *, as_json: bool = False, check: bool = False) -> int:
    """Print the forecast; with `check` raise ConfigError when something does not fit."""
    import orjson

    found = forecast(config)
    if as_json:
        print(orjson.dumps(found).decode())
    else:
        print("\n".join(_lines(found)))
    if check and found["warnings"]:
        raise ConfigError("; ".join(found["warnings"]), "does-not-fit")
    return 0


def _lines(found: dict[str, Any]) -> list[str]:
    out = ["reads"]
    for item in found["inputs"]:
        bad = f", about {item['quarantined']:,} unreadable" if item["quarantined"] else ""
        out.append(
            f"  {item['source']:<16} {item['shards']:,} files, {item['bytes'] / 1e6:,.1f} MB, about "
            f"{item['documents']:,} documents, {item['text_bytes'] / 1e6:,.1f} MB of text{bad}"
        )
    memory, disk, time = found["memory"], found["disk"], found["time"]
    share = "" if found["kept_share"] is None else f" ({found['kept_share']:.0%} of the sample was kept)"
    out += [
        f"writes about {disk['bytes'] / 1e6:,.1f} MB{share}",
        *(f"  {name:<16} {disk[name] / 1e6:,.1f} MB" for name in FOLDERS),
        f"needs about {memory['bytes'] / 1e9:,.1f} GB of memory, of it {memory['per_document']:,.0f} bytes a document",
        f"takes about {time['cpu_seconds']:,.0f} s of processor time, {time['wall_seconds']:,.0f} s with "
        f"{found['workers']} workers",
        f"measured on {found['sample']['documents']:,} documents of {found['sample']['shards']} files",
        "settings",
        *(f"  {line}" for line in _settings(found["settings"])),
    ]
    return [*out, *(f"WARNING: {text}" for text in found["warnings"])]


def _settings(values: dict[str, Any], prefix: str = "") -> list[str]:
    out = []
    for key, value in values.items():
        if isinstance(value, dict) and value:
            out += _settings(value, f"{prefix}{key}.")
        else:
            out.append(f"{prefix}{key} = {value}")
    return out
