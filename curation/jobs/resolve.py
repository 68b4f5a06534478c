"""Resolve: which documents are duplicates of which, and what scores mean here.

Two questions that only the whole corpus can answer. Both are asked of the signals: anchors calibrate the detector;
documents that share a band, a hash or an id with another become candidates, and the candidates alone are compared.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation import dedup, io, schema, synthetic
from curation.jobs import stages
from curation.plan import Context, Job, Progress, Shard, Step
from curation.text.urls import string_hashes

#: columns that tell candidates apart
_COMPARED = ["row", "id", "source", "bytes", "date", "content_hash", "row_hash", "norm_hash", "url_key"]
_SCORED = ["row", "logit", "logit_check", "word_count", "source", "date", "gate", "lang"]


def steps(job: Job) -> list[Step]:
    """Anchors and calibration, then candidates by a shuffle of hashes, then clusters."""
    if finished(job):
        return [Step("calibration", "resolve", finish=_load_calibration)]
    return [
        Step("calibration", "resolve", work=_scores, merge=_add_scores, finish=_calibrate),
        Step("candidates", "resolve", work=_emit, group=_group, merge=_join, finish=_candidates),
        Step("clusters", "resolve", finish=_cluster),
    ]


def finished(job: Job) -> bool:
    """Whether an earlier run has resolved these signals with these settings."""
    summary = stages.read_json(f"{job.config.output}/decisions/resolve.json")
    return summary is not None and summary.get("hash") == job.hashes["resolve"]
