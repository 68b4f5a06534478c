"""The mergeable state of the statistics: empty, update, merge and compact; result is in `statistics`, dump and load in
`state_file`.

A state is a dict of NumPy arrays, each with one operation in OPERATIONS. Every operation is associative and
commutative and all sums are of integers, so the state of a corpus is the same, bit for bit, however it was
cut into batches and shards and in whichever order those were merged. In memory a state takes about 9 MB.
"""

from typing import NamedTuple

import numpy as np
import xxhash

from curation.diversity.features import Features
from curation.diversity.features import features as make_features
from curation.diversity.ruler import Ruler
from curation.kernels.hashing import mix64_array
from curation.kernels.histograms import SAMPLE, SLOTS, count_kernel, mentions_kernel, merge_samples, moments_kernel
from curation.kernels.packing import add_saturating
from curation.text.tokens import Tokens

State = dict[str, np.ndarray]

RESERVOIR = 2048  # documents
EXCERPT = 1024  # bytes of each of them
SEED = np.uint64(0x5DEECE66D1CE4E5B)
#: log2 of the words from which a state is coarser, so that its file stays small whatever the amount of text: from the
#: first on samples hold half as many keys, and polarity has half as many cells, again half with every doubling of the
#: words; from the second on so have words that the ruler does not know
MANY_WORDS, VERY_MANY_WORDS = 24, 26
TOTALS = ("documents", "bytes", "words", "tokens", "measured", "directions", "threaded")
GRAMS = ("word", "run4", "run8")
RESERVOIR_PARTS = ("priority", "content", "length", "text")

#: what merging does with each array: add integers, add and saturate at 2^32 - 1, take the larger, require
#: equality, or join samples and reservoirs (`compact` then cuts them to size)
OPERATIONS = {
    "ruler": "same",
    "known": "same",
    "totals": "add",
    "unigram": "saturate",
    "opener": "saturate",
    "polarity": "saturate",
    "style": "add",
    "core_sum": "add",
    "core_products": "add",
    "direction": "add",
    "levels": "max",
    "thread_level": "max",
    "thread_keys": "sample",
    "thread_values": "sample",
    **{f"{g}_{part}": "sample" for g in GRAMS for part in ("keys", "values")},
    **{f"reservoir_{part}": "bottom-k" for part in RESERVOIR_PARTS},
}


class Counts(NamedTuple):
    """What `update` counts in a batch, made elsewhere.

    unigram, opener and polarity: tables as in a state; words and tokens: totals; levels int64[3] of the samples
    and for each its keys uint64[n], ascending, and values int64[n, 2] of occurrences and documents.
    """

    unigram: np.ndarray
    opener: np.ndarray
    polarity: np.ndarray
    words: int
    tokens: int
    levels: np.ndarray
    samples: tuple[tuple[np.ndarray, np.ndarray], ...]


def empty(ruler: Ruler) -> State:
    """The state of no documents, for one ruler."""
    state = {name: array.copy() for name, array in EMPTY.items()}
    state["ruler"] = np.frombuffer(ruler.version.encode(), np.uint8).copy()
    state["known"] = known_cells(ruler)
    return state


def known_cells(ruler: Ruler) -> np.ndarray:
    """uint8[2^17]: bits of the cells of words that a ruler knows."""
    return np.bitwise_or(ruler.head, ruler.tail)


def _empty() -> State:
    state: State = {
        "ruler": np.zeros(0, np.uint8),
        "known": np.zeros(1 << 17, np.uint8),  # bits of the cells of words that the ruler knows
        "totals": np.zeros(len(TOTALS), np.int64),
        "unigram": np.zeros(1 << 20, np.uint32),
        "opener": np.zeros(1 << 16, np.uint32),
        "polarity": np.zeros((1 << 17, 2), np.uint32),
        "style": np.zeros(48, np.int64),
        "core_sum": np.zeros(16, np.int64),
        "core_products": np.zeros((16, 16), np.int64),
        "direction": np.zeros(80, np.int64),
        "levels": np.zeros(len(GRAMS), np.int64),
        "thread_level": np.zeros(1, np.int64),
        "thread_keys": np.zeros(0, np.uint64),
        "thread_values": np.zeros((0, 4), np.int64),
        "reservoir_priority": np.zeros(0, np.uint64),
        "reservoir_content": np.zeros(0, np.uint64),
        "reservoir_length": np.zeros(0, np.uint16),
        "reservoir_text": np.zeros((0, EXCERPT), np.uint8),
    }
    for gram in GRAMS:
        state[f"{gram}_keys"], state[f"{gram}_values"] = np.zeros(0, np.uint64), np.zeros((0, 2), np.int64)
    return state


EMPTY = _empty()


def update(
    state: State,
    *,
    ruler: Ruler,
    tokens: Tokens,
    data: np.ndarray,
    starts: np.ndarray,
    ids_hash: np.ndarray,
    features: Features | None = None,
    mask: np.ndarray | None = None,
    threads: np.ndarray | None = None,
    counts: Counts | None = None,
) -> State:
    """Add a batch of documents to a state, in place, and return it.

    tokens: of the batch; data uint8 and starts int64[documents + 1]: `text_buffer` of the same column;
    ids_hash uint64[documents]: any hash of the documents' ids, by which the reservoir is drawn; features: of
    the same tokens and ruler, made here when None; mask bool[documents]: True skips a document; threads
    uint64[documents]: a hash of the thread of each, 0 for none; counts: of the documents that are not skipped,
    made here when None, on levels not above the state's. Raises ValueError for lengths that do not match
    and for a ruler that is not the state's.
    """
    documents = len(tokens.offsets) - 1
    _same_ruler(state["ruler"], np.frombuffer(ruler.version.encode(), np.uint8))
    skip = np.zeros(documents, bool) if mask is None else np.asarray(mask, bool)
    within = np.where(skip, 0, np.zeros(documents, np.uint64) if threads is None else threads).astype(np.uint64)
    lengths = {"starts": len(starts) - 1, "ids_hash": len(ids_hash), "mask": len(skip), "threads": len(within)}
    wrong = [f"{name} is for {n}" for name, n in lengths.items() if n != documents]
    if wrong:
        raise ValueError(f"the tokens are of {documents} documents, but {', '.join(wrong)}")
    found = make_features(tokens, ruler) if features is None else features
    if counts is None:
        counts = _count(state, ruler, tokens, skip)
    else:
        for name in ("unigram", "opener", "polarity"):
            state[name] += getattr(counts, name)
        state["levels"] = np.maximum(state["levels"], counts.levels)
    measured, directions = moments_kernel(
        found.core, found.words, found.style[:, 1].astype(np.int64), skip, ruler.core_mean, ruler.core_sd,
        ruler.words_mean, ruler.words_sd, state["core_sum"], state["core_products"], state["direction"],
    )  # fmt: skip
    kept = ~skip
    state["style"] += found.style[kept].sum(axis=0, dtype=np.int64)
    size = int(np.diff(starts)[kept].sum())
    threaded = int((within > 0).sum())
    state["totals"] += np.array(
        [int(kept.sum()), size, counts.words, counts.tokens, measured, directions, threaded], np.int64
    )
    for i, (keys, values) in enumerate(counts.samples):
        _join_samples(state, i, keys, values)
    if within.any() or len(state["thread_keys"]):
        _join_threads(state, *_mentions(tokens, within, ruler))
    _offer(state, data, starts, np.asarray(ids_hash, np.uint64), np.flatnonzero(kept))
    return state


def _count(state: State, ruler: Ruler, tokens: Tokens, skip: np.ndarray) -> Counts:
    """Count into the tables of a state; what is sampled comes back."""
    samples = np.zeros((3, SLOTS), np.uint64), *(np.zeros((3, SLOTS), np.int64) for _ in range(3))
    tables = state["unigram"], state["opener"], state["polarity"]
    words, n_tokens = count_kernel(
        tokens.hash, tokens.kind, tokens.length, tokens.offsets, skip, ruler.marker_keys, ruler.marker_values,
        *tables, state["levels"], *samples,
    )  # fmt: skip
    found = []
    for keys, occurrences, in_documents in zip(*samples[:3], strict=True):
        used = np.flatnonzero(occurrences)
        used = used[np.argsort(keys[used])]
        found.append((keys[used], np.stack([occurrences[used], in_documents[used]], axis=1)))
    return Counts(*tables, words, n_tokens, state["levels"], tuple(found))


def merge(a: State, b: State) -> State:
    """The state of the documents of both, as a new state. Raises ValueError for states on two rulers."""
    merged: State = {}
    for name, operation in OPERATIONS.items():
        x, y = a[name], b[name]
        if operation == "same":
            _same_ruler(x, y)
            merged[name] = x.copy()
        elif operation == "add":
            merged[name] = x + y
        elif operation == "max":
            merged[name] = np.maximum(x, y)
        elif operation == "saturate":
            merged[name] = np.empty_like(x)
            add_saturating(x.reshape(-1), y.reshape(-1), merged[name].reshape(-1))
        else:
            merged[name] = x
    order = _order(*(np.concatenate([s[f"reservoir_{part}"] for s in (a, b)]) for part in ("priority", "content")))
    for part in RESERVOIR_PARTS:
        merged[f"reservoir_{part}"] = _taken(a[f"reservoir_{part}"], b[f"reservoir_{part}"], order)
    for i, gram in enumerate(GRAMS):
        _join_samples(merged, i, b[f"{gram}_keys"], b[f"{gram}_values"])
    _join_threads(merged, b["thread_keys"], b["thread_values"])
    return merged


def _halvings(state: State, since: int) -> int:
    """How often the words of a state have doubled since 2^since, itself included: the same for every sharding."""
    return (int(state["totals"][TOTALS.index("words")]) >> since).bit_length()


def _folded(table: np.ndarray, halvings: int) -> np.ndarray:
    """A table uint32[cells, k] with the counts of neighbours in the first cell of every 2^halvings, the rest zero."""
    first = np.arange(0, len(table), min(1 << halvings, len(table)))
    folded = np.zeros_like(table)
    folded[first] = np.minimum(np.add.reduceat(table, first, axis=0, dtype=np.uint64), np.uint64(0xFFFFFFFF))
    return folded


def _taken(a: np.ndarray, b: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Rows of a and, after them, of b, without joining the two."""
    found = np.empty((len(rows), *a.shape[1:]), a.dtype)
    first = rows < len(a)
    found[first] = a[rows[first]]
    found[~first] = b[rows[~first] - len(a)]
    return found


def _order(priority: np.ndarray, content: np.ndarray) -> np.ndarray:
    """The documents that a reservoir holds, in their order."""
    return np.lexsort((content, priority))[:RESERVOIR]


def compact(state: State) -> State:
    """Order the reservoir and cut it to its size, and fold the tables of very many words, in place.

    States are equal as arrays when compact. Folding adds, so it makes no difference whether parts were folded before.
    """
    _ordered(state)
    if halvings := _halvings(state, MANY_WORDS):
        state["polarity"] = _folded(state["polarity"], halvings)
    if halvings := _halvings(state, VERY_MANY_WORDS):
        rare = ~np.unpackbits(state["known"], bitorder="little").view(bool)
        state["unigram"] = state["unigram"].copy()
        state["unigram"][rare] = _folded(state["unigram"][rare, None], halvings)[:, 0]
    return state


def _ordered(state: State) -> None:
    order = _order(state["reservoir_priority"], state["reservoir_content"])
    for part in RESERVOIR_PARTS:
        state[f"reservoir_{part}"] = state[f"reservoir_{part}"][order]


def _same_ruler(a: np.ndarray, b: np.ndarray) -> None:
    if not np.array_equal(a, b):
        names = " and ".join(bytes(x).decode("ascii", "replace") for x in (a, b))
        raise ValueError(
            f"statistics on the rulers {names} cannot be brought together: measure both on one ruler"
        )


def _join_samples(state: State, i: int, keys: np.ndarray, values: np.ndarray) -> None:
    own = f"{GRAMS[i]}_keys", f"{GRAMS[i]}_values"
    state[own[0]], state[own[1]], state["levels"][i] = merge_samples(
        state[own[0]], state[own[1]], keys, values, state["levels"][i], _limit(state)
    )


def _join_threads(state: State, keys: np.ndarray, values: np.ndarray) -> None:
    level = state["thread_level"]
    state["thread_keys"], state["thread_values"], level[0] = merge_samples(
        state["thread_keys"], state["thread_values"], keys, values, level[0], _limit(state)
    )


def _limit(state: State) -> int:
    """Most keys of a sample of a state."""
    return SAMPLE >> min(_halvings(state, MANY_WORDS), 1)


def _mentions(tokens: Tokens, threads: np.ndarray, ruler: Ruler) -> tuple[np.ndarray, np.ndarray]:
    """Content words by thread: keys ascending, and plain and negated mentions, pairs of both inside one document and
    all pairs inside one document, whose mentions do not count as two voices."""
    size = len(tokens.hash)
    keys, documents, signs = np.empty(size, np.uint64), np.empty(size, np.int64), np.empty(size, np.uint8)
    n = mentions_kernel(
        tokens.hash, tokens.kind, tokens.length, tokens.offsets, threads, ruler.marker_keys, ruler.marker_values,
        keys, documents, signs,
    )  # fmt: skip
    keys, documents, signs = keys[:n], documents[:n], signs[:n]
    order = np.lexsort((documents, keys))
    keys, documents, signs = keys[order], documents[order], signs[order].astype(np.int64)
    if not n:
        return keys, np.zeros((0, 4), np.int64)
    voice = np.flatnonzero(np.r_[True, (keys[1:] != keys[:-1]) | (documents[1:] != documents[:-1])])
    minus = np.add.reduceat(signs, voice)
    total = np.diff(np.r_[voice, n])
    plus = total - minus
    columns = np.stack([plus, minus, plus * minus, total * (total - 1) // 2], axis=1)
    first = np.flatnonzero(np.r_[True, keys[voice][1:] != keys[voice][:-1]])
    return keys[voice][first], np.add.reduceat(columns, first, axis=0)


def _offer(
    state: State, data: np.ndarray, starts: np.ndarray, ids_hash: np.ndarray, documents: np.ndarray
) -> None:
    """Take the documents of the smallest priorities into the reservoir; content tells equal ids apart."""
    priority = mix64_array(ids_hash[documents] ^ SEED)
    held = state["reservoir_priority"]
    if len(held) >= RESERVOIR:
        near = priority <= held[-1]
        priority, documents = priority[near], documents[near]
    if len(priority) > RESERVOIR:
        near = priority <= np.partition(priority, RESERVOIR - 1)[RESERVOIR - 1]
        priority, documents = priority[near], documents[near]
    if not len(documents):
        return
    text = np.zeros((len(documents), EXCERPT), np.uint8)
    length = np.zeros(len(documents), np.uint16)
    content = np.zeros(len(documents), np.uint64)
    for k, d in enumerate(documents.tolist()):
        piece = _excerpt(data[starts[d] : starts[d + 1]])
        text[k, : len(piece)] = piece
        length[k] = len(piece)
        content[k] = xxhash.xxh3_64_intdigest(piece.tobytes())
    added = {"priority": priority, "content": content, "length": length, "text": text}
    for part, array in added.items():
        state[f"reservoir_{part}"] = np.concatenate([state[f"reservoir_{part}"], array])
    _ordered(state)


def _excerpt(document: np.ndarray) -> np.ndarray:
    """The first bytes of a document, not ending inside a code point."""
    if len(document) <= EXCERPT:
        return document
    end = EXCERPT
    while end > EXCERPT - 4 and (document[end] & 0xC0) == 0x80:
        end -= 1
    return document[:end]


def sealed(state: State) -> State:
    """The state without any text, for files that are given away; what rests on the sample of documents is lost."""
    none = {name: EMPTY[name].copy() for name, operation in OPERATIONS.items() if operation == "bottom-k"}
    return {**state, **none}


def without(corpus: State, shard: State) -> State:
    """A corpus as far as novelty reads it, less the documents of a shard that is part of it."""
    keys, counts = corpus["run8_keys"], corpus["run8_values"][:, 0]
    own_keys, own = shard["run8_keys"], shard["run8_values"][:, 0]
    at = np.minimum(np.searchsorted(own_keys, keys), max(len(own_keys) - 1, 0))
    mine = np.where(own_keys[at] == keys, own[at], 0) if len(own_keys) else np.zeros(len(keys), np.int64)
    left = counts > mine
    values = corpus["run8_values"][left]
    return {**corpus, "run8_keys": keys[left], "run8_values": values}


def excerpts(state: State) -> list[bytes]:
    """The texts of the reservoir in order of their priority."""
    rows = zip(state["reservoir_text"], state["reservoir_length"].tolist(), strict=True)
    return [row[:n].tobytes() for row, n in rows]
