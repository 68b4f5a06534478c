"""Which documents share a key: a columnar shuffle of (key, job row) pairs as pure functions of arrays.

A host calls `emit` per shard, brings the chunks of each partition together however it can (spilled files, a Beam
GroupByKey, one process's memory) and calls `group` per partition. Nothing but 16 bytes per key crosses.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import xxhash

from curation.kernels.shuffle import count_keys, hash_bytes, mark_keys, marked, place_keys
from curation.text import text_buffer

ROW_BITS = 40
PAIR_BYTES = 16


class Keys(NamedTuple):
    """Keys of one kind: values uint64[docs] or uint64[docs, k] (column j is a kind of its own), valid bool[docs]."""

    values: np.ndarray
    valid: np.ndarray


def job_rows(shard: int, rows: np.ndarray) -> np.ndarray:
    """int64 job rows `shard << 40 | row` of the physical rows of a shard.

    Raises ValueError for a shard above 2^23 - 1 or a row above 2^40 - 1.
    """
    if not 0 <= shard < 2 ** (63 - ROW_BITS) or (len(rows) and (rows.min() < 0 or rows.max() >= 2**ROW_BITS)):
        raise ValueError(f"shard {shard} or one of its rows is too large for a job: at most 2^23 shards of 2^40 rows")
    return (np.int64(shard) << np.int64(ROW_BITS)) | rows.astype(np.int64)


def signal_keys(
    signals: pa.RecordBatch, *, exact: bool = True, near: bool = True, url: bool = False
) -> dict[str, Keys]:
    """The keys of a batch of signals (columns id, norm_hash, bands, url_key) that `emit` takes; null means no key.

    Ids always count, since repeated ids have to be told apart.
    """
    ids = hash_bytes(*text_buffer(signals.column("id")))
    keys = {"id": Keys(ids, np.ones(len(ids), bool))}
    if exact:
        keys["norm_hash"] = _fixed_keys(signals.column("norm_hash"), first_only=True)
    if near:
        keys["bands"] = _fixed_keys(signals.column("bands"))
    if url:
        keys["url_key"] = _fixed_keys(signals.column("url_key"), first_only=True)
    return keys


def fixed_words(column: pa.Array) -> np.ndarray:
    """A fixed-size binary column as uint64[rows, width / 8], little-endian; zeros where null."""
    if column.null_count:
        column = column.fill_null(b"\x00" * column.type.byte_width)
    return fixed_bytes(column).view("<u8").astype(np.uint64, copy=False)


def fixed_bytes(column: pa.Array) -> np.ndarray:
    """A fixed-size binary column as uint8[rows, width] in its own memory; anything where null."""
    width = column.type.byte_width
    data = column.buffers()[1]
    if data is None:
        return np.zeros((len(column), width), np.uint8)
    held = np.frombuffer(data, np.uint8)[column.offset * width : (column.offset + len(column)) * width]
    return held.reshape(len(column), width)


def _fixed_keys(column: pa.Array, first_only: bool = False) -> Keys:
    words = fixed_words(column)
    return Keys(words[:, 0] if first_only else words, np.asarray(column.is_valid()))


def emit(keys_by_kind: Mapping[str, Keys], rows: np.ndarray, partitions: int) -> dict[int, np.ndarray]:
    """The (key, job row) pairs of one shard as raw bytes by partition: {partition: uint8[16 * pairs]}.

    `rows` is int64[docs]. Keys are salted with their kind (and column), so that one partition holds keys of every
    kind without mixing them; the partition is taken from the salted key, so equal keys meet in one partition.
    Raises ValueError when partitions is below 1.
    """
    if partitions < 1:
        raise ValueError(f"partitions must be at least 1, not {partitions}")
    found = []
    counts = np.zeros(partitions, np.int64)
    for kind, (values, valid) in keys_by_kind.items():
        columns = values[:, None] if values.ndim == 1 else values
        names = [f"{kind}/{j}".encode() for j in range(columns.shape[1])]
        salts = np.array([xxhash.xxh3_64_intdigest(name) for name in names], np.uint64)
        count_keys(columns, valid, salts, partitions, counts)
        found.append((columns, valid, salts))
    ends = np.cumsum(counts)
    pairs, places = np.empty((int(counts.sum()), 2), np.uint64), ends - counts
    for columns, valid, salts in found:
        place_keys(columns, valid, salts, rows.view(np.uint64), partitions, places, pairs)
    parts = np.split(pairs, ends[:-1])
    return {p: part.astype("<u8", copy=False).reshape(-1).view(np.uint8) for p, part in enumerate(parts) if len(part)}


def packed(parts: Iterable[dict[int, np.ndarray]], least: int) -> Iterator[dict[int, np.ndarray]]:
    """The chunks of many small parts joined by partition, into parts of `least` bytes or a little more; the last one
    may be smaller. Order is kept inside a partition. Memory: twice a part."""
    held: dict[int, list[np.ndarray]] = {}
    size = 0
    for part in parts:
        for number, chunk in part.items():
            held.setdefault(number, []).append(chunk)
            size += chunk.nbytes
        if size >= least:
            yield {number: np.concatenate(chunks) for number, chunks in held.items()}
            held, size = {}, 0
    if held:
        yield {number: np.concatenate(chunks) for number, chunks in held.items()}


def group(chunks: Iterable[np.ndarray], below: int | None = None) -> np.ndarray:
    """Job rows int64 (sorted, unique) that share a key with another row among the chunks of one partition.

    With `below`, one of the rows that share the key must be below it: rows of earlier runs stand above, and what
    only they share is of no interest.

    Memory: about 2 bytes per pair of the partition beside the chunks, and 60 per pair whose key occurs again (or seems
    to, one in eight). A chunk that arrives twice changes nothing. Raises ValueError for a chunk that is cut short.
    """
    parts = []
    for chunk in chunks:
        if len(chunk) % PAIR_BYTES:
            raise ValueError(
                f"a chunk of {len(chunk)} bytes is no whole number of {PAIR_BYTES}-byte pairs: write it again"
            )
        parts.append(np.frombuffer(chunk, "<u8").reshape(-1, 2).astype(np.uint64, copy=False))
    pairs = _repeated(parts)
    if not len(pairs):
        return np.empty(0, np.int64)
    order = np.argsort(np.ascontiguousarray(pairs[:, 0]))
    keys, rows = pairs[order, 0], pairs[order, 1]
    meets = (keys[1:] == keys[:-1]) & (rows[1:] != rows[:-1])
    shared = np.zeros(len(rows), bool)
    shared[1:] |= meets
    shared[:-1] |= meets
    if below is not None:
        run = np.cumsum(np.concatenate([[True], keys[1:] != keys[:-1]])) - 1
        shared &= (np.bincount(run, rows < np.uint64(below)) > 0)[run]
    return distinct(rows[shared].astype(np.int64))


def distinct(*rows: np.ndarray) -> np.ndarray:
    """The values of some arrays of integers, sorted, each once. By sorting: `np.unique` hashes, which takes longer."""
    found = np.concatenate(rows)
    found.sort()
    return found[np.concatenate([[True], found[1:] != found[:-1]])] if len(found) else found


def _repeated(parts: list[np.ndarray]) -> np.ndarray:
    """The pairs uint64[n, 2] of all parts without most of those whose key occurs once: the rest has to be sorted."""
    total = sum(len(part) for part in parts)
    words = 1 << max(6, int(8 * max(total, 1) - 1).bit_length() - 6)
    seen, again = np.zeros(words, np.uint64), np.zeros(words, np.uint64)
    for part in parts:
        mark_keys(part[:, 0], seen, again)
    kept = [np.empty((0, 2), np.uint64)]
    for part in parts:
        out = np.empty(len(part), np.bool_)
        marked(part[:, 0], again, out)
        kept.append(part[out])
    return np.concatenate(kept)
