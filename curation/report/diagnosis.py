"""What is wrong with a shard, in a sentence for somebody who has read nothing else: from its statistics, and from what
the gate and deduplication found in it."""

from collections.abc import Mapping
from typing import Any

from curation.report.unusual import Unusual
from curation.report.words import clean, count, listing, numbers, section, share

MOST = 0.5  # share of a shard's documents from which a class or a language is what the shard is
DUPLICATED = 0.3  # share of duplicates from which a shard is known by them
SAID = 3  # most sentences
OVER_AND_OVER = 0.5  # share of runs of words found in other documents too, from which hardly any text is a shard's own
#: statistics that say the same thing, and what they say together; the first that applies comes first
SAYINGS: tuple[tuple[str, frozenset[str], int], ...] = (
    (
        "repeats itself: the same passages stand in many documents",
        frozenset({"self_repetition_8", "self_repetition_4", "compression_ratio"}),
        2,
    ),
    (
        "is written to a pattern: sentences share their frames, openings and tone, as those of chat models do",
        frozenset({"skeleton_templates", "style_convergence", "opener_entropy", "scaffold_rate"}),
        2,
    ),
    (
        "has a narrow vocabulary: rare words are missing",
        frozenset({"entropy", "hapax_mass", "distinct_1", "effective_words", "tail_coverage", "missing_mass"}),
        3,
    ),
    (
        "hardly disagrees, negates or corrects itself",
        frozenset({"polarity_disagreement", "self_correction_rate", "negation_rate", "thread_disagreement"}),
        2,
    ),
    (
        "has documents that are all alike in style",
        frozenset({"effective_rank", "surprisal_variance", "central_share"}),
        2,
    ),
)
_CLASSES = {
    "boilerplate": "menus, notices and other boilerplate",
    "list": "lists",
    "table": "tables",
    "code": "code",
    "maths": "mathematics",
    "short": "scraps of a few words",
    "empty": "empty",
    "mixed": "prose mixed with other things",
}


def diagnosis(report: Mapping[str, Any], item: Unusual) -> list[str]:
    """Sentences without their subject, the gravest first; empty where only single numbers stand out."""
    contents = section(report, "diversity", "contents", item.shard)
    found = []
    of_gate, of_lang = (numbers(contents.get(key)) for key in ("gate", "lang"))
    foreign = _share(of_lang, "other")
    if foreign >= MOST:
        return [f"is not English: {share(foreign)} of its documents. Its other numbers say little"]
    kind = max(_CLASSES, key=lambda name: _share(of_gate, name))
    if _share(of_gate, kind) >= MOST:
        found.append(f"is no prose: {share(_share(of_gate, kind))} of its documents are {_CLASSES[kind]}")
    for row in listing(section(report, "documents").get("by_shard")):
        row = section(row)
        read = numbers({"read": row.get("read")}).get("read", 0.0)
        doubles = sum(n for name, n in numbers(row.get("by_reason")).items() if name.endswith("_duplicate"))
        if row.get("shard") == item.shard and read and doubles / read >= DUPLICATED:
            found.append(f"was copied: {count(doubles)} of its {count(read)} documents were duplicates, and left")
    bad = {why.statistic for why in item.reasons}
    sayings = [clean(words) for words, names, least in SAYINGS if len(bad & names) >= least]
    repeated = numbers(section(report, "diversity", "before", "shards", item.shard)).get("self_repetition_8", 0.0)
    over = "self_repetition_8" in bad and repeated >= OVER_AND_OVER
    if "self_repetition_8" not in bad:
        # shorter runs and compression alone tell of formulae, which the next one says
        sayings = [words for words in sayings if words != SAYINGS[0][0]]
    if found or over or (sayings[:1] == [SAYINGS[0][0]] and "scaffold_rate" not in bad):
        # copies share their frames and their words too: what follows from repetition is not said again
        sayings = [words for words in sayings if words == SAYINGS[0][0]]
    return (found + [_in_detail(words, repeated, bad) for words in sayings])[:SAID]


def _in_detail(words: str, repeated: float, bad: set[str]) -> str:
    """What repetition looks like: the same text over and over, or one text with other words in its gaps."""
    if words != SAYINGS[0][0] or repeated <= 0:
        return words
    runs = f"{share(repeated)} of its runs of eight words are in others of its documents"
    if repeated >= OVER_AND_OVER:
        return f"says the same things over and over: {runs}, as in copies, loops and models fed their own output"
    if "skeleton_templates" in bad:
        return f"is filled in from templates: the same sentences with other words in the gaps, and {runs}"
    return f"{words}, and {runs}"


def _share(counts: Mapping[str, float], name: str) -> float:
    total = sum(counts.values())
    return counts.get(name, 0.0) / total if total else 0.0
