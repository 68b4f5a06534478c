"""What in a report wants attention, in plain words, and what to do about it.

Everything is worked out from the report alone, so a stored report.json tells the same story years later.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from curation.report.look import Look, to_look_at
from curation.report.unusual import typical
from curation.report.words import (
    clean,
    count,
    listing,
    number,
    numbers,
    phrase,
    plural,
    ratio,
    section,
    share,
    value,
)

TINY_ESS = 0.10  # below this share the weighted mix rests on a few documents
SAID = 6  # shards that a finding describes
SMALL_ESS = 0.30
FEW_ANCHORS = 300  # fewer known human documents than this leave the error rate on human text uncertain
HIGH_PREVALENCE = 0.10
MUCH_REMOVED = 0.30  # share of duplicates that deserves a look
LOW_COVERAGE = 0.5


class Finding(NamedTuple):
    level: str  # "stop", "warn" or "note"
    title: str
    text: str
    action: str  # what to do, or ""


def findings(report: Mapping[str, Any]) -> list[Finding]:
    """Everything that wants attention, the gravest first."""
    found = [
        *_documents(report),
        *_duplicates(report),
        *_synthetic(report),
        *_diversity(report),
        *_mixing(report),
    ]
    for name in ("synthetic", "mixing", "run"):
        where = {"synthetic": "Detection", "mixing": "Mixing", "run": "Run"}[name]
        for text in listing(section(report, name).get("warnings")):
            found.append(Finding("warn", f"{where} warns", clean(text), ""))
    for text in listing(section(report, "mixing", "budget").get("warnings")):
        found.append(Finding("warn", "Selection warns", clean(text), ""))
    order = {"stop": 0, "warn": 1, "note": 2}
    return sorted(found, key=lambda finding: order[finding.level])


def _documents(report: Mapping[str, Any]) -> list[Finding]:
    documents = section(report, "documents")
    found = []
    read, kept = number(documents.get("read")), number(documents.get("kept"))
    if read == 0:
        found.append(
            Finding("stop", "Nothing was read", "The inputs hold no documents.", "Check the input paths.")
        )
    elif kept == 0:
        found.append(
            Finding(
                "stop",
                "Nothing was kept",
                f"All of the {plural(read, 'document')} left the mix{_all_reasons(documents)}.",
                "Read some of what left (curation inspect OUT --reason NAME) and mend the setting behind the "
                "commonest reason.",
            )
        )
    parts = [number(documents.get(k)) for k in ("kept", "excluded", "quarantined")]
    if read is not None and None not in parts and sum(p or 0 for p in parts) != read:
        found.append(
            Finding(
                "stop",
                "The counts do not add up",
                f"{count(read)} read, but kept, excluded and quarantined make "
                f"{count(sum(p or 0 for p in parts))}.",
                "Do not use this output; run again.",
            )
        )
    if lost := number(documents.get("quarantined")):
        found.append(
            Finding(
                "warn",
                f"{plural(lost, 'record')} could not be read",
                "Nothing was lost: each stands under quarantine/ with its raw bytes and the error."
                + (f" No record could be read of {names_of(unreadable(report))}." if unreadable(report) else ""),
                "Look at the errors under quarantine/; one bad file often explains them all.",
            )
        )
    return found


def _all_reasons(documents: Mapping[str, Any]) -> str:
    """`: 5 as exact duplicate, 2 as empty text, 1 that could not be read`."""
    reasons = sorted(numbers(documents.get("by_reason")).items(), key=lambda item: (-item[1], item[0]))
    said = [f"{count(n)} as {phrase(name)}" for name, n in reasons if n]
    if lost := number(documents.get("quarantined")):
        said.append(f"{count(lost)} that could not be read")
    return ": " + ", ".join(said) if said else ""


def unreadable(report: Mapping[str, Any]) -> list[str]:
    """Files of which no record could be read."""
    rows = [section(row) for row in listing(section(report, "documents").get("by_shard"))]
    lost = [row for row in rows if number(row.get("quarantined")) and row.get("quarantined") == row.get("read")]
    return [clean(row.get("shard"), 120) for row in lost]


def names_of(names: list[str], most: int = 5) -> str:
    """The first few names, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {count(len(names) - most)} more" if len(names) > most else "")


def _duplicates(report: Mapping[str, Any]) -> list[Finding]:
    removed = ratio(section(report, "duplicates").get("removed"), section(report, "documents").get("read"))
    if removed is None or removed < MUCH_REMOVED:
        return []
    return [
        Finding(
            "note",
            f"{share(removed)} of what was read were duplicates",
            "That is usual for raw crawls and unusual for a curated source.",
            "Read the largest clusters: are they copies, or distinct documents in one template?",
        )
    ]


def _synthetic(report: Mapping[str, Any]) -> list[Finding]:
    synthetic = section(report, "synthetic")
    scored, anchors = number(synthetic.get("scored")), number(synthetic.get("anchors"))
    if not scored:
        return []
    found = []
    anchor_action = _anchor_action(report)
    prevalence = section(synthetic, "prevalence")
    estimate = number(prevalence.get("estimate"))
    if anchors == 0 and estimate is not None:
        found.append(
            Finding(
                "stop",
                "Prevalence without anchors",
                "The share of synthetic text was estimated without known human text of this kind; "
                "such estimates are often far off.",
                anchor_action,
            )
        )
    elif anchors == 0:
        found.append(
            Finding(
                "warn",
                "No human anchors",
                "No input is declared human and "
                + ("the reference has no scored text" if has_reference(report) else "no reference was given")
                + ", so scores rank documents, but no share of synthetic text can be stated and labels are not "
                "calibrated.",
                anchor_action,
            )
        )
    elif anchors is not None and anchors < FEW_ANCHORS:
        found.append(
            Finding(
                "warn",
                f"Only {plural(anchors, 'human anchor')}",
                "The error rate on human text is uncertain.",
                anchor_action,
            )
        )
    least = number(prevalence.get("lower_bound"))
    if anchors != 0 and (estimate if estimate is not None else least or 0.0) >= HIGH_PREVALENCE:
        known = "About " + share(estimate) if estimate is not None else "At least " + share(least)
        floor = f" It is at least {share(least)} even if the detector found every synthetic text." if least else ""
        after = number(section(synthetic, "prevalence_after").get("estimate"))
        mixed = f" In the weighted mix{before_selection(report)}: {share(after)}." if after is not None else ""
        between = f"Between {share(prevalence.get('low'))} and {share(prevalence.get('high'))}.{floor}{mixed}"
        found.append(
            Finding(
                "warn",
                f"{known} of the scored text looks synthetic",
                between if estimate is not None else clean(prevalence.get("reason")),
                _synthetic_action(report, after),
            )
        )
    return found


def has_reference(report: Mapping[str, Any]) -> bool:
    """Whether the run had a reference, by what it left in the report."""
    covered = number(section(report, "mixing").get("coverage"))
    return covered is not None or bool(numbers(section(report, "diversity").get("reference")))


def _anchor_action(report: Mapping[str, Any]) -> str:
    declare = "Declare an input as human (for instance pages dated before chat models), or "
    return declare + ("add human documents to the reference." if has_reference(report) else "give a reference.")


def _synthetic_action(report: Mapping[str, Any], after: float | None) -> str:
    """What is left to do about much synthetic text, which depends on what was done."""
    read = "Read documents of the shards with the highest synthetic shares"
    if not has_reference(report):
        return f"{read}; mix with a reference."
    if section(report, "mixing").get("mode") != "balance":
        return f"{read}; balance the mix toward the reference with mix.mode: balance."
    if after is None or after < HIGH_PREVALENCE:
        return f"{read}."
    return f"{read}; for less of it in the mix, raise mix.kappa or add human text to the inputs."


def selected(report: Mapping[str, Any]) -> bool:
    """Whether documents were selected to a budget."""
    return number(section(report, "mixing", "budget").get("selected_documents")) is not None


def before_selection(report: Mapping[str, Any]) -> str:
    """What to add where numbers describe the weighted mix before a selection, or nothing without one."""
    return " before the selection" if selected(report) else ""


def _diversity(report: Mapping[str, Any]) -> list[Finding]:
    diversity = section(report, "diversity")
    found = []
    if why := clean(diversity.get("reference_reason")):
        title = "The reference is of another language"
        found.append(Finding("warn", title, f"Do not read distances from it: {why}.", "Give no reference here."))
    elif off := typical(diversity):
        general = "general" in clean(diversity.get("reference_name"), 200)
        found.append(
            Finding(
                "note" if general else "warn",
                "The crawl as a whole is unlike the reference",
                f"The median shard is on the bad side in {plural(len(off), 'statistic')}: "
                + "; ".join(why.words for why in off[:3])
                + "."
                + (" The reference is the package's general one: other genres differ too." if general else ""),
                "Build a reference from human text of your own domain with curation reference build."
                if general
                else "",
            )
        )
    looks = to_look_at(report)
    if not looks:
        return found
    action = f"Read a few documents of the marked shards before you train on them: {clean(looks[0].command)}"
    if synthetic := [look for look in looks if look.synthetic is not None]:
        title = f"{plural(len(synthetic), 'shard')} with more synthetic text than the crawl as a whole"
        found.append(Finding("warn", title, f"Most: {_worst(synthetic, 1)}", action))
    marked = sorted((k for k in looks if k.furthest is not None), key=lambda k: (-(k.furthest or 0), k.shard))
    if marked:
        against = "reference" if section(report, "diversity", "reference") else "rest"
        title = f"{plural(len(marked), 'shard')} unlike the {against}"
        found.append(Finding("warn", title, _said(marked) or f"Furthest off: {_worst(marked, 3)}", action))
    return found


def _said(looks: list[Look]) -> str:
    """`a.parquet repeats itself ...; b.parquet is not English ...`, or nothing where nothing can be said in words."""
    said = [f"{clean(look.shard, 60)} {clean(look.says[0])}" for look in looks if look.says]
    if not said:
        return ""
    more = f"; and {count(len(looks) - min(len(said), SAID))} more" if len(looks) > min(len(said), SAID) else ""
    return "; ".join(said[:SAID]) + more + "." + _in_the_mix(looks)


def _in_the_mix(looks: list[Look]) -> str:
    full = [look for look in looks if look.full_weight]
    if not full:
        return ""
    who = f"{count(len(full))} of these shards" if len(full) < len(looks) else "these shards"
    return f" The documents of {who} are in the mix at full weight."


def _worst(looks: list[Look], reasons: int) -> str:
    """The first of them with its reasons, and how many are in the mix at full weight."""
    first = looks[0]
    shown = first.reasons[:1] if reasons == 1 else first.reasons[first.synthetic is not None :][:reasons]
    text = f"{clean(first.shard, 80)} ({clean('; '.join(shown))})."
    return text + _in_the_mix(looks)


def _mixing(report: Mapping[str, Any]) -> list[Finding]:
    mixing = section(report, "mixing")
    found = []
    for source, floor in sorted(section(mixing, "floors").items()):
        floor = section(floor)
        if floor.get("met") is False:
            found.append(
                Finding(
                    "stop",
                    f"Below the floor: {clean(source, 60)}",
                    f"{share(floor.get('kept'))} of this source is kept; its floor is "
                    f"{share(floor.get('floor'))}.",
                    "For a source below its floor: raise its mix.multipliers or the budget.",
                )
            )
    for item in map(section, listing(mixing.get("constraints"))):
        if item.get("met") is False:
            reached = "it cannot be told" if item.get("reached") is None else f"{value(item['reached'])} was reached"
            why = f" ({clean(item['why'])})" if item.get("why") else ""
            section_of = "select" if item.get("name") == "budget" else "require"  # require.budget holds it to its word
            found.append(
                Finding(
                    "stop",
                    f"Required and missed: {clean(item.get('name'), 60)}",
                    f"{section_of} asks for {value(item.get('asked'))}; {reached}{why}.",
                    "Ask for less under select (tokens, documents or rate), or give the mix more: a larger crawl, a "
                    "higher select.max_repeats."
                    if section_of == "select"
                    else "Ask for less under require, or give the mix more: reference text, slack, a larger crawl.",
                )
            )
    ess = number(section(mixing, "ess").get("documents"))
    if ess is not None and ess < SMALL_ESS:
        tiny = ess < TINY_ESS
        found.append(
            Finding(
                "stop" if tiny else "warn",
                f"The weighted mix is worth {share(ess)} of its documents"
                if not tiny
                else f"Tiny effective sample: {share(ess)} of the documents",
                "A few documents carry most of the weight, so the mix varies more than its size suggests.",
                "For a larger effective sample: raise mix.slack, lower mix.cap, or add human text.",
            )
        )
    coverage = number(mixing.get("coverage"))
    if coverage is not None and coverage < LOW_COVERAGE:
        found.append(
            Finding(
                "warn",
                f"The reference covers {share(coverage)} of the crawl",
                "Documents outside it are in the mix at full weight: nothing there says what to balance them to.",
                "Add reference text of the kinds that are missing.",
            )
        )
    return found
