"""The drawings that show what the statistics are made of: rank-frequency curves, and shards in the space of style."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from curation.report import drawing as d
from curation.report.unusual import Unusual
from curation.report.words import clean, listing, number, section, short

NAMED = 12  # shards with a name in the drawing
#: what a high value of a scalar sounds like
SOUNDS = {
    "log_words": "longer documents",
    "log_sentence_length": "longer sentences",
    "log_sentence_length_sd": "sentences of uneven length",
    "type_token_ratio": "more different words",
    "hapax_share": "more words used once",
    "word_length": "longer words",
    "capitalised_share": "more capitals",
    "number_share": "more numbers",
    "punctuation_share": "more punctuation",
    "surprisal": "rarer words",
    "surprisal_sd": "rare beside common words",
    "bigram_surprisal": "less expected words",
    "tail_share": "more words outside common English",
    "function_word_share": "more function words",
    "negation_rate": "more negation",
    "novelty": "more unseen word pairs",
}
_OPPOSITE = {"more": "fewer", "longer": "shorter", "rarer": "commoner", "less": "more"}


def ranks(diversity: Mapping[str, Any]) -> str | None:
    """Frequency of words by rank, of the crawl before and after and of the reference."""
    curves = {}
    for name in ("reference", "before", "after"):
        curve = section(diversity, "ranks", name)
        xs, ys = ([number(v) for v in listing(curve.get(key))] for key in ("rank", "share"))
        points = [(x, y) for x, y in zip(xs, ys, strict=False) if x is not None and y is not None and x > 0 and y > 0]
        if len(points) > 1:
            curves[name] = points
    if not curves or list(curves) == ["reference"]:
        return None
    styles = {"reference": (d.REFERENCE, "--"), "before": (d.BEFORE, "-"), "after": (d.AFTER, ":")}

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        for name, points in curves.items():
            colour, line = styles[name]
            axes.plot([x for x, _ in points], [y for _, y in points], line, color=colour, linewidth=1.8)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("words, from the commonest (1) to the rarest")
        axes.set_ylabel("share of all words")
        axes.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}")
        axes.yaxis.set_major_formatter(lambda y, _: f"{y:.0%}" if y >= 0.01 else f"1 in {1 / y:,.0f}")
        axes.tick_params(axis="y", left=True)
        axes.grid(axis="y", linewidth=0.5)
        names = {"reference": "reference", "before": "the crawl, before", "after": "after"}
        d.legend(figure, [d.mark(names[n], styles[n][0], "", line=styles[n][1]) for n in curves])

    return d.drawing("ranks", 3.6, paint)


def space(diversity: Mapping[str, Any], ranked: Sequence[Unusual]) -> str | None:
    """The shards in the two directions in which they differ most, with the spread of single documents around them."""
    found = section(diversity, "space")
    shards = {
        str(name): (x, y)
        for name, at in section(found, "shards").items()
        if len(listing(at)) == 2 and (x := number(at[0])) is not None and (y := number(at[1])) is not None
    }
    axes_named = listing(found.get("axes"))
    spread = [[number(v) for v in listing(row)] for row in listing(found.get("covariance"))]
    if len(shards) < 3 or len(axes_named) != 2 or len(spread) != 2:
        return None
    marked = {u.shard for u in ranked if u.marked}
    order = [u.shard for u in ranked if u.shard in shards]
    named = [name for name in order if name in marked][:NAMED]
    about = "the reference" if found.get("centre") == "reference" else "the crawl"

    def paint(figure: Any) -> None:
        from matplotlib.patches import Ellipse

        axes = figure.subplots()
        a, b, c = (spread[0][0] or 0.0), (spread[0][1] or 0.0), (spread[1][1] or 0.0)
        middle, half = (a + c) / 2, math.hypot((a - c) / 2, b)
        angle = math.degrees(math.atan2(2 * b, a - c) / 2)
        size = [2 * math.sqrt(max(v, 0.0) * 1.386) for v in (middle + half, middle - half)]  # holds half of a Gaussian
        axes.add_patch(Ellipse((0, 0), *size, angle=angle, facecolor=d.REFERENCE, alpha=0.12, edgecolor="none"))
        axes.plot([0], [0], "+", color=d.REFERENCE, markersize=13, markeredgewidth=2)
        plain = [shards[name] for name in shards if name not in marked]
        at = [x for x, _ in plain], [y for _, y in plain]
        axes.plot(*at, "o", color=d.BEFORE, markerfacecolor=d.PAPER, markersize=6)
        far = [shards[name] for name in shards if name in marked]
        axes.plot([x for x, _ in far], [y for _, y in far], "D", color=d.BAD, markersize=7, linestyle="none")
        for name in named:
            text = short(name.rsplit("/", 1)[-1].removesuffix(".parquet"), 30)
            axes.annotate(text, shards[name], xytext=(7, 5), textcoords="offset points", fontsize=8.5, color=d.INK)
        axes.set_xlabel(f"\u2192 {_axis(axes_named[0])}")
        axes.set_ylabel(f"\u2192 {_axis(axes_named[1])}")
        axes.margins(0.18)
        axes.grid(axis="y", linewidth=0.5)
        axes.tick_params(axis="y", left=True)
        legend = [d.mark("shard", d.BEFORE, "o", hollow=True), d.mark("shard to look at", d.BAD, "D")]
        legend.append(d.mark(f"{about}: its middle", d.REFERENCE, "+"))
        legend.append(d.patch(f"half of the documents of {about}", d.REFERENCE, 0.2))
        d.legend(figure, legend)

    return d.drawing("space", 4.8, paint)


def _axis(loadings: Any) -> str:
    """`longer words, fewer capitals, ...`: what documents are like towards the far end of an axis."""
    words = []
    for name, weight in (pair for pair in listing(loadings) if len(listing(pair)) == 2):
        sound = SOUNDS.get(str(name), clean(name, 40))
        if (number(weight) or 0.0) < 0:
            first, _, rest = sound.partition(" ")
            sound = f"{_OPPOSITE[first]} {rest}" if first in _OPPOSITE else f"fewer {sound}"
        words.append(sound)
    return ", ".join(words[:2])
