"""The drawings of diversity, variance and weights; `plots` has the others and what holds for all."""

from collections.abc import Mapping, Sequence
from typing import Any

from curation.report import drawing as d
from curation.report.plots import SHARDS, bins
from curation.report.unusual import Unusual, baselines, deviates
from curation.report.words import clean, count, labels, listing, number, numbers, section, short, value

PANELS = 6  # statistics drawn by shard


def statistics(diversity: Mapping[str, Any]) -> str | None:
    """Every statistic of the whole, before and after, in spreads from the reference."""
    base = baselines(diversity)
    before, after = (numbers(section(diversity, k, "total")) for k in ("before", "after"))
    entries = section(diversity, "statistics")
    names = [
        n
        for n in entries
        if n in base and n in numbers(diversity.get("reference")) and (n in before or n in after)
    ]
    if not names:
        return None

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        reach = 1.0
        for row, name in enumerate(names):
            at = [
                (v[name] - base[name].value) / base[name].scale if name in v else None
                for v in (before, after)
            ]
            known = [x for x in at if x is not None]
            reach = max(reach, *(abs(x) for x in known))
            if len(known) == 2:
                axes.plot(known, [row, row], color=d.MUTED, alpha=0.35, linewidth=3, zorder=1)
            for x, colour, hollow in ((at[0], d.BEFORE, True), (at[1], d.AFTER, False)):
                if x is not None:
                    axes.plot(
                        [x],
                        [row],
                        "o",
                        color=colour,
                        markersize=7,
                        markerfacecolor=d.PAPER if hollow else colour,
                    )
        for row, name in enumerate(names):
            worse = section(entries.get(name)).get("worse")
            for side in (1, -1):
                if worse == {1: "up", -1: "down"}[side] or worse not in ("up", "down"):
                    axes.barh(row, side * reach * 1.1, height=0.86, color=d.BAD, alpha=0.08, zorder=0)
        axes.axvline(0, color=d.REFERENCE, linestyle="--", linewidth=1.3)
        axes.set_xlim(-reach * 1.1, reach * 1.1)
        d.rows(axes, (clean(section(entries.get(n)).get("title") or n, 44) for n in names))
        axes.set_xlabel("distance from the reference, in spreads of its shards")
        axes.xaxis.set_major_formatter(lambda x, _: f"{x:+g}" if x else "0")
        d.legend(
            figure,
            [
                d.mark("before", d.BEFORE, "o", hollow=True),
                d.mark("after", d.AFTER, "o"),
                d.mark("reference", d.REFERENCE, "", line="--"),
                d.patch("the bad side", d.BAD, 0.14),
            ],
        )

    return d.drawing("statistics", 0.95 + 0.31 * len(names), paint)


def shards(diversity: Mapping[str, Any], ranked: Sequence[Unusual]) -> str | None:
    """Shards (the least usual first) by the statistics that set them apart most, before and after."""
    base, entries = baselines(diversity), section(diversity, "statistics")
    before, after = (section(diversity, k, "shards") for k in ("before", "after"))
    shown = [u.shard for u in ranked[:SHARDS]]
    apart = {
        n: max(
            (abs(v[n] - base[n].value) / base[n].scale for s in shown if n in (v := numbers(before[s]))),
            default=-1.0,
        )
        for n in entries
        if n in base
    }
    names = [n for n in sorted(apart, key=lambda n: -apart[n])[:PANELS] if apart[n] >= 0]
    names = [n for n in entries if n in names]
    if not shown or not names:
        return None

    def paint(figure: Any) -> None:
        grid = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
        for axes, name in zip(grid, names, strict=True):
            entry = section(entries.get(name))
            ends = [numbers(before.get(shard)).get(name) for shard in shown]
            moved = [numbers(after.get(shard)).get(name) for shard in shown]
            far = [
                at is not None and deviates(at, base[name], entry.get("worse"))
                for at in ends
            ]
            both = [(r, x, y) for r, (x, y) in enumerate(zip(ends, moved, strict=True)) if None not in (x, y)]
            axes.hlines(
                [r for r, _, _ in both],
                [x for _, x, _ in both],
                [y for _, _, y in both],
                color=d.MUTED,
                linewidth=1,
                zorder=1,
            )
            filled = {"color": d.AFTER, "marker": "o", "markersize": 4}
            hollow = {"color": d.BEFORE, "marker": "o", "markersize": 4.5, "markerfacecolor": d.PAPER}
            _points(axes, moved, [True] * len(shown), filled)
            _points(axes, ends, [not f for f in far], hollow)
            _points(axes, ends, far, {"color": d.BAD, "marker": "D", "markersize": 6.5})
            axes.axvline(base[name].value, color=d.REFERENCE, linestyle="--", linewidth=1.2, zorder=0)
            arrow = {"up": " \u2192 bad", "down": "bad \u2190 "}.get(str(entry.get("worse")), "")
            title = short(entry.get("title") or name, 19)
            axes.set_title(f"{title}\n{arrow.strip() or 'either side bad'}", fontsize=8.5)
            axes.tick_params(axis="x", labelsize=8)
            axes.xaxis.set_major_locator(d.locator(3))
            axes.grid(axis="y", linewidth=0.5)
        d.rows(grid[0], labels(shown, 28), size=8.0)
        which = base[names[0]].name
        d.legend(
            figure,
            [
                d.mark("before", d.BEFORE, "o", hollow=True),
                d.mark("after", d.AFTER, "o"),
                d.mark("far on the bad side, before", d.BAD, "D"),
                d.mark(which, d.REFERENCE, "", line="--"),
            ],
        )

    return d.drawing("shards", 1.15 + 0.2 * len(shown), paint)


def _points(axes: Any, at: Sequence[float | None], shown: Sequence[bool], style: dict[str, Any]) -> None:
    rows = [row for row, x in enumerate(at) if x is not None and shown[row]]
    axes.plot([at[row] for row in rows], rows, linestyle="none", **style)


VARIANCE = (
    ("vr_min", "worst direction (VR min)"),
    ("vr_ld", "typical direction (VR ld)"),
    ("vr_max", "most inflated (VR max)"),
    ("shift", "shift of the mean"),
    ("ffd", "Fr\u00e9chet distance"),
)


def variance(tables: Mapping[str, Any]) -> str | None:
    """Variance retained, before and after, with the floor that human text itself reaches."""
    shown = [
        (title, section(tables, key))
        for key, title in (
            ("balanced", "features that balancing fits"),
            ("held_out", "features that balancing never sees"),
        )
    ]
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
                        axes.plot(ends, [row, row], color=d.MUTED, alpha=0.35, linewidth=3, zorder=1)
                    for which, style in (
                        ("before", ("o", d.BEFORE, d.PAPER)),
                        ("after", ("o", d.AFTER, d.AFTER)),
                        ("floor", ("|", d.REFERENCE, d.REFERENCE)),
                    ):
                        if key in sets[which]:
                            axes.plot(
                                [sets[which][key]],
                                [row],
                                style[0],
                                color=style[1],
                                markerfacecolor=style[2],
                                markersize=14 if style[0] == "|" else 7,
                                markeredgewidth=2 if style[0] == "|" else 1,
                            )
                axes.axvline(ideal, color=d.MUTED, linestyle=":", linewidth=1.1)
                d.rows(axes, (label for _, label in keys))
            axes_row[0].set_title(title)
        grid[-1][0].set_xlabel("variance as a share of the reference's (1 is ideal)")
        grid[-1][1].set_xlabel("distance (0 is ideal)")
        d.legend(
            figure,
            [
                d.mark("before", d.BEFORE, "o", hollow=True),
                d.mark("after", d.AFTER, "o"),
                d.mark("human text against human text", d.REFERENCE, "|"),
            ],
        )

    return d.drawing("variance", 0.9 + 1.25 * len(shown), paint)


def weights(mixing: Mapping[str, Any]) -> str | None:
    """How many kept documents have which weight, on a logarithmic scale where the bins are spaced so."""
    table = section(mixing, "weights", "histogram")
    valid = bins(table, table.get("counts"))
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
        axes.yaxis.set_major_locator(d.locator(4, integer=True))

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
                axes.plot(ends, [row, row], color=d.MUTED, alpha=0.35, linewidth=3, zorder=1)
            for at, colour, hollow in ((ends[0], d.BEFORE, True), (ends[1], d.AFTER, False)):
                if at is not None:
                    axes.plot(
                        [at],
                        [row],
                        "o",
                        color=colour,
                        markersize=7,
                        markerfacecolor=d.PAPER if hollow else colour,
                    )
        axes.axvline(0, color=d.REFERENCE, linestyle="--", linewidth=1.2)
        d.rows(axes, (short(feature.get("name")) for feature in rows))
        axes.set_xlabel("distance from the reference, in standard errors")
        d.legend(figure, [d.mark("before", d.BEFORE, "o", hollow=True), d.mark("after", d.AFTER, "o")])

    return d.drawing("features", 0.95 + 0.29 * len(rows), paint)
