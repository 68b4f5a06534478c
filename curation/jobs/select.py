"""Select: read the input once more beside its decisions, and write what is kept and what is excluded.

Nothing is decided here: every row takes the columns that resolve and weigh have found for it.
"""

from collections import Counter
from contextlib import ExitStack
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation import batch as batches
from curation import diversity, io, schema
from curation.annotate import threads_of
from curation.config import columns_of
from curation.dedup import cut_spans
from curation.errors import InputChanged
from curation.jobs import lines, stages
from curation.jobs.annotate import unpack_schema
from curation.jobs.decisions import Decided, Decisions
from curation.plan import Context, Job, Progress, Shard, Step
from curation.text import text_buffer, tokenise

EXAMPLE_CHARACTERS = 400


def steps(job: Job) -> list[Step]:
    """One step: every shard's kept and excluded files; what they count goes to decisions/select.json."""
    return [Step("select", "select", work=select_shard, finish=_counts)]


def _counts(job: Job, merged: list[dict[str, Any]], context: Context) -> None:
    stages.write_json(f"{job.config.output}/decisions/select.json", merged)


def outputs(job: Job, shard: Shard) -> dict[str, str]:
    """Paths of the shard's kept and excluded file, below the output folder."""
    name = io.output_relative(shard, job.config.run.format)
    folders = ("kept",) if job.config.run.excluded == "none" else ("kept", "excluded")
    return {folder: f"{folder}/{shard.source}/{name}" for folder in folders}


def after_path(job: Job, shard: Shard) -> str:
    """Statistics of what was kept of a shard."""
    return stages.decisions_path(job, "after", shard).removesuffix(".parquet") + ".state"


def select_shard(job: Job, shard: Shard, context: Context, progress: Progress) -> dict[str, Any]:
    """Write kept and excluded rows of a shard unless they stand there; return the counts that the stamp holds."""
    config = job.config
    paths = {folder: io.safe_join(config.output, path) for folder, path in outputs(job, shard).items()}
    signals = io.read_stamp(stages.signals_path(job, shard))
    if signals is None:
        raise RuntimeError(f"the signals of {shard.url} are gone; run the same command again")
    done_path = stages.selected_path(job, shard)
    key = [job.hashes["select"], *signals["key"]]
    found = stages.read_json(done_path)
    if found is not None and found["key"] == key and found["sizes"] == _sizes(job, shard, paths):
        return found["counts"]
    input_schema = unpack_schema(signals["schema"])
    prefix = config.columns.prefix
    ours = {prefix + c.name: c.type for c in stages.added_columns(config)}
    stale = {prefix + c.name for c in (*schema.ADDED, *schema.OPTIONAL)}
    plain = [field for field in input_schema if field.name not in stale]
    full = pa.schema([*plain, *ours.items()])
    id_column = columns_of(config).id or ("id" if "id" in input_schema.names else None)
    brief = [name for name in full.names if name == id_column or name in ours]
    wanted = set(context["weigh"]["examples"].get(shard.index, ()))
    decisions = Decisions(job, shard, context["weigh"]["final"])
    cuts = lines.Spans(job, shard) if lines.wanted(config) == "remove" else None
    tally = _Tally(shard, signals)
    state = diversity.empty(diversity.load_ruler()) if config.measure.enabled else None
    format = io.output_format(shard, config.run.format)
    distinct = [config.columns.text, *(prefix + name for name in ("content_hash", "cluster_id", "duplicate_of"))]
    distinct += [id_column] if id_column else []
    with ExitStack() as stack:
        kept = stack.enter_context(io.ShardWriter(paths["kept"], format, full, distinct=distinct))
        excluded = None
        if "excluded" in paths:
            names = full.names if config.run.excluded == "full" else brief
            target = pa.schema([full.field(name) for name in names])
            excluded = stack.enter_context(io.ShardWriter(paths["excluded"], format, target, distinct=distinct))
        sound = not signals["quarantined"]
        for batch, rows in stages.read_shard(job, shard, input_schema, _already_quarantined, sound):
            decided = decisions.take(rows)
            if config.steps:
                stays = decided.columns["filter_reason"].is_null()
                left = pc.if_else(stays, decided.signals.column(schema.STEPS[1].name), None)
                batch = batches.with_text(batch, config.columns.text, left.cast(pa.large_string()))
            out = batches.add_columns(batch, decided.columns, prefix)
            keep = decided.columns["filter_reason"].is_null()
            text = batch.column(config.columns.text)
            if cuts is None:
                kept.write(batches.choose(out, keep))
            else:
                # what is excluded stays whole
                text = cut_spans(text, pc.if_else(keep, cuts.take(rows), None))
                place = out.schema.get_field_index(config.columns.text)
                kept.write(batches.choose(out.set_column(place, out.schema.field(place), text), keep))
            if excluded is not None:
                excluded.write(batches.choose(out.select(excluded.schema.names), pc.invert(keep)))
            tally.add(text, rows, decided, wanted)
            if state is not None:
                state = _measure(state, text, decided, threads_of(batch, columns_of(config).thread))
            progress(batch.num_rows, pc.sum(decided.signals.column("bytes")).as_py() or 0)
        if tally.counts["kept"] + tally.counts["excluded"] != signals["documents"]:
            raise InputChanged(
                f"{shard.url} gave {signals['documents']:,} documents at first and "
                f"{tally.counts['kept'] + tally.counts['excluded']:,} now: it was deleted or cannot be read any more. "
                "Put it back and run the same command again, or leave it out and give another --output"
            )
        if state is not None:
            with io.atomic(after_path(job, shard)) as file:
                file.write(diversity.dump(state))
    # beside the outputs, not in them: what is kept has the same bytes whenever and wherever it is made
    stages.write_json(done_path, {"key": key, "sizes": _sizes(job, shard, paths), "counts": tally.counts})
    return tally.counts


def _sizes(job: Job, shard: Shard, paths: dict[str, str]) -> dict[str, int]:
    """Sizes of what a finished shard has, to notice what was taken away or replaced; -1 where there is nothing."""
    wanted = {**paths, **({"after": after_path(job, shard)} if job.config.measure.enabled else {})}
    return {name: io.size(path) if io.exists(path) else -1 for name, path in wanted.items()}


def _already_quarantined(_: Any) -> None:
    """Annotate has written what cannot be read."""


def _measure(state: Any, text: pa.Array, decided: Decided, threads: np.ndarray | None) -> Any:
    chosen = pa.array(decided.drawn)
    if pa.types.is_string_view(text.type):
        text = text.cast(pa.large_string())
    text, ids = text.filter(chosen), decided.signals.column("id").filter(chosen)
    tokens = tokenise(text)
    data, starts = text_buffer(text)
    return diversity.update(
        state,
        ruler=diversity.load_ruler(),
        tokens=tokens,
        data=data,
        starts=starts,
        ids_hash=diversity.hash_ids(ids),
        features=diversity.features(tokens, diversity.load_ruler()),
        threads=None if threads is None else threads[decided.drawn],
    )


class _Tally:
    """Counts of a shard: what was read and what became of it, by source, reason, label and group."""

    def __init__(self, shard: Shard, stamp: dict[str, Any]) -> None:
        self.counts: dict[str, Any] = {
            "shard": f"{shard.source}/{shard.relative}",
            "read": stamp["documents"] + stamp["quarantined"],
            "quarantined": stamp["quarantined"],
            "kept": 0,
            "excluded": 0,
            "bytes": 0,
            "bytes_kept": 0,
            "tokens_selected": 0,
            "copies": 0,
            "repeated": 0,
            "by_reason": {},
            "labels": {},
            "undetermined": {},
            "sources": {},
            "examples": {},
            "contaminated": {},
            "failures": stamp.get("failures", {}),
        }

    def add(self, text: pa.Array, rows: np.ndarray, decided: Decided, wanted: set[int]) -> None:
        """Count a batch, and keep the beginnings of the texts that the report shows."""
        columns, signals, counts = decided.columns, decided.signals, self.counts
        kept = columns["filter_reason"].is_null().to_numpy(zero_copy_only=False)
        copies = columns["copies"].to_numpy()
        size = signals.column("bytes").to_numpy()
        counts["kept"] += int(kept.sum())
        counts["excluded"] += int((~kept).sum())
        counts["bytes"] += int(size.sum())
        counts["bytes_kept"] += int(size[kept].sum())
        counts["tokens_selected"] += int((signals.column("tokens").to_numpy() * copies)[kept].sum())
        counts["copies"] += int(copies[kept].sum())
        counts["repeated"] += int((copies[kept] > 1).sum())
        _count(counts["by_reason"], columns["filter_reason"].drop_null())
        _count(counts["labels"], columns["synthetic_label"])
        _count(counts["undetermined"], columns["synthetic_reason"].drop_null())
        table = pa.table({"source": signals.column("source"), "reason": columns["filter_reason"], "bytes": size})
        grouped = table.group_by(["source", "reason"], use_threads=False)
        for row in grouped.aggregate([("bytes", "count"), ("bytes", "sum")]).to_pylist():
            zero = dict.fromkeys(("read", "kept", "bytes", "bytes_kept"), 0)
            source = counts["sources"].setdefault(row["source"], {**zero, "by_reason": {}})
            source["read"] += row["bytes_count"]
            source["bytes"] += row["bytes_sum"]
            if row["reason"] is None:
                source["kept"] += row["bytes_count"]
                source["bytes_kept"] += row["bytes_sum"]
            else:
                source["by_reason"][row["reason"]] = source["by_reason"].get(row["reason"], 0) + row["bytes_count"]
        if "contaminated_by" in columns:
            self._contaminated(columns, signals)
        for index in np.flatnonzero(np.isin(rows, list(wanted))) if wanted else ():
            value = text[int(index)].as_py() or ""
            counts["examples"][str(rows[index])] = {
                "id": signals.column("id")[int(index)].as_py(),
                "source": signals.column("source")[int(index)].as_py(),
                "text": value[:EXAMPLE_CHARACTERS],
            }

    def _contaminated(self, columns: dict[str, pa.Array], signals: pa.RecordBatch) -> None:
        """Count documents that share a run of words with a benchmark, by its file, and keep the first of each."""
        found = self.counts["contaminated"]
        for index in np.flatnonzero(np.asarray(columns["contaminated_by"].is_valid())).tolist():
            name = columns["contaminated_by"][index].as_py()
            entry = found.setdefault(name.rpartition(":")[0], {"documents": 0, "example": None})
            entry["documents"] += 1
            entry["example"] = entry["example"] or {
                "id": signals.column("id")[index].as_py(),
                "source": signals.column("source")[index].as_py(),
                "benchmark": name,
                "share": columns["contaminated_share"][index].as_py(),
                "match": columns["contaminated_match"][index].as_py()[:EXAMPLE_CHARACTERS],
            }


def _count(into: dict[str, int], values: pa.Array) -> None:
    found = Counter({row["values"]: row["counts"] for row in pc.value_counts(values).to_pylist()})
    for name, count in found.items():
        into[name] = into.get(name, 0) + count
