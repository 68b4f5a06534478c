"""Interpolated Kneser-Ney language model over token ids: trained by sorting, sampled and evaluated without a branch
into Python per token.

The n-grams of all orders stand in one array of nodes. The continuations of a node (the n-grams that it begins, one
order up) are neighbours, sorted by their last token, so a context is a node and a lookup is a binary search among its
continuations. Documents begin with one BEGIN token and have no end: whoever samples says how long they are to be.

Kneser and Ney 1995 for continuation counts, in the interpolated form of Chen and Goodman 1999 with one discount an
order; an n-gram at the beginning of a document has nothing before it and keeps its plain count.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from curation.kernels.hashing import MUL1, mix64

ORDER = 5
_FRACTION = 2.0**-53


class Model(NamedTuple):
    """Nodes of order 1 are the tokens 0..vocabulary-1 and BEGIN; those of orders 2 to 5 follow."""

    vocabulary: int
    token: np.ndarray  # int32[nodes], last token of the n-gram
    count: np.ndarray  # int32[nodes], occurrences at the highest order, continuations below
    child: np.ndarray  # int64[contexts + 1], first continuation of every node of an order below the highest
    total: np.ndarray  # int64[contexts], sum of the counts of the continuations
    discount: np.ndarray  # float64[ORDER]


def train(tokens: np.ndarray, offsets: np.ndarray, vocabulary: int, order: int = ORDER) -> Model:
    """The model of documents tokens[offsets[d]:offsets[d + 1]], int32 ids below `vocabulary`.

    Raises ValueError for an order below 2 or an id outside the vocabulary.
    """
    if order < 2:
        raise ValueError(f"order must be at least 2, not {order}")
    if len(tokens) and (tokens.min() < 0 or tokens.max() >= vocabulary):
        raise ValueError(f"token ids must lie in [0, {vocabulary})")
    place = np.arange(len(tokens)) - np.repeat(offsets[:-1], np.diff(offsets))
    ids = tokens.astype(np.int64)  # of the n-gram that ends at each token, within its order
    contexts = vocabulary + 1  # nodes of the order below
    last, counts, sizes = [np.arange(contexts, dtype=np.int32)], [np.zeros(contexts, np.int64)], [contexts]
    children = []
    for n in range(2, order + 1):
        here = np.flatnonzero(place >= n - 2)
        before = np.where(place[here] > 0, ids[here - 1], vocabulary)
        key = before * vocabulary + tokens[here]
        kind, first, which, occurrences = np.unique(key, return_index=True, return_inverse=True, return_counts=True)
        # the n-gram less its first token is continued to the left by each of these once
        counts[-1] += np.bincount(ids[here[first]], minlength=contexts)
        children.append(np.searchsorted(kind // vocabulary, np.arange(contexts)) + sum(sizes))
        begins = place[here[first]] == n - 2
        ids = np.full(len(tokens), -1, np.int64)
        ids[here] = which
        contexts = len(kind)
        last.append((kind % vocabulary).astype(np.int32))
        counts.append(np.where(begins | (n == order), occurrences, 0))
        sizes.append(contexts)
    nodes = sum(sizes)
    child = np.concatenate([*children, [nodes]]).astype(np.int64)
    count = np.concatenate(counts)
    sums = np.concatenate([[0], np.cumsum(count)])
    total = sums[child[1:]] - sums[child[:-1]]
    discount = np.array([_discount(c) for c in counts])
    return Model(vocabulary, np.concatenate(last), count.astype(np.int32), child, total, discount)


def _discount(counts: np.ndarray) -> float:
    """n1 / (n1 + 2 n2) of Ney, Essen and Kneser 1994; one half where that says nothing."""
    once, twice = int((counts == 1).sum()), int((counts == 2).sum())
    return once / (once + 2 * twice) if once else 0.5


def log_probabilities(model: Model, tokens: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """float64[tokens]: natural logarithm of the probability of every token after those before it."""
    out = np.empty(len(tokens))
    base = int(model.count[: model.vocabulary].sum()), int((model.count[: model.vocabulary] > 0).sum())
    _evaluate(*model, base[0], base[1], tokens, offsets, out)
    return out


def perplexity(log_probability: np.ndarray) -> float:
    """exp of the mean negative logarithm."""
    return math.exp(-float(log_probability.mean())) if len(log_probability) else math.nan


def sample(model: Model, lengths: np.ndarray, seed: int, sharpness: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """(tokens int32[sum of lengths], offsets int64[docs + 1]) of documents of the given lengths.

    Decoding takes counts to the power `sharpness` at every order (1 is pure sampling; above 1 stands in for a low
    temperature or a nucleus). Document d draws from a stream of (seed, d): with common seeds, models that agree
    write the same.
    """
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    powered = np.where(model.count > 0, np.power(np.maximum(model.count, 1), sharpness), 0.0)
    words = powered[: model.vocabulary]
    seen = np.flatnonzero(words > 0).astype(np.int32)
    base = np.cumsum(words[seen] - model.discount[0])
    running = np.concatenate([[0.0], np.cumsum(powered)])
    out = np.empty(offsets[-1], np.int32)
    _draw(model.vocabulary, model.token, running, model.child, model.discount, seen, base, float(words.sum()),
          np.uint64(seed), offsets, out)  # fmt: skip
    return out, offsets


@njit(inline="always")
def _find(token, child, node, word):
    """The continuation of `node` with `word`, or -1."""
    low, high = child[node], child[node + 1]
    while low < high:
        middle = (low + high) >> 1
        if token[middle] < word:
            low = middle + 1
        else:
            high = middle
    return low if low < child[node + 1] and token[low] == word else np.int64(-1)


@njit(inline="always")
def _advance(token, child, state, word, order):
    """state[m]: the node of the m + 1 tokens that end here, or -1."""
    for m in range(order - 2, 0, -1):
        state[m] = _find(token, child, state[m - 1], word) if state[m - 1] >= 0 else -1
    state[0] = word


@njit(nogil=True, cache=True)
def _evaluate(vocabulary, token, count, child, total, discount, base_total, base_kinds, tokens, offsets, out):
    order = len(discount)
    state = np.empty(order - 1, np.int64)
    for d in range(len(offsets) - 1):
        state[:] = -1
        state[0] = vocabulary
        for t in range(offsets[d], offsets[d + 1]):
            word = tokens[t]
            p = 1.0 / vocabulary
            if base_total > 0:
                cut = discount[0]
                p = (max(count[word] - cut, 0.0) + cut * base_kinds * p) / base_total
            for m in range(order - 1):
                node = state[m]
                if node < 0 or total[node] == 0:
                    continue
                cut = discount[m + 1]
                found = _find(token, child, node, word)
                seen = max(count[found] - cut, 0.0) if found >= 0 else 0.0
                p = (seen + cut * (child[node + 1] - child[node]) * p) / total[node]
            out[t] = math.log(p)
            _advance(token, child, state, word, order)


@njit(nogil=True, cache=True)
def _draw(vocabulary, token, running, child, discount, seen, base, base_total, seed, offsets, out):
    order = len(discount)
    state = np.empty(order - 1, np.int64)
    for d in range(len(offsets) - 1):
        stream = mix64(mix64(seed) + np.uint64(d + 1) * MUL1)
        step = np.uint64(0)
        state[:] = -1
        state[0] = vocabulary
        for t in range(offsets[d], offsets[d + 1]):
            word = np.int64(-1)
            for m in range(order - 2, -1, -1):
                node = state[m]
                if node < 0:
                    continue
                first, end = child[node], child[node + 1]
                if first == end:
                    continue
                step += np.uint64(1)
                start = running[first]
                goal = float(mix64(stream + step * MUL1) >> np.uint64(11)) * _FRACTION * (running[end] - start)
                cut = discount[m + 1]
                if goal >= running[end] - start - cut * (end - first):
                    continue  # the discounted mass: one order down
                low, high = first, end - 1  # the first continuation whose discounted running sum is above the goal
                while low < high:
                    middle = (low + high) >> 1
                    if running[middle + 1] - start - cut * (middle + 1 - first) > goal:
                        high = middle
                    else:
                        low = middle + 1
                word = np.int64(token[low])
                break
            if word < 0:
                step += np.uint64(1)
                goal = float(mix64(stream + step * MUL1) >> np.uint64(11)) * _FRACTION * base_total
                at = np.searchsorted(base, goal, side="right") if len(base) else 0
                if at < len(base):
                    word = np.int64(seen[at])
                else:
                    step += np.uint64(1)
                    word = np.int64(mix64(stream + step * MUL1) % np.uint64(vocabulary))
            out[t] = word
            _advance(token, child, state, word, order)
