"""Perplexity and tails by generation, one SVG file each."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from collapselib.tables import TITLES, base, over_seeds, series, setting_title

# Okabe and Ito 2008
COLOURS = {
    "none": "#000000", "oracle": "#999999", "hard": "#e69f00", "soft": "#d55e00", "dsir": "#cc79a7",
    "ours-alone": "#56b4e9", "ours": "#0072b2",
}  # fmt: skip
FIELDS = {
    "perplexity": "perplexity of human text",
    "tail_perplexity": "perplexity of its tail tokens",
    "hapax": "hapax share of output",
    "tail_types": "tail types in output",
}
COLUMNS = 4


def draw(records: Sequence[dict[str, Any]], folder: Path) -> list[Path]:
    """Write FIELD.svg for every field, one panel a setting: means over seeds with their 95 % intervals."""
    import matplotlib

    matplotlib.use("svg")
    options: dict[Any, Any] = {"svg.hashsalt": "collapse", "svg.fonttype": "none", "font.size": 9}
    settings = list(dict.fromkeys(r["setting"] for r in records))
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with matplotlib.rc_context(options):
        for field, label in FIELDS.items():
            figure = _figure(records, settings, field, label)
            path = folder / f"{field}.svg"
            figure.savefig(path, metadata={"Date": None, "Creator": None}, bbox_inches="tight")
            text = path.read_text("utf-8")
            path.write_text("\n".join(line.rstrip() for line in text.splitlines()) + "\n", "utf-8")
            written.append(path)
    return written


def _figure(records: Sequence[dict[str, Any]], settings: Sequence[str], field: str, label: str) -> Any:
    from matplotlib.figure import Figure

    wide = min(COLUMNS, len(settings))
    high = math.ceil(len(settings) / wide)
    figure = Figure(figsize=(3.0 * wide, 2.5 * high), layout="constrained", facecolor="white")
    panels = np.atleast_1d(figure.subplots(high, wide, squeeze=False)).ravel()
    seeds = sorted({r["seed"] for r in records})
    for panel, setting in zip(panels, settings, strict=False):
        for rule, colour in COLOURS.items():
            shown = base(setting) if rule in ("none", "oracle") else setting  # neither looks at a reference
            lines = [line for s in seeds if (line := series(records, shown, rule, s, field))]
            if not lines:
                continue
            count = min(map(len, lines))
            points = [over_seeds([line[g] for line in lines]) for g in range(count)]
            means = np.array([p[0] for p in points])
            widths = np.nan_to_num(np.array([p[1] for p in points]))
            panel.plot(range(count), means, color=colour, linewidth=1.4, label=TITLES[rule])
            panel.fill_between(range(count), means - widths, means + widths, color=colour, alpha=0.15, linewidth=0)
        panel.set_title(setting_title(setting), fontsize=9, loc="left")
        panel.spines[["top", "right"]].set_visible(False)
        panel.set_xlabel("generation", fontsize=8)
        panel.xaxis.get_major_locator().set_params(integer=True)
    for panel in panels[len(settings) :]:
        panel.set_visible(False)
    figure.supylabel(label, fontsize=9)
    named = dict(zip(*reversed(panels[0].get_legend_handles_labels()), strict=True))
    figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    return figure
