"""The table of the benchmark from its records: gaps closed, with intervals over seeds."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from benchlib.tables import table
from scipy.stats import t

Records = Sequence[dict[str, Any]]
TITLES = {
    "none": "no curation",
    "oracle": "oracle: human documents only",
    "hard": "hard cut at the true share",
    "soft": "(1 - p)^10",
    "dsir": "DSIR",
    "ours-alone": "curation, no detector",
    "ours": "curation, ratio mode",
}
FIRST = 2  # generation from which gaps are averaged: in the first, no model has seen curated output yet


def base(setting: str) -> str:
    """The setting whose no curation and oracle a setting is compared with: a reference has no part in either."""
    return " ".join(setting.split(" ")[:3])


def series(records: Records, setting: str, rule: str, seed: int, field: str) -> list[float]:
    """A field by generation; empty when the lineage is not there."""
    rows = [r for r in records if (r["setting"], r["rule"], r["seed"]) == (setting, rule, seed)]
    return [r[field] for r in sorted(rows, key=lambda r: r["generation"]) if r.get(field) is not None]


def mean_log(records: Records, setting: str, rule: str, seed: int) -> float:
    """Mean logarithm of the perplexity over generations from the second; NaN when the lineage is not there."""
    found = series(records, setting, rule, seed, "perplexity")[FIRST:]
    return float(np.mean(np.log(found))) if found else math.nan


def gap(records: Records, setting: str, rule: str, seed: int) -> float:
    """How much of the distance between no curation (0) and the oracle (1) a rule closes."""
    none, oracle = (mean_log(records, base(setting), name, seed) for name in ("none", "oracle"))
    return (none - mean_log(records, setting, rule, seed)) / (none - oracle)


def ratio(records: Records, setting: str, rule: str, seed: int) -> float:
    """Perplexity by that of no curation, geometric mean over generations."""
    return math.exp(mean_log(records, setting, rule, seed) - mean_log(records, base(setting), "none", seed))


def drift(records: Records, setting: str, rule: str, seed: int) -> float:
    """Slope of the logarithm of perplexity by generation, from the second."""
    found = series(records, setting, rule, seed, "perplexity")[FIRST:]
    return float(np.polyfit(np.arange(len(found)), np.log(found), 1)[0]) if len(found) > 1 else math.nan


def over_seeds(values: Sequence[float]) -> tuple[float, float]:
    """(mean, half the width of its 95 % interval by Student's t); the width is NaN for a single seed."""
    kept = [v for v in values if math.isfinite(v)]
    if not kept:
        return math.nan, math.nan
    if len(kept) == 1:
        return kept[0], math.nan
    error = float(np.std(kept, ddof=1)) / math.sqrt(len(kept))
    return float(np.mean(kept)), float(t.ppf(0.975, len(kept) - 1)) * error


def cell(values: Sequence[float], digits: int = 2) -> str:
    """mean ± half width."""
    mean, width = over_seeds(values)
    if math.isnan(mean):
        return "–"
    return f"{mean:.{digits}f}" + ("" if math.isnan(width) else f" ± {width:.{digits}f}")


def markdown(records: Records) -> str:
    """All tables of the records."""
    settings = list(dict.fromkeys(r["setting"] for r in records))
    rules = [rule for rule in TITLES if any(r["rule"] == rule for r in records)]
    seeds = sorted({r["seed"] for r in records})
    open_settings = [s for s in settings if not s.startswith("1 ")]
    parts = []
    for title, value, digits, skipped in (
        ("Gap closed", gap, 2, ("none", "oracle")),
        ("Perplexity by that of no curation", ratio, 3, ("none",)),
        ("Drift: slope of log perplexity by generation", drift, 3, ()),
    ):
        shown = [rule for rule in rules if rule not in skipped]
        parts.append(f"**{title}**\n\n" + _table(records, open_settings, shown, seeds, value, digits))
    last = max(r["generation"] for r in records)
    for title, field, digits in (
        ("Human share of the training tokens", "human", 2),
        ("AUC of the detector", "auc", 2),
        ("Perplexity of tail tokens, in thousands", "tail_perplexity", 0),
        ("Hapax share of 100,000 tokens of output", "hapax", 4),
        ("Distinct tail types in them", "tail_types", 0),
        ("Least variance retention of the training text", "vr_min", 2),
    ):
        parts.append(
            f"**{title}, generation {last}**\n\n"
            + _table(records, settings, rules, seeds, _last(field, last), digits)
        )
    return "\n\n".join(parts)


def compared(records: Records) -> str:
    """What was asked of the package's mix beside what came out, seed by seed paired with the best other rule."""
    seeds = sorted({r["seed"] for r in records})
    asked = [
        ("share .5, pure", "0.5 1 replace", "ours", ("hard", "soft", "dsir"), 0.08, 0.85),
        ("share .5, sharpened", "0.5 1.1 replace", "ours", ("hard", "soft", "dsir"), 0.02, 0.90),
        ("share .8, pure", "0.8 1 replace", "ours", ("hard", "soft", "dsir"), 0.15, 0.95),
        ("share .8, sharpened", "0.8 1.1 replace", "ours", ("hard", "soft", "dsir"), -0.02, 0.98),
        ("no detector, share .5, pure", "0.5 1 replace", "ours-alone", ("dsir",), 0.15, 0.75),
        ("no detector, share .8, pure", "0.8 1 replace", "ours-alone", ("dsir",), 0.15, 0.90),
    ]
    rows = []
    for name, setting, mine, others, margin, aim in asked:
        means = {other: over_seeds([gap(records, setting, other, s) for s in seeds])[0] for other in others}
        best = max(means, key=lambda other: (means[other] if math.isfinite(means[other]) else -math.inf))
        lead = [gap(records, setting, mine, s) - gap(records, setting, best, s) for s in seeds]
        own = [gap(records, setting, mine, s) for s in seeds]
        rows.append([
            name, f"{TITLES[best]} {means[best]:.2f}", cell(own), cell(lead), f"{margin:+.2f}",
            _verdict(over_seeds(lead)[0] >= margin), f"{aim:.2f}", _verdict(over_seeds(own)[0] >= aim),
        ])  # fmt: skip
    header = ["", "best other rule", "ours", "ours less it", "to pass", "passes", "aim", "reached"]
    text = table(header, rows)
    partial = [s for s in dict.fromkeys(r["setting"] for r in records) if s != base(s)]
    for setting in partial:
        for mine in ("ours", "ours-alone"):
            values = [ratio(records, setting, mine, s) for s in seeds]
            text += (
                f"\n\nReference of the largest genres up to {setting.split(' ')[3]} of the human text, {TITLES[mine]}: "
                f"perplexity {cell(values, 3)} times that of no curation "
                f"(to pass 1.05: {_verdict(over_seeds(values)[0] <= 1.05)}; aim 1.02: "
                f"{_verdict(over_seeds(values)[0] <= 1.02)})."
            )
    return text


def _verdict(good: bool) -> str:
    return "yes" if good else "no"


def _last(field: str, generation: int) -> Callable[[Records, str, str, int], float]:
    def value(records: Records, setting: str, rule: str, seed: int) -> float:
        found = [
            r.get(field)
            for r in records
            if (r["setting"], r["rule"], r["seed"], r["generation"]) == (setting, rule, seed, generation)
        ]
        scale = 1e-3 if field == "tail_perplexity" else 1.0
        return math.nan if not found or found[0] is None else float(found[0]) * scale

    return value


def _table(
    records: Records,
    settings: Sequence[str],
    rules: Sequence[str],
    seeds: Sequence[int],
    value: Callable[[Records, str, str, int], float],
    digits: int,
) -> str:
    rows = []
    for rule in rules:
        cells = [cell([value(records, setting, rule, seed) for seed in seeds], digits) for setting in settings]
        if any(c != "–" for c in cells):
            rows.append([TITLES[rule], *cells])
    return table(["", *(setting_title(s) for s in settings)], rows)


def setting_title(setting: str) -> str:
    """In words: share, decoding, and what is unlike the usual."""
    share, sharpness, history, *known = setting.split(" ")
    words = [f"share {share}", "pure" if sharpness == "1" else "sharpened"]
    words += ["accumulate"] if history == "accumulate" else []
    return ", ".join([*words, *(f"reference of {k}" for k in known)])
