"""Signals of simulated writers: human documents from a few genres, machine documents narrower and off-centre."""

from typing import Any

import numpy as np
import pyarrow as pa

from curation import schema
from curation.batch import pack
from curation.diversity import reference

GENRES = np.random.default_rng(7).normal(0, 1.2, (6, schema.CORE))
_MIX = np.random.default_rng(8).normal(0, 0.3, (schema.CORE, schema.BINS))
_MIX_WORDS = np.random.default_rng(9).normal(0, 0.3, (schema.CORE, schema.WORDS))


def signals(
    human: int, machine: int, seed: int, genres: tuple[int, ...] = tuple(range(6)), logits: bool = True, **over: Any
) -> pa.RecordBatch:
    """`human` then `machine` documents; group tells which, ids are unique by (seed, index)."""
    rng = np.random.default_rng(seed)
    n = human + machine
    is_machine = np.arange(n) >= human
    genre = rng.choice(genres, n)
    spread = np.where(is_machine, 0.55, 1.0)[:, None]
    core = GENRES[genre] + rng.normal(0, 1, (n, schema.CORE)) * spread
    core[is_machine] += 0.35 * np.sin(np.arange(schema.CORE))
    length = rng.integers(80, 600, n)
    bins = _counts(rng, core @ _MIX, length * 2, is_machine)
    words = _counts(rng, core @ _MIX_WORDS, length // 2, is_machine)
    style = np.minimum(bins[:, : schema.STYLE] // 2 + rng.poisson(2, (n, schema.STYLE)), 65535)
    logit = rng.normal(np.where(is_machine, 1.5, -1.5), 1.5)
    columns = {
        "row": pa.array(np.arange(n)),
        "id": pa.array([f"{seed}-{i}" for i in range(n)]),
        "source": pa.array(["web" if i % 3 else "forum" for i in range(n)]),
        "tokens": pa.array(length, pa.int64()),
        "logit": pa.array(logit, pa.float32()) if logits else pa.nulls(n, pa.float32()),
        "thread_key": pa.array(genre, pa.int64()),
        "lang": pa.array(["en"] * n),
        "group": pa.array(np.where(is_machine, "machine", "human").tolist()),
        "gate": pa.array(["prose"] * n),
        "style": _fixed(style, np.uint16),
        "words": _fixed(words, np.uint16),
        "bins": _fixed(bins, np.uint16),
        "core": _fixed(core, np.float32),
    }
    return pa.RecordBatch.from_pydict(columns | over)


def profile_of(*batches: pa.RecordBatch, language: str = "en") -> reference.Profile:
    """A profile built from batches as a host would build it."""
    first = reference.first_empty()
    for batch in batches:
        first = reference.first_merge(first, reference.first_update(batch, language))
    frame = reference.first_result(first, language)
    second = reference.second_empty(frame)
    for batch in batches:
        second = reference.second_merge(second, reference.second_update(batch, frame))
    return reference.build(first, frame, second)


def human_share(weights: list[np.ndarray], batches: list[pa.RecordBatch]) -> float:
    """Share of the weight that human documents hold."""
    w = np.concatenate(weights)
    human = np.concatenate([np.array(b.column("group").to_pylist()) == "human" for b in batches])
    return float(w[human].sum() / w.sum())


def _counts(rng: np.random.Generator, scores: np.ndarray, length: np.ndarray, machine: np.ndarray) -> np.ndarray:
    scores = scores + np.where(machine, 0.25, 0.0)[:, None] * np.cos(np.arange(scores.shape[1]))
    shares = np.exp(scores - scores.max(1, keepdims=True))
    return rng.poisson(shares / shares.sum(1, keepdims=True) * length[:, None])


def _fixed(values: np.ndarray, kind: type) -> pa.Array:
    return pack(np.asarray(values, kind))
