"""What the phases share: reading signals and decisions of a shard, and small results kept as JSON."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from curation import io, layout, schema
from curation.config import Config
from curation.plan import Job, Shard

#: documents in a batch of signals or decisions; feature matrices of one stay small
BATCH = 4096


def signals_path(job: Job, shard: Shard) -> str:
    return layout.path(job.config.output, "signals", shard)


def state_path(job: Job, shard: Shard) -> str:
    return layout.path(job.config.output, "signals", shard, ".state")


def quarantine_path(job: Job, shard: Shard) -> str:
    return layout.path(job.config.output, "quarantine", shard)


def decisions_path(job: Job, name: str, shard: Shard) -> str:
    return layout.path(job.config.output, f"decisions/{name}", shard)


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
        file.write(orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS))


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
    """The reference profile, loaded once in a process."""
    from curation.diversity import reference

    with io.open_file(url, "rb") as file:
        return reference.load(file.read(), url)


def added_columns(config: Config) -> list[schema.Column]:
    """The columns that a run with this configuration adds."""
    lines = config.dedup.lines
    spans = config.dedup.enabled and lines.enabled and lines.action == "annotate"
    scores = schema.filter_columns(tuple(item.column for item in config.models))
    return [*schema.added(spans, bool(config.decontaminate.paths)), *scores]
