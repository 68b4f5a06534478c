"""Statistics at a fixed number of documents, so that shards, mixes and references of any size can be compared.

Entropies, missing mass and even rarefied counts depend on how much text they are taken from, since words come in
bursts. Here every side is measured on blocks of the same number of documents, drawn by hash from the state's
reservoir and cut to the same length; how far blocks of a reference stray is the spread to judge a shard by.
"""

import math
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from curation.diversity.human import Human
from curation.diversity.registry import BLOCK, STATISTICS
from curation.diversity.ruler import Ruler
from curation.diversity.state import State, empty, excerpts, update
from curation.diversity.statistics import result
from curation.kernels.hashing import mix64_array
from curation.text import text_buffer, tokenise


class Blocks(NamedTuple):
    """By name of statistic, the mean over blocks and their standard deviation; None where it cannot be told.

    reason says why there are no values at all: too few documents for one block.
    """

    mean: dict[str, float | None]
    spread: dict[str, float | None]
    reason: str | None


def at_block_size(state: State, ruler: Ruler, blocks: int = 1, human: Human | None = None) -> Blocks:
    """Every statistic that is no size, on `blocks` random blocks of 350 documents of the reservoir.

    One block is the first documents by hash. Several are drawn from the reservoir anew each, so their spread is
    enlarged by the finite-population correction 1 / sqrt(1 - 350 / documents) (Cochran 1977, section 2.6). `human` is
    that of `result`.
    """
    names = [name for name, statistic in STATISTICS.items() if statistic.worse != "none"]
    nothing = dict.fromkeys(names)
    texts = excerpts(state)
    if len(texts) < BLOCK:
        why = f"{len(texts)} documents, and a comparison takes {BLOCK}"
        return Blocks(dict(nothing), dict(nothing), why)
    found: dict[str, list[float | None]] = {name: [] for name in names}
    keys = np.arange(len(texts), dtype=np.uint64)
    for block in range(blocks):
        order = np.argsort(mix64_array(keys ^ np.uint64(block << 32)), kind="stable") if block else keys
        chosen = np.sort(order[:BLOCK]).tolist()
        measured = result(_state([texts[i] for i in chosen], ruler), ruler, human)
        for name in names:
            found[name].append(measured[name]["value"])
    correction = 1 / math.sqrt(1 - BLOCK / len(texts)) if len(texts) > BLOCK else None
    return Blocks(
        {name: _mean(values) for name, values in found.items()},
        {name: _spread(values, correction) for name, values in found.items()},
        None,
    )


def _state(texts: list[bytes], ruler: Ruler) -> State:
    column = pa.array(texts, pa.large_binary())
    data, starts = text_buffer(column)
    return update(
        empty(ruler),
        ruler=ruler,
        tokens=tokenise(column),
        data=data,
        starts=starts,
        ids_hash=np.arange(len(texts), dtype=np.uint64),
    )


def _mean(values: list[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return math.fsum(known) / len(known) if len(known) == len(values) else None


def _spread(values: list[float | None], correction: float | None) -> float | None:
    known = [v for v in values if v is not None]
    if correction is None or len(known) < 2 or len(known) < len(values):
        return None
    mean = math.fsum(known) / len(known)
    return math.sqrt(math.fsum((v - mean) ** 2 for v in known) / (len(known) - 1)) * correction
