"""One generation's crawl: fresh human documents and output of earlier models, drawn with common random numbers."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from collapselib import kneser_ney
from collapselib.corpus import Texts, as_tokens, join, take
from collapselib.world import World, joined, rows_of, signals
from curation import diversity
from curation.kernels.hashing import mix64_array

_HUMAN, _LENGTHS, _WRITING = range(3)


class Crawl(NamedTuple):
    """Documents of unknown origin, human ones first, and what only the oracle may look at."""

    texts: Texts
    signals: pa.RecordBatch
    human: np.ndarray  # bool[docs]


def human_rows(world: World, seed: int, generation: int, tokens: int) -> np.ndarray:
    """Rows of the pool with about this many tokens, another sample every generation."""
    return _draw(world, _key(seed, generation, _HUMAN), tokens)


def make(
    world: World,
    models: Sequence[kneser_ney.Model],
    *,
    seed: int,
    generation: int,
    share: float,
    sharpness: float,
    tokens: int,
) -> Crawl:
    """A crawl of `tokens` tokens, of which `share` are written by `models` in equal parts.

    Human documents and the lengths of the others depend on (seed, generation) alone, and models that agree write the
    same, so that rules are compared on the same luck.
    """
    rows = human_rows(world, seed, generation, int(tokens * (1 - share)))
    texts, features = [take(world.pool, rows)], [rows_of(world.features, rows)]
    ids = [f"h{row}" for row in rows]
    lengths = np.diff(world.pool.offsets)[_draw(world, _key(seed, generation, _LENGTHS), int(tokens * share))]
    for part, model in enumerate(models):
        own = lengths[part :: len(models)]
        key = _key(seed, generation, _WRITING + part)
        written = Texts(*kneser_ney.sample(model, own, int(key), sharpness), np.full(len(own), -1))
        texts.append(written)
        features.append(diversity.features(as_tokens(written, world.vocabulary), world.ruler))
        ids += [f"s{part}-{i}" for i in range(len(own))]
    whole = join(texts)
    return Crawl(whole, signals(whole, pa.array(ids), joined(features)), np.arange(len(ids)) < len(rows))


def _key(seed: int, generation: int, purpose: int) -> np.uint64:
    return mix64_array(np.array([(seed << 20) + (generation << 8) + purpose + 1], np.uint64))[0]


def _draw(world: World, key: np.uint64, tokens: int) -> np.ndarray:
    """Rows of the pool in the order of a hash with the key, until their tokens reach `tokens`; the pool repeats where
    it is too small."""
    sizes = np.diff(world.pool.offsets)
    order = np.argsort(mix64_array(np.arange(len(sizes), dtype=np.uint64) ^ key), kind="stable")
    order = np.tile(order, 1 + tokens // max(1, int(sizes.sum())))
    return order[: int(np.searchsorted(np.cumsum(sizes[order]), tokens)) if tokens else 0]
