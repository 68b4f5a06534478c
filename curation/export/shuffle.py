"""A shuffle of any number of rows in bounded memory: rows go to files by their key, and each file is sorted alone.

The place of a row depends on the seed, its text, its id and the number of the copy only, so neither on how the rows
were cut into files nor on their order.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import xxhash

from curation.io.sizes import row_bytes

KEY = "__key"
TIE = "__tie"
HELD_BYTES = 64 << 20  # of rows that wait to be written to a bucket


def keys(texts: pa.Array, ids: pa.Array, copy: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(key, tie) uint64 of each row; rows that are equal in both are equal in text, id and number of the copy."""
    key = np.empty(len(copy), np.uint64)
    tie = np.empty(len(copy), np.uint64)
    for i, (text, name, number) in enumerate(zip(texts.to_pylist(), ids.to_pylist(), copy.tolist(), strict=True)):
        content = text if isinstance(text, bytes) else str(text).encode("utf-8", "surrogatepass")
        found = xxhash.xxh3_128_intdigest(content + b"\0" + str(name).encode() + b"\0%d" % number, seed=seed)
        key[i], tie[i] = found >> 64, found & 0xFFFFFFFFFFFFFFFF
    return key, tie


class Buckets:
    """Files of rows by the upper bits of their key; use as a context manager, `add` batches, then read `sorted`."""

    def __init__(self, folder: Path, count: int, schema: pa.Schema) -> None:
        self._folder, self._count = folder, count
        self._schema = pa.schema([*schema, (KEY, pa.uint64()), (TIE, pa.uint64())])
        self._plain = schema
        self._held: list[list[pa.RecordBatch]] = [[] for _ in range(count)]
        self._held_bytes = 0

    def __enter__(self) -> "Buckets":
        return self

    def __exit__(self, *_: object) -> None:
        self._held = []

    def add(self, batch: pa.RecordBatch, key: np.ndarray, tie: np.ndarray) -> None:
        """Rows with their keys."""
        full = pa.RecordBatch.from_arrays([*batch.columns, pa.array(key), pa.array(tie)], schema=self._schema)
        bucket = ((key >> np.uint64(32)) * np.uint64(self._count) >> np.uint64(32)).astype(np.int64)
        order = np.argsort(bucket, kind="stable")
        rows = full.take(pa.array(order))
        ends = np.searchsorted(bucket[order], np.arange(self._count + 1))
        for number in np.flatnonzero(np.diff(ends)):
            part = rows.slice(int(ends[number]), int(ends[number + 1] - ends[number]))
            self._held[int(number)].append(part)
        self._held_bytes += int(row_bytes(batch).sum())
        if self._held_bytes > HELD_BYTES:
            self._flush()

    def _flush(self) -> None:
        for number, held in enumerate(self._held):
            if held:
                path = self._folder / f"{number}.arrows"
                with path.open("ab") as file, pa.ipc.new_stream(file, self._schema, options=_OPTIONS) as writer:
                    for batch in held:
                        writer.write_batch(batch)
                held.clear()
        self._held_bytes = 0

    def sorted(self) -> Iterator[pa.RecordBatch]:
        """All rows by (key, tie), in batches of one schema, without the keys."""
        self._flush()
        for number in range(self._count):
            path = self._folder / f"{number}.arrows"
            if not path.exists():
                continue
            found: list[pa.RecordBatch] = []
            with path.open("rb") as file:
                size = path.stat().st_size
                while file.tell() < size:  # every flush began a stream of its own
                    found += pa.ipc.open_stream(file)
            path.unlink()
            table = pa.Table.from_batches(found)
            order = np.lexsort((table[TIE].to_numpy(), table[KEY].to_numpy()))
            for start in range(0, len(order), 4096):
                part = table.select(self._plain.names).take(pa.array(order[start : start + 4096]))
                yield from (batch.cast(self._plain) for batch in part.combine_chunks().to_batches())


_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")
