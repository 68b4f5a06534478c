"""Human text as token ids: read, cut into chunks, and split by document into test, reference and pool.

Everything after this works on ids. The tokens that the package's tokeniser would find in a chunk are looked up by id,
so documents that a model wrote go through the same kernels as human ones without being spelt out (the tests hold the
look-up to `tokenise` of the spelt text).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from curation import io
from curation.config import Input
from curation.kernels.hashing import mix64_array
from curation.kernels.tokens import LINE
from curation.text import Tokens, text_buffer, tokenise
from curation.text.gate import ENGLISH, PROSE, gate

SHORTEST, LONGEST = 40, 250  # tokens of a chunk
TEST, REFERENCE, POOL = range(3)
SHARES = (0.08, 0.07)  # of the documents that are the test and the reference; the rest is the pool
GENRE_TOKENS = 330_000  # most tokens of one genre
_BATCH_BYTES = 4 << 20


class Vocabulary(NamedTuple):
    """What the tokeniser says of every token id; arrays [types]."""

    hash: np.ndarray
    kind: np.ndarray
    length: np.ndarray


class Texts(NamedTuple):
    """Documents as ids: tokens int32, offsets int64[docs + 1], genre int64[docs]."""

    tokens: np.ndarray
    offsets: np.ndarray
    genre: np.ndarray


class Corpus(NamedTuple):
    """The human text of one side."""

    vocabulary: Vocabulary
    genres: tuple[str, ...]
    test: Texts
    reference: Texts
    pool: Texts


def documents(inputs: Sequence[str], side: str) -> tuple[list[str], list[str]]:
    """(texts, genres) of the human English prose in the inputs, in the order of a hash of the text, each text once.

    Inputs are whatever `curation.io` reads. Rows with a `label` other than 0 (human) are left out, and those with a
    `lang` other than en; the genre is `domain`, else `source`, else the name of the file. `side` is odd, even or all,
    by a hash of the text.
    """
    found: dict[int, tuple[str, str]] = {}
    for shard in io.expand([Input(path=path) for path in inputs]):
        name = Path(shard.relative).stem
        for batch, _ in io.read_shard(shard, text="text", batch_bytes=_BATCH_BYTES, on_bad=lambda bad: None):
            for text, genre in _prose(batch, name):
                key = xxhash.xxh3_64_intdigest(text.encode())
                if side == "all" or key % 2 == (side == "odd"):
                    found[key] = text, genre
    kept = [found[key] for key in sorted(found)]
    return [text for text, _ in kept], [genre for _, genre in kept]


def build(
    texts: Sequence[str],
    genres: Sequence[str],
    genre_tokens: int = GENRE_TOKENS,
    shares: tuple[float, float] = SHARES,
) -> Corpus:
    """The corpus of the texts, in their order, at most `genre_tokens` tokens of each genre where there are several.

    A text is cut into chunks of 40 to 250 tokens (lengths by hash), all of which fall on the side of the text; what is
    left over below 40 tokens is dropped. `shares` of the documents are the test and the reference. Raises ValueError
    when a side has no chunk.
    """
    names = tuple(sorted(set(genres)))
    flat = pa.array([" ".join(text.split()) for text in texts], pa.large_string())
    tokens = tokenise(flat)
    keys = np.array([xxhash.xxh3_64_intdigest(text.encode()) for text in texts], np.uint64)
    sides = _sides(keys, shares)
    begins, ends, side, genre = [], [], [], []
    spent = dict.fromkeys(names, 0)
    most = genre_tokens if len(names) > 1 else len(tokens.hash)
    for i, name in enumerate(genres):
        at, end = int(tokens.offsets[i]), int(tokens.offsets[i + 1])
        part = 0
        while end - at >= SHORTEST and spent[name] < most:
            draw = int(mix64_array(keys[i : i + 1] + np.uint64(part + 1))[0] % np.uint64(LONGEST - SHORTEST + 1))
            size = min(SHORTEST + draw, end - at)
            begins.append(at)
            ends.append(at + size)
            side.append(sides[i])
            genre.append(names.index(name))
            spent[name] += size
            at += size
            part += 1
    begin, stop = np.array(begins, np.int64), np.array(ends, np.int64)
    used = np.concatenate([np.arange(b, e) for b, e in zip(begin, stop, strict=True)] or [np.zeros(0, np.int64)])
    plain = tokens.kind[used] & ~np.uint8(LINE)
    rest = plain.astype(np.uint64) << np.uint64(8) | tokens.length[used]
    keys = mix64_array(tokens.hash[used] + mix64_array(rest))
    _, first, ids = np.unique(keys, return_index=True, return_inverse=True)
    vocabulary = Vocabulary(tokens.hash[used][first], plain[first], tokens.length[used][first])
    offsets = np.concatenate([[0], np.cumsum(stop - begin)])
    everything = Texts(ids.astype(np.int32), offsets, np.array(genre, np.int64))
    parts = [take(everything, np.flatnonzero(np.array(side) == s)) for s in (TEST, REFERENCE, POOL)]
    for part, name in zip(parts, ("test", "reference", "pool"), strict=True):
        if len(part.genre) == 0:
            raise ValueError(f"no chunk of {SHORTEST} tokens or more is left for the {name}: give more text")
    return Corpus(vocabulary, names, *parts)


def take(texts: Texts, rows: np.ndarray) -> Texts:
    """The documents at int64[n] rows, in that order."""
    sizes = np.diff(texts.offsets)[rows]
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    place = np.repeat(texts.offsets[rows] - offsets[:-1], sizes) + np.arange(offsets[-1])
    return Texts(texts.tokens[place], offsets, texts.genre[rows])


def join(parts: Sequence[Texts]) -> Texts:
    """The documents of all parts."""
    sizes = np.concatenate([np.diff(part.offsets) for part in parts])
    return Texts(
        np.concatenate([part.tokens for part in parts]),
        np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        np.concatenate([part.genre for part in parts]),
    )


def as_tokens(texts: Texts, vocabulary: Vocabulary) -> Tokens:
    """What `tokenise` finds in the documents when each is spelt on one line."""
    kind = vocabulary.kind[texts.tokens]
    starts = texts.offsets[:-1][np.diff(texts.offsets) > 0]
    kind[starts] |= np.uint8(LINE)
    return Tokens(vocabulary.hash[texts.tokens], kind, vocabulary.length[texts.tokens], texts.offsets)


def _prose(batch: pa.RecordBatch, name: str) -> list[tuple[str, str]]:
    columns: dict[str, list[Any]] = {field: batch.column(field).to_pylist() for field in batch.schema.names}
    rows = np.ones(batch.num_rows, bool)
    if "label" in columns:
        rows &= np.array([str(label) in ("0", "human") for label in columns["label"]], bool)
    if "lang" in columns:
        rows &= np.array([lang in ("en", None) for lang in columns["lang"]], bool)
    text = pc.fill_null(batch.column("text").cast(pa.large_string()), "")
    tokens = tokenise(text)
    gated = gate(tokens, *text_buffer(text))
    rows &= (gated.code == PROSE) & (gated.lang == ENGLISH)
    genre = columns.get("domain") or columns.get("source") or [name] * batch.num_rows
    return [(columns["text"][i], str(genre[i] or name)) for i in np.flatnonzero(rows)]


def _sides(keys: np.ndarray, shares: tuple[float, float]) -> np.ndarray:
    uniform = mix64_array(keys ^ np.uint64(0x51DE)).astype(np.float64) * 2.0**-64
    return np.searchsorted(np.cumsum(shares), uniform, side="right")


def describe(corpus: Corpus) -> str:
    """One line a genre: tokens in the pool, the reference and the test."""
    lines = []
    for code, name in enumerate(corpus.genres):
        sizes = [int(np.diff(p.offsets)[p.genre == code].sum()) for p in (corpus.pool, corpus.reference, corpus.test)]
        lines.append(f"{name}: {sizes[0]:,} pool, {sizes[1]:,} reference, {sizes[2]:,} test")
    return "\n".join(lines)
