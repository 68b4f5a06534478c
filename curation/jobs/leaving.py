"""What is known of the documents of a shard once duplicates are resolved: labels, clusters and who leaves."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.jobs import resolve, stages
from curation.plan import Context, Job, Shard

#: reasons that go with `dedup.action: keep`: such documents stay and share the weight of their cluster
DUPLICATES = ("exact_duplicate", "near_duplicate", "url_duplicate")
_COLUMNS = [
    *("row", "id", "source", "group", "lang", "gate", "bytes", "word_count", "tokens", "date"),
    *("logit", "logit_check", "row_hash"),
]


@dataclass(frozen=True)
class Documents:
    """A batch of signals with what was decided about it so far."""

    signals: pa.RecordBatch
    p: pa.Array
    label: np.ndarray
    why: np.ndarray  # code of the reason of an undetermined label
    reason: pa.Array  # why the document leaves, or null
    size: np.ndarray  # documents of its cluster; 0 when it leaves


def documents(
    job: Job, shard: Shard, context: Context, columns: list[str], emptied: bool = False
) -> Iterator[Documents]:
    """The documents of a shard in batches of `stages.BATCH`, with some more columns of the signals.

    emptied: count those that lose all their lines among the leaving.
    """
    clusters = stages.read_table(stages.decisions_path(job, "clusters", shard)).combine_chunks()
    rows, gone = clusters.column("row").to_numpy(), resolve.Gone(job)
    empty = np.zeros(0, np.int64)
    if emptied:
        cut = stages.read_table(stages.decisions_path(job, "lines", shard))
        empty = cut.filter(cut.column("emptied")).column("row").to_numpy()
    for batch in stages.read_signals(job, shard, list(dict.fromkeys([*_COLUMNS, *gone.columns, *columns]))):
        p, label, why = resolve.labels(job, batch, context)
        reason = gone.reasons(shard, batch, label)
        mine = batch.column("row").to_numpy()
        at = np.searchsorted(rows, mine)
        at[at == len(rows)] = 0
        inside = rows[at] == mine if len(rows) else np.zeros(len(at), bool)
        found = clusters.take(pa.array(at, mask=~inside))
        why_cluster = found.column("reason").combine_chunks()
        if job.config.dedup.action == "keep":
            stays = pc.fill_null(pc.is_in(why_cluster, value_set=pa.array(DUPLICATES)), False)
            why_cluster = pc.if_else(stays, pa.scalar(None, pa.string()), why_cluster)
        reason = pc.coalesce(reason, why_cluster)
        if len(empty):
            reason = pc.coalesce(reason, pc.if_else(pa.array(np.isin(mine, empty)), "empty_after_lines", None))
        size = pc.fill_null(found.column("cluster_size").combine_chunks(), 1).to_numpy()
        size = np.where(reason.is_null().to_numpy(zero_copy_only=False), size, 0)
        yield Documents(batch, pa.array(p, pa.float32(), mask=np.isnan(p)), label, why, reason, size)
