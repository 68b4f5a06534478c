"""Carry out a job step by step through files, for hosts that can only run independent tasks one set after another.

What the tasks of a step return stands in OUT/decisions/steps; a result that stands is not made again, so a task may be
repeated, and a job that stopped goes on. All of it is deleted when the job is done.
"""

import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from curation import io
from curation.io.codec import dumps, loads
from curation.io.files import filesystem
from curation.plan import Context, Job, Progress, Step, emitted


@dataclass(frozen=True)
class Results:
    """Where the results of a job's steps stand."""

    job: Job

    @property
    def folder(self) -> str:
        """The folder for these settings and inputs."""
        return f"{self.job.config.output.rstrip('/')}/decisions/steps/{self.job.hashes['select']}"

    def path(self, step: str, kind: str, number: int = 0) -> str:
        """The file of a result: kind is work (by shard), group (by task) or value."""
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

    def remove(self) -> None:
        """Delete them all."""
        fs, path = filesystem(self.folder)
        fs.rm(path, recursive=True)


def numbers(job: Job, step: Step, rank: int = 0, world_size: int = 1) -> list[int]:
    """The numbers of a task's shards among those of the step."""
    return list(range(len(step.shards(job))))[rank::world_size]


def work(job: Job, step: Step, context: Context, number: int, progress: Progress) -> bool:
    """A step's work on one of its shards, by number; False when its result stands already."""
    results, function = Results(job), step.work
    assert function is not None
    path = results.path(step.name, "work", number)
    if io.exists(path):
        return False
    # tasks share the cores; BLAS threads beside them only wait for each other
    with threadpool_limits(1, user_api="blas"):
        result = function(job, step.shards(job)[number], context, progress)
    if step.group is None:
        results.write(path, result)
    else:  # an archive from which a task can read its partitions alone
        with io.atomic(path) as file, zipfile.ZipFile(file, "w") as archive:
            for part, chunks in enumerate(emitted(result)):
                for partition, chunk in chunks.items():
                    with archive.open(f"{partition}-{part}.npy", "w", force_zip64=True) as member:
                        np.lib.format.write_array(member, chunk, allow_pickle=False)
    return True


def group(job: Job, step: Step, rank: int, world_size: int) -> None:
    """A step's `group` on the partitions whose number is the rank's, modulo world_size."""
    results, function = Results(job), step.group
    assert function is not None
    chunks: dict[int, list[np.ndarray]] = {}
    for number in numbers(job, step):
        with io.open_file(results.path(step.name, "work", number)) as file:
            archive = np.load(file, allow_pickle=False)
            for name in archive.files:
                partition = int(name.partition("-")[0])
                if partition % world_size == rank:
                    chunks.setdefault(partition, []).append(archive[name])
    found = {partition: function(job, partition, parts) for partition, parts in sorted(chunks.items())}
    results.write(results.path(step.name, "group", rank), [world_size, found])


def finish(job: Job, step: Step, before: tuple[str, ...]) -> None:
    """Bring a step's results together and store its value."""
    results = Results(job)
    value = step.finish(job, _merged(results, step), results.context(before))
    results.write(results.path(step.name, "value"), value)


def _merged(results: Results, step: Step) -> Any:
    if step.work is None:
        return None
    if step.group is None:
        # read as they are merged, since a result may be a matrix
        found = (results.read(results.path(step.name, "work", n)) for n in numbers(results.job, step))
    else:
        ranks, first = results.read(results.path(step.name, "group"))
        parts = [first, *(results.read(results.path(step.name, "group", r))[1] for r in range(1, ranks))]
        by_partition = {partition: value for part in parts for partition, value in part.items()}
        found = (by_partition[partition] for partition in sorted(by_partition))
    return list(found) if step.merge is None else _reduce(step.merge, found)


def _reduce(merge: Callable[[Any, Any], Any], found: Iterable[Any]) -> Any:
    merged = None
    for result in found:
        merged = result if merged is None else merge(merged, result)
    return merged
