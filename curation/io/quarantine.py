"""What could not be read: one Parquet file beside each shard that had any."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

import pyarrow as pa
import pyarrow.parquet as pq

from curation.io import files
from curation.io.writers import ShardWriter

RAW_BYTES = 65_536  # most bytes kept of a bad record

_FIELDS: list[tuple[str, pa.DataType]] = [
    ("row", pa.int64()),  # first physical record number
    ("offset", pa.int64()),  # byte in the decompressed file, or null
    ("count", pa.int64()),  # records lost; 1 where the number cannot be known
    ("error", pa.string()),
    ("message", pa.string()),
    ("raw", pa.binary()),
]
SCHEMA = pa.schema(_FIELDS)


@dataclass(frozen=True)
class BadRecord:
    """Records that cannot be read: `count` of them from physical number `row`; raw holds their first
    bytes.

    error is one of invalid_json, not_an_object, text_missing, text_not_a_string, invalid_utf8, line_too_long,
    document_too_long, broken_compression, broken_row_group and unreadable_file. count is 1 where nobody can know how
    many were lost.
    """

    row: int
    offset: int | None
    count: int
    error: str
    message: str
    raw: bytes = b""


class Quarantine:
    """Collects bad records and writes `url` if there were any; without any, an older file there is
    deleted.

    Call it with a BadRecord, or hand it on as `on_bad`. Use as a context manager: nothing appears after an
    exception.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.count = 0
        self._pending: list[BadRecord] = []
        self._bytes = 0
        self._writer: ShardWriter | None = None

    def __call__(self, bad: BadRecord) -> None:
        self.count += bad.count
        self._pending.append(replace(bad, raw=bad.raw[:RAW_BYTES]))
        self._bytes += len(self._pending[-1].raw) + len(bad.message) + 64
        if self._bytes > 16 << 20:
            self._flush()

    def _flush(self) -> None:
        if self._writer is None:
            self._writer = ShardWriter(self.url, "parquet", SCHEMA)
        rows = [asdict(bad) for bad in self._pending]
        self._writer.write(pa.RecordBatch.from_pylist(rows, schema=SCHEMA))
        self._pending, self._bytes = [], 0

    def close(self) -> None:
        """Write what was collected."""
        if self._pending:
            self._flush()
        if self._writer is not None:
            self._writer.close()
        else:
            files.delete(self.url)

    def __enter__(self) -> "Quarantine":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        elif self._writer is not None:
            self._writer.abort()


def read_quarantine(url: str) -> Iterator[BadRecord]:
    """The records of a quarantine file, in order; none when there is no file."""
    if not files.exists(url):
        return
    with files.open_file(url) as file:
        for batch in pq.ParquetFile(file).iter_batches(batch_size=256):
            for row in batch.to_pylist():
                yield BadRecord(**row)
