"""Variance of the crawl and of the mix against the reference, from the exact sums that weighing has added up."""

from typing import Any

import numpy as np

from curation import diversity
from curation.mixing import report as mix_report

_NUMBERS = ("vr_min", "vr_ld", "vr_max", "shift", "ffd")


def variance(summary: mix_report.Summary, profile: Any) -> dict[str, Any]:
    """Variance of the crawl and of the mix against half B of the reference, on balanced and never-balanced features."""
    tables: dict[str, Any] = {}
    sides = {
        "balanced": (profile.scalars_mean, profile.scalars_products, summary.scalars_before, summary.scalars_after),
        "held_out": (profile.held_out_mean, profile.held_out_products, summary.held_out_before, summary.held_out_after),
    }
    for name, (means, products, before, after) in sides.items():
        half_a, half_b = (_moments(n, m, p) for n, m, p in zip(profile.documents, means, products, strict=True))
        found = {
            "before": diversity.variance_retention(_exact(before, None), half_b),
            "after": diversity.variance_retention(_exact(after, summary), half_b),
            "floor": diversity.floor(half_a, half_b),
        }
        reasons = [side["reason"] for side in found.values() if side["reason"]]
        tables[name] = {side: {key: values.get(key) for key in _NUMBERS} for side, values in found.items()}
        tables[name]["reason"] = reasons[0] if reasons else None
    return tables


def _moments(n: float, mean: np.ndarray, products: np.ndarray) -> diversity.Moments:
    return diversity.Moments(float(n), mean, (products - np.outer(mean, mean)) * (n / max(n - 1.0, 1.0)))


def _exact(sums: mix_report.Moments, weighted: mix_report.Summary | None) -> diversity.Moments:
    mean, products = mix_report.moment_result(sums)
    if weighted is None:
        return _moments(int(sums.mass[0]), mean, products)
    weight = sum(group[1] for group in weighted.groups.values())
    square = sum(group[2] for group in weighted.groups.values())
    return _moments(weight * weight / square if square else 0.0, mean, products)
