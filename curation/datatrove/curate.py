"""The whole job as a chain of datatrove executors, on one machine or on Slurm.

A job is a list of steps over shards. Each becomes one executor whose rank r works on shards[r::world_size], and one
of a single task that brings the results together; what steps return goes through files below
OUT/decisions/steps, so any executor with `depends` will do. Results that stand are not made again, and all of them are
deleted when the job is done.
"""

from collections.abc import Mapping
from typing import Any

from datatrove.data import DocumentsPipeline
from datatrove.executor.local import LocalPipelineExecutor
from datatrove.pipeline.base import PipelineStep

from curation.config import Config, ConfigError, load
from curation.jobs import prepare, results, steps
from curation.jobs.summarise import summarise
from curation.plan import Job, Step


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
    if not config.output:
        raise ConfigError("no output: give `output` in the configuration", "no-output")
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
        context = results.Results(self.job).context(self.before)
        for number in results.numbers(self.job, self.step, rank, world_size):
            with self.track_time("shard"):
                if results.work(self.job, self.step, context, number, self._progress):
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
        with self.track_time("rank"):
            results.group(self.job, self.step, rank, world_size)


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
        with self.track_time("step"):
            results.finish(self.job, self.step, self.before)
        if self.last:
            summarise(self.job, {})
            results.Results(self.job).remove()
