"""Resolve, first half: what scores mean here, by the human anchors, and which documents leave for reasons of their own.

That an id to be excluded stands nowhere is worth a warning: a take-down that took nothing down.
"""

from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation import io, schema, synthetic
from curation.jobs import filters, stages
from curation.plan import Context, Job, Progress, Shard, Step
from curation.text.gate import PROSE, gate_codes

_SCORED = ["row", "logit", "logit_check", "word_count", "source", "date", "gate", "lang"]


def steps(job: Job) -> list[Step]:
    """Calibration from the anchors; where ids are to be excluded, a look for them."""
    calibrate = Step("calibrate", "resolve")
    if job.config.detect.enabled:
        calibrate = Step("calibrate", "resolve", work=anchors, merge=synthetic.merge, finish=_calibrate)
    if job.config.exclude_ids is None:
        return [calibrate]
    return [calibrate, Step("exclude ids", "resolve", work=_excluded_ids, merge=_either, finish=_unmatched)]


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
    model = synthetic.load_model(detect.model)
    calibration = synthetic.calibrate(anchors, model, detect.fpr)
    declared = {shard.source for shard in job.shards if shard.trust in ("human", "premium")}
    if merged is not None and any(shard.before is not None for shard in job.shards):
        said = synthetic.doubts(anchors, set(merged.source.tolist()) - declared, model, detect.fpr)
        calibration = calibration._replace(warnings=(*calibration.warnings, *said))
    stages.write_json(f"{job.config.output}/decisions/calibration.json", synthetic.as_dict(calibration))
    return {"calibration": calibration, "anchors": anchors}


def scores(batch: pa.RecordBatch, name: str) -> np.ndarray:
    """A score column as float32 with NaN for null."""
    return batch.column(name).to_numpy(zero_copy_only=False).astype(np.float32, copy=False)


def names(batch: pa.RecordBatch, column: str = "source") -> np.ndarray:
    """A column of few distinct strings as a NumPy array of them."""
    coded = batch.column(column).dictionary_encode()
    distinct = np.asarray(coded.dictionary.to_pylist(), dtype=np.str_)
    return distinct[coded.indices.to_numpy(zero_copy_only=False)]


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
        names(batch, "lang"),
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
        benchmarks = job.config.decontaminate
        self._overlap = benchmarks.overlap if benchmarks.paths and benchmarks.action == "drop" else None
        self._config = job.config
        #: the columns of signals that `reasons` and `labels` read
        self.columns = [*_SCORED, "id", "bytes", *filters.columns(job.config)]
        self.columns += ["contaminated_share"] if self._overlap is not None else []

    def reasons(self, shard: Shard, batch: pa.RecordBatch, label: np.ndarray) -> pa.Array:
        """empty_text, exclude_id, contaminated, synthetic, filter:... or null for each document; `label` are codes of
        schema.LABELS."""
        reason = np.full(batch.num_rows, -1, np.int64)
        if self._exclude_synthetic and shard.trust not in ("human", "premium"):
            reason[(label == schema.LABELS.index("synthetic")) & ~trusted(shard, batch.column("date"))] = 2
        if self._overlap is not None:
            share = batch.column("contaminated_share").to_numpy(zero_copy_only=False).astype(np.float64)
            # the threshold as the share is stored, so that a share equal to it counts
            reason[share >= np.float32(self._overlap)] = 3
        if self._ids is not None:
            reason[pc.is_in(batch.column("id"), value_set=self._ids).to_numpy(zero_copy_only=False)] = 1
        reason[batch.column("bytes").to_numpy() == 0] = 0
        names = pa.array(["empty_text", "exclude_id", "synthetic", "contaminated"])
        return pc.coalesce(names.take(pa.array(reason, mask=reason < 0)), filters.excluded(self._config, batch))


UNMATCHED = "decisions/exclude_ids.json"
SHOWN_IDS = 5


def _excluded_ids(job: Job, shard: Shard, context: Context, progress: Progress) -> np.ndarray:
    """bool[ids]: which of the ids to be excluded, in order, does a document of the shard have?"""
    ids = _read_ids(job.config.exclude_ids or "")
    found = np.zeros(len(ids), bool)
    for batch in stages.read_signals(job, shard, ["id"]):
        at = pc.index_in(batch.column("id"), value_set=ids).drop_null()
        found[at.to_numpy()] = True
    return found


def _either(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a | b


def _unmatched(job: Job, merged: np.ndarray | None, context: Context) -> None:
    ids = _read_ids(job.config.exclude_ids or "")
    missing = np.flatnonzero(~(merged if merged is not None else np.zeros(len(ids), bool)))
    first = ids.take(pa.array(missing[:SHOWN_IDS])).to_pylist()
    stages.write_json(
        f"{job.config.output}/{UNMATCHED}", {"ids": len(ids), "unmatched": len(missing), "first": first}
    )


@lru_cache(maxsize=2)
def _read_ids(url: str) -> pa.Array:
    with io.open_file(url) as file:
        lines = file.read().decode("utf-8").splitlines()
    return pa.array(sorted({line.strip() for line in lines} - {""}), pa.string())
