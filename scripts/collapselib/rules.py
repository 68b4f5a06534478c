"""The rules that curate a crawl: a crawl in, a weight for every document out.

Every rule but the oracle sees the texts, their signals and the world's reference, never their origin.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from collapselib import detector, dsir
from collapselib.crawl import Crawl
from collapselib.corpus import as_tokens
from collapselib.world import World, profile
from curation.mixing import mix, sampling
from curation.synthetic.ratio import ratio_scores


class Given(NamedTuple):
    """What a rule has to go by."""

    world: World
    crawl: Crawl
    detector: detector.Detector  # fitted once, to the reference and to output of generation 0
    share: float  # the true share of machine text, which only the hard cut is told
    tokens: int  # how many are to be kept
    seed: int


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
    kept = order[sizes <= (1 - given.share) * sizes[-1]]
    weights = np.zeros(len(p))
    weights[kept] = 1.0
    return weights, {"auc": _auc(p, given)}


def soft(given: Given) -> Verdict:
    """(1 - p)^10 (Drayson, Yilmaz and Lampos 2025)."""
    p = _probability(given)
    return (1 - p) ** 10, {"auc": _auc(p, given)}


def resample(given: Given) -> Verdict:
    """DSIR (Xie et al. 2023): the documents of largest log ratio of hashed n-grams plus Gumbel noise."""
    chosen = dsir.select(given.world, given.crawl, given.tokens, given.seed)
    return chosen.astype(np.float64), {}


def ours(given: Given) -> Verdict:
    """The package's mix, with its density-ratio detector fitted anew to this crawl: no machine text is ever labelled."""
    world, fresh = given.world, given.crawl
    of_reference, of_crawl = ratio_scores(
        as_tokens(world.reference, world.vocabulary),
        as_tokens(fresh.texts, world.vocabulary),
        pa.array([f"r{row}" for row in range(len(world.reference.genre))]),
        fresh.signals.column("id"),
    )
    human = np.exp(of_crawl - np.nanmax(of_crawl))
    notes = {"auc": _auc(-of_crawl, given)}
    return _mixed(given, of_reference, of_crawl, pa.array(1 - human, pa.float32()), notes)


def ours_alone(given: Given) -> Verdict:
    """The package's mix without any detector."""
    return _mixed(given, None, None, None, {})


def _mixed(given, of_reference, of_crawl, p, notes, **kw) -> Verdict:
    batch = given.crawl.signals
    if of_crawl is not None:
        at = batch.schema.get_field_index("logit")
        batch = batch.set_column(at, "logit", pa.array(of_crawl, pa.float32()))
    weights, report = mix([batch], profile(given.world, of_reference), p=None if p is None else [p], seed=given.seed, **kw)
    cover = report.get("coverage")
    return weights[0], notes | {"status": report["status"], "ess": report["ess"], "coverage": cover["share"] if isinstance(cover, dict) else cover}


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


def _probability(given: Given) -> np.ndarray:
    return given.detector.probability(given.crawl.texts, given.world.vocabulary)


def _auc(p: np.ndarray, given: Given) -> float:
    order = np.argsort(p, kind="stable")
    rank = np.empty(len(p))
    rank[order] = np.arange(1, len(p) + 1)
    machine = ~given.crawl.human
    m, n = int(machine.sum()), int((~machine).sum())
    return float((rank[machine].sum() - m * (m + 1) / 2) / (m * n)) if m and n else float("nan")
