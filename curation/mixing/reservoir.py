"""A bottom-k sample of documents by hash of (seed, id): the same documents whatever the order or the sharding."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import xxhash

from curation.kernels.hashing import mix64_array

_MASK = (1 << 64) - 1
SAMPLE, SELECT, HALF = 1, 2, 3  # purposes: the hashes of one id for different purposes are independent


class Reservoir(NamedTuple):
    """The documents with the smallest keys, in order of key."""

    keys: np.ndarray  # uint64[k]
    ties: np.ndarray  # uint64[k], hash of the row, which orders repeated ids
    features: np.ndarray  # float32[k, d]
    q: np.ndarray  # float64[k], base weights


def hash_ids(ids: pa.Array, seed: int, purpose: int) -> np.ndarray:
    """uint64[docs]: a 64-bit xxh3 of every id (string; null counts as empty) under (seed, purpose)."""
    salt = ((seed << 3) | purpose) & _MASK
    digest = xxhash.xxh3_64_intdigest
    raw = ids.cast(pa.binary()).to_pylist()
    return np.array([digest(value or b"", salt) for value in raw], np.uint64)


def reservoir_empty(features: int) -> Reservoir:
    """A sample of no documents with `features` features."""
    none = np.zeros(0, np.uint64)
    return Reservoir(none, none, np.zeros((0, features), np.float32), np.zeros(0))


def reservoir_update(
    state: Reservoir, ids: pa.Array, matrix: np.ndarray, q: np.ndarray, *, seed: int = 1, size: int = 20_000
) -> Reservoir:
    """`state` with the documents of a batch that have q > 0: ids string[docs], matrix float64[docs, d], q[docs]."""
    keys = hash_ids(ids, seed, SAMPLE)
    rows = np.flatnonzero(q > 0)
    if len(state.keys) == size:
        rows = rows[keys[rows] <= state.keys[-1]]
    rows = rows[np.argsort(keys[rows], kind="stable")]
    if len(rows) > size:  # keep every document that ties with the last one: ties are ordered below
        rows = rows[keys[rows] <= keys[rows[size - 1]]]
    kept = np.ascontiguousarray(matrix[rows], np.float32)
    base = q[rows].astype(np.float64)
    return reservoir_merge(state, Reservoir(keys[rows], _row_hash(kept, base), kept, base), size=size)


def reservoir_merge(a: Reservoir, b: Reservoir, *, size: int = 20_000) -> Reservoir:
    """The sample of the documents of both, of at most `size`."""
    both = [np.concatenate([x, y]) for x, y in zip(a, b, strict=True)]
    order = np.lexsort((both[1], both[0]))[:size]
    return Reservoir(*(x[order] for x in both))


def _row_hash(features: np.ndarray, q: np.ndarray) -> np.ndarray:
    bits = np.column_stack([features.view(np.uint32).astype(np.uint64), q.view(np.uint64)])
    multipliers = mix64_array(np.arange(1, bits.shape[1] + 1, dtype=np.uint64)) | np.uint64(1)
    return mix64_array((bits * multipliers).sum(1, dtype=np.uint64))
