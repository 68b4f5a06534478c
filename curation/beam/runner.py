"""Carry out the steps of a job as one Beam pipeline.

Shards are the elements; what a step's finish returns reaches the next steps as a side input, which is the barrier
between them. Text never crosses a shuffle: only small results and the packed chunks of a step with `group` do.
"""

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.pvalue import AsSingleton

from curation.beam import stepwise
from curation.config import ConfigError, nearest
from curation.plan import Context, Job, Shard, Step, emitted
from curation.progress import Observer

NAMESPACE = "curation"
RUNNERS = ("FnApiRunner", "DataflowRunner", "DaskRunner", "FlinkRunner", "SparkRunner", "PrismRunner", "PortableRunner")
# the observer of a run whose workers are threads of this process; on a service only the counters arrive
_OBSERVERS: dict[str, Observer] = {}


def check(runner: str) -> None:
    """Raise ConfigError unless Beam knows the runner, naming the nearest that it knows."""
    if runner in stepwise.RUNNERS:
        stepwise.check(runner)
        return
    from apache_beam.runners.runner import create_runner

    try:
        create_runner(runner)
    except (ValueError, ImportError) as error:
        raise ConfigError(f"run.runner: Beam has no runner {runner!r}{nearest(runner, RUNNERS)} ({error})") from None
    if runner == "DataflowRunner":
        try:
            from apache_beam.runners.dataflow.internal import apiclient  # noqa: F401
        except ImportError as error:
            raise ConfigError(
                f"run.runner DataflowRunner needs Google's client ({error}): pip install 'curation[gcp]'",
                "missing-package",
            ) from None


def execute(steps: list[Step], job: Job, observer: Observer, options: Sequence[str] = ()) -> None:
    """Run the steps on the Beam runner that `job.config.run.runner` names and wait for the end.

    `options` are Beam's own, as on a command line. Workers of FnApiRunner are threads of this process unless the
    options say otherwise.
    """
    runner = job.config.run.runner
    if runner in stepwise.RUNNERS:
        stepwise.execute(steps, job, observer, options)
        return
    given = [f"--runner={runner}", *options]
    if runner == "FnApiRunner" and not any(o.startswith("--direct_") for o in options):
        workers = job.config.run.workers or os.cpu_count() or 1
        mode = "multi_threading" if workers > 1 else "in_memory"
        given += [f"--direct_num_workers={workers}", f"--direct_running_mode={mode}"]
    token = f"{id(observer):x}"
    _OBSERVERS[token] = observer
    try:
        with observer.stage("run", "pipeline"), beam.Pipeline(options=PipelineOptions(given)) as pipeline:
            add_steps(pipeline, steps, job, token)
    finally:
        del _OBSERVERS[token]


def add_steps(
    pipeline: beam.Pipeline, steps: list[Step], job: Job, token: str = "", accelerator: str | None = None
) -> beam.PCollection[Context]:
    """Add the steps to a pipeline and return the PCollection that holds the final context.

    accelerator: the resource hint of the steps that use a GPU.
    """
    shards = pipeline | "Shards" >> beam.Create(list(job.shards)) | "Spread" >> beam.Reshuffle()
    start = pipeline | "Start" >> beam.Create([None])
    context = start | "NoContext" >> beam.Map(lambda _: {})
    for step in steps:
        merged = _merged(step, job, shards, start, context, token, accelerator)
        context = start | f"{step.name}/Finish" >> beam.Map(
            _finish, step, job, AsSingleton(merged), AsSingleton(context)
        )
    return context


def _merged(
    step: Step, job: Job, shards: Any, start: Any, context: Any, token: str, accelerator: str | None
) -> Any:
    if step.work is None:
        return start | f"{step.name}/Nothing" >> beam.Map(lambda _: None)
    wanted = step.shards(job)
    if wanted != job.shards:
        created = beam.Create(list(wanted))
        shards = start.pipeline | f"{step.name}/Shards" >> created | f"{step.name}/Spread" >> beam.Reshuffle()
    work: beam.PTransform = beam.ParDo(_Work(step, job, token), AsSingleton(context))
    if step.gpu and accelerator is not None:
        work = work.with_resource_hints(accelerator=accelerator)
    results = shards | f"{step.name}/Work" >> work
    if step.group is not None:
        results = (
            results
            | f"{step.name}/Chunks" >> beam.FlatMap(_chunks)
            | f"{step.name}/Shuffle" >> beam.GroupByKey()
            | f"{step.name}/Group" >> beam.Map(_group, step, job)
        )
    return results | f"{step.name}/Merge" >> beam.CombineGlobally(_Merge(step))


def _finish(_: None, step: Step, job: Job, merged: Any, context: Context) -> Context:
    return {**context, step.name: step.finish(job, merged, context)}


def _chunks(element: tuple[int, dict[int, np.ndarray]]) -> Iterator[tuple[int, bytes]]:
    for partition, chunk in element[1].items():
        yield partition, chunk.tobytes()


def _group(element: tuple[int, Iterable[bytes]], step: Step, job: Job) -> tuple[int, Any]:
    partition, chunks = element
    assert step.group is not None
    return partition, step.group(job, partition, (np.frombuffer(chunk, np.uint8) for chunk in chunks))


class _Work(beam.DoFn):
    """A step's work on one shard; documents and bytes are counted."""

    def __init__(self, step: Step, job: Job, token: str) -> None:
        self._step, self._job, self._token = step, job, token
        self._documents = beam.metrics.Metrics.counter(NAMESPACE, f"{step.name}-documents")
        self._bytes = beam.metrics.Metrics.counter(NAMESPACE, f"{step.name}-bytes")

    def process(self, shard: Shard, context: Context) -> Iterator[tuple[int, Any]]:
        observer, name = _OBSERVERS.get(self._token), self._step.name

        def progress(documents: int, size: int) -> None:
            self._documents.inc(documents)
            self._bytes.inc(size)
            if observer is not None:
                observer.advance(documents, size, name)

        assert self._step.work is not None
        spent, started = 0.0, time.thread_time()
        result = self._step.work(self._job, shard, context, progress)
        for part in [result] if self._step.group is None else emitted(result):
            spent += time.thread_time() - started
            yield shard.index, part
            started = time.thread_time()  # what others do with a part is not this step's work
        if observer is not None:
            observer.spent(name, spent + time.thread_time() - started)


class _Merge(beam.CombineFn):
    """Results by a step's merge, or, where it has none, all of them in the order of their keys."""

    def __init__(self, step: Step) -> None:
        self._merge = step.merge

    def create_accumulator(self) -> list[tuple[int, Any]]:
        return []

    def add_input(self, accumulator: list[tuple[int, Any]], element: tuple[int, Any]) -> list[tuple[int, Any]]:
        return self.merge_accumulators([accumulator, [element]])

    def merge_accumulators(self, accumulators: Iterable[list[tuple[int, Any]]]) -> list[tuple[int, Any]]:
        items = [item for accumulator in accumulators for item in accumulator]
        if self._merge is None or len(items) < 2:
            return items
        merged = items[0][1]
        for _, item in items[1:]:
            merged = self._merge(merged, item)
        return [(0, merged)]

    def extract_output(self, accumulator: list[tuple[int, Any]]) -> Any:
        if self._merge is None:
            return [item for _, item in sorted(accumulator, key=lambda pair: pair[0])]
        return accumulator[0][1] if accumulator else None
