"""Resolve, second half: which documents are duplicates of which.

Documents that share a band, a hash or an id with another become candidates, and only candidates are compared: what
is held in memory grows with the duplicates, not with the corpus. Signals of earlier runs take part as an index, and
documents to be taken down as examples of what must go.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from curation import dedup, schema
from curation.config_dedup import Dedup, candidate_probability
from curation.dedup.shuffle import ROW_BITS
from curation.jobs import earlier, resolve, shingles, stages
from curation.plan import Context, Job, Progress, Shard, Step

_IDENTITY = ["row", "id", "source", "bytes", "date", "content_hash", "row_hash", "norm_hash", "url_key"]
_KEY_BYTES = 16  # a key and a job row
EXAMPLES = 8
SUMMARY = "decisions/clusters.json"


def steps(job: Job) -> list[Step]:
    """Candidates by a shuffle of hashes, then clusters; nothing when that stands."""
    if summary(job) is not None:
        return []
    return [
        Step("candidates", "resolve", _candidates, _emit, None, _group, earlier.shards),
        *shingles.steps(job),
        Step("cluster", "resolve", finish=_cluster),
    ]


def summary(job: Job) -> dict[str, Any] | None:
    """What an earlier run with these settings wrote of these inputs, or None."""
    return stages.finished(job, "resolve", SUMMARY, "clusters")


# candidates


def _partitions(job: Job, documents: int) -> int:
    settings = job.config.dedup
    keys = (settings.bands if settings.enabled and settings.near else 0) + 3
    return int(np.clip(2 * documents * keys * _KEY_BYTES // (settings.memory_mb << 20) + 1, 8, 65_536))


def _emit(job: Job, shard: Shard, context: Context, progress: Progress) -> Iterator[dict[int, np.ndarray]]:
    documents = sum(s["documents"] for s in context["annotate"]) + sum(run.documents for run in job.earlier)
    return dedup.packed(_keys(job, shard, context, _partitions(job, documents)), _part_bytes(job))


def _part_bytes(job: Job) -> int:
    """Least bytes of keys that a shard sends at a time, so that those of one shard obey the limit too."""
    return job.config.dedup.memory_mb << 18  # a quarter of it


def _keys(job: Job, shard: Shard, context: Context, partitions: int) -> Iterator[dict[int, np.ndarray]]:
    settings = job.config.dedup
    near = settings.enabled and settings.near
    for batch in _with_keys(job, shard, context, ["row", "id", "norm_hash", "url_key", *(["bands"] if near else [])]):
        keys = dedup.signal_keys(
            batch,
            exact=settings.enabled and settings.exact,
            near=near,
            url=settings.enabled and settings.url,
        )
        yield dedup.emit(keys, _job_rows(shard, batch), partitions)


def _with_keys(job: Job, shard: Shard, context: Context, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """The documents of a shard whose keys count: not those that leave anyway, but those to be taken down if their
    near-duplicates are to follow."""
    if earlier.is_earlier(job, shard):
        yield from earlier.read(job, shard, columns)
        return
    gone = resolve.Gone(job)
    for batch in stages.read_signals(job, shard, list(dict.fromkeys([*columns, *gone.columns]))):
        _, label, _ = resolve.labels(job, batch, context)
        reasons = gone.reasons(shard, batch, label)
        wanted = reasons.is_null()
        if job.config.exclude_near:
            wanted = pc.or_(wanted, pc.fill_null(pc.equal(reasons, "exclude_id"), False))
        yield batch.filter(wanted)


def _job_rows(shard: Shard, batch: pa.RecordBatch) -> np.ndarray:
    return dedup.job_rows(shard.index, batch.column("row").to_numpy())


def _group(job: Job, partition: int, chunks: Iterable[np.ndarray]) -> np.ndarray:
    return dedup.group(chunks, earlier.first_row(job) if job.earlier else None)


def _candidates(job: Job, found: list[np.ndarray] | None, context: Context) -> np.ndarray:
    # all at once: joining partition after partition would sort what was found before again for each of them
    return dedup.distinct(*found) if found else np.zeros(0, np.int64)


# clusters


def _cluster(job: Job, _: None, context: Context) -> None:
    settings = job.config.dedup
    candidates = _gather(job, context["candidates"], context)
    chosen = dedup.DedupSettings(
        verify=settings.verify,
        verify_by=settings.verify_by,
        keep=settings.keep,
        prefer=settings.prefer,
        max_bucket=settings.max_bucket,
        exact=settings.enabled and settings.exact,
        near=settings.enabled and settings.near,
        url=settings.enabled and settings.url,
    )
    with shingles.of_candidates(job, candidates.column("job_row").to_numpy()) as sets:
        clusters = dedup.cluster(candidates, chosen, sets)
    job_rows = clusters.column("job_row").to_numpy()
    for shard in job.shards:
        low, high = np.searchsorted(job_rows, [shard.index << ROW_BITS, (shard.index + 1) << ROW_BITS])
        rows = job_rows[low:high] & ((1 << ROW_BITS) - 1)
        mine = clusters.slice(low, high - low).set_column(0, "row", pa.array(rows, pa.int64()))
        table = mine.select(schema.CLUSTERS_SCHEMA.names)
        stages.write_table(stages.decisions_path(job, "clusters", shard), table.cast(schema.CLUSTERS_SCHEMA))
    described = _describe(job, candidates, clusters)
    stages.write_json(f"{job.config.output}/{SUMMARY}", {"hash": job.hashes["resolve"], **described})
    shingles.clear(job)


def _gather(job: Job, rows: np.ndarray, context: Context) -> pa.Table:
    """The candidates' signals with trust, label and kind of anchor; `rows` are their job rows, sorted."""
    settings = job.config.dedup
    near = settings.enabled and settings.near
    columns = [*_IDENTITY, *(["bands", "signature"] if near else [])]
    by_column = settings.enabled and dedup.column_of(settings.keep) is not None
    gathered = dedup.Gathered(len(rows))
    for shard in earlier.shards(job):
        low, high = np.searchsorted(rows, [shard.index << ROW_BITS, (shard.index + 1) << ROW_BITS])
        wanted = rows[low:high]
        if not len(wanted):
            continue
        given = earlier.is_earlier(job, shard)
        for batch in _with_keys(job, shard, context, [*columns, *(["keep_key"] if by_column and not given else [])]):
            mine = _job_rows(shard, batch)
            keep = np.isin(mine, wanted, assume_unique=True)
            if keep.any():
                chosen = batch.filter(pa.array(keep))
                gathered.add(_candidate(job, shard, chosen, columns, context, by_column))
    table = gathered.table()
    if table is not None:
        return table
    fields = [f for f in schema.signal_schema(1, 1, False) if f.name in columns]
    extra = [("job_row", pa.int64()), ("trust", pa.string()), ("label", pa.string()), ("anchor", pa.uint8())]
    return pa.schema([*fields, *(pa.field(n, t) for n, t in extra)]).empty_table()


def _candidate(
    job: Job, shard: Shard, batch: pa.RecordBatch, columns: list[str], context: Context, by_column: bool
) -> pa.RecordBatch:
    """What `dedup.cluster` takes, of signals of one shard."""
    n = batch.num_rows
    if earlier.is_earlier(job, shard):
        trust, label = np.full(n, shard.trust), np.ones(n, np.uint8)
        anchor, keep_key = np.full(n, dedup.EARLIER, np.uint8), pa.nulls(n, pa.binary())
    else:
        _, label, _ = resolve.labels(job, batch, context)
        trust = np.where(resolve.trusted(shard, batch.column("date")), "human", shard.trust)
        if shard.trust == "premium":
            trust[:] = "premium"
        excluded = pc.fill_null(pc.equal(resolve.Gone(job).reasons(shard, batch, label), "exclude_id"), False)
        anchor = np.where(np.asarray(excluded), dedup.EXCLUDED, 0).astype(np.uint8)
        keep_key = batch.column("keep_key") if by_column else None
    out = batch.select(columns).append_column("job_row", pa.array(_job_rows(shard, batch)))
    out = out.append_column("trust", pa.array(trust.tolist(), pa.string()))
    out = out.append_column("label", pa.array(schema.LABELS, pa.string()).take(pa.array(label)))
    out = out.append_column("anchor", pa.array(anchor))
    return out.append_column("keep_key", keep_key) if by_column else out


def _describe(job: Job, candidates: pa.Table, clusters: pa.Table) -> dict[str, Any]:
    """Counts, the similarity histograms and examples of the clusters, for the report."""
    counted = {key.decode(): orjson.loads(value) for key, value in (clusters.schema.metadata or {}).items()}
    clusters = _with_sources(candidates, clusters)
    own = pc.less(clusters.column("job_row"), earlier.first_row(job))
    removed = clusters.filter(pc.and_(own, clusters.column("reason").is_valid()))
    sizes = clusters.group_by("cluster_id").aggregate([("cluster_id", "count")]).sort_by("cluster_id")
    sizes = sizes.filter(pc.greater(sizes.column("cluster_id_count"), 1))
    survivors = clusters.filter(pc.is_null(clusters.column("reason"))).select(["cluster_id", "job_row", "id", "source"])
    edges = np.linspace(0.5, 1.0, 26)
    similarity = removed.filter(pc.equal(removed.column("reason"), "near_duplicate")).column("similarity").to_numpy()
    # near-duplicates tell more than exact ones; the order is by hash-like ids, so that examples are spread
    order = removed.append_column("exact", pc.equal(removed.column("reason"), "exact_duplicate")).sort_by(
        [("exact", "ascending"), ("similarity", "ascending"), ("cluster_id", "ascending"), ("job_row", "ascending")]
    )
    places = np.unique(np.linspace(0, max(len(order) - 1, 0), min(EXAMPLES, len(order))).astype(int))
    spread = order.take(pa.array(places))
    largest = sizes.sort_by([("cluster_id_count", "descending"), ("cluster_id", "ascending")]).slice(0, 5)

    def survivor(cluster: str) -> int | dict[str, Any]:
        """A job row; of an earlier run, whose text is not read, what is known."""
        [row] = survivors.filter(pc.equal(survivors.column("cluster_id"), cluster)).slice(0, 1).to_pylist()
        if row["job_row"] < earlier.first_row(job):
            return int(row["job_row"])
        where = pc.equal(removed.column("cluster_id"), cluster)
        return {"id": removed.filter(where).column("duplicate_of")[0].as_py(), "source": row["source"], "text": ""}

    return {
        "clusters": len(sizes),
        "removed": len(removed),
        "candidates": len(candidates),
        # of the candidates, since only they are ranked
        "without_keep_key": _null_keys(job, candidates),
        "against": _against(job, removed, survivors),
        **{key: value for key, value in counted.items() if key != "candidate_pairs"},
        "by_source": _counts(removed.column("source")),
        "by_reason": _counts(removed.column("reason")),
        "similarity": {
            "edges": edges.tolist(),
            "counts": np.histogram(np.clip(similarity, edges[0], edges[-1]), edges)[0].tolist(),
        },
        "curves": _curves(job.config.dedup, np.array(counted["candidate_pairs"], np.int64), similarity),
        "largest": [
            {
                "cluster_id": row["cluster_id"],
                "size": row["cluster_id_count"],
                "survivor": survivor(row["cluster_id"]),
                "by_source": _counts(
                    clusters.filter(pc.equal(clusters.column("cluster_id"), row["cluster_id"])).column("source")
                ),
            }
            for row in largest.to_pylist()
        ],
        "examples": [
            {
                "survivor": survivor(row["cluster_id"]),
                "duplicate": row["job_row"],
                "similarity": row["similarity"],
                "reason": row["reason"],
            }
            for row in spread.select(["cluster_id", "job_row", "similarity", "reason"]).to_pylist()
        ],
    }


def _with_sources(candidates: pa.Table, clusters: pa.Table) -> pa.Table:
    """The clusters with the source of each document."""
    rows = candidates.column("job_row").to_numpy()
    order = np.argsort(rows)
    at = order[np.searchsorted(rows[order], clusters.column("job_row").to_numpy())] if len(rows) else order
    return clusters.append_column("source", candidates.column("source").cast(pa.string()).take(pa.array(at)))


def _counts(values: pa.ChunkedArray) -> dict[str, int]:
    return dict(sorted((row["values"], row["counts"]) for row in pc.value_counts(values).to_pylist()))


def _against(job: Job, removed: pa.Table, survivors: pa.Table) -> int:
    """Documents that left for one of an earlier run."""
    given = survivors.filter(pc.greater_equal(survivors.column("job_row"), earlier.first_row(job)))
    return int(pc.sum(pc.is_in(removed.column("cluster_id"), value_set=given.column("cluster_id"))).as_py() or 0)


def _null_keys(job: Job, candidates: pa.Table) -> int:
    """Candidates of this run without a value in the column that `dedup.keep` names."""
    if "keep_key" not in candidates.schema.names:
        return 0
    own = pc.less(candidates.column("job_row"), earlier.first_row(job))
    return int(pc.sum(pc.and_(own, candidates.column("keep_key").is_null())).as_py() or 0)


def _curves(settings: Dedup, pairs: np.ndarray, merged: np.ndarray) -> dict[str, list[float]]:
    """Pairs that were compared and documents that merged, by similarity in 50 bins from 0 to 1, and the probability
    that a pair in the middle of a bin is compared."""
    edges = np.linspace(0.0, 1.0, 51)
    middles = ((edges[1:] + edges[:-1]) / 2).tolist()
    share = np.arange(len(pairs)) / max(len(pairs) - 1, 1)
    return {
        "edges": edges.tolist(),
        "expected": [candidate_probability(middle, settings.bands, settings.rows) for middle in middles],
        "candidates": np.histogram(share, edges, weights=pairs)[0].astype(int).tolist(),
        "merged": np.histogram(merged, edges)[0].tolist(),
    }
