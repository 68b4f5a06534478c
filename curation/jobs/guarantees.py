"""What a mix promises, whether it holds, and what the user required of it: the `mixing` part of report.json."""

import math
from typing import Any, NamedTuple

from curation import diversity
from curation.config import Config
from curation.plan import Job
from curation.report.feature_names import readable


def section(
    job: Job, weights: dict[str, Any], documents: dict[str, Any], counts: list[dict[str, Any]]
) -> dict[str, Any]:
    """The `mixing` part of report.json, from decisions/weights.json, the report's documents and the shards' counts."""
    mix, how, ruler = weights["mix"], weights["mode"], diversity.load_ruler()
    retention = {kind: _retention(found) for kind, found in weights["groups"].items()}
    result: dict[str, Any] = {
        "mode": how,
        "floors": _floors(job.config, documents),
        "retention": retention["source"],
        "retention_by_language": retention["language"],
        "retention_by_group": retention["group"],
        "budget": _budget(job, weights, counts),
        "warnings": [readable(warning, ruler) for warning in mix.get("warnings", [])],
    }
    if how == "none" and not weights["weighs_clusters"]:
        result["reason"] = "documents were not weighed: there is no reference, or mix.mode is none"
    elif "groups" in mix:
        result |= _weighed(mix)
        for name in ("worst_features", "unreachable"):
            result[name] = [
                {
                    "name": readable(f["feature"], ruler),
                    **{key: f[key] for key in ("before", "after", "target", "attained")},
                    "tolerance": mix["tolerance"]["features"][f["feature"]],
                }
                for f in mix[name]
            ]
    result["constraints"] = constraints(job.config, result, weights["selection"])
    return result


def _weighed(mix: dict[str, Any]) -> dict[str, Any]:
    groups, imbalance = mix["groups"], mix["imbalance"] or {}
    return {
        "status": mix["status"],
        "status_reason": mix["reason"],
        "ess": {
            "documents": mix["ess_share"],
            "tokens": mix["ess_tokens"] / mix["tokens"] if mix["ess_tokens"] is not None and mix["tokens"] else None,
            "by_group": {
                name or "no group": g["ess"] / g["documents"] if g["ess"] is not None else None
                for name, g in groups.items()
            },
        },
        "tolerance": {
            "asked": mix["tolerance"]["asked"],
            "used": mix["tolerance"]["used"],
            "largest imbalance before": imbalance.get("before", {}).get("largest"),
            "largest imbalance": imbalance.get("after", {}).get("largest"),
        },
        "features": len(mix["tolerance"]["features"]),
        "coverage": mix["coverage"],
        "cells": mix["cells"],
        "weights": {"quantiles": mix["weight_quantiles"], "cap": mix["cap"]},
    }


def _floors(config: Config, documents: dict[str, Any]) -> dict[str, Any]:
    floors = {}
    for source, floor in sorted(config.select.floors.items()):
        entry = documents["by_source"].get(source)
        kept = entry["kept"] / entry["read"] if entry and entry["read"] else 0.0
        floors[source] = {
            "floor": floor,
            "kept": kept,
            "met": kept >= floor,
            "missing": max(0, math.ceil(floor * entry["read"] - 1e-9) - entry["kept"]) if entry else 0,
            "by_reason": entry["by_reason"] if entry else {},
        }
    return floors


def _retention(found: dict[str, Any]) -> dict[str, float | None]:
    """Share of the weight by name over the share of the documents: 1 means as much as before."""
    documents, mass = (sum(entry[key] for entry in found.values()) for key in ("documents", "weight"))
    return {
        name: (entry["weight"] / mass) / (entry["documents"] / documents) if mass else None
        for name, entry in sorted(found.items())
        if name
    }


def constraints(config: Config, mixing: dict[str, Any], search: dict[str, Any] | None) -> list[dict[str, Any]]:
    """What `require` asks for: name, asked, reached (None: it cannot be told), met, and what else there is to say."""
    asked, found = config.require, []

    def add(name: str, least: float, reached: float | None, met: bool | None = None, why: str = "") -> None:
        met = reached is not None and reached >= least if met is None else met
        found.append({"name": name, "asked": least, "reached": reached, "met": met, "why": why})

    reason = mixing.get("reason") or mixing.get("status_reason") or ""
    ess = mixing.get("ess", {})
    if asked.budget and search is not None:
        why = f"every document is at its most repeats (select.max_repeats {config.select.max_repeats})"
        add("budget", search["budget"], search["size"], not search["short"], why if search["short"] else "")
    if asked.ess is not None:
        add("ess", asked.ess, ess.get("documents"), why=reason)
    if asked.ess_group is not None:
        groups = {name: value for name, value in ess.get("by_group", {}).items() if value is not None}
        least = min(groups, key=lambda name: (groups[name], name), default=None)
        why = f"least of all in {least!r}" if least is not None else reason
        add("ess_group", asked.ess_group, groups[least] if least is not None else None, why=why)
    if asked.tolerance is not None:
        off = mixing.get("tolerance", {}).get("largest imbalance")
        worst = mixing.get("worst_features") or [{}]
        why = f"furthest off: {worst[0]['name']}" if off is not None else reason
        add("tolerance", asked.tolerance, off, off is not None and off <= asked.tolerance, why)
    if asked.coverage is not None:
        add("coverage", asked.coverage, mixing.get("coverage"), why=reason)
    for kind, key in (
        ("source", "retention"), ("language", "retention_by_language"), ("group", "retention_by_group"),
    ):  # fmt: skip
        for name, least in sorted(getattr(asked, kind).items()):
            reached = mixing[key].get(name)
            add(f"{kind} {name}", least, reached, why="" if reached is not None else f"no {kind} {name!r} is kept")
    return found


class Missed(NamedTuple):
    """One line for people, and its name for programs."""

    code: str
    message: str


def missed(config: Config, report: dict[str, Any]) -> list[Missed]:
    """Every constraint that a finished run has missed; floors count where select.on_floor is fail."""
    lines = [
        Missed(
            "requirement-missed",
            f"MISSED: require.{item['name'].replace(' ', '.', 1)} asks for {_number(item['asked'])}, reached: "
            f"{_number(item['reached'])}" + (f" ({item['why']})" if item["why"] else ""),
        )
        for item in report["mixing"]["constraints"]
        if not item["met"]
    ]
    return lines + (below_floors(report) if config.select.on_floor == "fail" else [])


def below_floors(report: dict[str, Any]) -> list[Missed]:
    """Every source of which less was kept than its floor."""
    return [
        Missed(
            "floor-missed",
            f"FLOOR MISSED: {floor['kept']:.1%} of source {source!r} was kept, select.floors asks for "
            f"{floor['floor']:.1%}: {floor['missing']:,} documents too few"
            + "".join(f"; {count:,} left as {reason}" for reason, count in floor["by_reason"].items()),
        )
        for source, floor in report["mixing"]["floors"].items()
        if not floor["met"]
    ]


def _number(value: float | None) -> str:
    if value is None:
        return "nothing"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3g}"


def _budget(job: Job, weights: dict[str, Any], counts: list[dict[str, Any]]) -> dict[str, Any] | None:
    select, search = job.config.select, weights["selection"]
    if search is None:
        return None
    warnings = []
    if search["short"]:
        unit = "tokens" if select.tokens else "documents"
        warnings.append(
            f"the budget asks for {search['short']:,} {unit} more than every document at "
            f"select.max_repeats {select.max_repeats} gives: raise max_repeats or read more"
        )
    return {
        "documents": search["budget"] if not select.tokens else None,
        "tokens": select.tokens,
        "selected_documents": sum(c["copies"] for c in counts),
        "selected_tokens": sum(c["tokens_selected"] for c in counts),
        "repeated": sum(c["repeated"] for c in counts),
        "warnings": warnings,
    }
