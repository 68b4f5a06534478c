"""Small shards for the tests of reading and writing."""

from pathlib import Path

import pyarrow as pa

from curation.io import BadRecord, read_shard
from curation.plan import Shard


def shard(path: str | Path) -> Shard:
    url = str(path)
    return Shard(0, url, "default", url.rpartition("/")[2])


def read(
    path: str | Path, batch_bytes: int = 1 << 20, **options
) -> tuple[list[dict], list[int], list[BadRecord]]:
    """Everything a shard delivers: records, their physical numbers and the bad ones."""
    bad: list[BadRecord] = []
    records: list[dict] = []
    rows: list[int] = []
    schemas = set()
    for batch, numbers in read_shard(
        shard(path), text="text", batch_bytes=batch_bytes, on_bad=bad.append, **options
    ):
        assert batch.num_rows == len(numbers)
        batch.validate(full=True)
        records += batch.to_pylist()
        rows += numbers.tolist()
        schemas.add(batch.schema)
    assert len(schemas) <= 1
    return records, rows, bad


def broken_strings(values: list[bytes], kind: pa.DataType | None = None) -> pa.Array:
    """A string array whose bytes are taken as they are."""
    array = pa.array(values, pa.binary())
    strings = pa.Array.from_buffers(pa.string(), len(values), array.buffers())
    return strings if kind is None else strings.cast(kind)
