"""What `curation measure` gives beside the report: a table on the terminal, statistics.parquet, drawings as files."""

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from curation import io
from curation.report import unusual as ranking
from curation.report.words import number, section, share, value

ROWS = 40  # shards on the terminal
#: columns on the terminal: those that tell most, by what they stand for
COLUMNS = (
    "entropy", "hapax_mass", "tail_coverage", "self_repetition_8", "skeleton_templates", "style_convergence",
    "polarity_disagreement", "far_documents",
)  # fmt: skip
FEATURES = {"balanced": "features that balancing fits", "held_out": "features that balancing never sees"}
VARIANCE = (
    ("vr_min", "VR min"), ("vr_ld", "VR ld"), ("vr_max", "VR max"), ("shift", "mean shift"), ("ffd", "Frechet"),
)  # fmt: skip
_SCHEMA = pa.schema(
    [
        ("side", pa.string()),  # before or after curation
        ("level", pa.string()),  # total, source or shard
        ("name", pa.string()),
        ("statistic", pa.string()),
        ("value", pa.float64()),  # over blocks of 350 documents, but for novelty and contradiction in threads
        ("reason", pa.string()),  # why there is no value
        ("reference", pa.float64()),
        ("spread", pa.float64()),  # standard deviation between blocks of the reference
        ("marked", pa.bool_()),  # far on the bad side, of the reference and among the shards
    ]
)


def text(diversity: Mapping[str, Any]) -> str:
    """The table of shards, the least like the reference first, and of sources below them; outlying shards marked *."""
    if not section(diversity, "statistics"):
        return ""
    entries, before = section(diversity, "statistics"), section(diversity, "before")
    names = [name for name in COLUMNS if name in entries]
    titles = [str(section(entries[name]).get("title") or name) for name in names]
    ranked = ranking.unusual(diversity)
    shards, reasons = section(before, "shards"), section(before, "shard_reasons")
    lines = [["", *titles]]
    for item in ranked[:ROWS]:
        row = section(shards.get(item.shard))
        cells = [reasons[item.shard]] if item.shard in reasons else [_cell(row.get(name)) for name in names]
        lines.append([("* " if item.marked else "  ") + item.shard, *cells])
    if len(ranked) > ROWS:
        lines.append([f"  and {len(ranked) - ROWS:,} more in report/statistics.parquet"])
    for name, row in section(before, "sources").items():
        lines.append([f"  source {name}", *(_cell(section(row).get(n)) for n in names)])
    reference = section(diversity, "reference")
    if reference:
        lines.append(["  reference", *(_cell(reference.get(n)) for n in names)])
    whole = [line for line in lines if len(line) == len(names) + 1]
    widths = [max(len(line[i]) for line in whole) for i in range(len(names) + 1)]
    shown = []
    for line in lines:
        rest = "  ".join(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=False))
        shown.append(f"{line[0].ljust(widths[0])}  {rest}".rstrip())
    split = number(section(before, "split").get("between_share"))
    if split is not None:
        shown.append(f"{share(split)} of the variance of style lies between sources")
    if diversity.get("reference_reason"):
        shown.append(f"not comparable: {diversity['reference_reason']}")
    marked = sum(item.marked for item in ranked)
    against = "the reference" if reference else "the median shard"
    shown.append(f"{marked:,} of {len(ranked):,} shards marked *: far on the bad side of {against}")
    return "\n".join(shown)


def variance_text(variance: Mapping[str, Any]) -> str:
    """Variance beside that of the reference, for a terminal; what one half of the reference scores against the other
    stands under it. Empty where nothing was compared."""
    if not any(section(variance, features) for features in FEATURES):
        return ""
    lines = [["", *(title for _, title in VARIANCE)]]
    for features, title in FEATURES.items():
        table = section(variance, features)
        for side, name in (("before", title), ("after", "  weighed"), ("floor", "  human against human")):
            found = section(table, side)
            lines.append([f"  {name}", *(_cell(found.get(key)) for key, _ in VARIANCE)])
        if table.get("reason"):
            lines.append([f"  {table['reason']}"])
    widths = [max(len(line[i]) for line in lines if len(line) > i) for i in range(len(VARIANCE) + 1)]
    shown = [
        f"{line[0].ljust(widths[0] if line[1:] else 0)}  "
        + "  ".join(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=False))
        for line in lines
    ]
    return "\n".join(["variance beside the reference's (1 1 1 0 0 are as there)", *(line.rstrip() for line in shown)])


def _cell(found: Any) -> str:
    return value(found) if number(found) is not None else "-"


def _rows(diversity: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    entries, reference = section(diversity, "statistics"), section(diversity, "reference")
    marks = {(item.shard, why.statistic) for item in ranking.unusual(diversity) for why in item.reasons}
    for side in ("before", "after"):
        found = section(diversity, side)
        groups = [("total", {"": section(found, "total")})]
        groups += [(level, section(found, level + "s")) for level in ("source", "shard")]
        for level, members in groups:
            for name, values in members.items():
                why = section(found, "shard_reasons").get(name) if level == "shard" else None
                for statistic in entries:
                    at = number(section(values).get(statistic))
                    yield {
                        "side": side,
                        "level": level,
                        "name": name,
                        "statistic": statistic,
                        "value": at,
                        "reason": (why or "cannot be told from this text") if at is None else None,
                        "reference": number(reference.get(statistic)),
                        "spread": number(section(entries[statistic]).get("scale")),
                        "marked": side == "before" and level == "shard" and (name, statistic) in marks,
                    }


def write(output: str, report: Mapping[str, Any]) -> None:
    """Write report/statistics.parquet and the drawings of diversity and variance as report/plots/NAME.svg."""
    from curation.report import standalone_drawings

    diversity = section(report, "diversity")
    if not section(diversity, "statistics"):
        return
    buffer = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(list(_rows(diversity)), _SCHEMA), buffer, compression="zstd")
    url, data = f"{output}/report/statistics.parquet", buffer.getvalue().to_pybytes()
    if not io.exists(url) or io.open_file(url).read() != data:  # a finished run leaves its Parquet files alone
        with io.atomic(url) as file:
            file.write(data)
    for name, svg in standalone_drawings(report).items():
        with io.atomic(f"{output}/report/plots/{name}.svg") as file:
            file.write(svg.encode("utf-8"))
