"""Shares of synthetic text: what the scores of a job's documents add up to, before and after weighing."""

from typing import Any

import numpy as np

from curation import synthetic
from curation.jobs import resolve, second_score
from curation.jobs.leaving import Documents
from curation.plan import Context, Shard
from curation.synthetic.histogram import GRID

LEAST_COVERAGE = 0.5  # of the crawl by the reference, below which its anchors say nothing about the crawl
EDGES = np.linspace(-8, 8, 65)  # of the histograms of scores


def scored(
    item: Documents, shard: Shard, context: Context, weights: np.ndarray, inside: np.ndarray
) -> dict[str, Any]:
    """What passes the thresholds by shard, by source and after weighing, and histograms of the scores by source.

    Shares rest on anchors, so they are those of documents that the reference covers (bool[docs] `inside`).
    """
    calibration = context["calibrate"]["calibration"]
    logit = resolve.scores(item.signals, "logit")
    words, names = item.signals.column("word_count").to_numpy(), resolve.names(item.signals)
    judged = item.p.is_valid().to_numpy(zero_copy_only=False)
    here = np.full(len(logit), f"{shard.source}/{shard.relative}")
    counts = {
        name: np.histogram(np.clip(logit[judged & (names == name)], EDGES[0], EDGES[-1]), EDGES)[0]
        for name in np.unique(names).tolist()
    }
    judged &= inside
    return {
        "shard": synthetic.passing(calibration, logit, words, names, here, judged),
        "source": synthetic.passing(calibration, logit, words, names, names, judged),
        "after": synthetic.weighed(np.where(judged, item.p.to_numpy(zero_copy_only=False), np.nan), weights),
        "histogram": counts,
        "second": second_score.sums(
            resolve.scores(item.signals, "logit_check"), weights, judged & (item.size > 0),
            second_score.threshold(context["calibrate"]["anchors"]),
        ),
    }  # fmt: skip


def add(a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
    """What `scored` says of the documents of both."""
    merged = {key: synthetic.merge_passing(a[key], b[key]) for key in ("shard", "source")}
    histograms = [a["histogram"], b["histogram"]]
    names = sorted({name for h in histograms for name in h})
    none = np.zeros(len(EDGES) - 1, np.int64)
    summed = {n: histograms[0].get(n, none) + histograms[1].get(n, none) for n in names}
    return merged | {"histogram": summed, **{key: a[key] + b[key] for key in ("after", "second")}}


def estimates(scores: dict[str, Any] | None, context: Context) -> dict[str, Any] | None:
    """Estimated shares by shard, by source and after weighing, with the histograms; None without scores."""
    if scores is None:
        return None
    calibration, anchors = context["calibrate"]["calibration"], context["calibrate"]["anchors"]
    mine = anchors.kind == 0
    values = np.clip(anchors.value[mine] * GRID, EDGES[0], EDGES[-1])
    found = context.get("coverage")
    share = 1.0 if found is None else found["cover"].share

    def shares(name: str) -> dict[str, Any]:
        values = synthetic.prevalence(scores[name], calibration)
        if share >= LEAST_COVERAGE:
            return values
        # anchors of other genres would pass their offset off as synthetic text
        reason = f"the reference covers {share:.0%} of the documents: its scores say little about the others"
        unknown = dict.fromkeys(("estimate", "low", "high", "lower_bound")) | {"reason": reason}
        return {group: value | unknown for group, value in values.items()}

    by_shard, by_source = shares("shard"), shares("source")
    total = by_shard.pop("")
    return {
        "total": total,
        "by_shard": by_shard,
        "by_source": {k: v for k, v in by_source.items() if k},
        "after": {"estimate": synthetic.share_after(scores["after"], total["estimate"])},
        "second": second_score.result(scores["second"], anchors),
        "histogram": {
            "edges": EDGES.tolist(),
            "counts": {name: counts.tolist() for name, counts in scores["histogram"].items()},
            "anchors": np.histogram(values, EDGES, weights=anchors.number[mine])[0].astype(int).tolist(),
        },
        "anchors": int(anchors.number[mine].sum()),
        "warnings": list(calibration.warnings),
    }
