"""A bottom-k sample of documents by hash of (seed, id): the same documents whatever the order or the sharding."""

import math
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import xxhash

from curation.kernels.hashing import mix64_array

_MASK = (1 << 64) - 1
_TIES = 16  # features by which documents of one id are ordered; those that agree in all of them are copies
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
    rows, keys = wanted(state, ids, q, seed=seed, size=size)
    return reservoir_merge(state, reservoir_of(keys, matrix[rows], q[rows]), size=size)


def wanted(
    state: Reservoir, ids: pa.Array, q: np.ndarray, *, seed: int = 1, size: int = 20_000, limit: int = _MASK
) -> tuple[np.ndarray, np.ndarray]:
    """int64 rows of a batch that may enter `state`, in order of key, and their uint64 keys, none above `limit`;
    features of the others need not be computed."""
    keys = hash_ids(ids, seed, SAMPLE)
    rows = np.flatnonzero((q > 0) & (keys <= np.uint64(limit)))
    if len(state.keys) >= size:
        rows = rows[keys[rows] <= state.keys[size - 1]]
    rows = rows[np.argsort(keys[rows], kind="stable")]
    if len(rows) > size:  # keep every document that ties with the last one: ties are ordered below
        rows = rows[keys[rows] <= keys[rows[size - 1]]]
    return rows, keys[rows]


def key_limit(size: int, documents: int) -> int:
    """The key below which `size` of so many documents are sure to be found: eight standard deviations beyond its mean.

    Knowing their number, a host does not carry documents that a later one would push out of the sample.
    """
    expected = size + 8 * math.sqrt(size) + 64
    return _MASK if expected >= documents else int(expected / documents * 2.0**64)


def reservoir_of(keys: np.ndarray, matrix: np.ndarray, q: np.ndarray) -> Reservoir:
    """A sample of documents in order of uint64 key: matrix float64[docs, d], q float64[docs]."""
    kept = np.ascontiguousarray(matrix, np.float32)
    return Reservoir(keys, _row_hash(kept, q.astype(np.float64)), kept, q.astype(np.float64))


def reservoir_merge(a: Reservoir, *others: Reservoir, size: int = 20_000) -> Reservoir:
    """The sample of the documents of all, of at most `size`."""
    every = [np.concatenate(arrays) for arrays in zip(a, *others, strict=True)]
    order = np.lexsort((every[1], every[0]))[:size]
    return Reservoir(*(x[order] for x in every))


def _row_hash(features: np.ndarray, q: np.ndarray) -> np.ndarray:
    values = np.ascontiguousarray(features[:, :_TIES]).view(np.uint32)
    bits = np.column_stack([values.astype(np.uint64), q.view(np.uint64)])
    multipliers = mix64_array(np.arange(1, bits.shape[1] + 1, dtype=np.uint64)) | np.uint64(1)
    return mix64_array((bits * multipliers).sum(1, dtype=np.uint64))
