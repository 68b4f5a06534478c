"""Carry out the steps of a job with threads of this process.

The kernels and Arrow release the interpreter lock, so threads use every core without pickling or start-up. The
chunks of a shuffle stay in memory up to a limit and go to temporary files beyond it.
"""

import os
import tempfile
import threading
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import numpy as np

from curation.local.merging import Merging
from curation.plan import Context, Job, Step, emitted
from curation.progress import Observer


def execute(steps: list[Step], job: Job, observer: Observer) -> None:
    """Run the steps in order.

    `job.config.run.workers` threads (0: one per core). The first failure cancels what has not started and is raised.
    """
    workers = job.config.run.workers or os.cpu_count() or 1
    context: Context = {}
    with ThreadPoolExecutor(workers, thread_name_prefix="curation") as pool:
        try:
            for step in steps:
                with observer.stage(step.phase, step.name):
                    context[step.name] = step.finish(job, _merged(step, job, context, pool, observer), context)
        except BaseException:
            observer.stop()  # shards in work end at their next batch
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _merged(step: Step, job: Job, context: Context, pool: ThreadPoolExecutor, observer: Observer) -> Any:
    work = step.work
    if work is None:
        return None
    memory = job.config.dedup.memory_mb * 2**20
    shards = step.shards(job)
    with Partitions(memory) as partitions:

        def one(index: int) -> Any:
            result = work(job, shards[index], context, observer.advance)
            if step.group is None:
                return result
            for chunks in emitted(result):
                partitions.add(chunks)
            return None

        if step.group is None:
            return _results(pool, one, range(len(shards)), step.merge)
        group = step.group
        _all(pool, one, range(len(shards)))
        return _results(pool, lambda p: group(job, p, partitions.chunks(p)), partitions.numbers(), step.merge)


def _results(pool: ThreadPoolExecutor, function: Any, items: Any, merge: Any) -> Any:
    """What the function gives for every item, in their order: merged as it comes, or listed where there is no merge."""
    if merge is None:
        return _all(pool, function, items)
    merging = Merging(merge)
    _all(pool, lambda item: merging.add(item[0], function(item[1])), enumerate(items))
    return merging.result()


def _all(pool: ThreadPoolExecutor, function: Any, items: Any) -> list[Any]:
    futures = [pool.submit(function, item) for item in items]
    done, waiting = wait(futures, return_when=FIRST_EXCEPTION)
    if waiting:
        for future in waiting:
            future.cancel()
        wait(waiting)
    return [future.result() for future in futures if not future.cancelled() or future.exception() is not None]


class Partitions:
    """Chunks of bytes by partition number, in memory up to a limit in bytes and in temporary files beyond it."""

    def __init__(self, memory: int) -> None:
        self._memory = memory
        self._held = 0
        self._chunks: dict[int, list[np.ndarray]] = defaultdict(list)
        self._lock = threading.Lock()
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> "Partitions":
        return self

    def __exit__(self, *_: object) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    def add(self, chunks: dict[int, np.ndarray]) -> None:
        """Take chunks that a shard emits; safe to call from many threads."""
        with self._lock:
            for number, chunk in chunks.items():
                self._chunks[number].append(chunk)
                self._held += chunk.nbytes
            if self._held > self._memory:
                self._spill()

    def numbers(self) -> list[int]:
        """Numbers of the partitions that hold something, in order."""
        return sorted(self._chunks)

    def chunks(self, number: int) -> Iterator[np.ndarray]:
        """The chunks of one partition."""
        if self._folder is not None and (path := self._path(number)).exists():
            yield np.fromfile(path, np.uint8)
        yield from self._chunks[number]

    def _path(self, number: int) -> Path:
        assert self._folder is not None
        return Path(self._folder.name) / f"{number}.bin"

    def _spill(self) -> None:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="curation-")
        for number, chunks in self._chunks.items():
            with self._path(number).open("ab") as file:
                for chunk in chunks:
                    file.write(chunk.data)
            chunks.clear()
        self._held = 0
