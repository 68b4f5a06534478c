"""A state of statistics as compressed bytes.

A table of counts is written as a bit mask of the cells above zero, a byte for each of those and, for counts of more
than that, the rest. That comes near the entropy of its counts, which a compressor alone misses where most cells are
zero. Of other arrays the bytes of one significance stand together, so that those of high significance,
which are mostly zero, can be left out.
"""

import json
from typing import Any

import numpy as np
import zstandard

from curation.diversity.state import EMPTY, OPERATIONS, State
from curation.kernels.packing import SMALL, unpack_counts

VERSION = "statistics-3"
_MOST_BYTES = 1 << 27
_LEVEL = 9


def dump(state: State) -> bytes:
    """The state as compressed bytes; equal states give equal bytes."""
    header: dict[str, list[Any]] = {}
    body: list[bytes] = []
    for name in sorted(OPERATIONS):
        array = state[name]
        header[name] = [array.dtype.str, list(array.shape)]
        if OPERATIONS[name] != "saturate":
            header[name] += [_planes(array, body)]
            continue
        counts = array.reshape(-1)
        above = counts > 0
        less = counts[above] - np.uint32(1)
        small = np.minimum(less, SMALL).astype(np.uint8)
        body += [np.packbits(above, bitorder="little").tobytes(), small.tobytes()]
        rest = less[small == SMALL] - np.uint32(SMALL)
        header[name] += [len(small), len(rest), _planes(rest, body)]
    head = json.dumps({"version": VERSION, "arrays": header}, sort_keys=True).encode()
    whole = len(head).to_bytes(4, "little") + head + b"".join(body)
    return zstandard.ZstdCompressor(level=_LEVEL).compress(whole)


def load(data: bytes) -> State:
    """The state in bytes made by `dump`. Raises ValueError for bytes that are none, or of another version."""
    try:
        raw = zstandard.ZstdDecompressor().decompress(data, max_output_size=_MOST_BYTES)
        size = int.from_bytes(raw[:4], "little")
        header: dict[str, Any] = json.loads(raw[4 : 4 + size])
        if header["version"] != VERSION or set(header["arrays"]) != set(OPERATIONS):
            raise ValueError(f"it is of version {header['version']}, not {VERSION}: measure the shard again")
        state, reader = {}, _Reader(raw, 4 + size)
        for name in sorted(OPERATIONS):
            entry, expected = header["arrays"][name], EMPTY[name]
            dtype, shape = np.dtype(entry[0]), tuple(entry[1])
            fixed = 0 if OPERATIONS[name] in ("add", "saturate", "max") else 1
            if dtype != expected.dtype or len(shape) != expected.ndim or shape[fixed:] != expected.shape[fixed:]:
                raise ValueError(f"its array {name} is {dtype}{shape}")
            count = int(np.prod(shape, dtype=np.int64))
            if not 0 <= count * dtype.itemsize <= _MOST_BYTES:
                raise ValueError(f"its array {name} has shape {shape}")
            if OPERATIONS[name] != "saturate":
                state[name] = reader.array(dtype, count, entry[2]).reshape(shape)
                continue
            mask, small = reader.take(count // 8), reader.take(entry[2])
            rest, counts = reader.array(dtype, entry[3], entry[4]), np.empty(count, np.uint32)
            if not unpack_counts(mask, small, rest, counts):
                raise ValueError(f"the counts of its array {name} do not fit together")
            state[name] = counts.reshape(shape)
    except (zstandard.ZstdError, ValueError, KeyError, TypeError, IndexError) as error:
        raise ValueError(f"these bytes are no state of statistics: {error}") from None
    return state


def _planes(array: np.ndarray, body: list[bytes]) -> list[int]:
    """Append the bytes of each significance that has any but zero, and return which those are."""
    planes = array.reshape(-1).view(np.uint8).reshape(-1, array.dtype.itemsize).T
    present = [i for i, plane in enumerate(planes) if plane.any()]
    body += [planes[i].tobytes() for i in present]
    return present


class _Reader:
    """Takes arrays from bytes, one after another. Raises ValueError where too few are left."""

    def __init__(self, raw: bytes, at: int) -> None:
        self.raw, self.at = raw, at

    def take(self, count: int) -> np.ndarray:
        """uint8[count], not writable."""
        if not 0 <= count <= len(self.raw) - self.at:
            raise ValueError(f"{count} bytes are asked for, {len(self.raw) - self.at} are left")
        self.at += count
        return np.frombuffer(self.raw, np.uint8, count, self.at - count)

    def array(self, dtype: np.dtype, count: int, planes: list[int]) -> np.ndarray:
        """An array of `count` values of which these planes are not zero."""
        if dtype.itemsize == 1 and planes == [0]:
            return self.take(count).view(dtype).copy()
        if not 0 <= count * dtype.itemsize <= _MOST_BYTES:
            raise ValueError(f"an array of {count} values is asked for")
        whole = np.zeros((count, dtype.itemsize), np.uint8)
        for plane in planes:
            whole[:, plane] = self.take(count)
        return whole.reshape(-1).view(dtype)
