"""Selection to a budget by order sampling with permanent random numbers: no sort, no shuffle, no random stream.

Every document has a number u in (0, 1), a hash of (seed, id). At rate `rate` it gets floor(rate * w) copies and one
more when u falls below the fraction, at most `max_repeats`: expected copies min(rate * w, max_repeats). Copies never
fall as the rate rises, so the budget is met by narrowing the rate with a few exact sums. Adding documents elsewhere
does not change the order among those that are there. (Sequential Poisson sampling, Ohlsson 1998, J. Official
Statistics 14; repeats beyond the first follow Deville and Tille's splitting of expectations above one.)
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from curation.mixing.reservoir import SELECT, hash_ids

LEAST_CAP = 3.0  # a balance needs room, whatever a selection can express
_POINTS = 64
_LOWEST, _HIGHEST = -40, 40  # powers of two between which the rate is looked for


class Selection(NamedTuple):
    """The rate that meets a budget, or the state of looking for it."""

    budget: int  # tokens, or documents where every document counts one
    low: float  # the largest rate known to stay within the budget
    high: float | None  # the smallest known to exceed it; None: no rate does
    size: int | None  # budget units selected at `low`
    grid: tuple[float, ...]  # rates to sum at next; empty when `low` is the answer
    short: int = 0  # what the budget asks for beyond all documents at their most repeats


def largest_weight(kept: float, max_repeats: int = 1, cap: float = 20.0) -> float:
    """The cap on weights of mean 1 that a selection of the share `kept` can express: at most `cap`.

    A document of weight w gets kept * w copies, and never more than `max_repeats`. What it weighs beyond that the
    selection loses, and with it part of the balance: better that the balance knows. Keeping a third, three; keeping
    more, three too.
    """
    return min(cap, max(max_repeats / kept, LEAST_CAP)) if kept > 0 else cap


def uniforms(ids: pa.Array, seed: int = 1) -> np.ndarray:
    """float64[docs] in (0, 1): the permanent random numbers of documents."""
    return ((hash_ids(ids, seed, SELECT) >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53


def copies(weights: np.ndarray, u: np.ndarray, rate: float, max_repeats: int = 1) -> np.ndarray:
    """int64[docs]: copies of every document at `rate`; never falls as the rate rises."""
    expected = np.minimum(weights * rate, float(max_repeats))
    whole = np.floor(expected)
    return (whole + (u < expected - whole)).astype(np.int64)


def select_weights(weights: np.ndarray, rate: float, max_repeats: int = 1) -> np.ndarray:
    """float64[docs]: weight divided by expected copies, so copies * weight has expectation `weights`; 0 stays 0."""
    expected = np.minimum(weights * rate, float(max_repeats))
    return np.divide(weights, expected, out=np.zeros(len(weights)), where=expected > 0)


def begin(budget: int) -> Selection:
    """A search for the rate that selects at most `budget`. Raises ValueError for a budget below 1."""
    if budget < 1:
        raise ValueError(f"the budget must be at least 1, not {budget}")
    rates = np.exp2(np.linspace(_LOWEST, _HIGHEST, 2 * _POINTS + 1))
    return Selection(budget, 0.0, None, 0, tuple(rates.tolist()))


def grid_sums(
    weights: np.ndarray, u: np.ndarray, tokens: np.ndarray, grid: tuple[float, ...], max_repeats: int = 1
) -> np.ndarray:
    """int64[len(grid)]: tokens (or documents, with int64 ones) selected at every rate; merges by addition."""
    sums = np.zeros(len(grid), np.int64)
    for i, rate in enumerate(grid):
        sums[i] = (copies(weights, u, rate, max_repeats) * tokens).sum()
    return sums


def narrow(selection: Selection, sums: np.ndarray) -> Selection:
    """The search after one exact pass at `selection.grid`. Four passes fix the rate to about six digits.

    When even the last rate, at which every document with a weight stands at its most repeats, stays within the budget,
    the search ends there and `short` says by how much the budget is missed.
    """
    within = np.flatnonzero(sums <= selection.budget)
    low, size, high = selection.low, selection.size, selection.high
    first_look = high is None
    if len(within):
        low, size = selection.grid[int(within[-1])], int(sums[within[-1]])
    if len(within) < len(sums):
        high = selection.grid[len(within)]
    if high is None:
        return selection._replace(low=low, size=size, grid=(), short=selection.budget - (size or 0))
    if size == selection.budget or (not first_look and high - low <= high * 2.0**-20):
        return selection._replace(low=low, high=high, size=size, grid=())
    grid = low + (high - low) * np.arange(1, _POINTS) / _POINTS
    return selection._replace(low=low, high=high, size=size, grid=tuple(grid.tolist()))
