"""The statistics of a state: values with their errors, or None with the reason."""

from collections.abc import Mapping
from typing import Any, TypedDict

import numpy as np

from curation.diversity import estimators as e
from curation.diversity import reservoir
from curation.diversity.features import CORE_NAMES, STYLE_NAMES
from curation.diversity.human import Human, scalars, squared_distances
from curation.diversity.registry import BLOCK, BUDGET, STATISTICS
from curation.diversity.ruler import Ruler
from curation.diversity.state import GRAMS, TOTALS, State, compact, excerpts
from curation.diversity.variance import Moments, effective_rank
from curation.text import Tokens

CORE_GRID = 1024.0  # of the sums of standardised core scalars
DIRECTION_GRID = float(1 << 20)


class Measured(TypedDict):
    """value, or None with a reason; standard error where one is known; n and whether it is a small sample."""

    value: float | None
    error: float | None
    n: int
    below_sample: bool
    reason: str | None


Found = tuple[float | None, float | None, float, str | None]


def core_moments(state: State) -> Moments:
    """Moments, from exact sums, of the 16 core scalars of documents with words, standardised by the ruler."""
    n = int(state["totals"][TOTALS.index("measured")])
    if n == 0:
        return Moments(0.0, np.zeros(16), np.zeros((16, 16)))
    mean = state["core_sum"] / (n * CORE_GRID)
    second = state["core_products"] / (n * CORE_GRID * CORE_GRID)
    covariance = (second - np.outer(mean, mean)) * (n / max(n - 1, 1))
    return Moments(float(n), mean, covariance)


def result(
    state: State, ruler: Ruler, human: Human | None = None, corpus: State | None = None
) -> dict[str, Measured]:
    """Every statistic of STATISTICS, by name.

    human: of a reference, for the statistics that tell how far documents are from human ones; corpus: the state of
    other documents, against which novelty is measured (`without` takes a shard out of its own corpus). What needs the
    one that is None is None, with this reason. Raises ValueError for a ruler that is not the state's.
    """
    if bytes(state["ruler"]).decode("ascii", "replace") != ruler.version:
        raise ValueError(f"the state was measured on another ruler than {ruler.version}")
    state = compact(dict(state))
    totals = dict(zip(TOTALS, state["totals"].tolist(), strict=True))
    found: dict[str, Found] = {
        "documents": (float(totals["documents"]), None, totals["documents"], None),
        "words": (float(totals["words"]), None, totals["words"], None),
    }
    found |= _counts(state, ruler, totals["words"])
    found |= _samples(state, totals["words"], totals["documents"])
    found |= _rates(state)
    found |= _documents(state, ruler, totals)
    found |= _reservoir(state, ruler, human)
    found["novelty"] = novelty(state, corpus)
    found["thread_disagreement"] = _threads(state)
    return {name: _measured(name, *found[name]) for name in STATISTICS}


def _measured(name: str, value: float | None, error: float | None, n: float, reason: str | None) -> Measured:
    if value is not None and not np.isfinite(value):
        value, error, reason = None, None, "the value is not finite"
    if error is not None and not np.isfinite(error):
        error = None
    least = STATISTICS[name].least
    return Measured(value=value, error=error, n=int(n), below_sample=bool(n < least), reason=reason)


def _too_few(n: float, needed: float, what: str) -> Found:
    return None, None, n, f"needs {needed:,.0f} {what}, has {n:,.0f}"


def _entropy(counts: np.ndarray, what: str, chao_shen: bool = False) -> Found:
    return _entropy_of(*e.count_of_counts(counts), what, chao_shen)


def _entropy_of(values: np.ndarray, types: np.ndarray, what: str, chao_shen: bool = False) -> Found:
    n = float(values @ types)
    if n < 2:
        return _too_few(n, 2, what)
    value = e.chao_shen(values, types) if chao_shen else e.entropy(values, types)
    return value, e.entropy_error(values, types), n, None


def _counts(state: State, ruler: Ruler, words: int) -> dict[str, Found]:
    unigram = state["unigram"]
    found = {
        "entropy": _entropy(unigram, "words"),
        "opener_entropy": _entropy(state["opener"], "sentences", chao_shen=True),
    }
    values, types = e.count_of_counts(unigram)
    hill = e.hill_2(values, types)
    reason = None if hill is not None else "no word occurs twice"
    found["effective_words"] = hill, None, words, reason
    head = np.unpackbits(ruler.head, bitorder="little").astype(bool)
    tail = np.unpackbits(ruler.tail, bitorder="little").astype(bool)
    if words:
        share = 1.0 - float(unigram[head].sum(dtype=np.int64)) / words
        found["tail_mass"] = share, float(np.sqrt(share * (1 - share) / words)), words, None
    else:
        found["tail_mass"] = _too_few(0, 1, "words")
    if words < BUDGET:
        found["distinct_1"] = _too_few(words, BUDGET, "words")
    else:
        seen = float((types * e.rarefied_seen(values, words, BUDGET)).sum())
        found["distinct_1"] = seen / BUDGET, None, words, None
    if words < BUDGET:
        found["tail_coverage"] = _too_few(words, BUDGET, "words")
    else:
        values, types = e.count_of_counts(unigram[tail])
        seen = float((types * e.rarefied_seen(values, words, BUDGET)).sum())
        found["tail_coverage"] = seen / int(tail.sum()), None, words, None
    table = state["polarity"].astype(np.float64)
    mentions = table.sum(axis=1)
    several = mentions >= 2
    total = float(mentions[several].sum())
    if total == 0:
        found["polarity_disagreement"] = _too_few(total, 2, "mentions of one content word")
    else:
        opposed = 2 * table[several, 0] * table[several, 1] / (mentions[several] - 1)
        found["polarity_disagreement"] = float(opposed.sum()) / total, None, total, None
    return found


def _samples(state: State, words: int, documents: int) -> dict[str, Found]:
    rates = 2.0 ** -state["levels"].astype(np.float64)
    values, types = e.count_of_counts(state["word_values"][:, 0])
    types = types / rates[0]
    found: dict[str, Found] = {}
    if words < 2:
        found["missing_mass"] = _too_few(words, 2, "words")
    else:
        once, twice = float(types[values == 1].sum()), float(types[values == 2].sum())
        mass = e.missing_mass(once, twice, words)
        found["missing_mass"] = mass, float(np.sqrt(max(once, 0.0) / rates[0])) / words, words, None
    if words < BUDGET:
        found["hapax_mass"] = _too_few(words, BUDGET, "words")
    else:
        once = float((types * e.rarefied_once(values, words, BUDGET)).sum())
        found["hapax_mass"] = once / BUDGET, None, words, None
    for width, name in ((4, "self_repetition_4"), (8, "self_repetition_8")):
        occurrences, in_documents = state[f"run{width}_values"].astype(np.float64).T
        if documents < BLOCK:
            found[name] = _too_few(documents, BLOCK, "documents")
        elif not len(occurrences):
            found[name] = None, None, documents, f"no document has {width} words"
        else:
            again = e.repeated_elsewhere(in_documents, documents, BLOCK)
            found[name] = float((occurrences * again).sum() / occurrences.sum()), None, documents, None
    return found


def _rates(state: State) -> dict[str, Found]:
    style = dict(zip(STYLE_NAMES, state["style"].tolist(), strict=True))
    words = style["words"]
    counts = {
        "scaffold_rate": style["scaffolds"],
        "self_correction_rate": style["self_corrections"],
        "refutation_rate": style["refutations"],
        "hedge_rate": style["hedges"] + style["contrasts"],
        "negation_rate": style["negations"],
    }
    if not words:
        return {name: _too_few(0, 1, "words") for name in counts}
    # Poisson error, with one more count so that a rate of 0 has an error too
    return {
        name: (1000 * c / words, 1000 * (c + 1) ** 0.5 / words, words, None) for name, c in counts.items()
    }


def _documents(state: State, ruler: Ruler, totals: Mapping[str, int]) -> dict[str, Found]:
    n, d = totals["measured"], totals["directions"]
    needed = "documents with words"
    found: dict[str, Found] = {}
    if d < 2:
        found["style_convergence"] = _too_few(d, 2, needed)
    else:
        total = state["direction"] / DIRECTION_GRID
        cosine = (float(total @ total) - d) / (d * (d - 1))
        found["style_convergence"] = min(max(cosine, -1.0), 1.0), None, d, None
    moments = core_moments(state)
    rank = effective_rank(moments) if n >= 2 else None
    if n < 2:
        found["effective_rank"] = found["surprisal_variance"] = _too_few(n, 2, needed)
    else:
        reason = None if rank is not None else "the documents do not differ"
        found["effective_rank"] = rank, None, n, reason
    if n < 1:
        found["surprisal"] = found["surprisal_variance"] = _too_few(n, 1, needed)
        return found
    j = CORE_NAMES.index("bigram_surprisal")
    mean = float(ruler.core_mean[j] + ruler.core_sd[j] * moments.mean[j])
    variance = max(float(ruler.core_sd[j] ** 2 * moments.covariance[j, j]), 0.0)
    found["surprisal"] = mean, float(np.sqrt(variance / n)) if n > 1 else None, n, None
    if n > 1:
        found["surprisal_variance"] = variance, float(variance * np.sqrt(2 / (n - 1))), n, None
    return found


def novelty(state: State, corpus: State | None) -> Found:
    """Share of the sampled runs of 8 words of a state that are not in the corpus, weighted by how often they occur.

    Both samples hold every run whose hash is small, so a run is in the corpus exactly when it is in its sample.
    """
    if corpus is None:
        return None, None, 0, "needs other documents to compare with"
    i = GRAMS.index("run8")
    level = max(int(state["levels"][i]), int(corpus["levels"][i]))
    keys, counts = state["run8_keys"], state["run8_values"][:, 0].astype(np.float64)
    if level:
        below = keys >> np.uint64(64 - level) == 0
        keys, counts = keys[below], counts[below]
    if not len(keys):
        return _too_few(0, 1, "sampled runs of 8 words")
    new = ~np.isin(keys, corpus["run8_keys"])
    total = float(counts.sum())
    share = float(counts[new].sum()) / total
    # runs are sampled, not their occurrences: the error is that of a ratio over sampled keys (Cochran 1977, 2.11)
    error = float(np.sqrt((((new - share) * counts) ** 2).sum())) / total
    return share, error, len(keys), None


def of_whole(state: State, corpus: State | None) -> dict[str, float | None]:
    """The statistics that are taken of all documents of a state and not of blocks, by name."""
    return {"novelty": novelty(state, corpus)[0], "thread_disagreement": _threads(state)[0]}


def _threads(state: State) -> Found:
    if not state["totals"][TOTALS.index("threaded")]:
        return None, None, 0, "no document has a thread: name its column with columns.thread"
    plus, minus, opposed_inside, pairs_inside = state["thread_values"].astype(np.float64).T
    n = plus + minus
    opposed = plus * minus - opposed_inside
    pairs = n * (n - 1) / 2 - pairs_inside
    total = float(pairs.sum())
    if total <= 0:
        return None, None, 0, "no content word is in two documents of one thread"
    share = float(opposed.sum()) / total
    return share, float(np.sqrt(((opposed - share * pairs) ** 2).sum())) / total, total, None


def _reservoir(state: State, ruler: Ruler, human: Human | None) -> dict[str, Found]:
    texts = excerpts(state)
    tokens = reservoir.tokens_of(texts)
    distinct, pairs = reservoir.distinct_bigrams(tokens, BUDGET)
    found: dict[str, Found] = {
        "distinct_2": _too_few(pairs, BUDGET, "pairs of words in the sample of documents")
        if distinct is None
        else (distinct, None, pairs, None)
    }
    needed = "pairs of words in the sample of documents"
    one, two = (_entropy_of(*counted, needed) for counted in reservoir.grams(tokens))
    found["bigram_entropy"] = two
    conditional = None if one[0] is None or two[0] is None else two[0] - one[0]
    found["conditional_entropy"] = conditional, None, two[2], two[3]
    squeezed = reservoir.compression(texts)
    if squeezed is None:
        found["compression_ratio"] = None, None, 0, "needs 64 KiB of text in the sample of documents"
    else:
        found["compression_ratio"] = squeezed.mean, squeezed.error, squeezed.blocks, None
    shared = reservoir.templates(tokens, ruler)
    if shared is None:
        found["skeleton_templates"] = _too_few(len(texts), reservoir.TEMPLATE_BLOCK, "documents of 6 tokens")
    else:
        found["skeleton_templates"] = shared.mean, shared.error, len(texts), None
    return found | _distances(tokens, ruler, human)


def _distances(tokens: Tokens, ruler: Ruler, human: Human | None) -> dict[str, Found]:
    """Shares of documents by distance: from the reference, and from the middle of the shard itself."""
    names = ("far_documents", "farthest_documents", "central_share")
    if human is None:
        return dict.fromkeys(names, (None, None, 0, "needs a reference: it says how far human documents stray"))
    values = scalars(tokens, ruler)
    n = len(values)
    if n < 2:
        return dict.fromkeys(names, _too_few(n, 2, "documents with words"))
    from_human = squared_distances(values, human.mean, human.precision)
    from_own = squared_distances(values, values.mean(0), human.precision)
    shares = (
        float((from_human > human.radius[1]).mean()),
        float((from_human > human.radius[2]).mean()),
        float((from_own < human.radius[0]).mean()),
    )
    return {
        name: (share, float(np.sqrt(max(share * (1 - share), 1 / n) / n)), n, None)
        for name, share in zip(names, shares, strict=True)
    }


def values(results: Mapping[str, Measured]) -> dict[str, float | None]:
    """The values alone, by name."""
    return {name: measured["value"] for name, measured in results.items()}


def compare(results: Mapping[str, Measured], reference: Mapping[str, Measured]) -> dict[str, dict[str, Any]]:
    """How each statistic of a corpus differs from that of a reference measured on the same ruler.

    By name: difference, error (of independent samples, where both are known), z = difference / error, `worse`
    (True when the difference goes the way that tells of lost variance by more than two errors, or at all
    where no error is known; None where it cannot be said) and reason. The errors take words or documents as
    independent: they are lower bounds, so a z below 2 is no difference while one above 2 may still be
    clustering.
    """
    compared: dict[str, dict[str, Any]] = {}
    for name, statistic in STATISTICS.items():
        if statistic.worse == "none":
            continue
        a, b = results[name], reference[name]
        entry: dict[str, Any] = dict.fromkeys(("difference", "error", "z", "worse", "reason"))
        compared[name] = entry
        if a["value"] is None or b["value"] is None:
            entry["reason"] = a["reason"] or b["reason"]
            continue
        difference = a["value"] - b["value"]
        entry["difference"] = difference
        if a["error"] is not None and b["error"] is not None:
            entry["error"] = float(np.hypot(a["error"], b["error"]))
            entry["z"] = difference / entry["error"] if entry["error"] > 0 else None
        signed = {"up": difference, "down": -difference, "away": abs(difference)}[statistic.worse]
        if entry["error"] is not None:
            entry["worse"] = signed > 2 * entry["error"]
        else:
            entry["worse"] = signed > 0 if statistic.worse != "away" else None
    return compared
