"""report.json as one HTML page that needs nothing else: no scripts, no fonts, no network.

The template gets plain values and filters; it escapes everything by default. Only the drawings and our own
style sheet are marked as safe: drawings are written by matplotlib, which escapes the texts in them.
"""

import difflib
from collections.abc import Mapping
from typing import Any

from curation.report import drawing, plots, plots_mix, plots_text
from curation.report import words as w
from curation.report.brief import headline, judged, prevalence_words
from curation.report.findings import before_selection, findings, selected
from curation.report.look import to_look_at
from curation.report.mix_tables import tables
from curation.report.unusual import unusual

EXAMPLES = 12
STANDALONE = ("statistics", "shards", "space", "ranks", "variance")  # drawings that are files too
STRATA = 24  # thresholds in the table
HOSTS = 20  # hosts in the table of scores
WORDS = 80  # of an example's text

_ABSENT = {
    "documents": "This run did not record how many documents it read.",
    "duplicates": "This run did not look for duplicates.",
    "synthetic": "This run did not score documents, so nothing can be said about synthetic text.",
    "diversity": "This run did not collect diversity statistics.",
    "variance": "Variance was not compared: that takes a reference profile.",
    "mixing": "This run did not weigh documents: every kept document counts once.",
    "run": "This run did not record its stages, hashes and versions.",
}


def render(report: Mapping[str, Any]) -> str:
    """One self-contained HTML page for a report (structure: `curation.report.schema.Report`).

    The same report gives the same bytes with the same version of matplotlib. Sections that are missing,
    None or empty become a sentence that says why. Raises nothing for missing values, whatever is missing.
    """
    from importlib.resources import files

    from jinja2 import DictLoader, Environment
    from markupsafe import Markup

    here = files("curation.report")
    environment = Environment(
        loader=DictLoader({"page": here.joinpath("page.html.j2").read_text("utf-8")}),
        autoescape=True,
        trim_blocks=True,
    )
    environment.filters.update(
        count=w.count,
        share=w.share,
        value=w.value,
        size=w.size,
        plural=w.plural,
        clean=w.clean,
        short=w.short,
        phrase=w.phrase,
        pairs=_pairs,
        rows=_rows,
        section=w.section,
    )
    report = _finite(report)
    drawn = {name: Markup(svg) if svg else None for name, svg in _drawings(report).items()}
    css = Markup(here.joinpath("page.css").read_text("utf-8"))
    return environment.get_template("page").render(css=css, plots=drawn, **_view(report)) + "\n"


def standalone_drawings(report: Mapping[str, Any]) -> dict[str, str]:
    """The drawings of diversity and variance as SVG files of their own, by name, in the colours of the light page."""
    drawn = _drawings(_finite(report))
    return {name: drawing.standalone(svg) for name in STANDALONE if (svg := drawn[name])}


def _finite(found: Any) -> Any:
    """A copy without NaN and infinities, which would otherwise pass for numbers."""
    if isinstance(found, Mapping):
        return {str(k): _finite(v) for k, v in found.items()}
    if isinstance(found, list | tuple):
        return [_finite(v) for v in found]
    return w.number(found) if isinstance(found, float) else found


def _pairs(found: Any) -> list[tuple[str, Any]]:
    """The items of a mapping: the largest count first, other values in their own order."""
    items = list(w.section(found).items())
    if items and all(w.number(v) is not None for _, v in items):
        return sorted(items, key=lambda item: (-(w.number(item[1]) or 0.0), item[0]))
    return items


def _rows(found: Any) -> list[dict[str, Any]]:
    return [w.section(row) for row in w.listing(found)]


def _drawings(report: Mapping[str, Any]) -> dict[str, str | None]:
    documents, duplicates = w.section(report, "documents"), w.section(report, "duplicates")
    synthetic, diversity = w.section(report, "synthetic"), w.section(report, "diversity")
    mixing, everything = w.section(report, "mixing"), w.section(synthetic, "prevalence")
    return {
        "flow": plots.flow(documents),
        "reasons": plots.reasons(documents),
        "removed": plots.removed_by_source(duplicates),
        "similarity": plots.similarity(duplicates),
        "curves": plots.curves(duplicates),
        "scores": plots.scores(synthetic),
        "by_source": plots.prevalence("by-source", w.section(synthetic, "by_source"), everything),
        "by_shard": plots.prevalence("by-shard", w.section(synthetic, "by_shard"), everything),
        "statistics": plots_mix.statistics(diversity),
        "shards": plots_mix.shards(diversity, unusual(diversity)),
        "ranks": plots_text.ranks(diversity),
        "space": plots_text.space(diversity, unusual(diversity)),
        "variance": plots_mix.variance(w.section(report, "variance")),
        "weights": plots_mix.weights(mixing),
        "features": plots_mix.features(mixing),
    }


def _view(report: Mapping[str, Any]) -> dict[str, Any]:
    synthetic, diversity = w.section(report, "synthetic"), w.section(report, "diversity")
    mixing, run = w.section(report, "mixing"), w.section(report, "run")
    ranked = unusual(diversity)
    ess = w.section(mixing, "ess")
    scored, covered = w.number(synthetic.get("scored")), w.number(synthetic.get("covered"))
    retention, by_group = w.numbers(mixing.get("retention")), w.numbers(ess.get("by_group"))
    strata = _rows(synthetic.get("strata"))
    return {
        "name": w.clean(run.get("name") or "Curation report", 120),
        "headline": headline(report),
        "findings": findings(report),
        "tiles": _tiles(report),
        "gone": {name: _gone(report, name) for name in _ABSENT},
        "documents": w.section(report, "documents"),
        "duplicates": w.section(report, "duplicates"),
        "lines": w.section(w.section(report, "duplicates"), "lines"),
        "contamination": w.section(report, "contamination"),
        "examples": [_example(e) for e in _rows(w.section(report, "duplicates").get("examples"))[:EXAMPLES]],
        "synthetic": synthetic,
        "second": w.section(synthetic, "second_score"),
        "anchored": bool(
            sum(w.number(c) or 0 for c in w.listing(w.section(synthetic, "histogram").get("anchors")))
        ),
        "prevalence": prevalence_words(w.section(synthetic, "prevalence"), of=judged(report)),
        "prevalence_after": prevalence_words(after)
        if (after := w.section(synthetic, "prevalence_after"))
        else "",
        "unestimated": [
            (who, prevalence_words(w.section(p)))
            for part in ("by_source", "by_shard")
            for who, p in w.section(synthetic, part).items()
            if w.number(w.section(p).get("estimate")) is None
        ],
        "hosts": _hosts(w.section(synthetic, "by_host")),
        "uncovered": scored is not None and covered is not None and covered < scored,
        "thresholded": w.number(synthetic.get("threshold")) is not None,
        "strata": [row for row in strata if w.number(row.get("threshold")) is not None][:STRATA],
        "more_strata": max(0, len(strata) - STRATA),
        "selected": selected(report),
        "before_selection": before_selection(report),
        "has_reference": bool(w.numbers(diversity.get("reference"))),
        "reference_name": w.clean(diversity.get("reference_name"), 120),
        "split": w.section(diversity, "before", "split"),
        "unmeasured": list(w.section(diversity, "before", "shard_reasons").items()),
        "driving": _driving(w.section(diversity, "driving"), [look.shard for look in to_look_at(report)]),
        "ranked": ranked,
        "marked": to_look_at(report),
        "weighed": not _gone(report, "mixing"),
        "drawn": plots.SHARDS,
        "statistics": _statistics(diversity),
        "sources": list(w.section(diversity, "before", "sources").items()),
        "variances": _variances(w.section(report, "variance")),
        "mixing": mixing,
        "ess": ess,
        "quantiles": _quantiles(w.section(mixing, "weights", "quantiles")),
        "floors": [(source, w.section(floor)) for source, floor in w.section(mixing, "floors").items()],
        "heard": _heard(retention, by_group),
        "mix_tables": tables(mixing),
        "budget": [(w.phrase(k), n) for k, n in w.numbers(mixing.get("budget")).items()],
        "run": run,
        "stages": _stages(w.section(run, "stages")),
    }


def _hosts(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The largest hosts with a mean score, highest first."""
    rows = [{"name": name, **w.section(host), "share": w.section(w.section(host).get("prevalence"))}
            for name, host in found.items()]  # fmt: skip
    rows = [row for row in rows if w.number(row.get("shrunk_p")) is not None]
    return sorted(rows, key=lambda row: (-(w.number(row["shrunk_p"]) or 0.0), row["name"]))[:HOSTS]


def _gone(report: Mapping[str, Any], name: str) -> str | None:
    """Why a section has nothing to show, as a sentence, or None when it has."""
    found = w.section(report, name)
    needed = {"documents": "read", "duplicates": "removed"}.get(name)
    if needed is not None:
        there = w.number(found.get(needed)) is not None
    elif name == "synthetic":
        there = bool(w.number(found.get("scored")))
    elif name == "run":
        there = any(found.get(key) for key in ("stages", "hashes", "versions"))
    else:
        there = any(
            _holds_number(v) for k, v in found.items() if k not in ("mode", "statistics", "reference")
        )
    if there:
        return None
    if name == "synthetic" and w.number(found.get("scored")) == 0 and not found.get("reason"):
        return "No document was scored: none was long enough, in prose and in a language of the model."
    return w.clean(found.get("reason") or _ABSENT[name])


def _holds_number(found: Any) -> bool:
    if isinstance(found, Mapping):
        return any(_holds_number(v) for v in found.values())
    if isinstance(found, list):
        return any(_holds_number(v) for v in found)
    return w.number(found) is not None


def _tiles(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    documents, synthetic = w.section(report, "documents"), w.section(report, "synthetic")
    held_out, before = w.section(report, "variance", "held_out"), before_selection(report)
    looks = w.section(synthetic, "prevalence").get("estimate")
    mixed = w.section(synthetic, "prevalence_after").get("estimate")
    floor = w.section(held_out, "floor").get("vr_min")
    reach = f" (human text against human text reaches {w.share(floor)})" if w.number(floor) is not None else ""
    change, when = "", ""
    if w.number(mixed) is not None:
        change, when = f" \u2192 {w.share(mixed)}", f", before \u2192 in the weighted mix{before}"
    known = [
        (documents.get("read"), w.count, "documents read"),
        (documents.get("kept"), w.count, "documents kept"),
        (w.section(report, "duplicates").get("removed"), w.count, "duplicates removed"),
        (looks, lambda n: w.share(n) + change, f"of {_judged(synthetic)} look synthetic{when}"),
        (
            w.section(held_out, "after").get("vr_min"),
            w.share,
            "of the reference's variance in the worst unseen direction, after weighing"
            f"{',' if before else ''}{before}{reach}",
        ),
        (w.section(report, "mixing", "ess").get("documents"), w.share, f"effective sample size{before}"),
    ]
    return [(say(found), label) for found, say, label in known if w.number(found) is not None]


def _judged(synthetic: Mapping[str, Any]) -> str:
    part = w.number(w.section(synthetic, "prevalence").get("scored"))
    return f"the {w.count(round(part))} documents that can be judged" if part is not None else "the judged documents"


def _example(example: Mapping[str, Any]) -> dict[str, Any]:
    survivor, duplicate = w.section(example, "survivor"), w.section(example, "duplicate")
    left, right = (w.clean(who.get("text"), 600).split()[:WORDS] for who in (survivor, duplicate))
    a, b = [], []
    for kind, i, j, k, m in difflib.SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        a.append((kind != "equal", " ".join(left[i:j])))
        b.append((kind != "equal", " ".join(right[k:m])))
    return {
        "survivor": survivor,
        "duplicate": duplicate,
        "similarity": w.number(example.get("similarity")),
        "reason": w.phrase(example.get("reason") or "duplicate"),
        "left": [run for run in a if run[1]],
        "right": [run for run in b if run[1]],
    }


def _statistics(diversity: Mapping[str, Any]) -> list[dict[str, Any]]:
    before, after = w.section(diversity, "before", "total"), w.section(diversity, "after", "total")
    reference = w.section(diversity, "reference")
    directions = {"up": "higher", "down": "lower"}
    return [
        {
            "name": name,
            "title": w.clean(w.section(entry).get("title") or name, 80),
            "unit": w.clean(w.section(entry).get("unit"), 40),
            "meaning": w.clean(w.section(entry).get("meaning")),
            "phrase": w.clean(w.section(entry).get("phrase"), 60),
            "worse": directions.get(str(w.section(entry).get("worse")), "away from the reference"),
            "before": before.get(name),
            "after": after.get(name),
            "reference": reference.get(name),
        }
        for name, entry in w.section(diversity, "statistics").items()
        if any(w.number(side.get(name)) is not None for side in (before, after, reference))
    ]


def _variances(section: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for key, features in (("balanced", "that balancing fits"), ("held_out", "that balancing never sees")):
        table = w.section(section, key)
        if not _holds_number(table):
            continue
        for measure, title in plots_mix.VARIANCE:
            found = {k: w.section(table, k).get(measure) for k in ("before", "after", "floor")}
            rows.append({"title": title, "features": features, **found})
    return rows


def _driving(found: Mapping[str, Any], order: list[str]) -> list[tuple[str, list[tuple[str, list[dict[str, Any]]]]]]:
    """By shard to look at, what it has more of than the rest, under a title each."""
    titles = (
        ("templates", "Sentence frames, with a wording"),
        ("runs", "Runs of four words"),
        ("openers", "Beginnings of sentences"),
        ("words", "Words"),
    )
    return [
        (name, [(title, _rows(w.section(found[name]).get(key))) for key, title in titles])
        for name in order
        if name in found
    ]


def _quantiles(found: Mapping[str, Any]) -> list[tuple[str, Any]]:
    names = {"0": "least", "0.5": "median", "1": "most", "0.0": "least", "1.0": "most"}
    return [(names.get(str(q), w.clean(q, 12)), v) for q, v in found.items()]


def _heard(retention: Mapping[str, float], ess: Mapping[str, float]) -> list[dict[str, Any]]:
    """Tables of who is still heard, the least first, each without empty cells.

    Weight kept and effective size share a table where they speak of the same names, or else have one each. A single
    name, whose share is that of the whole, says nothing and is left out.
    """
    both, rows = retention.keys() == ess.keys(), []
    kept, worth = ("Weight kept", retention), ("Effective sample size", ess)
    tables = [("Source or group", [kept, worth])] if both else [("Source", [kept]), ("Group", [worth])]
    for head, columns in tables:
        names = sorted(columns[0][1], key=lambda name: (columns[0][1][name], name))
        if len(names) > 1:
            body = [(name, [found[name] for _, found in columns]) for name in names[:60]]
            rows.append({"head": head, "columns": [title for title, _ in columns], "rows": body})
    return rows


def _stages(stages: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = [{**w.section(stage), "name": name} for name, stage in stages.items()]
    for row in rows:
        row["idle"] = row.get("documents") == 0 and row.get("megabytes") == 0  # it reads no text
        row["speed"] = None if row["idle"] else w.ratio(row.get("megabytes"), row.get("cpu_seconds"))
    fastest = max((row["speed"] or 0.0 for row in rows), default=0.0)
    for row in rows:
        row["bar"] = round(100 * row["speed"] / fastest, 1) if row["speed"] and fastest else None
    return rows
