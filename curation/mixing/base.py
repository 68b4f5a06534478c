"""The base measure: what a document weighs before any balancing.

q = duplicates * human * source, where duplicates = cluster size ^ gamma on the survivor of a cluster (0 on the others;
SoftDeDup's idea, He et al. 2024), human = (1 - p)^kappa brought to mean 1 inside each (source, gate class) and never
below .05 (kappa = 10 is Drayson et al. 2024's resampling), and source = the user's multiplier. A document without a
verdict has human factor 1. The mean inside each stratum keeps a detector that dislikes one source or genre as a whole
from emptying it.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

FACTOR_FLOOR = 0.05
LARGEST = 1000.0  # bound on a base weight, so that sums of them are exact
_BITS = 30

#: documents with a verdict and the sum of their human factors in 2^-30, by "source\0gate class"; merges by addition
HumanSums = dict[str, tuple[int, int]]


class Base(NamedTuple):
    """float64[docs] each: the base measure, and the same without the human factor, for documents outside coverage."""

    q: np.ndarray
    plain: np.ndarray


def human_sums(signals: pa.RecordBatch, p: pa.Array, weighed: np.ndarray, kappa: float) -> HumanSums:
    """The sums of (1 - p)^kappa by (source, gate class) over the documents where bool[docs] `weighed` holds.

    p float32 or float64[docs], null without a verdict. Reads `source` and `gate`.
    """
    raw, judged = _raw(p, kappa)
    judged &= weighed
    codes, names = _strata(signals)
    fixed = np.rint(raw * (1 << _BITS)).astype(np.int64)
    counts = np.bincount(codes[judged], minlength=len(names))
    totals = np.zeros(len(names), np.int64)
    np.add.at(totals, codes[judged], fixed[judged])
    return {name: (int(counts[i]), int(totals[i])) for i, name in enumerate(names) if counts[i]}


def human_merge(a: HumanSums, b: HumanSums) -> HumanSums:
    """The sums over the documents of both."""
    none = (0, 0)
    return {k: (a.get(k, none)[0] + b.get(k, none)[0], a.get(k, none)[1] + b.get(k, none)[1]) for k in sorted({*a, *b})}


def base_measure(
    signals: pa.RecordBatch,
    p: pa.Array,
    cluster_size: np.ndarray,
    sums: HumanSums,
    *,
    kappa: float = 1.0,
    gamma: float = 0.0,
    multipliers: Mapping[str, float] | None = None,
    rehydration: Mapping[int, float] | None = None,
    shared: bool = False,
    ratio: pa.Array | None = None,
) -> Base:
    """The base measure of a batch.

    p as in `human_sums`; cluster_size int64[docs], 0 for documents that are not kept; sums over all documents.
    rehydration: the factor of a cluster by least size, in place of size ^ gamma (Penedo et al. 2025, FineWeb2: upsample
    by how often a text was found). shared: all members of a cluster are kept, and share its factor: size ^ (gamma - 1).
    ratio: log p_reference / p_crawl of the documents, whose exponential multiplies q (1 where it is null).
    """
    raw, judged = _raw(p, kappa)
    codes, names = _strata(signals)
    mean = np.array([_mean(sums.get(name, (0, 0))) for name in names])
    factor = np.ones(len(raw))
    factor[judged] = np.maximum(raw[judged] / mean[codes[judged]], FACTOR_FLOOR)
    size = np.asarray(cluster_size, np.float64)
    factors = _by_size(size, rehydration) if rehydration else np.maximum(size, 1.0) ** gamma
    if shared:
        factors = factors / np.maximum(size, 1.0)
    plain = np.where(size > 0, factors, 0.0)
    if multipliers:
        sources = signals.column("source").to_pylist()
        plain *= np.array([float(multipliers.get(source or "", 1.0)) for source in sources])
    plain = np.clip(plain, 0.0, LARGEST)
    if ratio is not None:
        # scalar exponentials: the same value wherever a document stands in a batch
        factor = factor * np.array([math.exp(v) for v in ratio.fill_null(0.0).to_pylist()])
    return Base(np.clip(plain * factor, 0.0, LARGEST), plain)


def _by_size(size: np.ndarray, table: Mapping[int, float]) -> np.ndarray:
    """The factor of the largest size in the table that is not above each size; 1 below the smallest."""
    least = np.array(sorted(table), np.float64)
    factors = np.array([1.0, *(table[key] for key in sorted(table))])
    return factors[np.searchsorted(least, size, side="right")]


def _mean(sums: tuple[int, int]) -> float:
    count, total = sums
    return total / count / (1 << _BITS) if total > 0 else 1.0


def _raw(p: pa.Array, kappa: float) -> tuple[np.ndarray, np.ndarray]:
    values = p.cast(pa.float64()).to_numpy(zero_copy_only=False)
    judged = np.isfinite(values)
    human = np.clip(1.0 - np.where(judged, values, 0.0), 0.0, 1.0)
    if kappa == 1.0:
        return human, judged
    # powers on a grid of inputs and a float64 pow of scalars: the same value wherever a document stands in a batch
    return np.array([h**kappa for h in human.tolist()], np.float64), judged


def _strata(signals: pa.RecordBatch) -> tuple[np.ndarray, list[str]]:
    source: Any = signals.column("source").cast(pa.string()).fill_null("")
    gate: Any = signals.column("gate").cast(pa.string()).fill_null("")
    join: Any = pc.binary_join_element_wise
    coded = join(source, gate, "\0").dictionary_encode()
    return coded.indices.to_numpy(zero_copy_only=False).astype(np.int64), coded.dictionary.to_pylist()
