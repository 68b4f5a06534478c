"""Which lineages are run, in which settings, and the records of those that have run."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from collapselib.loop import Setting, Sizes
from collapselib.rules import RULES

ALL = tuple(RULES)
GENERATIONS = 5


class Part(NamedTuple):
    """Settings in which the same rules are compared."""

    title: str
    settings: tuple[Setting, ...]
    rules: tuple[str, ...]


FULL = (
    Part("main", tuple(Setting(share, sharp) for share in (0.5, 0.8) for sharp in (1.0, 1.1)), ALL),
    Part("partial", (Setting(0.5, known=0.4), Setting(0.5, known=0.1)), ("soft", "dsir", "ours-alone", "ours")),
    Part("accumulate", (Setting(0.5, history="accumulate"),), ("none", "oracle", "ours-alone", "ours")),
    Part("closed", (Setting(1.0), Setting(1.0, history="accumulate")), ("none",)),
)
#: what fits in a minute: the order of the rules on little text
SMALL = (Part("main", (Setting(0.5), Setting(0.8)), ("none", "oracle", "dsir", "ours-alone", "ours")),)
SMALL_SIZES = Sizes(240_000, 80_000)
SMALL_SHARES = (0.08, 0.25)  # a reference of a twentieth of little text would be too small for any rule


class Lineage(NamedTuple):
    """One model after the other under one rule."""

    setting: Setting
    rule: str
    seed: int


def lineages(parts: tuple[Part, ...], seeds: list[int]) -> Iterator[Lineage]:
    """All lineages, seed by seed, so that an early look at the records is of whole seeds."""
    for seed in seeds:
        for part in parts:
            for setting in part.settings:
                for rule in part.rules:
                    yield Lineage(setting, rule, seed)


def stamp(**values: Any) -> str:
    """A short digest of what decides a record, so that records of another run are not taken for those of this one."""
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:12]


def read(path: Path, run: str) -> list[dict[str, Any]]:
    """The records of a run, each once; a line that was cut off while it was written is left out."""
    found = {}
    for line in path.read_text("utf-8").splitlines() if path.exists() else []:
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        if record.get("run") == run:
            found[record["setting"], record["rule"], record["seed"], record["generation"]] = record
    return list(found.values())


def finished(records: list[dict[str, Any]], lineage: Lineage, generations: int) -> bool:
    """Has the lineage a record of every generation?"""
    key = (lineage.setting.name, lineage.rule, lineage.seed)
    of = {r["generation"] for r in records if (r["setting"], r["rule"], r["seed"]) == key}
    return of >= set(range(generations + 1))
