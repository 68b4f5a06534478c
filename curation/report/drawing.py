"""Matplotlib as a writer of small, deterministic, theme-aware inline SVG.

Colours are placeholders that become CSS variables, so one drawing serves light, dark and print. Text stays text. Ids
are made unique in the page, since many drawings stand in one document. Nothing here imports matplotlib at import.
"""

import re
import warnings
from collections.abc import Callable
from typing import Any

# Placeholders: colours that no drawing uses for themselves. Data colours follow Okabe and Ito, "Color universal
# design" (2008), and are set in page.css.
INK, MUTED, GRID, PAPER = "#010203", "#010204", "#010205", "#010206"
KEPT, EXCLUDED, QUARANTINED = "#010207", "#010208", "#010209"
BEFORE, AFTER, REFERENCE, BAD = "#01020a", "#01020b", "#01020c", "#01020d"
VARIABLES = {
    INK: "ink", MUTED: "muted", GRID: "grid", PAPER: "paper", KEPT: "kept", EXCLUDED: "excluded",
    QUARANTINED: "quarantined", BEFORE: "before", AFTER: "after", REFERENCE: "reference", BAD: "bad",
}  # fmt: skip

WIDTH = 9.0  # inches; the page scales drawings to its own width

_RC = {
    "svg.fonttype": "none", "svg.hashsalt": "curation", "text.parse_math": False, "font.size": 9.5,
    "font.family": "sans-serif", "axes.spines.top": False, "axes.spines.right": False, "axes.spines.left": False,
    "axes.edgecolor": MUTED, "axes.labelcolor": MUTED, "axes.titlecolor": INK, "text.color": INK,
    "xtick.color": MUTED, "ytick.color": INK, "ytick.left": False, "axes.grid": True, "axes.grid.axis": "x",
    "grid.color": GRID, "grid.linewidth": 0.8, "axes.axisbelow": True, "axes.titlesize": 9.5,
    "axes.titlelocation": "left", "legend.frameon": False, "legend.fontsize": 9, "hatch.linewidth": 0.8,
    "hatch.color": PAPER, "figure.facecolor": "none", "axes.facecolor": "none", "axes.unicode_minus": True,
    "svg.image_inline": True, "path.simplify": False, "axes.formatter.useoffset": False,
}  # fmt: skip


def drawing(name: str, height: float, paint: Callable[[Any], None]) -> str:
    """Inline SVG of a figure WIDTH by `height` inches, painted by `paint(figure)`; `name` is unique in the page."""
    import io

    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*[Gg]lyph.*")  # the browser's fonts will have it
        matplotlib.rcdefaults()  # a user's style file must not change the report
        matplotlib.rcParams.update(_RC)
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        FigureCanvasSVG(figure)
        paint(figure)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return _inline(buffer.getvalue(), name)


def _inline(svg: str, name: str) -> str:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", svg, flags=re.DOTALL)
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg))

    def tag(match: re.Match[str]) -> str:
        # only inside tags, where no text from data stands
        text = match.group(0)
        text = re.sub(r' id="([^"]*)"', lambda m: f' id="{name}-{m[1]}"' if m[1] in used else "", text)
        text = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", text)
        text = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", text)
        text = re.sub(r"#0102[0-9a-f]{2}", lambda m: f"var(--{VARIABLES[m[0]]})", text)
        return text.replace("xlink:href", "href")

    svg = re.sub(r"<[^>]+>", tag, svg)
    box = re.search(r'viewBox="[^"]+"', svg)
    svg = re.sub(r"<svg[^>]*>", f"<svg {box[0] if box else ''} aria-hidden=\"true\" focusable=\"false\">", svg, count=1)
    return re.sub(r"\n\s*", "\n", svg).strip()
