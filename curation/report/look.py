"""Which shards to look at before training on them, why, how much they weigh, and the command that shows them."""

import shlex
from collections.abc import Mapping
from typing import Any, NamedTuple

from curation.report.diagnosis import diagnosis
from curation.report.unusual import unusual
from curation.report.words import listing, number, section, share

FULL_WEIGHT = 0.9  # mean weight of a shard's documents from which it counts as in the mix at full weight


class Look(NamedTuple):
    shard: str
    synthetic: float | None  # low end of its share of synthetic text where that exceeds the crawl's estimate
    furthest: float | None  # its largest deviation on a bad side, in spreads
    reasons: tuple[str, ...]  # in words, the gravest first
    weight: float | None  # mean weight of its kept documents (1 is the mean); None where nothing is kept or known
    command: str
    says: tuple[str, ...] = ()  # what is wrong with it, in sentences without their subject

    @property
    def full_weight(self) -> bool:
        """Whether its documents count as much as others, or nearly."""
        return self.weight is not None and self.weight >= FULL_WEIGHT


def to_look_at(report: Mapping[str, Any]) -> list[Look]:
    """Shards with more synthetic text than the crawl as a whole, the most first; then those far on the bad side of a
    statistic, the furthest first; ties by name.

    A shard has more where the low end of its interval lies above the estimate for the whole crawl.
    """
    estimates = section(report, "synthetic", "by_shard")
    whole = number(section(report, "synthetic", "prevalence").get("estimate"))
    weights = _weights(report)
    by_name = {u.shard: u for u in unusual(section(report, "diversity")) if u.marked}
    found = []
    for name in {*by_name, *map(str, estimates)}:
        mine = section(estimates, name)
        low = number(mine.get("low"))
        reasons: list[str] = []
        high = low is not None and whole is not None and low > whole
        if high:
            most = number(mine.get("high"))
            span = f"{share(low)} to {share(most)}" if most is not None else f"{share(low)} or more"
            reasons.append(f"synthetic text: {span}, the whole crawl has {share(whole)}")
        deviations = by_name[name].reasons if name in by_name else ()
        reasons += [why.words for why in deviations]
        if reasons:
            furthest = abs(deviations[0].deviation) if deviations else None
            found.append(
                Look(
                    name, low if high else None, furthest, tuple(reasons), weights.get(name), _command(report, name),
                    tuple(diagnosis(report, by_name[name])) if name in by_name else (),
                )  # fmt: skip
            )
    return sorted(found, key=lambda look: (-(look.synthetic or 0.0), -(look.furthest or 0.0), look.shard))


def _weights(report: Mapping[str, Any]) -> dict[str, float]:
    rows = [section(row) for row in listing(section(report, "documents").get("by_shard"))]
    return {str(row.get("shard")): w for row in rows if (w := number(row.get("weight"))) is not None}


def _command(report: Mapping[str, Any], shard: str) -> str:
    output = section(report, "run").get("output")
    return f"curation inspect {shlex.quote(str(output)) if output else 'OUT'} --shard {shlex.quote(shard)}"
