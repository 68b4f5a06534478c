"""Resolve: what scores mean here, and which documents are duplicates of which.

Two questions that only the whole corpus can answer, asked of the signals. Human anchors calibrate the detector.
Documents that share a band, a hash or an id with another become candidates, and only candidates are compared: what
is held in memory grows with the duplicates, not with the corpus.
"""

from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from curation import dedup, io, schema, synthetic
from curation.dedup.shuffle import ROW_BITS
from curation.jobs import stages
from curation.plan import Context, Job, Progress, Shard, Step
from curation.text.gate import PROSE, gate_codes

_IDENTITY = ["row", "id", "source", "bytes", "date", "content_hash", "row_hash", "norm_hash", "url_key"]
_SCORED = ["row", "logit", "logit_check", "word_count", "source", "date", "gate", "lang"]
_KEY_BYTES = 16  # a key and a job row
EXAMPLES = 8


def steps(job: Job) -> list[Step]:
    """Calibration from the anchors, candidates by a shuffle of hashes, then clusters; what stands is not redone."""
    calibration = Step("calibrate", "resolve", work=anchors, merge=synthetic.merge, finish=_calibrate)
    if not job.config.detect.enabled:
        calibration = Step("calibrate", "resolve")
    if summary(job) is not None:
        return [calibration]
    return [
        calibration,
        Step("candidates", "resolve", work=_emit, group=_group, merge=_join, finish=_candidates),
        Step("cluster", "resolve", finish=_cluster),
    ]


def summary(job: Job) -> dict[str, Any] | None:
    """What an earlier run with these settings wrote of these inputs, or None."""
    found = stages.read_json(_summary_path(job))
    return found if found is not None and found["hash"] == job.hashes["resolve"] else None


def _summary_path(job: Job) -> str:
    return f"{job.config.output}/decisions/clusters.json"


# calibration


def trusted(shard: Shard, date: pa.Array) -> np.ndarray:
    """bool[documents]: declared human or premium, or dated before the day from which the input is not trusted."""
    if shard.trust in ("human", "premium"):
        return np.ones(len(date), bool)
    if shard.before is None or shard.trust == "synthetic":
        return np.zeros(len(date), bool)
    earlier = pc.less(date, pa.scalar(shard.before, pa.date32()))
    return pc.fill_null(earlier, False).to_numpy(zero_copy_only=False)


def anchors(job: Job, shard: Shard, context: Context, progress: Progress) -> synthetic.Anchors:
    """Scores of the trusted English prose of a shard."""
    states = [synthetic.empty_anchors()]
    if shard.trust in ("human", "premium") or shard.before is not None:
        for batch in stages.read_signals(job, shard, _SCORED):
            mask = trusted(shard, batch.column("date"))
            mask &= (gate_codes(batch.column("gate")) == PROSE) & pc.equal(batch.column("lang"), "en").to_numpy(False)
            states.append(
                synthetic.anchor_state(
                    scores(batch, "logit"),
                    scores(batch, "logit_check"),
                    batch.column("word_count").to_numpy(),
                    names(batch),
                    mask,
                )
            )
    return synthetic.merge(*states)


def _calibrate(job: Job, merged: Any, context: Context) -> Any:
    detect = job.config.detect
    anchors = merged if merged is not None else synthetic.empty_anchors()
    if job.config.reference:
        anchors = synthetic.merge(anchors, synthetic.from_arrays(stages.load_profile(job.config.reference).anchors))
    calibration = synthetic.calibrate(anchors, synthetic.load_model(detect.model), detect.fpr)
    stages.write_json(f"{job.config.output}/decisions/calibration.json", synthetic.as_dict(calibration))
    return {"calibration": calibration, "anchors": anchors}


def scores(batch: pa.RecordBatch, name: str) -> np.ndarray:
    """A score column as float32 with NaN for null."""
    return batch.column(name).to_numpy(zero_copy_only=False).astype(np.float32, copy=False)


def names(batch: pa.RecordBatch) -> np.ndarray:
    """The source column as a NumPy array of strings."""
    return np.asarray(batch.column("source").to_pylist(), dtype=np.str_)


def labels(job: Job, batch: pa.RecordBatch, context: Context) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(p float32 with NaN, label code, reason code) of documents with the columns that scoring needs."""
    n = batch.num_rows
    found = context["calibrate"]
    if found is None:
        code = schema.LABELS.index("undetermined")
        not_scored = synthetic.REASONS.index("not_scored")
        return np.full(n, np.nan, np.float32), np.full(n, code, np.uint8), np.full(n, not_scored, np.uint8)
    return synthetic.apply(
        found["calibration"],
        scores(batch, "logit"),
        batch.column("word_count").to_numpy(),
        names(batch),
        gate_codes(batch.column("gate")),
        np.asarray(batch.column("lang").to_pylist(), dtype=np.str_),
        label_words=job.config.detect.label_words,
        min_words=job.config.detect.min_words,
    )


class Gone:
    """Tells which documents leave for a reason of their own, before duplicates are looked for.

    They must not be candidates: a document that leaves anyway would take its duplicates with it.
    """

    def __init__(self, job: Job) -> None:
        self._exclude_synthetic = job.config.detect.exclude
        self._ids = _read_ids(job.config.exclude_ids) if job.config.exclude_ids else None

    def reasons(self, shard: Shard, batch: pa.RecordBatch, label: np.ndarray) -> pa.Array:
        """empty_text, exclude_id, synthetic or null for each document; `label` are codes of schema.LABELS."""
        reason = np.full(batch.num_rows, -1, np.int64)
        if self._exclude_synthetic and shard.trust not in ("human", "premium"):
            reason[(label == schema.LABELS.index("synthetic")) & ~trusted(shard, batch.column("date"))] = 2
        if self._ids is not None:
            reason[pc.is_in(batch.column("id"), value_set=self._ids).to_numpy(zero_copy_only=False)] = 1
        reason[batch.column("bytes").to_numpy() == 0] = 0
        names = pa.array(["empty_text", "exclude_id", "synthetic"], pa.string())
        return names.take(pa.array(reason, mask=reason < 0))


@lru_cache(maxsize=2)
def _read_ids(url: str) -> pa.Array:
    with io.open_file(url) as file:
        lines = file.read().decode("utf-8").splitlines()
    return pa.array(sorted({line.strip() for line in lines} - {""}), pa.string())


# candidates


def _partitions(job: Job, documents: int) -> int:
    settings = job.config.dedup
    keys = (settings.bands if settings.enabled and settings.near else 0) + 3
    return int(np.clip(2 * documents * keys * _KEY_BYTES // (settings.memory_mb << 20) + 1, 8, 65_536))


def _emit(job: Job, shard: Shard, context: Context, progress: Progress) -> dict[int, np.ndarray]:
    settings = job.config.dedup
    near = settings.enabled and settings.near
    partitions = _partitions(job, sum(s["documents"] for s in context["annotate"]))
    columns = list(dict.fromkeys(["id", "bytes", "norm_hash", "url_key", *_SCORED, *(["bands"] if near else [])]))
    parts: dict[int, list[np.ndarray]] = {}
    gone = Gone(job)
    for batch in stages.read_signals(job, shard, columns):
        _, label, _ = labels(job, batch, context)
        batch = batch.filter(gone.reasons(shard, batch, label).is_null())
        keys = dedup.signal_keys(
            batch,
            exact=settings.enabled and settings.exact,
            near=near,
            url=settings.enabled and settings.url,
        )
        for number, chunk in dedup.emit(keys, _job_rows(shard, batch), partitions).items():
            parts.setdefault(number, []).append(chunk)
    return {number: np.concatenate(chunks) for number, chunks in parts.items()}


def _job_rows(shard: Shard, batch: pa.RecordBatch) -> np.ndarray:
    return dedup.job_rows(shard.index, batch.column("row").to_numpy())


def _group(job: Job, partition: int, chunks: Iterable[np.ndarray]) -> np.ndarray:
    return dedup.group(chunks)


def _join(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.union1d(a, b)


def _candidates(job: Job, merged: np.ndarray | None, context: Context) -> np.ndarray:
    return np.zeros(0, np.int64) if merged is None else np.unique(merged)


# clusters


def _cluster(job: Job, _: None, context: Context) -> None:
    settings = job.config.dedup
    candidates = _gather(job, context["candidates"], context)
    clusters = dedup.cluster(
        candidates,
        dedup.DedupSettings(
            verify=settings.verify,
            keep=settings.keep,
            max_bucket=settings.max_bucket,
            exact=settings.enabled and settings.exact,
            near=settings.enabled and settings.near,
            url=settings.enabled and settings.url,
        ),
    )
    shard_of = clusters.column("job_row").to_numpy() >> ROW_BITS
    for shard in job.shards:
        mine = clusters.filter(pa.array(shard_of == shard.index)).sort_by("job_row")
        rows = mine.column("job_row").to_numpy() & ((1 << ROW_BITS) - 1)
        table = mine.set_column(0, "row", pa.array(rows, pa.int64())).select(schema.CLUSTERS_SCHEMA.names)
        stages.write_table(stages.decisions_path(job, "clusters", shard), table.cast(schema.CLUSTERS_SCHEMA))
    stages.write_json(_summary_path(job), {"hash": job.hashes["resolve"], **_describe(candidates, clusters)})


def _gather(job: Job, rows: np.ndarray, context: Context) -> pa.Table:
    """The candidates' signals with trust and label; `rows` are their job rows, sorted."""
    near = job.config.dedup.enabled and job.config.dedup.near
    columns = list(dict.fromkeys([*_IDENTITY, *_SCORED, *(["bands", "signature"] if near else [])]))
    parts = []
    for shard in job.shards:
        low, high = np.searchsorted(rows, [shard.index << ROW_BITS, (shard.index + 1) << ROW_BITS])
        wanted = rows[low:high]
        if not len(wanted):
            continue
        for batch in stages.read_signals(job, shard, columns):
            mine = _job_rows(shard, batch)
            keep = np.isin(mine, wanted, assume_unique=True)
            if not keep.any():
                continue
            chosen = batch.filter(pa.array(keep))
            _, label, _ = labels(job, chosen, context)
            trust = np.where(trusted(shard, chosen.column("date")), "human", shard.trust)
            if shard.trust == "premium":
                trust[:] = "premium"
            parts.append(
                chosen.append_column("job_row", pa.array(mine[keep]))
                .append_column("trust", pa.array(trust.tolist(), pa.string()))
                .append_column("label", pa.array(schema.LABELS, pa.string()).take(pa.array(label)))
            )
    if parts:
        return pa.Table.from_batches(parts)
    fields = [f for f in schema.signal_schema(1, 1, False) if f.name in columns]
    extra = [("job_row", pa.int64()), ("trust", pa.string()), ("label", pa.string())]
    return pa.schema([*fields, *(pa.field(n, t) for n, t in extra)]).empty_table()


def _describe(candidates: pa.Table, clusters: pa.Table) -> dict[str, Any]:
    """Counts, the similarity histogram and examples of the clusters, for the report."""
    counted = {key.decode(): orjson.loads(value) for key, value in (clusters.schema.metadata or {}).items()}
    removed = clusters.filter(clusters.column("reason").is_valid())
    sources = dict(zip(candidates.column("job_row").to_pylist(), candidates.column("source").to_pylist(), strict=True))
    ids = clusters.column("cluster_id").to_pylist()
    sizes = Counter(ids)
    near = removed.filter(pc.equal(removed.column("reason"), "near_duplicate"))
    edges = np.linspace(0.5, 1.0, 26)
    similarity = np.clip(near.column("similarity").to_numpy(), edges[0], edges[-1])
    survivors = clusters.filter(pc.is_null(clusters.column("reason")))
    of_cluster = dict(
        zip(survivors.column("cluster_id").to_pylist(), survivors.column("job_row").to_pylist(), strict=True)
    )
    # near-duplicates tell more than exact ones; the order is by hash-like ids, so that examples are spread
    order = removed.append_column("exact", pc.equal(removed.column("reason"), "exact_duplicate")).sort_by(
        [("exact", "ascending"), ("similarity", "ascending"), ("cluster_id", "ascending"), ("job_row", "ascending")]
    )
    places = np.unique(np.linspace(0, max(len(order) - 1, 0), min(EXAMPLES, len(order))).astype(int))
    spread = order.take(pa.array(places))
    return {
        "clusters": sum(size > 1 for size in sizes.values()),
        "removed": len(removed),
        "candidates": len(candidates),
        **counted,
        "by_source": dict(sorted(Counter(sources[row] for row in removed.column("job_row").to_pylist()).items())),
        "by_reason": dict(sorted(Counter(removed.column("reason").to_pylist()).items())),
        "similarity": {"edges": edges.tolist(), "counts": np.histogram(similarity, edges)[0].tolist()},
        "largest": [
            {
                "cluster_id": cluster,
                "size": size,
                "survivor": of_cluster.get(cluster),
                "by_source": dict(sorted(Counter(sources[r] for r, i in _members(clusters, cluster)).items())),
            }
            for cluster, size in sorted(sizes.items(), key=lambda item: (-item[1], item[0]))[:5]
            if size > 1
        ],
        "examples": [
            {
                "survivor": of_cluster[row["cluster_id"]],
                "duplicate": row["job_row"],
                "similarity": row["similarity"],
                "reason": row["reason"],
            }
            for row in spread.select(["cluster_id", "job_row", "similarity", "reason"]).to_pylist()
        ],
    }


def _members(clusters: pa.Table, cluster: str) -> list[tuple[int, str]]:
    mine = clusters.filter(pc.equal(clusters.column("cluster_id"), cluster))
    return list(zip(mine.column("job_row").to_pylist(), mine.column("cluster_id").to_pylist(), strict=True))
