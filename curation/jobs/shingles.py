"""The shingles of candidates, for `dedup.verify_by: shingles`: the shards that hold candidates are read once more.

Each shard's go to a file of their own, so every host can do it; where clusters are made they are laid into one
temporary file that is mapped, so that memory holds the pages of the pairs being compared and no more than it has.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation import dedup, io, schema
from curation.config import Config
from curation.dedup.shuffle import ROW_BITS
from curation.errors import InputChanged
from curation.jobs import stages
from curation.jobs.annotate import unpack_schema
from curation.jobs.decisions import Cursor
from curation.plan import Context, Job, Progress, Shard, Step
from curation.text import tokenise

_SCHEMA = pa.schema([("row", pa.int64()), ("shingles", pa.large_binary())])


def wanted(config: Config) -> bool:
    """Are similarities counted instead of estimated?"""
    return config.dedup.enabled and config.dedup.near and config.dedup.verify_by == "shingles"


def steps(job: Job) -> list[Step]:
    """One step, after the candidates are known; none where similarities are estimated."""
    return [Step("shingles", "resolve", work=_write)] if wanted(job.config) else []


def _path(job: Job, shard: Shard) -> str:
    return stages.decisions_path(job, "shingles", shard)


def _write(job: Job, shard: Shard, context: Context, progress: Progress) -> None:
    """Read the shard again, if it has candidates, and write their shingles in the order of its records."""
    rows = context["candidates"]
    low, high = np.searchsorted(rows, [shard.index << ROW_BITS, (shard.index + 1) << ROW_BITS])
    chosen = rows[low:high] & ((1 << ROW_BITS) - 1)
    if not len(chosen):
        return
    config, found = job.config, 0
    changed = Cursor(stages.signals_path(job, shard), [schema.STEPS[1].name]) if config.steps else None
    input_schema = unpack_schema(context["annotate"][shard.index]["schema"])
    with io.ShardWriter(_path(job, shard), "parquet", _SCHEMA) as writer:
        for batch, numbers in stages.read_shard(job, shard, input_schema, _already_quarantined):
            mine = np.isin(numbers, chosen, assume_unique=True)
            text = batch.column(config.columns.text)
            if changed is not None:  # what filters have left is what was signed
                left = changed.take(len(numbers)).column(0)
                text = pc.coalesce(left.cast(pa.large_string()), text.cast(pa.large_string()))
            if mine.any():
                sets = dedup.shingles(tokenise(text.filter(pa.array(mine))), ngram=config.dedup.ngram)
                writer.write(pa.RecordBatch.from_arrays([pa.array(numbers[mine]), _packed(sets)], schema=_SCHEMA))
                found += int(mine.sum())
            progress(batch.num_rows, 0)
        if found != len(chosen):
            raise InputChanged(
                f"{shard.url} no longer holds the records that were annotated: it changed during the run. "
                "Run the same command again; a changed shard is annotated anew"
            )


def _already_quarantined(_: Any) -> None:
    """Annotate has written what cannot be read."""


def _packed(sets: dedup.Shingles) -> pa.Array:
    """Each document's shingles as bytes, little-endian."""
    offsets = np.append(sets.spans[:, 0], len(sets.values)) * 8
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(sets.values.astype("<u8", copy=False))]
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(sets.spans), buffers)


@contextmanager
def of_candidates(job: Job, job_rows: np.ndarray) -> Iterator[dedup.Shingles | None]:
    """The shingles of candidates (int64[n] job rows) in their order, or None where they are not asked for."""
    if not wanted(job.config):
        yield None
        return
    order = np.argsort(job_rows)
    spans = np.zeros((len(job_rows), 2), np.int64)
    with tempfile.TemporaryFile(prefix="curation-shingles-") as file:
        total = 0
        for shard in job.shards:
            if not io.exists(_path(job, shard)):
                continue
            with io.open_file(_path(job, shard)) as source:
                for batch in pq.ParquetFile(source).iter_batches(stages.BATCH, use_threads=False):
                    column = batch.column("shingles")
                    ends = np.frombuffer(column.buffers()[1], "<i8")[column.offset :][: len(column) + 1]
                    file.write(memoryview(column.buffers()[2] or b"")[ends[0] : ends[-1]])
                    places = (ends - ends[0]) // 8 + total
                    mine = dedup.job_rows(shard.index, batch.column("row").to_numpy())
                    at = order[np.searchsorted(job_rows[order], mine)]
                    spans[at, 0], spans[at, 1] = places[:-1], places[1:]
                    total = int(places[-1])
        file.flush()
        # copy on write, since a mapping that may only be read is another type to the kernels; nothing is written
        values = np.memmap(file, "<u8", "c", shape=(total,)) if total else np.empty(0, np.uint64)
        yield dedup.Shingles(np.asarray(values), spans)


def clear(job: Job) -> None:
    """Delete the files, which nothing needs once the clusters are written."""
    for shard in job.shards if wanted(job.config) else ():
        io.delete(_path(job, shard))
