"""Matplotlib as a writer of small, deterministic, theme-aware inline SVG.

Colours are placeholders that become CSS variables, so one drawing serves light, dark and print. Text stays
text. Ids are made unique in the page, since many drawings stand in one document. Nothing here imports
matplotlib at import.
"""

import re
import warnings
from collections.abc import Callable, Iterable
from typing import Any

from curation.report.words import share

# Placeholders, used for nothing else. Data colours follow Okabe and Ito, "Color universal
# design" (2008), and are set in page.css.
INK, MUTED, GRID, PAPER = "#010203", "#010204", "#010205", "#010206"
KEPT, EXCLUDED, QUARANTINED = "#010207", "#010208", "#010209"
BEFORE, AFTER, REFERENCE, BAD = "#01020a", "#01020b", "#01020c", "#01020d"
VARIABLES = {
    INK: "ink", MUTED: "muted", GRID: "grid", PAPER: "paper", KEPT: "kept", EXCLUDED: "excluded",
    QUARANTINED: "quarantined", BEFORE: "before", AFTER: "after", REFERENCE: "reference", BAD: "bad",
}  # fmt: skip

WIDTH = 9.0  # inches; the page scales drawings to its own width

_RC: dict[Any, Any] = {
    "svg.fonttype": "none", "svg.hashsalt": "curation", "text.parse_math": False, "font.size": 9.5,
    "font.family": "sans-serif", "axes.spines.top": False, "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.edgecolor": MUTED, "axes.labelcolor": MUTED, "axes.titlecolor": INK, "text.color": INK,
    "xtick.color": MUTED, "ytick.color": INK, "ytick.left": False, "axes.grid": True, "axes.grid.axis": "x",
    "grid.color": GRID, "grid.linewidth": 0.8, "axes.axisbelow": True, "axes.titlesize": 9.5,
    "axes.titlelocation": "left", "legend.frameon": False, "legend.fontsize": 9, "hatch.linewidth": 0.8,
    "hatch.color": PAPER, "figure.facecolor": "none", "axes.facecolor": "none", "axes.unicode_minus": True,
    "svg.image_inline": True, "path.simplify": False, "axes.formatter.useoffset": False,
}  # fmt: skip


def drawing(name: str, height: float, paint: Callable[[Any], None]) -> str:
    """Inline SVG of a figure WIDTH by `height` inches that `paint(figure)` fills; `name` is an id prefix."""
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
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->|<style[^>]*>.*?</style>", "", svg, flags=re.DOTALL)
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg))

    def tag(match: re.Match[str]) -> str:
        # only inside tags, where no text from data stands
        text = match.group(0)
        text = re.sub(r' id="([^"]*)"', lambda m: f' id="{name}-{m[1]}"' if m[1] in used else "", text)
        text = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", text)
        text = re.sub(r"font-family: [^;\"]*;? ?", "", text)
        text = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", text)
        text = re.sub(r"#0102[0-9a-f]{2}", lambda m: f"var(--{VARIABLES[m[0]]})", text)
        return text.replace("xlink:href", "href")

    svg = re.sub(r"<[^>]+>", tag, svg)
    box = re.search(r'viewBox="[^"]+"', svg)
    svg = re.sub(
        r"<svg[^>]*>", f'<svg {box[0] if box else ""} aria-hidden="true" focusable="false">', svg, count=1
    )
    return re.sub(r"\n\s*", "\n", svg).strip()


def standalone(svg: str) -> str:
    """A drawing as a file of its own: white paper, and the colours of the light page in place of its variables."""
    from importlib.resources import files

    css = files("curation.report").joinpath("page.css").read_text("utf-8")
    colours = dict(re.findall(r"--([a-z-]+):(#[0-9a-f]+)", css[: css.index("@media")]))
    box = re.search(r'viewBox="([^"]+)"', svg)
    place = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    svg = re.sub(r'<svg ([^>]*?) aria-hidden="true" focusable="false">', rf"<svg \1 {place}>", svg, count=1)
    paper = ' width="100%" height="100%" fill="#fff"/>'
    left, top, *_ = (box[1] if box else "0 0").split()
    style = "<style>text{font-family:sans-serif}</style>"
    svg = re.sub(r"(<svg[^>]*>)", rf'\1{style}<rect x="{left}" y="{top}"{paper}', svg, count=1)
    return re.sub(r"var\(--([a-z-]+)\)", lambda m: colours.get(m[1], "#000"), svg) + "\n"


def rows(axes: Any, labels: Iterable[str], size: float = 9.0) -> None:
    """One labelled row per name, the first on top."""
    names = list(labels)
    axes.set_yticks(range(len(names)), names, fontsize=size)
    axes.set_ylim(len(names) - 0.4, -0.6)


def percent(axes: Any) -> None:
    """Shares along x."""
    axes.xaxis.set_major_formatter(lambda x, _: share(round(x, 6)))


def legend(figure: Any, handles: Any, columns: int = 5) -> None:
    """A legend above the drawing."""
    figure.legend(
        handles=handles, loc="outside upper left", ncols=columns, handlelength=1.6, columnspacing=1.6
    )


def mark(label: str, colour: str, marker: str, hollow: bool = False, line: Any = "none") -> Any:
    """A legend entry: a mark, hollow or filled, or a line."""
    from matplotlib.lines import Line2D

    face = PAPER if hollow else colour
    return Line2D(
        [],
        [],
        color=colour,
        marker=marker,
        markersize=7,
        linestyle=line,
        label=label,
        markerfacecolor=face,
        markeredgecolor=colour,
    )


def patch(label: str, colour: str, alpha: float = 0.55, hatch: str = "") -> Any:
    """A legend entry for an area."""
    from matplotlib.patches import Patch

    return Patch(facecolor=colour, alpha=alpha, hatch=hatch, edgecolor=PAPER, label=label)


def locator(most: int, integer: bool = False) -> Any:
    """At most `most` ticks, at whole numbers when asked to."""
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(most, integer=integer)
