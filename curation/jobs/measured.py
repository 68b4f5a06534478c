"""The statistics of a job for its report: by shard, by source and for all, with what drives the unusual ones."""

from collections import Counter
from typing import Any

import numpy as np

from curation import diversity, io
from curation.diversity import examples, statistics
from curation.diversity.features import CORE_NAMES
from curation.diversity.state import excerpts
from curation.jobs import select, stages
from curation.plan import Job, Shard
from curation.report.unusual import unusual

TOTAL_BLOCKS = 4  # of 350 documents each, whose mean stands for a corpus or a source
RANKS = 60  # points of a rank-frequency curve
EXPLAINED = 12  # shards for which texts are given


def section(job: Job) -> dict[str, Any]:
    """The `diversity` section of the report (`curation.report.schema.DiversitySection`)."""
    if not job.config.measure.enabled:
        return {"reason": "statistics were not collected (measure.enabled: false)"}
    ruler = diversity.load_ruler()
    profile = stages.load_profile(job.config.reference) if job.config.reference else None
    human = diversity.Human(**profile.human) if profile is not None and profile.human else None
    sides, totals = {}, {}
    for side, path in (("before", stages.state_path), ("after", select.after_path)):
        sides[side], totals[side] = _side(job, path, ruler, human)
    entries: dict[str, dict[str, Any]] = {name: dict(entry) for name, entry in diversity.readings().items()}
    reference: dict[str, float | None] = {}
    if profile is not None:
        reference = profile.blocks["mean"]
        for name, entry in entries.items():
            entry["scale"] = profile.blocks["spread"].get(name)
    found: dict[str, Any] = {**sides, "reference": reference, "statistics": entries}
    known = diversity.load(profile.statistics) if profile is not None else None
    found["reference_name"] = (profile.name or job.config.reference) if profile is not None else None
    found["contents"] = {_name(shard): _contents(job, shard) for shard in job.shards}
    found["reference_reason"] = foreign(found["contents"], profile.language) if profile is not None else None
    found["ranks"] = {
        name: _ranks(state)
        for name, state in (("before", totals["before"]), ("after", totals["after"]), ("reference", known))
        if state is not None
    }
    found["space"] = _space(job, totals["before"], known)
    found["driving"] = _driving(job, found, totals["before"], ruler)
    return found


def foreign(contents: dict[str, dict[str, Any]], language: str) -> str | None:
    """Why a reference of `language` says nothing of documents most of which are of another, or None."""
    total: Counter[str] = sum((Counter(shard["lang"]) for shard in contents.values()), Counter())
    known = total.total() - total["und"]
    other = known - total[language]
    if 2 * other <= known:
        return None
    return (
        f"the reference is of language {language!r}, and {other:,} of {known:,} documents whose language can be told "
        "are of another: what lies far from it lies there for its language"
    )


def _name(shard: Shard) -> str:
    return f"{shard.source}/{shard.relative}"


def _load(path: str) -> diversity.State:
    with io.open_file(path) as file:
        return diversity.load(file.read())


def _side(job: Job, path: Any, ruler: Any, human: Any) -> tuple[dict[str, Any], diversity.State]:
    sources: dict[str, diversity.State] = {}
    for shard in job.shards:
        mine = sources.get(shard.source, diversity.empty(ruler))
        sources[shard.source] = diversity.merge(mine, _load(path(job, shard)))
    total = diversity.empty(ruler)
    for state in sources.values():
        total = diversity.merge(total, state)
    shards: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    for shard in job.shards:
        name = _name(shard)
        blocks = diversity.at_block_size(state := _load(path(job, shard)), ruler, human=human)
        rest = diversity.without(total, state) if len(job.shards) > 1 else None
        shards[name] = blocks.mean | statistics.of_whole(state, rest)
        if blocks.reason:
            reasons[name] = blocks.reason
    whole = diversity.result(total, ruler, human)
    return {
        "whole": diversity.values(whole),
        "errors": {name: measured["error"] for name, measured in whole.items()},
        "reasons": {name: measured["reason"] for name, measured in whole.items() if measured["reason"]},
        "below_sample": [name for name, measured in whole.items() if measured["below_sample"]],
        "total": diversity.at_block_size(total, ruler, TOTAL_BLOCKS, human).mean | statistics.of_whole(total, None),
        "shards": shards,
        "shard_reasons": reasons,
        "sources": {
            n: diversity.at_block_size(s, ruler, TOTAL_BLOCKS, human).mean
            | statistics.of_whole(s, diversity.without(total, s) if len(sources) > 1 else None)
            for n, s in sorted(sources.items())
        },
        "split": _split(sources),
    }, total


def _split(sources: dict[str, diversity.State]) -> dict[str, Any]:
    """Variance of the 16 scalars within and between sources (law of total covariance), in the ruler's variances."""
    moments = {name: diversity.core_moments(state) for name, state in sources.items()}
    counted = {name: m for name, m in moments.items() if m.n >= 2}
    total = sum(m.n for m in counted.values())
    if len(counted) < 2:
        return {"reason": "needs two sources with documents"}
    shares = {name: m.n / total for name, m in counted.items()}
    mean = sum(shares[name] * m.mean for name, m in counted.items())
    within = sum(shares[name] * np.diag(m.covariance).mean() for name, m in counted.items())
    between = sum(shares[name] * ((m.mean - mean) ** 2).mean() for name, m in counted.items())
    return {
        "within": float(within),
        "between": float(between),
        "between_share": float(between / (within + between)) if within + between > 0 else None,
        "by_source": {name: float(np.diag(m.covariance).mean()) for name, m in sorted(counted.items())},
    }


def _contents(job: Job, shard: Shard) -> dict[str, Any]:
    """Documents of a shard by class and language, as the gate saw them."""
    gates: Counter[str] = Counter()
    languages: Counter[str] = Counter()
    for batch in stages.read_signals(job, shard, ["gate", "lang"]):
        for column, found in (("gate", gates), ("lang", languages)):
            for row in batch.column(column).value_counts().to_pylist():
                if row["values"] is not None:
                    found[row["values"]] += row["counts"]
    return {"documents": gates.total(), "gate": dict(sorted(gates.items())), "lang": dict(sorted(languages.items()))}


def _ranks(state: diversity.State) -> dict[str, list[float]]:
    """Share of the words by rank, at ranks that are evenly spaced on a logarithmic axis."""
    counts = np.sort(state["unigram"][state["unigram"] > 0])[::-1].astype(np.float64)
    if not len(counts):
        return {"rank": [], "share": []}
    ranks = np.unique(np.rint(np.geomspace(1, len(counts), RANKS)).astype(np.int64))
    return {"rank": ranks.tolist(), "share": (counts[ranks - 1] / counts.sum()).tolist()}


def _space(job: Job, total: diversity.State, reference: diversity.State | None) -> dict[str, Any]:
    """Shards in the two directions in which they differ most, in standard deviations of documents.

    Directions are the leading eigenvectors of the covariance of the shards' means; each is named by the scalars that
    weigh most in it, with their sign.
    """
    moments = {_name(shard): diversity.core_moments(_load(stages.state_path(job, shard))) for shard in job.shards}
    moments = {name: m for name, m in moments.items() if m.n >= 2}
    if len(moments) < 3:
        return {"reason": "needs three shards with documents"}
    base = diversity.core_moments(reference if reference is not None else total)
    means = np.stack([m.mean for m in moments.values()])
    _, vectors = np.linalg.eigh(np.cov(means.T))
    axes = vectors[:, ::-1][:, :2]
    largest = np.abs(axes).argmax(0)
    axes = axes * np.sign(axes[largest, [0, 1]])
    covariance = axes.T @ base.covariance @ axes
    return {
        "axes": [
            [[CORE_NAMES[j], float(axes[j, a])] for j in np.argsort(-np.abs(axes[:, a]))[:3].tolist()] for a in (0, 1)
        ],
        "shards": {name: ((m.mean - base.mean) @ axes).tolist() for name, m in moments.items()},
        "covariance": covariance.tolist(),
        "centre": "reference" if reference is not None else "crawl",
    }


def _driving(job: Job, found: dict[str, Any], total: diversity.State, ruler: Any) -> dict[str, Any]:
    """For the shards that stand out most, what they have more of than the rest."""
    by_name = {_name(shard): shard for shard in job.shards}
    rest, result = excerpts(total), {}
    for item in unusual(found)[:EXPLAINED]:
        if not item.marked:
            continue
        own = excerpts(_load(stages.state_path(job, by_name[item.shard])))
        mine = set(own)
        result[item.shard] = examples.driving(own, [text for text in rest if text not in mine], ruler)
    return result
