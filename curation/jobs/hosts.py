"""Synthetic text by host: the hosts with most documents, their mean probability and their share with an interval.

A score says little of one page and much of many by one hand: averaged over 30 documents of one source it finds two
thirds where a single one finds a third. Counts of a host come together by a shuffle, so what is reported are truly the
largest hosts, and a partition is all that is held in memory.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from curation import synthetic
from curation.config import Config
from curation.jobs import resolve, stages
from curation.plan import Context, Job, Progress, Shard, Step
from curation.synthetic.evaluation import RATES
from curation.synthetic.prevalence import UNIT, Passing

MOST = 100  # hosts that are reported
PRIOR = 10  # documents of the mean over all hosts that a host's own mean is drawn toward
_PARTITIONS = 64
_COLUMNS = ["host", "logit", "logit_check", "word_count", "source", "gate", "lang", "date"]
_KEYS = ["host", "stratum"]
_ABOVE = [f"above{i}" for i in range(len(RATES))]
_SUMS = ["documents", "weight", "square", *_ABOVE, "p", "judged"]


def wanted(config: Config) -> bool:
    """Are there scores and hosts to average them by?"""
    return config.columns.url is not None and config.detect.enabled


def steps(job: Job) -> list[Step]:
    """One shuffle of sums by host; nothing without URLs or scores, or when an earlier run has done it."""
    if not wanted(job.config) or summary(job) is not None:
        return []
    return [Step("hosts", "resolve", work=_emit, group=_group, merge=_largest, finish=_write)]


def summary(job: Job) -> dict[str, Any] | None:
    """What decisions/hosts.json says for these settings and inputs, or None."""
    found = stages.read_json(_path(job))
    return found if found is not None and found["hash"] == job.hashes["resolve"] else None


def _path(job: Job) -> str:
    return f"{job.config.output}/decisions/hosts.json"


def _emit(job: Job, shard: Shard, context: Context, progress: Progress) -> dict[int, np.ndarray]:
    """The sums of a shard by host and stratum, packed by partition of the host."""
    found: pa.Table | None = None
    for batch in stages.read_signals(job, shard, _COLUMNS):
        batch = batch.filter(batch.column("host").is_valid())
        part = _sums(job, batch, context)
        found = part if found is None else _add([found, part])
    if found is None:
        return {}
    names = found["host"].to_pylist()
    place = np.array([xxhash.xxh3_64_intdigest(name.encode()) % _PARTITIONS for name in names], np.int64)
    return {int(n): _pack(found.filter(pa.array(place == n))) for n in np.unique(place)}


def _sums(job: Job, batch: pa.RecordBatch, context: Context) -> pa.Table:
    p, _, _ = resolve.labels(job, batch, context)
    judged = np.isfinite(p)
    hosts = resolve.names(batch, "host")
    state = synthetic.passing(
        context["calibrate"]["calibration"], resolve.scores(batch, "logit"), batch.column("word_count").to_numpy(),
        resolve.names(batch), hosts, judged,
    )  # fmt: skip
    none = np.zeros(len(state.group), np.int64)
    counted = pa.table(
        {
            "host": pa.array(state.group.tolist(), pa.string()),
            "stratum": state.stratum,
            "documents": none,
            "weight": state.weight,
            "square": state.square,
            **{name: state.above[:, i] for i, name in enumerate(_ABOVE)},
            "p": none,
            "judged": none,
        }
    )
    # a row of its own for each document, in a stratum that has no threshold
    fixed = np.rint(np.where(judged, p, 0).astype(np.float64) * UNIT).astype(np.int64)
    nothing = np.zeros(len(p), np.int64)
    each = {
        "host": pa.array(hosts.tolist(), pa.string()),
        "stratum": np.full(len(p), -1, np.int32),
        "documents": np.ones(len(p), np.int64),
        **dict.fromkeys(("weight", "square", *_ABOVE), nothing),
        "p": fixed,
        "judged": judged.astype(np.int64),
    }
    return _add([counted, pa.table(each)])


def _add(tables: list[pa.Table]) -> pa.Table:
    """The sums of all tables by host and stratum, in their order."""
    summed = pa.concat_tables(tables).group_by(_KEYS, use_threads=False).aggregate([(name, "sum") for name in _SUMS])
    summed = summed.rename_columns([name.removesuffix("_sum") for name in summed.column_names])
    return summed.select([*_KEYS, *_SUMS]).sort_by([(name, "ascending") for name in _KEYS])


def _pack(table: pa.Table) -> np.ndarray:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    body = np.frombuffer(sink.getvalue(), np.uint8)
    return np.concatenate([np.array([len(body)], "<i8").view(np.uint8), body])


def _unpack(chunk: np.ndarray) -> list[pa.Table]:
    """The tables in a chunk; hosts may join the chunks of several shards."""
    tables, at = [], 0
    while at < len(chunk):
        size = int(chunk[at : at + 8].view("<i8")[0])
        with pa.ipc.open_stream(pa.py_buffer(chunk[at + 8 : at + 8 + size].tobytes())) as reader:
            tables.append(reader.read_all())
        at += 8 + size
    return tables


def _group(job: Job, partition: int, chunks: Iterable[np.ndarray]) -> pa.Table:
    return _top(_add([table for chunk in chunks for table in _unpack(chunk)]))


def _largest(a: pa.Table, b: pa.Table) -> pa.Table:
    return _top(_add([a, b]))


def _top(table: pa.Table) -> pa.Table:
    """The rows of the hosts with most documents, by name where they are equal; all others in rows of the host "".

    No host has that name, and a host is whole in its partition, so a merge of partitions finds the largest of all.
    """
    real = table.filter(pc.not_equal(table["host"], ""))
    by_host = real.group_by("host", use_threads=False).aggregate([("documents", "sum")])
    ranked = by_host.sort_by([("documents_sum", "descending"), ("host", "ascending")])["host"]
    kept = pc.is_in(table["host"], value_set=ranked.slice(0, MOST))
    rest = pc.if_else(kept, table["host"], "")
    return _add([table.set_column(0, "host", rest)])


def _write(job: Job, merged: pa.Table | None, context: Context) -> None:
    """decisions/hosts.json: by host documents, judged ones, mean probability, the same drawn toward the mean of all,
    and the share of synthetic text."""
    hosts: dict[str, Any] = {}
    if merged is not None:
        state = Passing(
            np.array(merged["host"].to_pylist(), np.str_),
            merged["stratum"].to_numpy().astype(np.int32),
            merged["weight"].to_numpy(),
            merged["square"].to_numpy(),
            np.stack([merged[name].to_numpy() for name in _ABOVE], axis=1),
        )
        shares = synthetic.prevalence(state, context["calibrate"]["calibration"])
        sums = [(name, "sum") for name in ("documents", "p", "judged")]
        totals = merged.group_by("host", use_threads=False).aggregate(sums)
        judged, p = (int(pc.sum(totals[name]).as_py() or 0) for name in ("judged_sum", "p_sum"))
        overall = p / UNIT / judged if judged else None
        for row in totals.filter(pc.not_equal(totals["host"], "")).to_pylist():
            count, mass = row["judged_sum"], row["p_sum"] / UNIT
            hosts[row["host"]] = {
                "documents": row["documents_sum"],
                "judged": count,
                "mean_p": round(mass / count, 6) if count else None,
                "shrunk_p": None if overall is None else round((mass + PRIOR * overall) / (count + PRIOR), 6),
                "prevalence": shares[row["host"]],
            }
    stages.write_json(_path(job), {"hash": job.hashes["resolve"], "hosts": hosts})
