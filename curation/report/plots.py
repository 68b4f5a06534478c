"""The drawings of the page: each takes a part of the report and gives inline SVG, or None when it has nothing to show.

Meaning never rests on colour alone: hollow and filled marks, shapes, hatching and labels say the same.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from curation.report import drawing as d
from curation.report.unusual import Unusual, bad, baselines
from curation.report.words import clean, count, listing, number, numbers, phrase, ratio, section, share, short, value

SHARDS = 40  # drawn shards; the table counts the rest
PANELS = 6  # statistics drawn by shard
HISTOGRAMS = 6  # sources with a score histogram of their own
ROW = 0.24  # inches


def _rows(axes: Any, labels: Iterable[str], size: float = 9.0) -> None:
    names = list(labels)
    axes.set_yticks(range(len(names)), names, fontsize=size)
    axes.set_ylim(len(names) - 0.4, -0.6)


def _percent(axes: Any) -> None:
    axes.xaxis.set_major_formatter(lambda x, _: share(round(x, 6)))


def _legend(figure: Any, handles: Any, columns: int = 5) -> None:
    figure.legend(handles=handles, loc="outside upper left", ncols=columns, handlelength=1.6, columnspacing=1.6)


def _mark(label: str, colour: str, marker: str, hollow: bool = False, line: str = "none") -> Any:
    from matplotlib.lines import Line2D

    face = d.PAPER if hollow else colour
    return Line2D([], [], color=colour, marker=marker, markersize=7, linestyle=line, label=label,
                  markerfacecolor=face, markeredgecolor=colour)


def flow(documents: Mapping[str, Any]) -> str | None:
    """What became of each source: shares of what was read, kept, excluded by reason and quarantined."""
    sources = {k: section(v) for k, v in section(documents, "by_source").items() if ratio(section(v).get("read"), 1)}
    names = sorted(sources, key=lambda name: (-(number(sources[name].get("read")) or 0), name))[:SHARDS]
    if not names:
        return None

    def paint(figure: Any) -> None:
        from matplotlib.patches import Patch

        axes = figure.subplots()
        parts = (("kept", d.KEPT, ""), ("excluded", d.EXCLUDED, "////"), ("quarantined", d.QUARANTINED, "xxxx"))
        for row, name in enumerate(names):
            left = 0.0
            for part, colour, hatch in parts:
                width = ratio(sources[name].get(part), sources[name].get("read")) or 0.0
                if width > 0:
                    axes.barh(row, width, left=left, color=colour, hatch=hatch, height=0.62, linewidth=0)
                    left += width
            kept = ratio(sources[name].get("kept"), sources[name].get("read"))
            axes.text(1.012, row, f"{share(kept)} of {count(sources[name]['read'])} kept", va="center", fontsize=9)
        _rows(axes, (short(name) for name in names))
        axes.set_xlim(0, 1.26)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1.0])
        _percent(axes)
        _legend(figure, [Patch(facecolor=c, hatch=h, edgecolor=d.PAPER, label=p) for p, c, h in parts])

    return d.drawing("flow", 0.85 + 0.34 * len(names), paint)


def reasons(documents: Mapping[str, Any]) -> str | None:
    """Why documents left, the commonest reason first."""
    counts = {k: n for k, n in numbers(documents.get("by_reason")).items() if n > 0}
    if not counts:
        return None
    return _bars("reasons", {phrase(k): n for k, n in counts.items()}, d.EXCLUDED, "documents")


def _bars(name: str, counts: Mapping[str, float], colour: str, unit: str) -> str:
    names = sorted(counts, key=lambda key: (-counts[key], key))[:20]

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        axes.barh(range(len(names)), [counts[n] for n in names], color=colour, height=0.6)
        for row, key in enumerate(names):
            axes.annotate(count(counts[key]), (counts[key], row), xytext=(5, 0), textcoords="offset points",
                          va="center", fontsize=9)
        _rows(axes, (short(n) for n in names))
        axes.set_xlim(0, max(counts[n] for n in names) * 1.12)
        axes.xaxis.set_major_locator(_integers(5))
        axes.xaxis.set_major_formatter(lambda x, _: count(x))
        axes.set_xlabel(unit)

    return d.drawing(name, 0.6 + 0.3 * len(names), paint)


def _integers(most: int) -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(most, integer=True)


def removed_by_source(duplicates: Mapping[str, Any]) -> str | None:
    """Duplicates removed from each source."""
    counts = {clean(k, 60): n for k, n in numbers(duplicates.get("by_source")).items() if n > 0}
    return _bars("removed", counts, d.EXCLUDED, "documents removed") if counts else None


def _valid(histogram: Mapping[str, Any], counts: Any) -> tuple[list[float], list[float]] | None:
    edges = [n for e in listing(histogram.get("edges")) if (n := number(e)) is not None]
    heights = [number(c) or 0.0 for c in listing(counts)]
    return (edges, heights) if heights and len(edges) == len(heights) + 1 and sum(heights) > 0 else None


def similarity(duplicates: Mapping[str, Any]) -> str | None:
    """Histogram of the similarity of near-duplicates to the document that was kept for them."""
    table = section(duplicates, "similarity")
    valid = _valid(table, table.get("counts"))
    if valid is None:
        return None
    edges, heights = valid

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        axes.stairs(heights, edges, fill=True, color=d.EXCLUDED, alpha=0.85)
        axes.grid(axis="y")
        axes.set_xlabel("estimated Jaccard similarity to the survivor")
        axes.set_ylabel("documents")
        axes.set_ylim(0, max(heights) * 1.08)
        axes.yaxis.set_major_formatter(lambda y, _: count(y))
        axes.yaxis.set_major_locator(_integers(4))

    return d.drawing("similarity", 2.4, paint)


def scores(synthetic: Mapping[str, Any]) -> str | None:
    """Score histograms of the largest sources over the distribution of the human anchors, with the threshold."""
    table = section(synthetic, "histogram")
    counts = {k: v for k, c in section(table, "counts").items() if (v := _valid(table, c))}
    names = sorted(counts, key=lambda name: (-sum(counts[name][1]), name))[:HISTOGRAMS]
    if not names:
        return None
    anchors, threshold = _valid(table, table.get("anchors")), number(synthetic.get("threshold"))

    def paint(figure: Any) -> None:
        columns = min(3, len(names))
        rows = -(-len(names) // columns)
        grid = figure.subplots(rows, columns, sharex=True, squeeze=False)
        for place, axes in enumerate(grid.flat):
            if place >= len(names):
                axes.set_axis_off()
                continue
            edges, heights = counts[names[place]]
            axes.stairs([h / sum(heights) for h in heights], edges, fill=True, color=d.AFTER, alpha=0.55)
            if anchors:
                total = sum(anchors[1])
                axes.stairs([h / total for h in anchors[1]], edges, color=d.INK, linewidth=1.3, linestyle="--")
            if threshold is not None:
                axes.axvline(threshold, color=d.BAD, linewidth=1.4, linestyle=":")
            axes.set_title(f"{short(names[place], 26)}, {count(sum(heights))}")
            axes.set_yticks([])
            axes.grid(False)
        for axes in grid[-1]:
            axes.set_xlabel("score (log odds of synthetic)")
        handles = [_patch("documents of the source", d.AFTER)]
        handles += [_mark("human anchors", d.INK, "", line="--")] if anchors else []
        handles += [_mark("threshold of the synthetic label", d.BAD, "", line=":")] if threshold is not None else []
        _legend(figure, handles)

    return d.drawing("scores", 0.9 + 1.5 * -(-len(names) // 3), paint)


def _patch(label: str, colour: str) -> Any:
    from matplotlib.patches import Patch

    return Patch(facecolor=colour, alpha=0.55, label=label)


def prevalence(name: str, table: Mapping[str, Any], overall: Mapping[str, Any]) -> str | None:
    """Estimates with intervals, the highest first; a dashed line marks the estimate for everything."""
    rows = {k: section(v) for k, v in table.items() if number(section(v).get("estimate")) is not None}
    names = sorted(rows, key=lambda key: (-float(rows[key]["estimate"]), key))[:SHARDS]
    if not names:
        return None

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        most = 0.0
        for place, key in enumerate(names):
            row = rows[key]
            at, low, high = (number(row.get(k)) for k in ("estimate", "low", "high"))
            if low is not None and high is not None:
                axes.plot([low, high], [place, place], color=d.BEFORE, linewidth=2.2, solid_capstyle="butt")
                most = max(most, high)
            axes.plot([at], [place], "o", color=d.INK, markersize=5.5)
            most = max(most, at or 0.0)
        everything = number(overall.get("estimate"))
        if everything is not None:
            axes.axvline(everything, color=d.REFERENCE, linestyle="--", linewidth=1.2)
        _rows(axes, (short(key) for key in names))
        axes.set_xlim(-0.01 * max(most, 0.05), min(1.02, max(most, everything or 0.0, 0.05) * 1.06))
        _percent(axes)
        handles = [_mark("estimate", d.INK, "o"), _mark("interval", d.BEFORE, "", line="-")]
        handles += [_mark("all documents", d.REFERENCE, "", line="--")] if everything is not None else []
        _legend(figure, handles)

    return d.drawing(name, 0.8 + ROW * len(names), paint)


def statistics(diversity: Mapping[str, Any]) -> str | None:
    """Every statistic of the whole, before and after, in spreads from the reference, with the bad side shaded."""
    base = baselines(diversity)
    before, after = (numbers(section(diversity, k, "total")) for k in ("before", "after"))
    entries = section(diversity, "statistics")
    names = [n for n in entries if n in base and n in numbers(diversity.get("reference")) and (n in before or n in after)]
    if not names:
        return None

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        reach = 1.0
        for row, name in enumerate(names):
            at = [(v[name] - base[name].value) / base[name].scale if name in v else None for v in (before, after)]
            known = [x for x in at if x is not None]
            reach = max(reach, *(abs(x) for x in known))
            if len(known) == 2:
                axes.plot(known, [row, row], color=d.GRID, linewidth=3, zorder=1)
            for x, colour, hollow in ((at[0], d.BEFORE, True), (at[1], d.AFTER, False)):
                if x is not None:
                    axes.plot([x], [row], "o", color=colour, markersize=7, markerfacecolor=d.PAPER if hollow else colour)
        for row, name in enumerate(names):
            worse = section(entries.get(name)).get("worse")
            for side in (1, -1):
                if worse == {1: "up", -1: "down"}[side] or worse not in ("up", "down"):
                    axes.barh(row, side * reach * 1.1, height=0.86, color=d.BAD, alpha=0.08, zorder=0)
        axes.axvline(0, color=d.REFERENCE, linestyle="--", linewidth=1.3)
        axes.set_xlim(-reach * 1.1, reach * 1.1)
        _rows(axes, (clean(section(entries.get(n)).get("title") or n, 44) for n in names))
        axes.set_xlabel("distance from the reference, in spreads of its shards")
        axes.xaxis.set_major_formatter(lambda x, _: f"{x:+g}" if x else "0")
        _legend(figure, [_mark("before", d.BEFORE, "o", hollow=True), _mark("after", d.AFTER, "o"),
                         _mark("reference", d.REFERENCE, "", line="--"), _shade("the bad side")])

    return d.drawing("statistics", 0.95 + 0.31 * len(names), paint)


def _shade(label: str) -> Any:
    from matplotlib.patches import Patch

    return Patch(facecolor=d.BAD, alpha=0.14, label=label)


def shards(diversity: Mapping[str, Any], ranked: Sequence[Unusual]) -> str | None:
    """Shards (the least usual first) by the statistics that set them apart most, before and after."""
    base, entries = baselines(diversity), section(diversity, "statistics")
    before, after = (section(diversity, k, "shards") for k in ("before", "after"))
    shown = [u.shard for u in ranked[:SHARDS]]
    apart = {n: max((abs(v[n] - base[n].value) / base[n].scale for s in shown if n in (v := numbers(before[s]))),
                    default=-1.0) for n in entries if n in base}  # fmt: skip
    names = [n for n in sorted(apart, key=lambda n: -apart[n])[:PANELS] if apart[n] >= 0]
    names = [n for n in entries if n in names]
    if not shown or not names:
        return None

    def paint(figure: Any) -> None:
        grid = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
        for axes, name in zip(grid, names, strict=True):
            entry = section(entries.get(name))
            for row, shard in enumerate(shown):
                start, end = numbers(before.get(shard)).get(name), numbers(after.get(shard)).get(name)
                if start is not None and end is not None:
                    axes.plot([start, end], [row, row], color=d.MUTED, linewidth=1, zorder=1)
                if end is not None:
                    axes.plot([end], [row], "o", color=d.AFTER, markersize=4)
                if start is not None:
                    marked = bad((start - base[name].value) / base[name].scale, entry.get("worse"))
                    axes.plot([start], [row], "D" if marked else "o", color=d.BAD if marked else d.BEFORE,
                              markersize=6.5 if marked else 4.5, markerfacecolor=d.BAD if marked else d.PAPER)
            axes.axvline(base[name].value, color=d.REFERENCE, linestyle="--", linewidth=1.2, zorder=0)
            arrow = {"up": " \u2192 bad", "down": "bad \u2190 "}.get(str(entry.get("worse")), "")
            title = short(entry.get("title") or name, 19)
            axes.set_title(f"{title}\n{arrow.strip() or 'either side bad'}", fontsize=8.5)
            axes.tick_params(axis="x", labelsize=8)
            axes.xaxis.set_major_locator(_locator(3))
            axes.grid(axis="y", linewidth=0.5)
        _rows(grid[0], (short(shard, 26) for shard in shown), size=8.0)
        which = base[names[0]].name
        _legend(figure, [_mark("before", d.BEFORE, "o", hollow=True), _mark("after", d.AFTER, "o"),
                         _mark("far on the bad side, before", d.BAD, "D"), _mark(which, d.REFERENCE, "", line="--")])

    return d.drawing("shards", 1.15 + 0.2 * len(shown), paint)


def _locator(most: int) -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(most)


VARIANCE = (("vr_min", "worst direction (VR min)"), ("vr_ld", "typical direction (VR ld)"),
            ("vr_max", "most inflated (VR max)"), ("shift", "shift of the mean"), ("ffd", "Fr\u00e9chet distance"))  # fmt: skip


def variance(tables: Mapping[str, Any]) -> str | None:
    """Variance retained, before and after, with the floor that human text itself reaches."""
    shown = [(title, section(tables, key)) for key, title in (("balanced", "features that mixing balances"),
             ("held_out", "features that it never sees"))]  # fmt: skip
    shown = [(t, v) for t, v in shown if numbers(v.get("before")) or numbers(v.get("after"))]
    if not shown:
        return None

    def paint(figure: Any) -> None:
        grid = figure.subplots(len(shown), 2, squeeze=False, width_ratios=(3, 2), sharex="col")
        for axes_row, (title, table) in zip(grid, shown, strict=True):
            sets = {k: numbers(table.get(k)) for k in ("before", "after", "floor")}
            for axes, keys, ideal in ((axes_row[0], VARIANCE[:3], 1.0), (axes_row[1], VARIANCE[3:], 0.0)):
                for row, (key, _) in enumerate(keys):
                    ends = [sets[k][key] for k in ("before", "after") if key in sets[k]]
                    if len(ends) == 2:
                        axes.plot(ends, [row, row], color=d.GRID, linewidth=3, zorder=1)
                    for which, style in (("before", ("o", d.BEFORE, d.PAPER)), ("after", ("o", d.AFTER, d.AFTER)),
                                         ("floor", ("|", d.REFERENCE, d.REFERENCE))):  # fmt: skip
                        if key in sets[which]:
                            axes.plot([sets[which][key]], [row], style[0], color=style[1], markerfacecolor=style[2],
                                      markersize=14 if style[0] == "|" else 7, markeredgewidth=2 if style[0] == "|" else 1)
                axes.axvline(ideal, color=d.MUTED, linestyle=":", linewidth=1.1)
                _rows(axes, (label for _, label in keys))
            axes_row[0].set_title(title)
        grid[-1][0].set_xlabel("variance as a share of the reference's (1 is ideal)")
        grid[-1][1].set_xlabel("distance (0 is ideal)")
        _legend(figure, [_mark("before", d.BEFORE, "o", hollow=True), _mark("after", d.AFTER, "o"),
                         _mark("human text against human text", d.REFERENCE, "|")])

    return d.drawing("variance", 0.9 + 1.25 * len(shown), paint)


def weights(mixing: Mapping[str, Any]) -> str | None:
    """How many kept documents have which weight, on a logarithmic scale where the bins are spaced so."""
    table = section(mixing, "weights", "histogram")
    valid = _valid(table, table.get("counts"))
    if valid is None:
        return None
    edges, heights = valid

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        axes.stairs(heights, edges, fill=True, color=d.AFTER, alpha=0.85)
        if edges[0] > 0 and edges[-1] > 50 * edges[0]:
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(lambda x, _: value(x))
            axes.minorticks_off()
        if edges[0] <= 1 <= edges[-1]:
            axes.axvline(1, color=d.REFERENCE, linestyle="--", linewidth=1.2)
        axes.set_xlabel("weight (1 is the mean)")
        axes.set_ylabel("documents")
        axes.set_ylim(0, max(heights) * 1.08)
        axes.grid(axis="y")
        axes.yaxis.set_major_formatter(lambda y, _: count(y))
        axes.yaxis.set_major_locator(_integers(4))

    return d.drawing("weights", 2.4, paint)


def features(mixing: Mapping[str, Any]) -> str | None:
    """The worst balanced features: distance from the target before and after, in standard errors."""
    rows = [section(f) for f in listing(mixing.get("worst_features"))][:12]
    rows = [r for r in rows if number(r.get("before")) is not None or number(r.get("after")) is not None]
    if not rows:
        return None

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        for row, feature in enumerate(rows):
            ends = [number(feature.get(k)) for k in ("before", "after")]
            if None not in ends:
                axes.plot(ends, [row, row], color=d.GRID, linewidth=3, zorder=1)
            for at, colour, hollow in ((ends[0], d.BEFORE, True), (ends[1], d.AFTER, False)):
                if at is not None:
                    axes.plot([at], [row], "o", color=colour, markersize=7, markerfacecolor=d.PAPER if hollow else colour)
        axes.axvline(0, color=d.REFERENCE, linestyle="--", linewidth=1.2)
        _rows(axes, (short(feature.get("name")) for feature in rows))
        axes.set_xlabel("distance from the reference, in standard errors")
        _legend(figure, [_mark("before", d.BEFORE, "o", hollow=True), _mark("after", d.AFTER, "o")])

    return d.drawing("features", 0.95 + 0.29 * len(rows), paint)
