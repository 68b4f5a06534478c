"""Exact, mergeable histograms of logits by source and length: the human anchors that calibration reads."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from curation.synthetic.evaluation import length_bin

GRID = 2.0**-10  # logits are rounded to it
KINDS = ("logit", "logit_check")


class Anchors(NamedTuple):
    """Counts of logits; rows are distinct and sorted by (kind, source, length, value).

    kind uint8 into KINDS, source str, length uint8 into evaluation.LENGTHS, value int32 in units of GRID,
    number int64.
    """

    kind: np.ndarray
    source: np.ndarray
    length: np.ndarray
    value: np.ndarray
    number: np.ndarray


def empty_anchors() -> Anchors:
    """No anchors."""
    return Anchors(
        np.zeros(0, np.uint8),
        np.zeros(0, np.str_),
        np.zeros(0, np.uint8),
        np.zeros(0, np.int32),
        np.zeros(0, np.int64),
    )


def anchor_state(
    logit: np.ndarray, logit_check: np.ndarray, words: np.ndarray, source: np.ndarray, mask: np.ndarray
) -> Anchors:
    """Anchors of the documents where `mask` is set: trusted human English prose; unscored ones do not count.

    logit and logit_check float32, words int, source str, mask bool, all [docs].
    """
    parts = []
    names, lengths = np.asarray(source, dtype=np.str_), length_bin(np.asarray(words)).astype(np.uint8)
    for kind, scores in enumerate((logit, logit_check)):
        rows = np.flatnonzero(np.asarray(mask, bool) & np.isfinite(scores))
        value = np.rint(np.clip(np.asarray(scores)[rows], -1e5, 1e5).astype(np.float64) / GRID).astype(np.int32)
        one = np.ones(len(rows), np.int64)
        parts.append(Anchors(np.full(len(rows), kind, np.uint8), names[rows], lengths[rows], value, one))
    return merge(*parts)


def merge(*states: Anchors) -> Anchors:
    """All anchors of the states; any order or grouping of merges gives equal arrays."""
    if not states:
        return empty_anchors()
    joined = Anchors(*(np.concatenate(parts) for parts in zip(*states, strict=True)))
    if not len(joined.kind):
        return empty_anchors()
    order = np.lexsort((joined.value, joined.length, joined.source, joined.kind))
    kind, source, length, value, number = (part[order] for part in joined)
    new = np.ones(len(number), bool)
    new[1:] = (np.diff(value) != 0) | (np.diff(length) != 0) | (source[1:] != source[:-1]) | (np.diff(kind) != 0)
    first = np.flatnonzero(new)
    return Anchors(kind[first], source[first], length[first], value[first], np.add.reduceat(number, first))


def to_arrays(anchors: Anchors) -> dict[str, np.ndarray]:
    """The state as arrays that `np.save` stores without pickle, by field name."""
    return anchors._asdict()


def from_arrays(arrays: Mapping[str, np.ndarray]) -> Anchors:
    """The state stored by `to_arrays`; raises ValueError naming an array that is missing or too short."""
    missing = [name for name in Anchors._fields if name not in arrays]
    if missing:
        raise ValueError(f"detector anchors lack {', '.join(missing)}: build the reference profile again")
    if len({len(arrays[name]) for name in Anchors._fields}) != 1:
        raise ValueError("detector anchors differ in length: build the reference profile again")
    like = empty_anchors()
    return Anchors(*(np.asarray(arrays[n], getattr(like, n).dtype.type) for n in Anchors._fields))
