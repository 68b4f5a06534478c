"""A state of statistics as compressed bytes: a header, then a frame of each array.

A table of counts is written as a bit mask of the cells above zero, a byte for each of those and, for counts of more
than that, the rest. That comes near the entropy of its counts, which a compressor alone misses where most cells are
zero. Of other arrays the bytes of one significance stand together, so that those of high significance, which are mostly
zero, can be left out; keys of samples ascend and are written as their differences. Which cells a ruler knows is
written for rulers other than the shipped one.
"""

import json
from typing import Any

import numpy as np
import zstandard

from curation.diversity.ruler import load_ruler
from curation.diversity.state import EMPTY, OPERATIONS, State, compact, known_cells
from curation.kernels.packing import SMALL, unpack_counts

VERSION = b"curation statistics 4\n"
_MOST_BYTES = 1 << 27
_LEVEL = 9
_TEXT_LEVEL = 12  # the text is half of a file; higher levels take a second of each state for 2 % of it
_ASCENDING = ("word_keys", "run4_keys", "run8_keys", "thread_keys", "reservoir_priority")


def dump(state: State) -> bytes:
    """The state as compressed bytes; equal states give equal bytes."""
    state = compact(dict(state))
    if bytes(state["ruler"]) == load_ruler().version.encode():
        state["known"] = state["known"][:0]
    header: dict[str, list[Any]] = {}
    frames: list[bytes] = []
    for name in sorted(OPERATIONS):
        array, body = state[name], list[bytes]()
        if OPERATIONS[name] == "saturate":
            entry = _counts(array.reshape(-1), body)
        else:
            entry = [_planes(np.diff(array, prepend=np.uint64(0)) if name in _ASCENDING else array, body)]
        level = _TEXT_LEVEL if name == "reservoir_text" else _LEVEL
        frames.append(zstandard.ZstdCompressor(level=level).compress(b"".join(body)))
        header[name] = [array.dtype.str, list(array.shape), len(frames[-1]), *entry]
    head = json.dumps(header, sort_keys=True).encode()
    return b"".join([VERSION, len(head).to_bytes(4, "little"), head, *frames])


def load(data: bytes) -> State:
    """The state in bytes made by `dump`. Raises ValueError for bytes that are none, or of another version."""
    try:
        if data[: len(VERSION)] != VERSION:
            raise ValueError("it is of another release or damaged: measure the shard again")
        at = len(VERSION) + 4
        size = int.from_bytes(data[at - 4 : at], "little")
        header: dict[str, Any] = json.loads(data[at : at + size])
        at += size
        state, unpacker = {}, zstandard.ZstdDecompressor()
        for name in sorted(OPERATIONS):
            entry, expected = header[name], EMPTY[name]
            dtype, shape, length = np.dtype(entry[0]), tuple(entry[1]), int(entry[2])
            fixed = 0 if OPERATIONS[name] in ("add", "saturate", "max") else 1
            if dtype != expected.dtype or len(shape) != expected.ndim or shape[fixed:] != expected.shape[fixed:]:
                raise ValueError(f"its array {name} is {dtype}{shape}")
            count = int(np.prod(shape, dtype=np.int64))
            if not 0 <= count * dtype.itemsize <= _MOST_BYTES or not 0 <= length <= len(data) - at:
                raise ValueError(f"its array {name} has shape {shape} and {length} bytes")
            frame = _unpacked(unpacker, data[at : at + length])
            at += length
            if OPERATIONS[name] == "saturate":
                array = _table(_Reader(frame), name, count, *entry[3:])
            else:
                array = _Reader(frame).array(dtype, count, entry[3])
                if name in _ASCENDING:
                    np.cumsum(array, out=array)
            state[name] = array.reshape(shape)
        if not len(state["known"]) and bytes(state["ruler"]) == load_ruler().version.encode():
            state["known"] = known_cells(load_ruler())
        if state["known"].shape != EMPTY["known"].shape:
            raise ValueError("it does not say which words its ruler knows")
    except (zstandard.ZstdError, ValueError, KeyError, TypeError, IndexError) as error:
        raise ValueError(f"these bytes are no state of statistics: {error}") from None
    return state


def _unpacked(unpacker: zstandard.ZstdDecompressor, frame: bytes) -> bytes:
    size = zstandard.frame_content_size(frame)
    if not 0 <= size <= _MOST_BYTES:
        raise ValueError(f"an array of {size} bytes is asked for")
    return bytes(unpacker.decompress(frame))


def _counts(counts: np.ndarray, body: list[bytes]) -> list[Any]:
    """Append a table of counts; returns [bytes of small counts, rests, their planes]."""
    above = counts > 0
    less = counts[above] - np.uint32(1)
    small = np.minimum(less, SMALL).astype(np.uint8)
    body += [np.packbits(above, bitorder="little").tobytes(), small.tobytes()]
    rest = less[small == SMALL] - np.uint32(SMALL)
    return [len(small), len(rest), _planes(rest, body)]


def _table(reader: "_Reader", name: str, count: int, n_small: int, n_rest: int, planes: list[int]) -> np.ndarray:
    mask, small = reader.take(count // 8), reader.take(n_small)
    rest, counts = reader.array(np.dtype(np.uint32), n_rest, planes), np.empty(count, np.uint32)
    if not unpack_counts(mask, small, rest, counts):
        raise ValueError(f"the counts of its array {name} do not fit together")
    return counts


def _planes(array: np.ndarray, body: list[bytes]) -> list[int]:
    """Append the bytes of each significance that has any but zero, and return which those are."""
    planes = array.reshape(-1).view(np.uint8).reshape(-1, array.dtype.itemsize).T
    present = [i for i, plane in enumerate(planes) if plane.any()]
    body += [planes[i].tobytes() for i in present]
    return present


class _Reader:
    """Takes arrays from bytes, one after another. Raises ValueError where too few are left."""

    def __init__(self, raw: bytes) -> None:
        self.raw, self.at = raw, 0

    def take(self, count: int) -> np.ndarray:
        """uint8[count], not writable."""
        if not 0 <= count <= len(self.raw) - self.at:
            raise ValueError(f"{count} bytes are asked for, {len(self.raw) - self.at} are left")
        self.at += count
        return np.frombuffer(self.raw, np.uint8, count, self.at - count)

    def array(self, dtype: np.dtype, count: int, planes: list[int]) -> np.ndarray:
        """An array of `count` values of which these planes are not zero; one of bytes is not writable."""
        if dtype.itemsize == 1 and planes == [0]:
            return self.take(count).view(dtype)
        if not 0 <= count * dtype.itemsize <= _MOST_BYTES:
            raise ValueError(f"an array of {count} values is asked for")
        whole = np.zeros((count, dtype.itemsize), np.uint8)
        for plane in planes:
            whole[:, plane] = self.take(count)
        return whole.reshape(-1).view(dtype)
