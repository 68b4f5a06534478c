"""What a report says in short: the headline of the page and the summary that the command line prints."""

from collections.abc import Mapping
from typing import Any

from curation.report.findings import before_selection, findings, names_of, selected, unreadable
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
    size,
    value,
)


def headline(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(question, answer) pairs: what came in, what went out, what is suspicious and what to do."""
    found = findings(report)
    grave = [f for f in found if f.level != "note"]
    if grave:
        suspicious = "; ".join(
            f.title[0].lower() + f.title[1:] if f.title[1:2].islower() else f.title for f in grave[:4]
        ) + (f"; and {count(len(grave) - 4)} more" if len(grave) > 4 else "")
        suspicious = suspicious[0].upper() + suspicious[1:] + "."
    else:
        suspicious = "Nothing stands out."
    actions = list(dict.fromkeys(f.action for f in found if f.action))
    return [
        ("What came in", came_in(report)),
        ("What went out", went_out(report)),
        ("What is suspicious", suspicious),
        (
            "What to do",
            " ".join(actions[:3]) if actions else "Use the mix. Nothing here asks for a second look.",
        ),
    ]


def came_in(report: Mapping[str, Any]) -> str:
    """One sentence on the input."""
    documents = section(report, "documents")
    if number(documents.get("read")) is None:
        return "This report does not say how many documents were read."
    sources = section(documents, "by_source")
    total = [number(section(s).get("bytes")) for s in sources.values()]
    text = plural(documents["read"], "document")
    if total and None not in total:
        text += f", {size(sum(t or 0 for t in total))} of text"
    if sources:
        text += f", from {plural(len(sources), 'source')}"
    shards = listing(documents.get("by_shard"))
    return text + (f" in {plural(len(shards), 'shard')}." if shards else ".")


def went_out(report: Mapping[str, Any]) -> str:
    """One or two sentences on what was kept and why the rest was not."""
    documents = section(report, "documents")
    if number(documents.get("kept")) is None:
        return "This report does not say how many documents were kept."
    kept = ratio(documents["kept"], documents.get("read"))
    text = f"{plural(documents['kept'], 'document')}" + (f" ({share(kept)})" if kept is not None else "")
    reasons = sorted(numbers(documents.get("by_reason")).items(), key=lambda item: (-item[1], item[0]))
    reasons = [(name, n) for name, n in reasons if n][:3]
    if reasons:
        text += "; left out: " + ", ".join(f"{count(n)} as {phrase(name)}" for name, n in reasons)
    ess = number(section(report, "mixing", "ess").get("documents"))
    if ess is None:
        return text + "."
    return f"{text}. Weighted, the mix{before_selection(report)} is worth {share(ess)} of its documents."


def summary(report: Mapping[str, Any]) -> str:
    """The plain text that the command line prints at the end of a run: some fifteen lines, no markup."""
    lines = [f"{question + ':':<20}{answer}" for question, answer in headline(report)[:2]]
    if names := unreadable(report):
        lines.append(f"{'Could not be read:':<20}{names_of(names)}")
    duplicates = section(report, "duplicates")
    if number(duplicates.get("removed")) is not None:
        lines.append(
            f"{'Duplicates:':<20}{count(duplicates['removed'])} removed from "
            f"{plural(duplicates.get('clusters'), 'cluster')}"
        )
    synthetic = section(report, "synthetic")
    if number(synthetic.get("scored")):
        mixed = number(section(synthetic, "prevalence_after").get("estimate"))
        change = f" -> {share(mixed)} in the weighted mix{before_selection(report)}" if mixed is not None else ""
        lines.append(f"{'Synthetic:':<20}{prevalence_words(section(synthetic, 'prevalence'), change, judged(report))}")
    table = section(report, "variance", "held_out") or section(report, "variance", "balanced")
    before, after = (number(section(table, k).get("vr_min")) for k in ("before", "after"))
    if after is not None:
        start = f"{share(before)} before, " if before is not None else ""
        floor = number(section(table, "floor").get("vr_min"))
        target = (
            f" (what sampling leaves of human text against human text: {share(floor)}; no value above that is a loss "
            "that can be told)"
            if floor is not None
            else ""
        )
        lines.append(
            f"{'Variance kept:':<20}{start}{share(after)} after weighing"
            f"{',' if selected(report) else ''}{before_selection(report)}, "
            f"in the worst direction{target}"
        )
    stages = section(report, "run", "stages")
    if stages:
        cpu = sum(number(section(s).get("cpu_seconds")) or 0 for s in stages.values())
        wall = sum(number(section(s).get("wall_seconds")) or 0 for s in stages.values())
        lines.append(f"{'Time:':<20}{value(wall)} s, {value(cpu)} s of CPU")
    found = findings(report)
    if not found:
        lines.append(f"{'Warnings:':<20}none")
    for finding in found[:6]:
        mark = {"stop": "!!", "warn": "! ", "note": "- "}[finding.level]
        lines.append(f"{mark} {finding.title}. {finding.text}" if finding.text else f"{mark} {finding.title}.")
    if len(found) > 6:
        lines.append(f"   and {count(len(found) - 6)} more in the report")
    actions = list(dict.fromkeys(f.action for f in found if f.action))
    lines += [f"-> {action}" for action in actions[:2]]
    return "\n".join(lines) + "\n"


def judged(report: Mapping[str, Any]) -> str:
    """What the share of synthetic text is a share of: how many documents, of what kind, and how many were read."""
    synthetic = section(report, "synthetic")
    found = section(synthetic, "prevalence")
    part, of = number(found.get("scored")), number(found.get("documents"))
    if part is None:
        return "the documents that can be judged"
    least = number(synthetic.get("min_words"))
    kind = "English prose, whole or mixed with other text" + (f", of {count(least)} words or more" if least else "")
    scored, covered = number(synthetic.get("scored")), number(synthetic.get("covered"))
    if scored is not None and covered is not None and covered < scored:
        kind += ", of kinds that the reference covers"
    whole = f"; {count(of)} in all" if of is not None else ""
    return f"the {plural(round(part), 'document')} that can be judged ({kind}{whole})"


def prevalence_words(
    prevalence: Mapping[str, Any], change: str = "", of: str = "the documents that can be judged"
) -> str:
    """`about 12% (8% to 17%) of ...` and what became of it (`change`), or why there is no estimate."""
    if number(prevalence.get("estimate")) is None:
        reason = clean(prevalence.get("reason") or "no reason was recorded")
        if number(prevalence.get("lower_bound")):
            return f"at least {share(prevalence['lower_bound'])} ({reason})"
        return f"not estimated: {reason}"
    text = f"about {share(prevalence['estimate'])}"
    if number(prevalence.get("low")) is not None and number(prevalence.get("high")) is not None:
        text += f" ({share(prevalence['low'])} to {share(prevalence['high'])})"
    text += f" of {of}{change}"
    if number(prevalence.get("lower_bound")):
        text += f", at least {share(prevalence['lower_bound'])} even if the detector found every synthetic text"
    return text
