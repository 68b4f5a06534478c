"""The rules that curate a crawl: a crawl in, a weight for every document out.

Every rule but the oracle sees the texts, their signals and the world's reference, never their origin.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from collapselib import detector, dsir
from collapselib.corpus import as_tokens
from collapselib.crawl import Crawl
from collapselib.world import World
from curation.mixing import mix, sampling
from curation.synthetic import ratio

#: the one configuration of the package's mix, for every row of the table; the rest are its defaults
SLACK = 0.5


class Given(NamedTuple):
    """What a rule has to go by."""

    world: World
    crawl: Crawl
    detector: detector.Detector  # fitted once, to the reference and to output of generation 0
    share: float  # the true share of machine text, which only the hard cut is told
    tokens: int  # how many are to be kept
    seed: int


#: a weight for every document, and what to note of it
Verdict = tuple[np.ndarray, dict[str, Any]]


def none(given: Given) -> Verdict:
    """Everything weighs the same."""
    return np.ones(len(given.crawl.human)), {}


def oracle(given: Given) -> Verdict:
    """Only human documents."""
    return given.crawl.human.astype(np.float64), {}


def hard(given: Given) -> Verdict:
    """Documents above the quantile of p that is the true share of machine text leave."""
    p = _probability(given)
    order = np.argsort(p, kind="stable")
    sizes = np.cumsum(np.diff(given.crawl.texts.offsets)[order])
    weights = np.zeros(len(p))
    weights[order[sizes <= (1 - given.share) * sizes[-1]]] = 1.0
    return weights, {"auc": auc(p, ~given.crawl.human)}


def soft(given: Given) -> Verdict:
    """(1 - p)^10 (Drayson, Yilmaz and Lampos 2025)."""
    p = _probability(given)
    return (1 - p) ** 10, {"auc": auc(p, ~given.crawl.human)}


def resample(given: Given) -> Verdict:
    """DSIR: the documents of largest log ratio of hashed n-grams plus Gumbel noise."""
    return dsir.select(given.world, given.crawl, given.tokens, given.seed).astype(np.float64), {}


def ours(given: Given) -> Verdict:
    """The package's mix in ratio mode: a detector fitted to this crawl and the reference, without a label."""
    world, fresh = given.world, given.crawl
    keys = [ratio.ratio_keys(ids) for ids in (world.ids, fresh.signals.column("id"))]
    tokens = [as_tokens(texts, world.vocabulary) for texts in (world.reference, fresh.texts)]
    samples = [ratio.sample(t, k, ratio.long_enough(t)) for t, k in zip(tokens, keys, strict=True)]
    try:
        fitted = ratio.fit_ratio(*samples)
    except ValueError:  # a reference of fewer documents than a detector can be fitted to
        return ours_alone(given)
    logit = ratio.score_ratio(tokens[1], keys[1], fitted)
    signals = fresh.signals.append_column("ratio_logit", pa.array(logit, pa.float32(), mask=np.isnan(logit)))
    notes = {"auc": auc(-np.nan_to_num(logit), ~fresh.human)}
    return _mixed(given, signals, notes, mode="ratio", ratio=fitted.report)


def ours_alone(given: Given) -> Verdict:
    """The package's mix without any detector."""
    return _mixed(given, given.crawl.signals, {}, mode="balance")


def _mixed(given: Given, signals: pa.RecordBatch, notes: Mapping[str, Any], **settings: Any) -> Verdict:
    sizes = np.diff(given.crawl.texts.offsets)
    cap = sampling.largest_weight(given.tokens / int(sizes.sum()))
    weights, report = mix([signals], given.world.profile, slack=SLACK, cap=cap, seed=given.seed, **settings)
    found = {name: report.get(name) for name in ("status", "ess", "coverage")}
    return weights[0], {**notes, **found, "unreachable": len(report.get("unreachable", []))}


RULES: dict[str, Callable[[Given], Verdict]] = {
    "none": none,
    "oracle": oracle,
    "hard": hard,
    "soft": soft,
    "dsir": resample,
    "ours-alone": ours_alone,
    "ours": ours,
}


def chosen(given: Given, weights: np.ndarray) -> np.ndarray:
    """Rows of the documents that a budget of `given.tokens` takes: with a probability proportional to the weight.

    The package's own order sampling; no document is taken twice.
    """
    u = sampling.uniforms(given.crawl.signals.column("id"), given.seed)
    tokens = np.diff(given.crawl.texts.offsets)
    found = sampling.begin(given.tokens)
    while found.grid:
        found = sampling.narrow(found, sampling.grid_sums(weights, u, tokens, found.grid))
    return np.flatnonzero(sampling.copies(weights, u, found.low) > 0)


def auc(score: np.ndarray, positive: np.ndarray) -> float | None:
    """Share of pairs of a positive and another document in which the positive scores higher; ties count half."""
    m, n = int(positive.sum()), int((~positive).sum())
    if not m or not n:
        return None
    _, place, count = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[place]
    return float((rank[positive].sum() - m * (m + 1) / 2) / (m * n))


def _probability(given: Given) -> np.ndarray:
    return given.detector.probability(given.crawl.texts, given.world.vocabulary)
