"""Which shards are least like the reference, and why, in words.

A shard's deviation in one statistic is its distance from the reference (without one: from the median shard)
over the statistic's spread between shards of the reference (without one: 1.4826 x the median absolute
deviation of the shards, the robust estimate of a standard deviation). Shards are ordered by the root mean
square of their deviations, each clipped so that one broken statistic cannot outrank several.
"""

import math
import statistics
from collections.abc import Mapping
from typing import Any, NamedTuple

from curation.report.words import clean, number, numbers, section, value

FLAG = 4.0  # deviations in the bad direction from which a shard is marked
MANY = 10  # statistics of which one strays by chance
ALONE = 10.0  # deviations from which one statistic marks a shard by itself
CLIP = 12.0
LEAST_SHARDS = 4  # below this the shards have no spread of their own


class Why(NamedTuple):
    statistic: str
    deviation: float  # in spreads; positive above the reference
    words: str


class Unusual(NamedTuple):
    shard: str
    distance: float
    reasons: tuple[Why, ...]  # bad ones, the largest first

    @property
    def marked(self) -> bool:
        return bool(self.reasons)


class Baseline(NamedTuple):
    value: float
    scale: float
    name: str  # "the reference" or "the median shard"
    median: float | None = None  # of the shards, where there are enough of them


def deviates(at: float, base: Baseline, worse: Any) -> bool:
    """Whether a shard's value counts against it."""
    among = base.median is None or bad((at - base.median) / base.scale, worse)
    return bad((at - base.value) / base.scale, worse) and among


def baselines(diversity: Mapping[str, Any]) -> dict[str, Baseline]:
    """By statistic: where a shard should be and how far shards stray; unknown ones are left out."""
    shards = [numbers(values) for values in section(diversity, "before", "shards").values()]
    reference = numbers(diversity.get("reference"))
    found = {}
    for name, entry in section(diversity, "statistics").items():
        values = sorted(v[name] for v in shards if name in v)
        middle = statistics.median(values) if values else None
        at = reference.get(name, middle)
        if at is None:
            continue
        scale = number(section(entry).get("scale"))
        if not scale and len(values) >= LEAST_SHARDS and middle is not None:
            scale = 1.4826 * statistics.median(abs(v - middle) for v in values)
        scale = max(scale or 0.0, 0.02 * abs(at))  # no statistic is known better than two in a hundred
        if scale > 0 and (name in reference or len(values) >= LEAST_SHARDS):
            name_of = "the reference" if name in reference else "the median shard"
            found[name] = Baseline(at, scale, name_of, middle if len(values) >= LEAST_SHARDS else None)
    return found


def bad(deviation: float, worse: Any) -> bool:
    """Whether a deviation counts against a shard: far enough, and in the direction `worse` says.

    Twice as far where either direction counts: those statistics depend on genre most.
    """
    signed = {"up": deviation, "down": -deviation}.get(str(worse))
    return abs(deviation) >= 2 * FLAG if signed is None else signed >= FLAG


def describe(title: str, found: float, base: Baseline) -> str:
    """`templates: 3.1x the reference`, or `entropy: 8.9, the reference has 10` where a factor says little."""
    if base.value > 0 and found > 0 and not 2 / 3 < found / base.value < 1.5:
        return f"{title}: {value(float(f'{found / base.value:.2g}'))}x {base.name}"
    return f"{title}: {value(found)}, {base.name} has {value(base.value)}"


def typical(diversity: Mapping[str, Any]) -> list[Why]:
    """Where the median shard itself is far from the reference on the bad side, the furthest first."""
    entries, found = section(diversity, "statistics"), []
    for name, base in baselines(diversity).items():
        if base.median is None or base.name != "the reference":
            continue
        deviation = (base.median - base.value) / base.scale
        if bad(deviation, section(entries.get(name)).get("worse")):
            words = describe(clean(section(entries.get(name)).get("title") or name, 60), base.median, base)
            found.append(Why(name, deviation, words))
    return sorted(found, key=lambda why: (-abs(why.deviation), why.statistic))


def unusual(diversity: Mapping[str, Any]) -> list[Unusual]:
    """All measured shards, the least usual first; ties by name."""
    base = baselines(diversity)
    entries = section(diversity, "statistics")
    found = []
    for shard, values in section(diversity, "before", "shards").items():
        reasons, squares = [], []
        for name, at in numbers(values).items():
            if name not in base:
                continue
            deviation = (at - base[name].value) / base[name].scale
            squares.append(min(abs(deviation), CLIP) ** 2)
            entry = section(entries.get(name))
            if deviates(at, base[name], entry.get("worse")):
                words = describe(clean(entry.get("title") or name, 60), at, base[name])
                reasons.append(Why(name, deviation, words))
        reasons.sort(key=lambda why: (-abs(why.deviation), why.statistic))
        if len(squares) >= MANY and len(reasons) == 1 and abs(reasons[0].deviation) < ALONE:
            reasons = []
        distance = math.sqrt(sum(squares) / len(squares)) if squares else 0.0
        found.append(Unusual(str(shard), distance, tuple(reasons)))
    return sorted(found, key=lambda u: (-u.distance, u.shard))
