"""What clustering knows of its candidates, as arrays in an order that does not depend on their input."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa

from curation.dedup.shuffle import fixed_bytes, fixed_words

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
    """Candidates in intrinsic order; key columns are small integers, -1 where there is no key.

    bands uint64[n, bands] and minima uint16[n, permutations] stay in the order and the memory of the table, since
    they are most of what a candidate takes: those of document i are in row place[i] (int64[n]), and say nothing where
    it is not `signed`.
    """

    rank: np.ndarray
    norm: np.ndarray
    url: np.ndarray
    place: np.ndarray
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
        bands, minima = _packed(table, "bands").view("<u8"), _packed(table, "signature").view("<u2")
    else:
        signed, bands, minima = np.zeros(n, bool), np.empty((n, 0), np.uint64), np.zeros((n, 1), np.uint16)
    norm, url = numbered("norm_hash", settings.exact), numbered("url_key", settings.url)
    return Documents(rank, norm, url, order, bands, minima, signed)


def column_words(table: pa.Table, name: str) -> np.ndarray:
    """A fixed-size binary column of a table as uint64[rows, width / 8]."""
    return _joined([fixed_words(chunk) for chunk in table.column(name).chunks])


def _packed(table: pa.Table, name: str) -> np.ndarray:
    """A fixed-size binary column as uint8[rows, width], anything where null; not copied where it is in one piece."""
    return _joined([fixed_bytes(chunk) for chunk in table.column(name).chunks])


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _present(table: pa.Table, name: str) -> np.ndarray:
    return np.asarray(table.column(name).is_valid()).astype(bool)
