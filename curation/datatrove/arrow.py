"""Arrow reader and writer for datatrove: batches pass straight through where all steps between them are ours.

A Document costs some 10 microseconds to make and 40 to write; a batch costs next to nothing for each of its rows.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
from datatrove.data import Document, DocumentsPipeline
from datatrove.pipeline.base import PipelineStep
from datatrove.utils.typeshelper import StatHints

from curation import io
from curation.config import Columns, Input
from curation.datatrove.documents import check_batch, texts
from curation.io.files import join
from curation.layout import WRITTEN

_MOST_DOCUMENTS = 8192


class ArrowReader(PipelineStep):
    """Yields RecordBatches of the rank's files, files[rank::world_size], for curation's steps.

    inputs: a file, folder or glob, or a list of them; any fsspec URL. text: the text column, looked for when the step
    is made. A record that cannot be read raises ValueError, or with `skip_bad=True` is counted as `bad_records`.
    Steps of datatrove cannot follow: they want Documents, which its own readers make.
    """

    name = "Arrow reader"
    type = "READER"

    def __init__(
        self, inputs: str | list[str], *, text: str = "text", batch_mb: float = 4.0, skip_bad: bool = False
    ) -> None:
        super().__init__()
        check_batch(batch_mb)
        paths = [inputs] if isinstance(inputs, str) else list(inputs)
        self.shards = io.expand([Input(path=path) for path in paths])
        io.check_columns(self.shards, Columns(text=text))
        self.text, self.batch_mb, self.skip_bad = text, batch_mb, skip_bad

    def run(self, data: DocumentsPipeline = None, rank: int = 0, world_size: int = 1) -> Iterator[Any]:
        """Pass data on, then yield the batches."""
        if data:
            yield from data
        for shard in self.shards[rank::world_size]:
            self.stat_update("input_files")
            bad: list[io.BadRecord] = []
            batches = io.read_shard(
                shard, text=self.text, batch_bytes=int(self.batch_mb * 1e6), on_bad=bad.append
            )
            for batch, _ in batches:
                self._tell(shard.url, bad)
                self.stat_update("documents", value=batch.num_rows, unit="batch")
                yield batch
            self._tell(shard.url, bad)

    def _tell(self, url: str, bad: list[io.BadRecord]) -> None:
        for record in bad:
            if not self.skip_bad:
                raise ValueError(
                    f"{url}, record {record.row}: {record.error}: {record.message}; skip_bad=True counts such records"
                )
            self.stat_update("bad_records", value=record.count)
        bad.clear()


class ArrowWriter(PipelineStep):
    """Writes what passes to OUTPUT/RANK.parquet and passes it on: RecordBatches as they are, Documents as rows with
    `text`, `id` and their metadata.

    output_folder: any fsspec URL. format: parquet, jsonl, jsonl.gz or jsonl.zst. All batches of a rank need one
    schema. The file appears whole, when the rank is done.
    """

    name = "Arrow writer"
    type = "WRITER"

    def __init__(self, output_folder: str, *, format: str = "parquet") -> None:
        super().__init__()
        if format not in WRITTEN:
            raise ValueError(f"format must be one of {', '.join(WRITTEN)}, not {format!r}")
        self.output_folder, self.format = output_folder, format

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Iterator[Any]:
        """Write and pass on. Raises ValueError for a batch of another schema than the first."""
        url = join(self.output_folder, f"{rank:05}.{self.format}")
        writer: io.ShardWriter | None = None
        try:
            for items, batch in _rows(data):
                writer = writer or io.ShardWriter(url, self.format, batch.schema)
                if not batch.schema.equals(writer.schema):
                    raise ValueError(f"{url}: batches of two schemas:\n{writer.schema}\n\n{batch.schema}")
                writer.write(batch)
                self.stat_update(StatHints.total, value=batch.num_rows, unit="batch")
                yield from items
        except BaseException:
            if writer is not None:
                writer.abort()
            raise
        if writer is not None:
            writer.close()


def _rows(data: Iterable[Any] | None) -> Iterator[tuple[list[Any], pa.RecordBatch]]:
    """What came in, and the batch of its rows."""
    held: list[Document] = []
    kind: pa.Schema | None = None
    for item in data or ():
        if isinstance(item, pa.RecordBatch):
            yield [item], item
            continue
        held.append(item)
        if len(held) == _MOST_DOCUMENTS:
            batch = _batch(held, kind)
            yield held, batch
            held, kind = [], batch.schema
    if held:
        yield held, _batch(held, kind)


def _batch(documents: list[Document], kind: pa.Schema | None) -> pa.RecordBatch:
    """Documents as rows, of the schema of those before them."""
    rows = [document.metadata for document in documents]
    known = None if kind is None else pa.schema(list(kind)[2:])
    strange = set() if known is None else {name for row in rows for name in row} - set(known.names) - {"text", "id"}
    if strange:
        raise ValueError(f"the metadata has a key {sorted(strange)[0]!r} that the first documents did not have")
    metadata = pa.RecordBatch.from_pylist(rows, schema=known)
    ids = pa.array([str(document.id) for document in documents], pa.string())
    kept = [name for name in metadata.schema.names if name not in ("text", "id")]
    columns = [texts(documents), ids, *(metadata.column(name) for name in kept)]
    return pa.RecordBatch.from_arrays(columns, ["text", "id", *kept])
