"""Carry out a job as one small Beam pipeline for each set of independent tasks, for runners that can do no more.

Dask's runner has no metrics, mixes tagged outputs, and computes a side input again wherever it is used; a job in one
pipeline would be computed over and over. Here a pipeline is a Create and a ParDo, and results go through files below
the output folder, which all workers must see.
"""

import contextlib
import functools
import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from curation import io
from curation.config import ConfigError
from curation.jobs import results
from curation.plan import Job, Step
from curation.progress import Observer

#: the runners that are driven so, by the names by which Beam finds them
RUNNERS = {"DaskRunner": "apache_beam.runners.dask.dask_runner.DaskRunner"}
#: tasks that share the partitions of a shuffle
GROUPS = 16


def execute(steps: list[Step], job: Job, observer: Observer, options: Sequence[str]) -> None:
    """Run the steps one after another, waiting for each. Progress is told when a step is done."""
    with _cluster(job.config.run.workers, options) as where:
        given = [f"--runner={RUNNERS[job.config.run.runner]}", *where]
        for place, step in enumerate(steps):
            before = tuple(earlier.name for earlier in steps[:place])
            with observer.stage(step.phase, step.name):
                if step.work is not None:
                    numbers = results.numbers(job, step)
                    _all(numbers, functools.partial(_work, job, step, before), given)
                    _tell(job, step, numbers, observer)
                if step.group is not None:
                    _all(range(GROUPS), functools.partial(_group, job, step), given)
                results.finish(job, step, before)
    results.Results(job).remove()


def _all(tasks: Sequence[int], function: Callable[[int], Any], options: list[str]) -> None:
    chosen = any(option.startswith(("--dask_npartitions", "--dask_partition_size")) for option in options)
    # Dask would put 128 tasks together
    parts = [] if chosen else [f"--dask_npartitions={max(len(tasks), 1)}"]
    pipeline = beam.Pipeline(options=PipelineOptions([*options, *parts]))
    _ = pipeline | beam.Create(list(tasks)) | beam.Map(function)
    result: Any = pipeline.run()
    try:
        result.wait_until_finish()
    finally:
        result.client.close()  # each run opens another


@contextlib.contextmanager
def _cluster(workers: int, options: Sequence[str]) -> Iterator[list[str]]:
    """The options with the address of a scheduler: the one they name, else that of a cluster made for the job."""
    if any(option.startswith(("--dask_client_address", "--dask_scheduler_file")) for option in options):
        yield list(options)
        return
    from dask.distributed import LocalCluster

    count = workers or os.cpu_count() or 1
    with LocalCluster(n_workers=count, threads_per_worker=1, host="127.0.0.1", dashboard_address=None) as cluster:
        yield [*options, f"--dask_client_address={cluster.scheduler_address}"]


def check(runner: str) -> None:
    """Raise ConfigError when the packages of the runner are missing."""
    try:
        import dask.distributed  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"run.runner {runner} needs dask ({error}): pip install 'curation[beam,dask]'",
            "missing-package",
        ) from None


def _work(job: Job, step: Step, before: tuple[str, ...], number: int) -> None:
    done = [0, 0]

    def progress(documents: int, size: int) -> None:
        done[0] += documents
        done[1] += size

    started, found = time.thread_time(), results.Results(job)
    results.work(job, step, found.context(before), number, progress)
    spent = found.path(step.name, "spent", number)
    if not io.exists(spent):  # a worker may have died between the result and this
        found.write(spent, [*done, time.thread_time() - started])


def _tell(job: Job, step: Step, numbers: list[int], observer: Observer) -> None:
    found = results.Results(job)
    for number in numbers:
        documents, size, cpu = found.read(found.path(step.name, "spent", number))
        observer.advance(documents, size, step.name)
        observer.spent(step.name, cpu)


def _group(job: Job, step: Step, rank: int) -> None:
    results.group(job, step, rank, GROUPS)
