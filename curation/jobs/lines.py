"""Lines and paragraphs that many of the remaining documents share: counted by a shuffle of hashes, then cut.

Units are written beside the signals when the text is read. Only documents that stay are counted, so that copies that
leave anyway do not condemn what their survivor says.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curation import io, schema
from curation.config import Config
from curation.dedup import count_units, emit_units, find_units, is_repeated, packed
from curation.dedup.lines import HASH_BYTES, pack_units, partition_of, unpack_units
from curation.jobs import leaving, stages
from curation.plan import Context, Job, Progress, Shard, Step

_UNITS_SCHEMA = pa.schema([("units", pa.large_binary()), ("short", pa.int32())])


def wanted(config: Config) -> str | None:
    """remove or annotate; None when lines are not looked for."""
    dedup = config.dedup
    return dedup.lines.action if dedup.enabled and dedup.lines.enabled else None


def steps(job: Job) -> list[Step]:
    """Count the units, then find the spans of those that are repeated; nothing when that stands or is not asked."""
    if wanted(job.config) is None or summary(job) is not None:
        return []
    return [
        Step("lines", "resolve", work=_emit, group=_count, merge=_add, finish=_repeated),
        Step("spans", "resolve", work=_spans, merge=_merge, finish=_finish),
    ]


def units_path(job: Job, shard: Shard) -> str:
    """The units of a shard, row-aligned with its signals."""
    return stages.signals_path(job, shard).removesuffix(".parquet") + ".lines.parquet"


def _summary_path(job: Job) -> str:
    return f"{job.config.output}/decisions/lines.json"


def summary(job: Job) -> dict[str, Any] | None:
    """What an earlier run with these settings found, or None."""
    found = stages.read_json(_summary_path(job))
    return found if found is not None and found["hash"] == job.hashes["resolve"] else None


class Units:
    """Writes the units of a shard's documents, batch by batch, where they are asked for."""

    def __init__(self, job: Job, shard: Shard) -> None:
        self._settings = job.config.dedup.lines if wanted(job.config) else None
        self._url = units_path(job, shard)
        self._writer: io.ShardWriter | None = None
        self.count = 0

    def __enter__(self) -> "Units":
        if self._settings is not None:
            self._writer = io.ShardWriter(self._url, "parquet", _UNITS_SCHEMA)
            self._writer.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        if self._writer is not None:
            self._writer.__exit__(*error)

    def write(self, text: pa.Array) -> None:
        """Append the units of a batch of documents."""
        if self._settings is None or self._writer is None:
            return
        units = find_units(text, unit=self._settings.unit, min_chars=self._settings.min_chars)
        self.count += len(units.spans)
        self._writer.write(
            pa.RecordBatch.from_arrays([pack_units(units), pa.array(units.short)], schema=_UNITS_SCHEMA)
        )


def _staying(job: Job, shard: Shard, context: Context) -> Iterable[tuple[pa.RecordBatch, pa.RecordBatch, np.ndarray]]:
    """(signals, units, bool[documents] that stay) in batches."""
    with io.open_file(units_path(job, shard)) as file:
        batches = pq.ParquetFile(file).iter_batches(stages.BATCH, use_threads=False)
        for item, units in zip(leaving.documents(job, shard, context, []), batches, strict=True):
            yield item.signals, units, item.reason.is_null().to_numpy(zero_copy_only=False)


def _partitions(job: Job, context: Context) -> int:
    units = sum(shard["units"] for shard in context["annotate"])
    return int(np.clip(4 * units * HASH_BYTES // (job.config.dedup.memory_mb << 20) + 1, 4, 65_536))


def _emit(job: Job, shard: Shard, context: Context, progress: Progress) -> Iterator[dict[int, np.ndarray]]:
    return packed(_hashes(job, shard, context), job.config.dedup.memory_mb << 18)  # a quarter of the limit at a time


def _hashes(job: Job, shard: Shard, context: Context) -> Iterator[dict[int, np.ndarray]]:
    partitions = _partitions(job, context)
    for _, units, stays in _staying(job, shard, context):
        records, offsets = unpack_units(units.column("units").filter(pa.array(stays)))
        yield emit_units(records, offsets, partitions)


def _repeated_path(job: Job, partition: int) -> str:
    return f"{job.config.output}/decisions/repeated/{job.hashes['resolve']}-{partition:05}.npy"


def _count(job: Job, partition: int, chunks: Iterable[np.ndarray]) -> dict[str, Any]:
    """Write the repeated hashes of a partition, so that nobody has to hold those of all."""
    repeated, documents = count_units(chunks, job.config.dedup.lines.max_repeats)
    with io.atomic(_repeated_path(job, partition)) as file:
        np.save(file, repeated, allow_pickle=False)
    most = int(documents.max()) if len(documents) else 0
    return {"repeated": len(repeated), "most": most, "partitions": [partition]}


def _add(a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
    return {
        "repeated": a["repeated"] + b["repeated"],
        "most": max(a["most"], b["most"]),
        "partitions": sorted({*a["partitions"], *b["partitions"]}),
    }


def _repeated(job: Job, merged: dict[str, Any] | None, context: Context) -> dict[str, Any]:
    found = merged or {"repeated": 0, "most": 0, "partitions": []}
    return found | {"of": _partitions(job, context)}


def _spans(job: Job, shard: Shard, context: Context, progress: Progress) -> dict[str, Counter[str]]:
    """Write the spans of a shard's repeated units; return what they are by source."""
    removes = wanted(job.config) == "remove"
    signals, columns, short, stays = [], [], [], []
    for batch, units, mine in _staying(job, shard, context):
        signals.append(batch.select(["row", "source"]))
        columns.append(units.column("units"))
        short.append(np.asarray(units.column("short")))
        stays.append(mine)
    found: dict[str, Counter[str]] = {}
    table = schema.LINES_SCHEMA.empty_table()
    if signals:
        records, offsets = unpack_units(pa.concat_arrays(columns))
        repeated = _look_up(job, records["hash"], context["lines"])
        repeated &= np.repeat(np.concatenate(stays), np.diff(offsets))
        held = pa.Table.from_batches(signals)
        emptied = _cut(offsets, repeated) & (np.concatenate(short) == 0) & removes
        table = _table(held, records, offsets, repeated, emptied)
        size = (records["span"][:, 1] - records["span"][:, 0]).astype(np.int64)
        found = _by_source(held, offsets, repeated, size, emptied)
    stages.write_table(stages.decisions_path(job, "lines", shard), table)
    return found


def _look_up(job: Job, hashes: np.ndarray, found: dict[str, Any]) -> np.ndarray:
    """bool[units]: is it repeated? One partition's hashes are held at a time."""
    out = np.zeros(len(hashes), bool)
    place = partition_of(hashes, found["of"])
    order = np.argsort(place, kind="stable")
    for partition in found["partitions"]:
        low, high = np.searchsorted(place[order], [partition, partition + 1])
        if low < high:
            with io.open_file(_repeated_path(job, partition)) as file:
                repeated = np.load(file, allow_pickle=False)
            out[order[low:high]] = is_repeated(hashes[order[low:high]], repeated)
    return out


def _cut(offsets: np.ndarray, repeated: np.ndarray) -> np.ndarray:
    """bool[documents]: has units, and all of them are repeated."""
    running = np.concatenate([[0], np.cumsum(repeated)])
    units = np.diff(offsets)
    return (units > 0) & (running[offsets[1:]] - running[offsets[:-1]] == units)


def _table(
    held: pa.Table, records: np.ndarray, offsets: np.ndarray, repeated: np.ndarray, emptied: np.ndarray
) -> pa.Table:
    running = np.concatenate([[0], np.cumsum(repeated)])
    per_document = running[offsets[1:]] - running[offsets[:-1]]
    chosen = np.flatnonzero(per_document)
    edges = records["span"][repeated].astype(np.int64).reshape(-1)
    ends = np.concatenate([[0], np.cumsum(2 * per_document[chosen])]).astype(np.int32)
    columns = [
        held.column("row").take(pa.array(chosen)).combine_chunks(),
        pa.array(emptied[chosen]),
        pa.ListArray.from_arrays(pa.array(ends), pa.array(edges)),
    ]
    return pa.Table.from_arrays(columns, schema=schema.LINES_SCHEMA)


def _by_source(
    held: pa.Table, offsets: np.ndarray, repeated: np.ndarray, size: np.ndarray, emptied: np.ndarray
) -> dict[str, Counter[str]]:
    units = np.diff(np.concatenate([[0], np.cumsum(repeated)])[offsets])
    cut = np.diff(np.concatenate([[0], np.cumsum(np.where(repeated, size, 0))])[offsets])
    table = pa.table(
        {
            "source": held.column("source"),
            "units": units,
            "bytes": cut,
            "documents": (units > 0).astype(np.int64),
            "emptied": emptied.astype(np.int64),
        }
    )
    names = ("documents", "units", "bytes", "emptied")
    rows = table.group_by("source").aggregate([(name, "sum") for name in names]).to_pylist()
    return {row["source"]: Counter({name: row[f"{name}_sum"] for name in names}) for row in rows}


def _merge(a: dict[str, Counter[str]], b: dict[str, Counter[str]]) -> dict[str, Counter[str]]:
    return {source: a.get(source, Counter()) + b.get(source, Counter()) for source in sorted({*a, *b})}


def _finish(job: Job, merged: dict[str, Counter[str]] | None, context: Context) -> None:
    lines, found = job.config.dedup.lines, context["lines"]
    zero = dict.fromkeys(("documents", "units", "bytes", "emptied"), 0)
    stages.write_json(
        _summary_path(job),
        {
            "hash": job.hashes["resolve"],
            "unit": lines.unit,
            "max_repeats": lines.max_repeats,
            "action": lines.action,
            "repeated": found["repeated"],
            "most_documents": found["most"],
            "by_source": {source: zero | dict(counts) for source, counts in sorted((merged or {}).items())},
        },
    )
    for partition in found["partitions"]:
        io.delete(_repeated_path(job, partition))


class Spans:
    """The repeated spans of a shard's documents, read in step with its records."""

    def __init__(self, job: Job, shard: Shard) -> None:
        self._table = stages.read_table(stages.decisions_path(job, "lines", shard)).combine_chunks()
        self._rows = self._table.column("row").to_numpy()

    def take(self, rows: np.ndarray) -> pa.Array:
        """A list of start, end, ... for each of the records with these numbers; null where nothing is repeated."""
        at = np.searchsorted(self._rows, rows)
        inside = np.isin(rows, self._rows)
        index = pa.array(np.where(inside, at, 0), mask=~inside)
        column = self._table.column("spans")
        return pa.concat_arrays(column.chunks).take(index) if column.num_chunks else pa.nulls(len(rows), column.type)
