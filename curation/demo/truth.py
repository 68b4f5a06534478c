"""What a finished run did with human and LLM text, held against the truth that it was not told."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from curation.schema import LABELS

ORIGINS = ("human", "llm")
_COLUMNS = ("weight", "synthetic_label", "p_synthetic", "filter_reason", "cluster_id", "duplicate_of")
_DUPLICATES = ("exact_duplicate", "near_duplicate", "url_duplicate")
_LAST = (
    "This is a smoke test on text that the authors picked, by one model and on one machine. "
    "It is not an accuracy figure."
)
_HUMAN = (
    "The label `human` on LLM text: by its score fewer than one text in ten would be synthetic at even odds, and this\n"
    "was one. Generators that training did not know look human; weights rest on p_synthetic and the mix."
)

Rows = list[dict[str, Any]]


def compare(output: str, truth: str) -> str:
    """A comparison in plain text of the run in folder `output` with the Parquet file `truth` of `gather`.

    Reads OUT/kept and OUT/excluded, which must be Parquet with the added columns and `id`. Raises ValueError
    where the run has no kept Parquet shards, lacks a column, or shares no id with the truth.
    """
    known = {row["id"]: row for row in pq.read_table(truth).to_pylist()}
    kept = _read(output, "kept")
    if not kept:
        raise ValueError(f"{output}/kept holds no Parquet rows; run a job with run.format: parquet into {output} first")
    rows = [
        dict(row, **{"kept": is_kept, "truth": known[row["id"]]})
        for found, is_kept in ((kept, True), (_read(output, "excluded"), False))
        for row in found
        if row["id"] in known
    ]
    if not rows:
        raise ValueError(f"no id in {output} is in {truth}; is it the truth of this crawl?")
    lines = [
        *_counts(rows),
        "",
        *_labels(rows),
        *_reading(rows),
        *_share(rows, output),
        "",
        *_weights(rows),
        "",
        *_planted(rows, known),
        "",
        *_shards(rows),
    ]
    missing = len(known) - len({row["id"] for row in rows})
    if missing:
        lines += ["", f"{missing} documents of the truth are neither in kept nor in excluded."]
    return "\n".join([*lines, "", _LAST])


def _read(output: str, folder: str) -> Rows:
    rows: Rows = []
    for path in sorted((Path(output) / folder).glob("**/*.parquet")):
        present = pq.read_schema(path).names
        absent = [name for name in ("id", *_COLUMNS) if name not in present]
        if absent:
            raise ValueError(f"{path} has no column {', '.join(absent)}; compare needs a run without columns.prefix")
        rows += pq.read_table(path, columns=["id", *_COLUMNS]).cast(_schema()).to_pylist()
    return rows


def _schema() -> pa.Schema:
    numbers = {"weight", "p_synthetic"}
    return pa.schema([pa.field(n, pa.float64() if n in numbers else pa.string()) for n in ("id", *_COLUMNS)])


def _of(rows: Rows, origin: str) -> Rows:
    return [row for row in rows if row["truth"]["origin"] == origin]


def _by_origin(rows: Rows) -> tuple[str, str]:
    return str(len(_of(rows, "human"))), str(len(_of(rows, "llm")))


def _table(header: tuple[str, ...], body: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in [header, *body]) for column in range(len(header))]
    return [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in [header, *body]
    ]


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"


def _mean(values: list[float]) -> str:
    return f"{sum(values) / len(values):.3f}" if values else "-"


def _counts(rows: Rows) -> list[str]:
    removed = [row for row in rows if not row["kept"]]
    body = [("read", *_by_origin(rows))]
    for reason in sorted({row["filter_reason"] or "no reason" for row in removed}):
        found = [row for row in removed if (row["filter_reason"] or "no reason") == reason]
        body.append((f"removed: {reason.replace('_', ' ')}", *_by_origin(found)))
    duplicates = [row for row in removed if row["filter_reason"] in _DUPLICATES]
    body.append(("removed as duplicates", *_by_origin(duplicates)))
    body.append(("kept", *_by_origin([row for row in rows if row["kept"]])))
    return _table(("documents", "human", "LLM"), body)


def _labels(rows: Rows) -> list[str]:
    body: list[tuple[str, ...]] = []
    for label in LABELS:
        found = [row for row in rows if row["synthetic_label"] == label]
        cells = [
            f"{len(_of(found, origin))} ({_percent(len(_of(found, origin)), len(_of(rows, origin)))})"
            for origin in ORIGINS
        ]
        body.append((label, *cells))
    scored = [row for row in rows if row["p_synthetic"] is not None]
    means = (_mean([row["p_synthetic"] for row in _of(scored, origin)]) for origin in ORIGINS)
    body.append(("mean p_synthetic", *means))
    return _table(("label", "human", "LLM"), body)


def _reading(rows: Rows) -> list[str]:
    """How to read LLM text with the label `human`, where there is any."""
    missed = any(row["synthetic_label"] == "human" for row in _of(rows, "llm"))
    return ["", _HUMAN] if missed else []


def _share(rows: Rows, output: str) -> list[str]:
    """The true share beside the estimate, of the documents that can be judged, which those with p_synthetic are."""
    path = Path(output) / "report" / "report.json"
    synthetic = json.loads(path.read_text("utf-8")).get("synthetic", {}) if path.exists() else {}
    found = synthetic.get("prevalence") or {}
    scored = [row for row in rows if row["p_synthetic"] is not None]
    part = _percent(len(_of(scored, "llm")), len(scored))
    lines = ["", f"LLM share of the {len(scored)} documents that can be judged   {part}"]
    if found.get("estimate") is None:
        return lines
    estimate, low, high = (_percent(found[key], 1) for key in ("estimate", "low", "high"))
    covered = round(found.get("scored", len(scored)))
    only = "" if covered == len(scored) else f", from the {covered} of kinds that the reference covers"
    return [*lines, f"what the run estimated for them   {estimate} ({low} to {high}){only}"]


def _weights(rows: Rows) -> list[str]:
    kept = {origin: [row for row in _of(rows, origin) if row["kept"]] for origin in ORIGINS}
    weights = {origin: [row["weight"] for row in found if row["weight"] is not None] for origin, found in kept.items()}
    everything = sum(sum(values) for values in weights.values())
    read, left = len(rows), sum(map(len, kept.values()))
    human = len(kept["human"])
    return [
        *_table(("weight", "human", "LLM"), [("mean of kept", *(_mean(weights[origin]) for origin in ORIGINS))]),
        "",
        f"human share of the documents read   {_percent(len(_of(rows, 'human')), read)}",
        f"human share of the documents kept   {_percent(human, left)}",
        f"human share of the weight           {_percent(sum(weights['human']), everything)}",
    ]


def _planted(rows: Rows, known: dict[str, dict[str, Any]]) -> list[str]:
    cluster = {row["id"]: row["cluster_id"] for row in rows}
    lines = []
    for kind in ("exact", "near"):
        pairs = [(row["id"], row["duplicate_of"]) for row in known.values() if row["planted"] == kind]
        found = [
            pair for pair in pairs if cluster.get(pair[0]) is not None and cluster[pair[0]] == cluster.get(pair[1])
        ]
        lines.append(f"planted {kind} duplicates found   {len(found)} of {len(pairs)}")
    return lines


def _shards(rows: Rows) -> list[str]:
    body: list[tuple[str, ...]] = []
    for shard in sorted({row["truth"]["shard"] for row in rows}):
        here = [row for row in rows if row["truth"]["shard"] == shard]
        labelled = sum(row["synthetic_label"] == "synthetic" for row in here)
        body.append((shard, str(len(here)), _percent(len(_of(here, "llm")), len(here)), _percent(labelled, len(here))))
    return _table(("shard", "documents", "LLM in truth", "labelled synthetic"), body)
