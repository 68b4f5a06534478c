"""Interpolated Kneser-Ney in plain Python: slow, readable, and what the tests hold `kneser_ney` to."""

from collections import Counter, defaultdict
from collections.abc import Sequence

BEGIN = -1
Gram = tuple[int, ...]


class Reference:
    """The model of `documents`, lists of ids below `vocabulary`."""

    def __init__(self, documents: Sequence[Sequence[int]], vocabulary: int, order: int = 5) -> None:
        self.vocabulary, self.order = vocabulary, order
        plain: list[Counter[Gram]] = [Counter() for _ in range(order + 1)]
        for document in documents:
            padded = (BEGIN, *document)
            for end in range(2, len(padded) + 1):
                for n in range(1, min(order, end) + 1):
                    plain[n][padded[end - n : end]] += 1
        self.counts: list[dict[Gram, int]] = [{}, *({} for _ in range(order))]
        self.counts[order] = dict(plain[order])
        for n in range(1, order):
            for gram, count in plain[n].items():
                before = {longer for longer in plain[n + 1] if longer[1:] == gram}
                self.counts[n][gram] = count if gram[0] == BEGIN else len(before)
        self.discounts = [0.0, *(_discount(self.counts[n].values()) for n in range(1, order + 1))]
        self.following: list[dict[Gram, list[int]]] = [defaultdict(list) for _ in range(order + 1)]
        for n in range(1, order + 1):
            for gram, count in self.counts[n].items():
                self.following[n][gram[:-1]].append(count)

    def probability(self, history: Sequence[int], word: int) -> float:
        """Of `word` after the document's tokens so far."""
        p = 1.0 / self.vocabulary
        padded = (BEGIN, *history)
        for n in range(1, self.order + 1):
            context = padded[len(padded) - n + 1 :] if n > 1 else ()
            counts = self.following[n].get(context)
            if n > len(padded) + 1 or not counts:
                continue
            cut = self.discounts[n]
            seen = max(self.counts[n].get((*context, word), 0) - cut, 0.0)
            p = (seen + cut * len(counts) * p) / sum(counts)
        return p


def _discount(counts: Sequence[int] | object) -> float:
    found = Counter(counts)  # type: ignore[call-overload]
    return found[1] / (found[1] + 2 * found[2]) if found[1] else 0.5
