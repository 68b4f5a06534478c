"""A corpus with planted near-duplicates whose Jaccard similarity is known, and how much of it a tool finds."""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from benchlib.corpus import uniform

NGRAM = 5
EDGES = (0.50, 0.60, 0.65, 0.70, 0.75, 0.80, 0.85, 0.90, 0.95, 1.0)
#: share of words replaced; at 5 words to a shingle they spread the copies over the bins, the first being exact
SHARES = (0.0, 0.004, 0.010, 0.016, 0.022, 0.029, 0.037, 0.046, 0.056, 0.070, 0.090, 0.130)
_WORD = re.compile(r"\w+")


class Planted(NamedTuple):
    """Texts; `pairs` (original, copy) as positions in them, and the true similarity of each pair."""

    texts: list[str]
    pairs: list[tuple[int, int]]
    similarity: list[float]


class Quality(NamedTuple):
    """Recall by bin of true similarity, the last bin being exactly 1, and precision of the merges."""

    pairs: list[int]
    candidates: list[float | None]
    merged: list[float | None]
    merges: int
    planted: float | None
    similar: float | None


def words(text: str) -> list[str]:
    """The words of a text by a plain rule that is no tool's own: runs of letters, digits and underscores, lowered."""
    return _WORD.findall(text.lower())


def jaccard(a: str, b: str, ngram: int = NGRAM) -> float:
    """True Jaccard similarity of the sets of shingles of `ngram` words; 0 where neither has a shingle."""
    x, y = _shingles(a, ngram), _shingles(b, ngram)
    return len(x & y) / len(x | y) if x or y else 0.0


def _shingles(text: str, ngram: int) -> set[tuple[str, ...]]:
    found = words(text)
    return set(zip(*(found[i:] for i in range(ngram)), strict=False))


def plant(texts: Sequence[str], *, share: float = 0.3, seed: int = 1) -> Planted:
    """The texts without exact copies, and for `share` of them a copy with replaced words further on.

    Which texts are copied and which words are replaced follows from hashes of the seed and the text; replacements are
    words of the text that follows, so the copy stays plain text. A copy stands right after all the originals, in hash
    order.
    """
    originals = list(dict.fromkeys(texts))
    copies: list[tuple[int, str]] = []
    for i, text in enumerate(originals):
        if uniform(text, f"copy {seed}") < share:
            donor = words(originals[(i + 1) % len(originals)]) or ["word"]
            part = SHARES[len(copies) % len(SHARES)]
            copies.append((i, _substituted(text, donor, part, f"{seed} {i}")))
    copies.sort(key=lambda item: uniform(item[1], f"order {seed}"))
    pairs = [(original, len(originals) + n) for n, (original, _) in enumerate(copies)]
    every = originals + [text for _, text in copies]
    return Planted(every, pairs, [jaccard(every[a], every[b]) for a, b in pairs])


def _substituted(text: str, donor: Sequence[str], share: float, purpose: str) -> str:
    spans = [match.span() for match in _WORD.finditer(text)]
    chosen = [n for n in range(len(spans)) if uniform(str(n), purpose) < share]
    parts, end = [], 0
    for n in chosen:
        start, stop = spans[n]
        parts += [text[end:start], donor[int(uniform(f"word {n}", purpose) * len(donor))]]
        end = stop
    return "".join([*parts, text[end:]])


def assess(planted: Planted, candidate: Callable[[int, int], bool] | None, labels: np.ndarray) -> Quality:
    """What a tool found: `candidate(a, b)` says whether two texts were compared, labels int64[texts] are clusters.

    Precision is over merges: every document of a cluster with the cluster's first. `planted` is the share of merges
    inside one planted pair, `similar` the share that is planted or has a true similarity of .7 or more.
    """
    bins = [*zip(EDGES[:-1], EDGES[1:], strict=True), (1.0, 1.1)]
    members = [[n for n, s in enumerate(planted.similarity) if low <= s < high] for low, high in bins]

    def recall(test: Callable[[int, int], bool], chosen: list[int]) -> float | None:
        return sum(test(*planted.pairs[n]) for n in chosen) / len(chosen) if chosen else None

    merges = merged_pairs(labels)
    known = set(planted.pairs)
    inside = [pair in known for pair in merges]
    similar = [pair in known or jaccard(planted.texts[pair[0]], planted.texts[pair[1]]) >= 0.7 for pair in merges]
    return Quality(
        [len(m) for m in members],
        [recall(candidate, m) if candidate else None for m in members],
        [recall(lambda a, b: bool(labels[a] == labels[b]), m) for m in members],
        len(merges),
        sum(inside) / len(merges) if merges else None,
        sum(similar) / len(merges) if merges else None,
    )


def merged_pairs(labels: np.ndarray) -> list[tuple[int, int]]:
    """(first of its cluster, document) for every document that is not the first of its cluster."""
    first: dict[int, int] = {}
    found = []
    for n, label in enumerate(labels.tolist()):
        if first.setdefault(label, n) != n:
            found.append((first[label], n))
    return found


def bin_names() -> list[str]:
    """Names of the bins of `Quality`."""
    return [*(f"{low:.2f}–{high:.2f}" for low, high in zip(EDGES[:-1], EDGES[1:], strict=True)), "1.00"]
