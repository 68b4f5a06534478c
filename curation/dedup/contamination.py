"""Decontamination: which documents share a run of words with benchmark text.

The measure of Brown et al. (2020, appendix C), any shared run of 13 words, with the share of the benchmark document
that was found, so that a threshold can spare documents that share a common phrase only.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from curation.kernels.ngrams import ngrams_kernel
from curation.kernels.tokens import WORD
from curation.text import Tokens, reference, tokenise


class Benchmarks(NamedTuple):
    """An index of benchmark text.

    names, texts: of each benchmark document; distinct int64[n]: its distinct runs; keys uint64[k]: hashes of all
    runs, sorted; starts int64[k + 1] into owner and place int64: the documents that hold a run, and at which word;
    bits, shift: the table of `ngrams_kernel`; short: documents with fewer words than a run.
    """

    names: list[str]
    texts: list[str]
    distinct: np.ndarray
    keys: np.ndarray
    starts: np.ndarray
    owner: np.ndarray
    place: np.ndarray
    bits: np.ndarray
    shift: np.uint64
    ngram: int
    short: int


class Overlap(NamedTuple):
    """By document: share float32 (NaN where nothing is shared) of the runs of the benchmark document that it shares
    most of, that document's name, and the first run of words that they share."""

    share: np.ndarray
    name: pa.Array
    match: pa.Array


def index_benchmarks(documents: Iterable[tuple[str, str]], ngram: int) -> Benchmarks:
    """The index of (name, text) of benchmark documents, by runs of `ngram` words.

    Raises ValueError when no document has a run.
    """
    held = sorted(documents)
    names, texts = [name for name, _ in held], [text for _, text in held]
    tokens = tokenise(pa.array(texts, pa.large_string()))
    hashes, document, position = _runs(tokens, ngram, np.full(1, 255, np.uint8), np.uint64(61))
    if len(hashes) == 0:
        raise ValueError(f"none of the {len(names)} benchmark documents has {ngram} words")
    order = np.lexsort((position, document, hashes))
    hashes, document, position = hashes[order], document[order], position[order]
    again = (hashes[1:] == hashes[:-1]) & (document[1:] == document[:-1])
    first = np.concatenate([[True], ~again])
    hashes, document, position = hashes[first], document[first], position[first]
    keys, starts = np.unique(hashes, return_index=True)
    size = int(np.clip(np.ceil(np.log2(64 * len(keys))), 6, 33))
    shift = np.uint64(64 - size)
    slots = keys >> shift
    bits = np.zeros(1 << (size - 3), np.uint8)
    masks = np.uint8(1) << (slots & np.uint64(7)).astype(np.uint8)
    np.bitwise_or.at(bits, (slots >> np.uint64(3)).astype(np.int64), masks)
    distinct = np.bincount(document, minlength=len(names))
    bounds = np.append(starts, len(hashes))
    short = int((distinct == 0).sum())
    return Benchmarks(names, texts, distinct, keys, bounds, document, position, bits, shift, ngram, short)


def overlaps(tokens: Tokens, benchmarks: Benchmarks) -> Overlap:
    """What each document of a batch shares with the benchmarks."""
    documents = len(tokens.offsets) - 1
    share = np.full(documents, np.nan, np.float32)
    names: list[str | None] = [None] * documents
    matches: list[str | None] = [None] * documents
    hashes, document, position = _runs(tokens, benchmarks.ngram, benchmarks.bits, benchmarks.shift)
    key = np.minimum(np.searchsorted(benchmarks.keys, hashes), len(benchmarks.keys) - 1)
    real = benchmarks.keys[key] == hashes
    key, document, position = key[real], document[real], position[real]
    bounds = [*np.searchsorted(document, np.unique(document)).tolist(), len(document)]
    for first, last in zip(bounds[:-1], bounds[1:], strict=True):
        best, value = _best(benchmarks, np.unique(key[first:last]))
        d = int(document[first])
        share[d], names[d] = value, benchmarks.names[best]
        matches[d] = _match(benchmarks, best, key[first:last], position[first:last])
    return Overlap(share, pa.array(names, pa.string()), pa.array(matches, pa.string()))


def _runs(tokens: Tokens, ngram: int, bits: np.ndarray, shift: np.uint64) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(hashes, documents, positions) of the runs that pass the table; once more when there are many."""
    room = 4096 + len(tokens.hash) // 16  # a 64th passes by chance
    while True:
        out, document, position = np.empty(room, np.uint64), np.empty(room, np.int64), np.empty(room, np.int64)
        n = ngrams_kernel(tokens.hash, tokens.kind, tokens.offsets, ngram, bits, shift, out, document, position)
        if n <= room:
            return out[:n], document[:n], position[:n]
        room = n


def _best(benchmarks: Benchmarks, keys: np.ndarray) -> tuple[int, float]:
    """The benchmark document with the largest share of its runs among distinct `keys`, the first by name in a tie."""
    spans = [benchmarks.owner[benchmarks.starts[k] : benchmarks.starts[k + 1]] for k in keys.tolist()]
    owners, counts = np.unique(np.concatenate(spans), return_counts=True)
    shares = counts / benchmarks.distinct[owners]
    best = int(np.argmax(shares))
    return int(owners[best]), float(shares[best])


def _match(benchmarks: Benchmarks, best: int, keys: np.ndarray, positions: np.ndarray) -> str:
    """The words of the first shared run, for as long as both texts go on alike."""
    start = length = last = -1
    for k, position in zip(keys.tolist(), positions.tolist(), strict=True):
        span = slice(benchmarks.starts[k], benchmarks.starts[k + 1])
        mine = np.flatnonzero(benchmarks.owner[span] == best)
        if start < 0 and len(mine):
            start, length, last = int(benchmarks.place[span][mine[0]]), benchmarks.ngram, position
        elif start >= 0:
            goes_on = len(mine) and benchmarks.place[span][mine[0]] == start + length - benchmarks.ngram + 1
            if position != last + 1 or not goes_on:
                break
            length, last = length + 1, position
    words = [t.text for t in reference.tokens(benchmarks.texts[best].encode()) if t.kind & WORD]
    return " ".join(words[start : start + length])
