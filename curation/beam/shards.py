"""ReadShards and WriteShards: files to batches and batches to files, whose bytes depend on the rows alone."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.metrics import Metrics

from curation import dedup, io
from curation.beam.batches import (
    ERRORS,
    NAMESPACE,
    Error,
    check_bounded,
    check_columns,
    column_name,
    displayed,
    know_columns,
    typed,
)
from curation.beam.coder import decode, encode
from curation.config import Columns, Input
from curation.io.files import join, list_files
from curation.layout import WRITTEN, family
from curation.plan import Shard

Inputs = str | Mapping[str, Any] | Input
_ROWS = 8192  # taken and written at once


@dataclass(kw_only=True, eq=False)
class ReadShards(beam.PTransform):
    """`pipeline | ReadShards(inputs=...)`: the batches of files, with at most `batch_mb` MB of text each.

    `inputs` is one or more files, folders, globs (any fsspec URL) or entries as under `inputs` of a configuration.
    They are listed, and the column `text` looked for, when the pipeline is built; ConfigError tells what is missing.
    A record that cannot be read raises ValueError, or with `with_errors` goes to the second of (batches, errors) as
    (one row with shard, row, offset, count, error, message and raw, message).
    """

    inputs: Inputs | Sequence[Inputs]
    text: str = "text"
    batch_mb: float = 4.0
    with_errors: bool = False

    def __post_init__(self) -> None:
        super().__init__()
        column_name(self.text, "text")
        if not 0 < self.batch_mb <= 1024:
            raise ValueError(f"batch_mb must lie between 0 and 1024, not {self.batch_mb}")
        given = [self.inputs] if isinstance(self.inputs, str | Mapping | Input) else list(self.inputs)
        self._entries = [_entry(item) for item in given]

    def expand(self, begin: beam.pvalue.PBegin) -> Any:
        shards = io.expand(self._entries)
        io.check_columns(shards, Columns(text=self.text))
        step = beam.ParDo(_Read(self.text, int(self.batch_mb * 1e6), self.with_errors))
        spread = begin | "Shards" >> beam.Create(list(shards)) | "Spread" >> beam.Reshuffle()
        if not self.with_errors:
            read = spread | "Read" >> step.with_output_types(pa.RecordBatch)
            return _know(read, shards, self.text)
        found = spread | "Read" >> step.with_outputs(ERRORS, main="batches")
        return _know(typed(found["batches"], pa.RecordBatch), shards, self.text), typed(found[ERRORS], Error)

    def display_data(self) -> dict[str, Any]:
        inputs = ", ".join(entry.path for entry in self._entries)
        return {"inputs": inputs, **displayed(self, "text", "batch_mb", "with_errors")}


def _know(batches: beam.PCollection, shards: Sequence[Shard], text: str) -> beam.PCollection:
    """The batches, of which it is known that those of the first shard have its columns, where files say which they
    have: a stage that needs another column would fail on that shard."""
    if not shards or family(shards[0].relative) == "jsonl":  # where a field may come late
        return batches
    schema = io.peek(shards[0], text)
    return batches if schema is None else know_columns(batches, schema.names)


def _entry(item: Inputs) -> Input:
    if isinstance(item, Input):
        return item
    return Input(path=item) if isinstance(item, str) else Input.model_validate(dict(item))


class _Read(beam.DoFn):
    def __init__(self, text: str, batch_bytes: int, with_errors: bool) -> None:
        self._text, self._batch_bytes, self._with_errors = text, batch_bytes, with_errors
        self._documents = Metrics.counter(NAMESPACE, "read-shards-documents")
        self._errors = Metrics.counter(NAMESPACE, "read-shards-errors")

    def process(self, shard: Shard) -> Iterator[Any]:
        bad: list[io.BadRecord] = []
        found = io.read_shard(shard, text=self._text, batch_bytes=self._batch_bytes, on_bad=bad.append)
        for batch, _ in found:
            yield from self._report(shard, bad)
            self._documents.inc(batch.num_rows)
            yield batch
        yield from self._report(shard, bad)

    def _report(self, shard: Shard, bad: list[io.BadRecord]) -> Iterator[Any]:
        for record in bad:
            message = f"{shard.url}, record {record.row}: {record.error}: {record.message}"
            if not self._with_errors:
                raise ValueError(f"{message}; with_errors=True reads on and gives such records as a second output")
            self._errors.inc(record.count)
            row = pa.RecordBatch.from_pylist([{"shard": shard.url, **asdict(record)}], schema=_BAD)
            yield beam.pvalue.TaggedOutput(ERRORS, (row, message))
        bad.clear()


_BAD = pa.schema(
    [
        ("shard", pa.string()),
        ("row", pa.int64()),
        ("offset", pa.int64()),
        ("count", pa.int64()),
        ("error", pa.string()),
        ("message", pa.string()),
        ("raw", pa.binary()),
    ]
)


@dataclass(kw_only=True, eq=False)
class WriteShards(beam.PTransform):
    """Write all batches to `files` files OUTPUT/part-00000-of-00016.parquet and so on; gives their paths.

    Rows are dealt out and ordered by a hash of all their columns, so equal rows give equal bytes however they were
    batched and ordered before. All batches need one schema. Text crosses a shuffle once, and a worker holds the rows
    of one file in memory. A file without rows is not written. Raises ValueError when `output` holds such files already.
    """

    output: str
    files: int = 16
    format: str = "parquet"

    def __post_init__(self) -> None:
        super().__init__()
        if self.format not in WRITTEN:
            raise ValueError(f"format must be one of {', '.join(WRITTEN)}, not {self.format!r}")
        if not self.output:
            raise ValueError("output is empty: give a folder")
        if not 1 <= self.files <= 99_999:
            raise ValueError(f"files must lie between 1 and 99999, not {self.files}")

    def expand(self, batches: beam.PCollection) -> beam.PCollection:
        check_bounded(batches, "WriteShards", windowed=False)
        check_columns(batches, "WriteShards", ())
        if io.exists(self.output):
            old = [f.relative for f in list_files(self.output, 1) if f.relative.startswith("part-")]
            if old:
                raise ValueError(f"{self.output} holds {old[0]} of an earlier run: give another folder or remove it")
        return (
            batches
            | "Deal" >> beam.FlatMap(_deal, self.files).with_output_types(tuple[int, bytes])
            | "ByFile" >> beam.GroupByKey()
            | "Write" >> beam.Map(_write, self.output, self.files, self.format).with_output_types(str)
        )

    def display_data(self) -> dict[str, Any]:
        return displayed(self, "output", "files", "format")


def _hashes(batch: pa.RecordBatch) -> np.ndarray:
    """uint64[rows, 2]: hashes of whole rows."""
    return dedup.row_hashes(batch, ()).view(">u8").astype(np.uint64)


def _deal(batch: pa.RecordBatch, files: int) -> Iterator[tuple[int, bytes]]:
    place = (_hashes(batch)[:, 0] >> np.uint64(32)) * np.uint64(files) >> np.uint64(32)
    order = np.argsort(place, kind="stable")
    ends = np.cumsum(np.bincount(place.astype(np.int64), minlength=files))
    for number, rows in enumerate(np.split(order, ends[:-1])):
        if len(rows):
            yield number, encode(batch.take(pa.array(rows)))


def _write(element: tuple[int, Iterable[bytes]], output: str, files: int, format: str) -> str:
    number, parts = element
    url = join(output, f"part-{number:05}-of-{files:05}.{format}")
    batches = [decode(part) for part in parts]
    for batch in batches:
        if not batch.schema.equals(batches[0].schema):
            both = f"{batches[0].schema}\n\n{batch.schema}"
            raise ValueError(f"{url}: batches of two schemas cannot share a file:\n{both}")
    hashes = np.concatenate([_hashes(batch) for batch in batches])
    table = pa.Table.from_batches(batches)
    order = np.lexsort((hashes[:, 1], hashes[:, 0]))
    with io.ShardWriter(url, format, table.schema) as writer:
        for start in range(0, len(order), _ROWS):
            for batch in table.take(pa.array(order[start : start + _ROWS])).combine_chunks().to_batches():
                writer.write(batch)
    Metrics.counter(NAMESPACE, "write-shards-documents").inc(table.num_rows)
    return url
