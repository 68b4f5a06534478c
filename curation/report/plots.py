"""The drawings of the page: each takes a part of the report and gives inline SVG, or None when it has nothing
to show.

Meaning never rests on colour alone: hollow and filled marks, shapes, hatching and labels say the same.
"""

from collections.abc import Mapping
from typing import Any

from curation.report import drawing as d
from curation.report.words import (
    clean,
    count,
    labels,
    listing,
    number,
    numbers,
    phrase,
    ratio,
    section,
    share,
    short,
)

SHARDS = 40  # drawn shards; the table counts the rest
HISTOGRAMS = 6  # sources with a score histogram of their own
ROW = 0.24  # inches


def flow(documents: Mapping[str, Any]) -> str | None:
    """What became of each source: shares of what was read, kept, excluded by reason and quarantined."""
    sources = {
        k: section(v) for k, v in section(documents, "by_source").items() if ratio(section(v).get("read"), 1)
    }
    names = sorted(sources, key=lambda name: (-(number(sources[name].get("read")) or 0), name))[:SHARDS]
    if not names:
        return None

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        parts = (
            ("kept", d.KEPT, ""),
            ("excluded", d.EXCLUDED, "////"),
            ("quarantined", d.QUARANTINED, "xxxx"),
        )
        for row, name in enumerate(names):
            left = 0.0
            for part, colour, hatch in parts:
                width = ratio(sources[name].get(part), sources[name].get("read")) or 0.0
                if width > 0:
                    axes.barh(row, width, left=left, color=colour, hatch=hatch, height=0.62, linewidth=0)
                    left += width
            kept = ratio(sources[name].get("kept"), sources[name].get("read"))
            axes.text(
                1.012, row, f"{share(kept)} of {count(sources[name]['read'])} kept", va="center", fontsize=9
            )
        d.rows(axes, (short(name) for name in names))
        axes.set_xlim(0, 1.26)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1.0])
        d.percent(axes)
        d.legend(figure, [d.patch(p, c, 1.0, h) for p, c, h in parts])

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
            axes.annotate(
                count(counts[key]),
                (counts[key], row),
                xytext=(5, 0),
                textcoords="offset points",
                va="center",
                fontsize=9,
            )
        d.rows(axes, (short(n) for n in names))
        axes.set_xlim(0, max(counts[n] for n in names) * 1.12)
        axes.xaxis.set_major_locator(d.locator(5, integer=True))
        axes.xaxis.set_major_formatter(lambda x, _: count(x))
        axes.set_xlabel(unit)

    return d.drawing(name, 0.6 + 0.3 * len(names), paint)


def removed_by_source(duplicates: Mapping[str, Any]) -> str | None:
    """Duplicates removed from each source."""
    counts = {clean(k, 60): n for k, n in numbers(duplicates.get("by_source")).items() if n > 0}
    return _bars("removed", counts, d.EXCLUDED, "documents removed") if counts else None


def bins(histogram: Mapping[str, Any], counts: Any) -> tuple[list[float], list[float]] | None:
    """Edges and counts of a histogram that can be drawn, or None."""
    edges = [n for e in listing(histogram.get("edges")) if (n := number(e)) is not None]
    heights = [number(c) or 0.0 for c in listing(counts)]
    return (edges, heights) if heights and len(edges) == len(heights) + 1 and sum(heights) > 0 else None


def similarity(duplicates: Mapping[str, Any]) -> str | None:
    """Histogram of the similarity of near-duplicates to the document that was kept for them."""
    table = section(duplicates, "similarity")
    valid = bins(table, table.get("counts"))
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
        axes.yaxis.set_major_locator(d.locator(4, integer=True))

    return d.drawing("similarity", 2.4, paint)


def curves(duplicates: Mapping[str, Any]) -> str | None:
    """Pairs that were compared and documents that merged, by similarity, and the chance to be compared."""
    table = section(duplicates, "curves")
    compared, merged = bins(table, table.get("candidates")), bins(table, table.get("merged"))
    if compared is None:
        return None
    edges, heights = compared
    expected = [number(p) or 0.0 for p in listing(table.get("expected"))]

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        axes.stairs(heights, edges, fill=True, color=d.MUTED, alpha=0.35)
        if merged is not None:
            axes.stairs(merged[1], edges, fill=True, color=d.EXCLUDED, alpha=0.85)
        axes.grid(axis="y")
        axes.set_xlim(edges[0], edges[-1])
        axes.set_xlabel("estimated Jaccard similarity")
        axes.set_ylabel("pairs, documents")
        axes.set_ylim(0, max(heights) * 1.08)
        axes.yaxis.set_major_formatter(lambda y, _: count(y))
        axes.yaxis.set_major_locator(d.locator(4, integer=True))
        handles = [d.patch("pairs compared", d.MUTED, 0.35), d.patch("documents merged", d.EXCLUDED, 0.85)]
        if len(expected) == len(edges) - 1:
            other = axes.twinx()
            middles = [(a + b) / 2 for a, b in zip(edges[:-1], edges[1:], strict=True)]
            other.plot(middles, expected, color=d.INK, linewidth=1.2)
            other.grid(visible=False)
            other.set_ylim(0, 1.08)
            other.yaxis.set_major_formatter(lambda y, _: share(round(y, 6)))
            handles.append(d.mark("chance of a pair to be compared", d.INK, "", line="-"))
        d.legend(figure, handles)

    return d.drawing("curves", 2.6, paint)


def scores(synthetic: Mapping[str, Any]) -> str | None:
    """Score histograms of the largest sources over that of the human anchors, with the threshold."""
    table = section(synthetic, "histogram")
    counts = {k: v for k, c in section(table, "counts").items() if (v := bins(table, c))}
    names = sorted(counts, key=lambda name: (-sum(counts[name][1]), name))[:HISTOGRAMS]
    if not names:
        return None
    anchors, threshold = bins(table, table.get("anchors")), number(synthetic.get("threshold"))

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
                axes.stairs(
                    [h / total for h in anchors[1]], edges, color=d.INK, linewidth=1.3, linestyle="--"
                )
            if threshold is not None:
                axes.axvline(threshold, color=d.BAD, linewidth=1.4, linestyle=":")
            axes.set_title(f"{short(names[place], 26)}, {count(sum(heights))}")
            axes.set_yticks([])
            axes.grid(False)
            if place + columns >= len(names):  # nothing stands below
                axes.tick_params(axis="x", labelbottom=True)
                axes.set_xlabel("score (log odds of synthetic)")
        handles = [d.patch("documents of the source", d.AFTER)]
        handles += [d.mark("human anchors", d.INK, "", line="--")] if anchors else []
        handles += (
            [d.mark("threshold of the synthetic label", d.BAD, "", line=":")] if threshold is not None else []
        )
        d.legend(figure, handles)

    return d.drawing("scores", 0.9 + 1.5 * -(-len(names) // 3), paint)


def prevalence(name: str, table: Mapping[str, Any], overall: Mapping[str, Any]) -> str | None:
    """Estimates with intervals, the highest first; a dashed line marks the estimate for everything."""
    rows = {k: section(v) for k, v in table.items() if number(section(v).get("estimate")) is not None}
    names = sorted(rows, key=lambda key: (-float(rows[key]["estimate"]), key))[:SHARDS]
    if not names:
        return None

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        at = [float(rows[key]["estimate"]) for key in names]
        spans = [
            (row, number(rows[key].get("low")), number(rows[key].get("high")))
            for row, key in enumerate(names)
        ]
        spans = [span for span in spans if None not in span]
        axes.hlines(
            [s[0] for s in spans], [s[1] for s in spans], [s[2] for s in spans], color=d.BEFORE, linewidth=2.2
        )
        axes.plot(at, range(len(at)), "o", color=d.INK, markersize=5.5)
        most = max([*at, *(high or 0.0 for _, _, high in spans)])
        everything = number(overall.get("estimate"))
        if everything is not None:
            axes.axvline(everything, color=d.REFERENCE, linestyle="--", linewidth=1.2)
        d.rows(axes, labels(names))
        axes.set_xlim(-0.01 * max(most, 0.05), min(1.02, max(most, everything or 0.0, 0.05) * 1.06))
        d.percent(axes)
        handles = [d.mark("estimate", d.INK, "o"), d.mark("interval", d.BEFORE, "", line="-")]
        handles += [d.mark("all documents", d.REFERENCE, "", line="--")] if everything is not None else []
        d.legend(figure, handles)

    return d.drawing(name, 0.8 + ROW * len(names), paint)
