"""Selection to a budget: a few exact passes that narrow the rate at which documents are selected."""

from dataclasses import dataclass

import numpy as np
import pyarrow.parquet as pq

from curation import io
from curation.jobs import stages, weights
from curation.mixing import sampling
from curation.mixing.selecting import PASSES, Selecting
from curation.plan import Context, Job, Progress, Shard, Step


def steps(job: Job) -> list[Step]:
    """The passes over the weights; none without a budget."""
    if not asked(job):
        return []
    return [Step(f"budget {n}", "weigh", work=_grid, merge=_add, finish=_Narrow(n)) for n in range(1, PASSES + 1)]


def asked(job: Job) -> bool:
    """Does the configuration ask for a selection?"""
    select = job.config.select
    return select.tokens is not None or select.documents is not None or select.rate is not None


def begin(job: Job, kept: int) -> sampling.Selection | None:
    """Where the search begins when `kept` documents are there to select from; None without a budget."""
    if not asked(job):
        return None
    select = job.config.select
    return sampling.begin(Selecting(select.tokens, select.documents, select.rate).budget(kept))


def largest_weight(job: Job, documents: int, tokens: int) -> float:
    """The cap of the balance: `mix.cap`, or what a selection from so many documents and tokens can express."""
    select, cap = job.config.select, job.config.mix.cap
    share = select.rate or 0.0
    if select.tokens is not None and tokens:
        share = min(1.0, select.tokens / tokens)
    if select.documents is not None and documents:
        share = min(1.0, select.documents / documents)
    return sampling.largest_weight(share, select.max_repeats, cap)


def search(context: Context) -> sampling.Selection | None:
    """Where the search stands after the passes so far."""
    last = max((int(name[7:]) for name in context if name.startswith("budget ")), default=0)
    return context[f"budget {last}"] if last else context["weights"].search


def _grid(job: Job, shard: Shard, context: Context, progress: Progress) -> np.ndarray:
    found, weighed, config = search(context), context["weights"], job.config
    sums = np.zeros(len(found.grid) if found else 0, np.int64)
    if not found or not found.grid:
        return sums
    file = pq.ParquetFile(io.open_file(stages.decisions_path(job, "weights", shard)))
    signals = stages.read_signals(job, shard, ["id", "tokens"])
    with file:
        for batch, mine in zip(
            signals, file.iter_batches(stages.BATCH, columns=["weight", "balanced"], use_threads=False), strict=True
        ):
            balanced = mine.column("balanced").to_numpy(zero_copy_only=False)
            size = batch.column("tokens").to_numpy() if config.select.tokens else np.ones(batch.num_rows, np.int64)
            sums += sampling.grid_sums(
                weights.final(mine.column("weight").to_numpy(), balanced, weighed.free, weighed.top, weighed.scale),
                sampling.uniforms(batch.column("id"), config.run.seed),
                size,
                found.grid,
                config.select.max_repeats,
            )
    return sums


def _add(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a + b


@dataclass(frozen=True)
class _Narrow:
    """One pass of the search for the rate that meets the budget."""

    number: int

    def __call__(self, job: Job, merged: np.ndarray | None, context: Context) -> sampling.Selection | None:
        found = search(context)
        if not found or not found.grid or merged is None:
            return found
        return sampling.narrow(found, merged)
