"""RecordBatches to Parquet or JSON lines whose bytes depend on the rows alone, not on how they were
batched.
"""

import zlib
from collections.abc import Collection
from contextlib import AbstractContextManager, suppress
from typing import IO, Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from curation.batch import combine
from curation.io import files
from curation.io.sizes import row_bytes
from curation.io.stamps import stamp, write_sidecar
from curation.layout import WRITTEN, format_of
from curation.plan import Shard

ROWS = 8_192  # of a row group
BYTES = 64 << 20  # of data in a row group; a single larger row is one of its own
PARQUET_LEVEL = 1
ZSTD_LEVEL = 3
GZIP_LEVEL = 4
PIECE = 1 << 20  # what compressors are fed at once


def output_relative(shard: Shard, format: str) -> str:
    """The shard's path below kept/<source>: its own name where the format stays, else with an extension
    added.

    format: parquet, jsonl, jsonl.gz, jsonl.zst or same. Unique for the shards of one job (`expand` sees to
    it).
    """
    written = output_format(shard, format)
    return shard.relative if written == format_of(shard.relative) else f"{shard.relative}.{written}"


def output_format(shard: Shard, format: str) -> str:
    """The format that is written: for `same` the shard's own where it is one of WRITTEN, else Parquet."""
    if format != "same":
        return format
    own = format_of(shard.relative)
    return own if own in WRITTEN else "parquet"


class ShardWriter:
    """Writes one file that appears under `url` at close, whole; `abort` leaves nothing. Also a context
    manager.

    format: parquet, jsonl, jsonl.gz or jsonl.zst. schema: of every batch; without any batch the Parquet file
    still has it. values: what a stamp says (`stamps.read_stamp`), which may be set anew until close; in the
    Parquet footer, else in a hidden file beside. repeated: for files that only this package reads, the columns
    with few distinct values; only these get dictionaries, and none has statistics, which is twice as fast.
    distinct: of other files, the columns that get neither, since their values hardly repeat. Rows are regrouped to
    row groups of 8,192 rows or 64 MB of data, whichever comes first. JSON lines hold binary values as hex, dates and
    times in ISO 8601, decimals as strings, and null for NaN and infinity.
    """

    def __init__(
        self,
        url: str,
        format: str,
        schema: pa.Schema,
        values: dict[str, Any] | None = None,
        repeated: list[str] | None = None,
        distinct: Collection[str] = (),
    ) -> None:
        self.url, self.schema, self.rows = url, schema, 0
        self.values = values
        self._pending: list[pa.RecordBatch] = []
        self._pending_rows = self._pending_bytes = 0
        self._sink: Any = None
        self._context: AbstractContextManager[IO[bytes]] = files.atomic(url)
        file = self._context.__enter__()
        try:
            if format == "parquet":
                self._sink = _Parquet(file, schema, repeated, distinct)
            elif format in ("jsonl", "jsonl.gz", "jsonl.zst"):
                self._sink = _JsonLines(file, format.partition(".")[2])
            else:
                raise ValueError(f"unknown format {format!r}: parquet, jsonl, jsonl.gz or jsonl.zst")
        except BaseException as error:
            self._fail(error)
            raise
        self._sidecar = values is not None and format != "parquet"

    def write(self, batch: pa.RecordBatch) -> None:
        """Append a batch. Raises ValueError for another schema, naming the difference."""
        if not batch.schema.equals(self.schema):
            difference = _difference(batch.schema, self.schema)
            raise ValueError(f"{self.url}: a batch has another schema than the file: {difference}")
        ends = np.cumsum(row_bytes(batch))
        start = 0
        while start < batch.num_rows:
            before = int(ends[start - 1]) if start else 0
            end = int(np.searchsorted(ends, before + BYTES - self._pending_bytes, side="right"))
            end = min(end, start + ROWS - self._pending_rows)
            if end <= start:  # the next row does not fit
                if self._pending:
                    self._flush()
                    continue
                end = start + 1
            self._pending.append(batch.slice(start, end - start))
            self._pending_rows += end - start
            self._pending_bytes += int(ends[end - 1]) - before
            start = end
            if self._pending_rows == ROWS:
                self._flush()

    def _flush(self) -> None:
        if self._pending:
            self._sink.write(
                [combine([b.column(i) for b in self._pending]) for i in range(len(self.schema))], self.schema
            )
            self.rows += self._pending_rows
            self._pending, self._pending_rows, self._pending_bytes = [], 0, 0

    def close(self) -> None:
        """Write what is pending and let the file appear. Raises what the filesystem raises, leaving
        nothing.
        """
        try:
            self._flush()
            if self.values is not None and isinstance(self._sink, _Parquet):
                self._sink.stamp(self.values)
            self._sink.close()
        except BaseException as error:
            self._fail(error)
            raise
        self._context.__exit__(None, None, None)
        if self._sidecar:
            write_sidecar(self.url, self.values or {})

    def abort(self) -> None:
        """Give up: nothing appears."""
        self._fail(RuntimeError("given up"))

    def _fail(self, error: BaseException) -> None:
        if self._sink is not None:
            with suppress(Exception):  # it still writes to the file that is about to be dropped
                self._sink.close()
        try:
            self._context.__exit__(type(error), error, None)
        except BaseException as raised:
            if raised is not error:
                raise

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if error is None:
            self.close()
        else:
            self._fail(error)


def _difference(found: pa.Schema, wanted: pa.Schema) -> str:
    for field in wanted:
        if field.name not in found.names:
            return f"there is no {field.name!r}"
        if found.field(field.name).type != field.type:
            return f"{field.name!r} is {found.field(field.name).type}, not {field.type}"
    extra = [name for name in found.names if name not in wanted.names]
    return f"{extra[0]!r} is not in the file" if extra else "the order or nullability of columns"


class _Parquet:
    def __init__(
        self, file: IO[bytes], schema: pa.Schema, repeated: list[str] | None, distinct: Collection[str]
    ) -> None:
        self._schema = schema
        every = [name for name in schema.names if name not in distinct]
        self._writer = pq.ParquetWriter(
            file,
            schema,
            compression="zstd",
            compression_level=PARQUET_LEVEL,
            write_page_checksum=True,
            use_dictionary=every if repeated is None else repeated,
            write_statistics=every if repeated is None else False,
        )

    def write(self, columns: list[pa.Array], _: pa.Schema) -> None:
        batch = pa.RecordBatch.from_arrays(columns, schema=self._schema)
        self._writer.write_table(pa.Table.from_batches([batch]), row_group_size=max(1, batch.num_rows))

    def stamp(self, values: dict[str, Any]) -> None:
        self._writer.add_key_value_metadata(stamp(values))

    def close(self) -> None:
        self._writer.close()


class _JsonLines:
    def __init__(self, file: IO[bytes], packing: str) -> None:
        self._file = file
        self._held = bytearray()
        self._packer: Any = None
        if packing == "gz":
            self._packer = zlib.compressobj(
                GZIP_LEVEL, zlib.DEFLATED, 31
            )  # zlib's gzip header: no name, no time
        elif packing == "zst":
            self._packer = zstandard.ZstdCompressor(level=ZSTD_LEVEL, write_checksum=True).compressobj()

    def write(self, columns: list[pa.Array], schema: pa.Schema) -> None:
        values = [_jsonable(column).to_pylist() for column in columns]
        for row in zip(*values, strict=True):
            record = dict(zip(schema.names, row, strict=True))
            self._held += orjson.dumps(record, default=_plain, option=orjson.OPT_APPEND_NEWLINE)
            if len(self._held) >= PIECE:
                self._drain(PIECE)

    def _drain(self, least: int) -> None:
        """Hand on what is held in pieces of fixed size, the last one shorter, while there is `least` of
        it.
        """
        while len(self._held) >= least:
            part = bytes(self._held[:PIECE])
            del self._held[:PIECE]
            self._file.write(self._packer.compress(part) if self._packer else part)

    def close(self) -> None:
        self._drain(1)
        if self._packer:
            self._file.write(self._packer.flush())


def _jsonable(array: pa.Array) -> pa.Array:
    """Nanoseconds as microseconds, which Python's times hold."""
    kind = array.type
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        return array.cast(pa.timestamp("us", kind.tz), safe=False)
    if pa.types.is_time64(kind) and kind.unit == "ns":
        return array.cast(pa.time64("us"), safe=False)
    return array


def _plain(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else str(value)
