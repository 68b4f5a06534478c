"""What the phases share: reading signals and decisions of a shard, and small results kept as JSON."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from curation import io, layout, schema
from curation.config import Config
from curation.diversity.registry import STATISTICS
from curation.errors import InputChanged
from curation.plan import Job, Shard

#: documents in a batch of signals or decisions; feature matrices of one stay small
BATCH = 4096
_PLACES = {name: place for place, name in enumerate(STATISTICS)}


def signals_path(job: Job, shard: Shard) -> str:
    return layout.path(job.config.output, "signals", shard)


def state_path(job: Job, shard: Shard) -> str:
    return layout.path(job.config.output, "signals", shard, ".state")


def quarantine_path(job: Job, shard: Shard) -> str:
    return layout.path(job.config.output, "quarantine", shard)


def decisions_path(job: Job, name: str, shard: Shard) -> str:
    return layout.path(job.config.output, f"decisions/{name}", shard)


def selected_path(job: Job, shard: Shard) -> str:
    """What says that the kept and excluded files of a shard are written."""
    return decisions_path(job, "select", shard).removesuffix(".parquet") + ".json"


def read_shard(
    job: Job, shard: Shard, schema: pa.Schema, on_bad: Any, sound: bool = False
) -> Iterator[tuple[pa.RecordBatch, np.ndarray]]:
    """Batches of a shard with the numbers of their records, as `io.read_shard`, by the job's settings.

    Raises RuntimeError at the end when the file is not the one that the job began with.
    """
    config = job.config
    yield from io.read_shard(
        shard,
        text=config.columns.text,
        batch_bytes=int(config.run.batch_mb * 1e6),
        schema=schema,
        on_bad=on_bad,
        longest_line=longest(config),
        sound=sound,
    )
    check_unchanged(shard)


def longest(config: Config) -> int:
    """Bytes of a document above which it is quarantined."""
    return int(config.limits.document_mb * 1e6)


def check_unchanged(shard: Shard) -> None:
    """Raise RuntimeError when a shard is there with another size or version than at the start of the job."""
    try:
        now = io.size_and_version(shard)
    except FileNotFoundError:
        return
    if now != (shard.size, shard.version):
        raise InputChanged(
            f"{shard.url} was replaced or grew while the job read it; run the same command again once it is whole: "
            "what was found of the other files stands"
        )


def read_signals(job: Job, shard: Shard, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """Batches of some columns of a shard's signals, in row order."""
    with io.open_file(signals_path(job, shard), "rb") as file:
        yield from pq.ParquetFile(file).iter_batches(BATCH, columns=columns, use_threads=False)


def read_table(url: str) -> pa.Table:
    """A whole Parquet file of decisions."""
    with io.open_file(url, "rb") as file:
        return pq.read_table(file, use_threads=False)


def write_table(url: str, table: pa.Table) -> None:
    """Write a Parquet file of decisions; it appears whole."""
    with io.atomic(url) as file:
        pq.write_table(table, file, compression="zstd")


def finished(job: Job, phase: str, summary: str, folder: str) -> dict[str, Any] | None:
    """The summary of a phase that an earlier run has finished with these settings and inputs, or None.

    summary: the file, below the output folder, that the phase writes last; folder: that of its decisions, one file a
    shard, in which somebody may have cleared files.
    """
    found = read_json(f"{job.config.output}/{summary}")
    if found is None or found["hash"] != job.hashes[phase]:
        return None
    return found if all(io.exists(decisions_path(job, folder, shard)) for shard in job.shards) else None


def write_json(url: str, value: Any) -> None:
    with io.atomic(url) as file:
        plain = orjson.loads(orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY))
        file.write(orjson.dumps(_sorted(plain), option=orjson.OPT_INDENT_2))


def _sorted(value: Any) -> Any:
    """A copy of plain values whose keys are in alphabetical order, but for names of statistics: those keep that of the
    registry, which puts together what belongs together."""
    if isinstance(value, dict):
        names = sorted(value, key=_PLACES.__getitem__) if value.keys() <= _PLACES.keys() else sorted(value)
        return {name: _sorted(value[name]) for name in names}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


def read_json(url: str) -> Any:
    """A JSON file, or None where there is none or it is broken."""
    if not io.exists(url):
        return None
    with io.open_file(url, "rb") as file:
        try:
            return orjson.loads(file.read())
        except orjson.JSONDecodeError:
            return None


@lru_cache(maxsize=4)
def load_profile(url: str) -> Any:
    """The reference profile, loaded once in a process; `default` is the one that comes with the package."""
    from curation.diversity import reference

    if url == reference.DEFAULT:
        return reference.load(reference.default(), "the default reference")
    with io.open_file(url, "rb") as file:
        return reference.load(file.read(), url)


def profile_checksum(url: str) -> str:
    """Hash of the bytes of a reference profile."""
    from curation.diversity import reference

    return xxhash.xxh3_128_hexdigest(reference.default()) if url == reference.DEFAULT else io.checksum(url)


def added_columns(config: Config) -> list[schema.Column]:
    """The columns that a run with this configuration adds."""
    lines = config.dedup.lines
    spans = config.dedup.enabled and lines.enabled and lines.action == "annotate"
    scores = schema.filter_columns(tuple(item.column for item in config.models))
    return [*schema.added(spans, bool(config.decontaminate.paths)), *scores]
