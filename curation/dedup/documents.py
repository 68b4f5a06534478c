"""What clustering knows of its candidates, as arrays in an order that does not depend on their input."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa

from curation.dedup.shuffle import fixed_words

EXACT, NEAR, URL, TAKEN_DOWN = 1, 2, 3, 4
REASONS = {
    EXACT: "exact_duplicate",
    NEAR: "near_duplicate",
    URL: "url_duplicate",
    TAKEN_DOWN: "exclude_near_duplicate",
}


class Settings(Protocol):
    """What `cluster` needs to know; the `dedup` section of a configuration has it, and so has `DedupSettings`."""

    @property
    def exact(self) -> bool: ...
    @property
    def near(self) -> bool: ...
    @property
    def url(self) -> bool: ...
    @property
    def verify(self) -> float: ...
    @property
    def keep(self) -> str: ...
    @property
    def max_bucket(self) -> int: ...
    @property
    def verify_by(self) -> str: ...
    @property
    def prefer(self) -> Sequence[str]: ...


class Documents(NamedTuple):
    """Candidates in intrinsic order; key columns are small integers, -1 where there is no key."""

    rank: np.ndarray
    norm: np.ndarray
    url: np.ndarray
    bands: np.ndarray
    minima: np.ndarray
    signed: np.ndarray


def read_documents(table: pa.Table, order: np.ndarray, rank: np.ndarray, settings: Settings) -> Documents:
    """The rows `order` int64[n] of a table of candidates (columns as `cluster` takes them), with their keep ranks."""
    n = len(order)

    def numbered(name: str, wanted: bool) -> np.ndarray:
        """Equal keys as equal numbers: collisions of 128 bits apart, exactly the equality of the column."""
        if not wanted:
            return np.full(n, -1, np.int32)
        words, present = column_words(table, name)[order], _present(table, name)[order]
        by_words = np.lexsort((words[:, 1], words[:, 0]))
        differs = (words[by_words[1:]] != words[by_words[:-1]]).any(axis=1)
        numbers = np.empty(n, np.int32)
        numbers[by_words] = np.concatenate([[0], np.cumsum(differs)])
        return np.where(present, numbers, np.int32(-1))

    if settings.near:
        signed = (_present(table, "signature") & _present(table, "bands"))[order]
        bands = column_words(table, "bands")[order]
        width = table.schema.field("signature").type.byte_width // 2
        parts = [_fixed_shorts(chunk, width) for chunk in table.column("signature").chunks]
        minima = np.concatenate(parts)[order]
    else:
        signed, bands, minima = np.zeros(n, bool), np.empty((n, 0), np.uint64), np.zeros((n, 1), np.uint16)
    return Documents(
        rank, numbered("norm_hash", settings.exact), numbered("url_key", settings.url), bands, minima, signed
    )


def column_words(table: pa.Table, name: str) -> np.ndarray:
    """A fixed-size binary column of a table as uint64[rows, width / 8]."""
    return np.concatenate([fixed_words(chunk) for chunk in table.column(name).chunks])


def _present(table: pa.Table, name: str) -> np.ndarray:
    return np.asarray(table.column(name).is_valid()).astype(bool)


def _fixed_shorts(column: pa.Array, width: int) -> np.ndarray:
    if column.null_count:
        column = column.fill_null(b"\x00" * (2 * width))
    data = np.frombuffer(column.buffers()[1] or b"", "<u2")
    return data[column.offset * width : (column.offset + len(column)) * width].reshape(-1, width)
