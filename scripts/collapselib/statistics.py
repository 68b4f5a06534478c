"""What collapse does to the text of a model: statistics of one sample of fixed size, after common corpus practice."""

import numpy as np

SAMPLE = 100_000  # tokens; counts of types depend on it
TAIL = 0.10  # share of human text that the tail types carry


def tail_types(tokens: np.ndarray, vocabulary: int) -> np.ndarray:
    """bool[vocabulary]: the rarest types that carry together at most 10 % of the text, types never seen among them."""
    counts = np.bincount(tokens, minlength=vocabulary)
    order = np.lexsort((np.arange(vocabulary), counts))
    tail = np.zeros(vocabulary, bool)
    tail[order[np.cumsum(counts[order]) <= TAIL * len(tokens)]] = True
    return tail


def of_output(tokens: np.ndarray, tail: np.ndarray) -> dict[str, float]:
    """Statistics of a sample of a model's output.

    entropy in bits of the types (plug-in); hapax: share of tokens whose type occurs once (the missing mass of Good
    1953); tail: share of tokens of tail types; tail_coverage: share of a human sample's worth of tail types that occur,
    as distinct tail types by tokens; distinct_2: distinct pairs by pairs.
    """
    counts = np.bincount(tokens, minlength=len(tail))
    share = counts[counts > 0] / len(tokens)
    pairs = tokens[:-1].astype(np.int64) * len(tail) + tokens[1:]
    return {
        "entropy": float(-(share * np.log2(share)).sum()),
        "types": int((counts > 0).sum()),
        "hapax": float((counts == 1).sum() / len(tokens)),
        "tail": float(counts[tail].sum() / len(tokens)),
        "tail_types": int((counts[tail] > 0).sum()),
        "distinct_2": float(len(np.unique(pairs)) / max(1, len(pairs))),
    }
