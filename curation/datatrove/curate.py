"""The whole job as a chain of datatrove executors, on one machine or on Slurm.

A job is a list of steps over shards. Each becomes one executor whose rank r works on shards[r::world_size], and one
of a single task that brings the results together; what steps return goes through files below
OUT/decisions/steps, so any executor with `depends` will do. Results that stand are not made again, and all of them are
deleted when the job is done.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from datatrove.data import DocumentsPipeline
from datatrove.executor.local import LocalPipelineExecutor
from datatrove.pipeline.base import PipelineStep
from threadpoolctl import threadpool_limits

from curation import io
from curation.config import Config, load
from curation.datatrove.codec import dumps, loads
from curation.io.files import filesystem
from curation.jobs import prepare, steps
from curation.jobs.summarise import summarise
from curation.plan import Context, Job, Step


def curate_executors(
    config: Config | str | Mapping[str, Any],
    *,
    logging_dir: str,
    tasks: int = 1,
    executor: Any = LocalPipelineExecutor,
    **options: Any,
) -> list[Any]:
    """Executors that run the whole job when the last one runs: each depends on the one before.

    `config` is a Config, the path of a YAML file, or a mapping of its keys; `tasks` the number of ranks that share the
    shards; `executor` the class, such as SlurmPipelineExecutor, and `options` its other arguments. Kept shards and
    decisions are those of `curation.curate`. Logs go to a folder below `logging_dir` for this job and these inputs.
    Raises ConfigError for what cannot be run.

        executors = curate_executors("curate.yaml", logging_dir="logs", tasks=8)
        executors[-1].run()
    """
    if tasks < 1:
        raise ValueError(f"tasks must be at least 1, not {tasks}")
    if not isinstance(config, Config):
        config = load(None, config) if isinstance(config, Mapping) else load(config)
    job = prepare(config)
    chain: list[Any] = []

    def add(step: PipelineStep, name: str, tasks: int) -> None:
        folder = f"{logging_dir.rstrip('/')}/{job.hashes['select'][:12]}/{name.replace(' ', '-')}"
        depends = chain[-1] if chain else None
        chain.append(executor(pipeline=[step], tasks=tasks, logging_dir=folder, depends=depends, **options))

    plan = steps(job)
    for place, step in enumerate(plan):
        before = tuple(earlier.name for earlier in plan[:place])
        if step.work is not None:
            add(WorkStep(job, step, before), step.name, tasks)
        if step.group is not None:
            add(GroupStep(job, step), f"{step.name}-group", tasks)
        add(FinishStep(job, step, before, last=step is plan[-1]), f"{step.name}-finish", 1)
    return chain


@dataclass(frozen=True)
class Results:
    """Where the results of a job's steps stand."""

    job: Job

    @property
    def folder(self) -> str:
        """The folder for these settings and inputs."""
        return f"{self.job.config.output.rstrip('/')}/decisions/steps/{self.job.hashes['select']}"

    def path(self, step: str, kind: str, number: int = 0) -> str:
        """The file of a result: kind is work (by shard), group (by partition) or value."""
        return f"{self.folder}/{step.replace(' ', '-')}/{kind}-{number:06}"

    def write(self, path: str, value: Any) -> None:
        """Store a result; it appears whole."""
        with io.atomic(path) as file:
            file.write(dumps(value))

    def read(self, path: str) -> Any:
        """A stored result. Raises FileNotFoundError naming the file when its task has not run."""
        with io.open_file(path) as file:
            return loads(file.read())

    def context(self, names: tuple[str, ...]) -> Context:
        """What the finished steps returned."""
        return {name: self.read(self.path(name, "value")) for name in names}


class WorkStep(PipelineStep):
    """A step's work on its shards[rank::world_size]; results that stand are not made again."""

    type = "CURATION"
    name = "work"

    def __init__(self, job: Job, step: Step, before: tuple[str, ...]) -> None:
        self.name = step.name
        super().__init__()
        self.job, self.step, self.before = job, step, before

    def run(self, data: DocumentsPipeline = None, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        """Work on the rank's shards and pass data on."""
        if data:
            yield from data
        results, work = Results(self.job), self.step.work
        assert work is not None
        context = results.context(self.before)
        for number, shard in list(enumerate(self.step.shards(self.job)))[rank::world_size]:
            path = results.path(self.step.name, "work", number)
            if io.exists(path):
                continue
            # ranks share the cores; BLAS threads beside them only wait for each other
            with self.track_time("shard"), threadpool_limits(1, user_api="blas"):
                result = work(self.job, shard, context, self._progress)
                if self.step.group is None:
                    results.write(path, result)
                else:  # an archive from which a rank can read its partitions alone
                    with io.atomic(path) as file:
                        np.savez(file, **{str(partition): chunk for partition, chunk in result.items()})
            self.stat_update("shards")

    def _progress(self, documents: int, size: int) -> None:
        self.stat_update("documents", value=documents, unit="batch")
        self.stat_update("bytes", value=size, unit="batch")


class GroupStep(PipelineStep):
    """A step's `group` on the partitions whose number is the rank's, modulo world_size."""

    type = "CURATION"
    name = "group"

    def __init__(self, job: Job, step: Step) -> None:
        self.name = f"{step.name}: group"
        super().__init__()
        self.job, self.step = job, step

    def run(self, data: DocumentsPipeline = None, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        """Group the rank's partitions and pass data on."""
        if data:
            yield from data
        results, group = Results(self.job), self.step.group
        assert group is not None
        chunks: dict[int, list[np.ndarray]] = {}
        for number in range(len(self.step.shards(self.job))):
            with io.open_file(results.path(self.step.name, "work", number)) as file:
                archive = np.load(file, allow_pickle=False)
                for partition in map(int, archive.files):
                    if partition % world_size == rank:
                        chunks.setdefault(partition, []).append(archive[str(partition)])
        with self.track_time("rank"):
            found = {partition: group(self.job, partition, parts) for partition, parts in sorted(chunks.items())}
        results.write(results.path(self.step.name, "group", rank), [world_size, found])


class FinishStep(PipelineStep):
    """Brings a step's results together in one task; the last one also writes report and manifest."""

    type = "CURATION"
    name = "finish"

    def __init__(self, job: Job, step: Step, before: tuple[str, ...], last: bool) -> None:
        self.name = f"{step.name}: finish"
        super().__init__()
        self.job, self.step, self.before, self.last = job, step, before, last

    def run(self, data: DocumentsPipeline = None, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        """Finish the step and pass data on. Raises ValueError with more than one task."""
        if data:
            yield from data
        if world_size != 1:
            raise ValueError(f"{self.name} brings all results together: run it with tasks=1, not {world_size}")
        results = Results(self.job)
        with self.track_time("step"):
            context = results.context(self.before)
            value = self.step.finish(self.job, self._merged(results), context)
            results.write(results.path(self.step.name, "value"), value)
        if self.last:
            summarise(self.job, {})
            fs, path = filesystem(results.folder)
            fs.rm(path, recursive=True)

    def _merged(self, results: Results) -> Any:
        step = self.step
        if step.work is None:
            return None
        if step.group is None:
            numbers = range(len(step.shards(self.job)))
            found = [results.read(results.path(step.name, "work", number)) for number in numbers]
        else:
            ranks, first = results.read(results.path(step.name, "group"))
            parts = [first, *(results.read(results.path(step.name, "group", r))[1] for r in range(1, ranks))]
            by_partition = {partition: value for part in parts for partition, value in part.items()}
            found = [by_partition[partition] for partition in sorted(by_partition)]
        if step.merge is None:
            return found
        merged = None
        for result in found:
            merged = result if merged is None else step.merge(merged, result)
        return merged
