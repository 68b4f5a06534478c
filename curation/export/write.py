"""Read what was kept, expand and shuffle it, and write shards of a target size beside a card."""

import hashlib
import math
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from curation import io
from curation.config import Config, ConfigError, columns_of, load, nearest
from curation.export import card
from curation.export.shuffle import Buckets, keys
from curation.io.sizes import row_bytes
from curation.io.unify import fit, unify
from curation.plan import Shard

FORMATS = ("parquet", "jsonl.zst", "huggingface")
BUCKET_BYTES = 128 << 20  # of rows that are sorted at once
MOST_BUCKETS = 4_096
BATCH_BYTES = 4 << 20
DROPPED = ("copies", "filter_reason")  # of the added columns: one row a copy, and nothing that left


def export(
    output: str,
    target: str,
    *,
    target_mb: float = 256,
    format: str = "parquet",
    seed: int = 1,
    licence: str | None = None,
    quiet: bool = False,
) -> dict[str, Any]:
    """Write what the run in `output` kept to the new folder `target` and return counts.

    Every document stands there as often as `copies` says. The order is a shuffle by (seed, text, id, copy), the same
    however the run was sharded; shards take about `target_mb` MB each on disk. `licence` stands in the card and the
    metadata. A local target appears whole, at the end. Raises ConfigError for a folder without a finished run, an
    unknown format, a target that holds files, and columns whose types differ between files, naming both.
    """
    if format not in FORMATS:
        raise ConfigError(f"--format: there is no format {format!r}{nearest(format, FORMATS)}", "usage")
    manifest = io.read_manifest(output)
    if manifest is None:
        raise ConfigError(f"{output} holds no finished run: there is no manifest.json in it", "no-finished-run")
    if io.exists(target) and not _is_empty(target):
        raise ConfigError(f"{target} holds files already: give another --output, or delete it", "output-conflict")
    config = load(None, manifest["config"])
    shards = _kept(output, manifest)
    schema = _schema(config, shards)
    local = io.is_local(target)
    place = _beside(target) if local else target
    above = str(Path(place).parent) if local else None
    with tempfile.TemporaryDirectory(prefix=".tmp-export-", dir=above) as folder:
        found = _write(config, shards, schema, place, Path(folder), target_mb, format, seed)
    card.write(place, output, config, manifest, found, schema, format, licence)
    if local:
        final = io.local_path(target)
        if os.path.isdir(final):
            os.rmdir(final)
        os.rename(place, final)
    if not quiet:
        print(f"wrote {found['rows']:,} rows in {len(found['files'])} files to {target}", file=sys.stderr)
    return found


def _is_empty(target: str) -> bool:
    return io.is_local(target) and os.path.isdir(io.local_path(target)) and not os.listdir(io.local_path(target))


def _beside(target: str) -> str:
    """A hidden folder beside a local target, empty: an export that was killed leaves nothing under the final name."""
    folder, name = os.path.split(io.local_path(target))
    place = os.path.join(folder, f".{name}.exporting")
    shutil.rmtree(place, ignore_errors=True)
    os.makedirs(place)
    return place


def _kept(output: str, manifest: dict[str, Any]) -> list[Shard]:
    paths = [entry for entry in manifest["outputs"] if entry["path"].startswith("kept/") and entry["rows"]]
    return [
        Shard(i, io.safe_join(output, e["path"]), "kept", e["path"].removeprefix("kept/"), size=e["bytes"])
        for i, e in enumerate(paths)
    ]


def _schema(config: Config, shards: list[Shard]) -> pa.Schema:
    found = [(shard.url, io.final_schema(shard, text=config.columns.text)) for shard in shards]
    schema, conflicts = unify(found)
    if conflicts:
        c = conflicts[0]
        raise ConfigError(
            f"column {c.column!r} is {c.first_type} in {c.first} and {c.second_type} in {c.second}, and no common type "
            "holds both; write it as one type in the input, or export the sources apart",
            "wrong-column-type",
        )
    dropped = {config.columns.prefix + name for name in DROPPED}
    return pa.schema([field for field in schema if field.name not in dropped])


def _rows(config: Config, shard: Shard, schema: pa.Schema) -> Iterator[tuple[pa.RecordBatch, np.ndarray]]:
    """Batches with every row as often as its copies, and the number of the copy."""
    name = config.columns.prefix + "copies"
    for batch, _ in io.read_shard(shard, text=config.columns.text, batch_bytes=BATCH_BYTES, on_bad=_broken(shard)):
        copies = batch.column(name).to_numpy(zero_copy_only=False).astype(np.int64)
        index = np.repeat(np.arange(batch.num_rows), copies)
        number = np.arange(len(index)) - np.repeat(np.cumsum(copies) - copies, copies)
        whole = fit(batch, schema)
        for start in range(0, len(index), 4096):  # many copies of long documents come in pieces
            yield whole.take(pa.array(index[start : start + 4096])), number[start : start + 4096]


def _broken(shard: Shard) -> Any:
    def stop(bad: io.BadRecord) -> None:
        raise ValueError(f"{shard.url}, record {bad.row}: {bad.message}; run the same job again to write it anew")

    return stop


def _write(
    config: Config,
    shards: list[Shard],
    schema: pa.Schema,
    place: str,
    folder: Path,
    target_mb: float,
    format: str,
    seed: int,
) -> dict[str, Any]:
    id_column = columns_of(config).id or "id"
    on_disk = sum(shard.size for shard in shards)
    count = min(MOST_BUCKETS, max(1, math.ceil(8 * on_disk / BUCKET_BYTES)))  # text takes up to about 8 times its size
    raw = once = rows = 0
    with Buckets(folder, count, schema) as buckets:
        for shard in shards:
            for batch, number in _rows(config, shard, schema):
                size = row_bytes(batch)
                raw += int(size.sum())
                once += int(size[number == 0].sum())
                rows += batch.num_rows
                ids = batch.column(id_column) if id_column in schema.names else pa.nulls(batch.num_rows)
                buckets.add(batch, *keys(batch.column(config.columns.text), ids, number, seed))
        files = max(1, math.ceil(raw * (on_disk / max(1, once)) / (target_mb * 1e6)))
        ending = "jsonl.zst" if format == "jsonl.zst" else "parquet"
        stem = "data/train" if format == "huggingface" else "part"
        names = [f"{stem}-{i:05}-of-{files:05}.{ending}" for i in range(files)]
        written = _shards(place, schema, buckets.sorted(), names, raw, ending)
    return {"rows": rows, "bytes": raw, "files": written, "seed": seed}


def _shards(
    place: str, schema: pa.Schema, batches: Iterator[pa.RecordBatch], names: list[str], raw: int, format: str
) -> list[dict[str, Any]]:
    """Files of equal size in memory; one is empty only where a row is longer than a whole file. Entries as in a
    manifest."""
    written: list[dict[str, Any]] = []
    writer = io.ShardWriter(f"{place}/{names[0]}", format, schema)
    done = 0
    try:
        for batch in batches:
            size = row_bytes(batch)
            begins = done + np.cumsum(size) - size
            mine = np.minimum(begins * len(names) // max(1, raw), len(names) - 1)
            start = 0
            while start < batch.num_rows:
                while len(written) < mine[start]:
                    writer.close()
                    written.append(_entry(place, names[len(written)], writer.rows))
                    writer = io.ShardWriter(f"{place}/{names[len(written)]}", format, schema)
                end = int(np.searchsorted(mine, mine[start], side="right"))
                writer.write(batch.slice(start, end - start))
                start = end
            done += int(size.sum())
        writer.close()
        written.append(_entry(place, names[len(written)], writer.rows))
    except BaseException:
        writer.abort()
        raise
    return written


def _entry(place: str, name: str, rows: int) -> dict[str, Any]:
    """A file's entry, with the checksum that Croissant asks for."""
    engine = hashlib.sha256()
    with io.open_file(f"{place}/{name}") as file:
        while piece := file.read(1 << 20):
            engine.update(piece)
    return {"path": name, "bytes": io.size(f"{place}/{name}"), "rows": rows, "sha256": engine.hexdigest()}
