"""Carry out the steps of a job with threads of this process.

The kernels and Arrow release the interpreter lock, so threads use every core without pickling or start-up. The
chunks of a shuffle stay in memory up to a limit and go to a temporary file beyond it.
"""

import os
import tempfile
import threading
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import IO, Any

import numpy as np

from curation.local.memory import give_back
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
            if step.group is not None:
                for chunks in emitted(result):
                    partitions.add(chunks)
                result = None
            give_back()
            return result

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
    """Chunks of bytes by partition number, in memory up to a limit in bytes and in a temporary file beyond it."""

    def __init__(self, memory: int) -> None:
        self._memory = memory
        self._held = 0
        self._chunks: dict[int, list[np.ndarray]] = defaultdict(list)
        self._lock = threading.Lock()
        # without a name, so that a killed process leaves nothing behind
        self._file: IO[bytes] | None = None
        self._spilled: dict[int, list[tuple[int, int]]] = defaultdict(list)  # offsets and lengths in it

    def __enter__(self) -> "Partitions":
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

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
        extents = self._spilled.get(number, ())
        if extents:
            data = np.empty(sum(length for _, length in extents), np.uint8)
            at = 0
            for offset, length in extents:
                self._read(offset, data[at : at + length])
                at += length
            yield data
        yield from self._chunks[number]

    def _read(self, offset: int, into: np.ndarray) -> None:
        file: Any = self._file
        with self._lock:
            file.seek(offset)
            if file.readinto(into) != len(into):
                raise OSError("a temporary file of the shuffle is shorter than what was written to it")

    def _spill(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="curation-")  # noqa: SIM115 - closed on exit
        end = self._file.seek(0, os.SEEK_END)
        for number, chunks in self._chunks.items():
            start = end
            for chunk in chunks:
                self._file.write(chunk.data)
                end += chunk.nbytes
            if end > start:
                self._spilled[number].append((start, end - start))
            chunks.clear()
        self._file.flush()  # a full disk is told now
        self._held = 0
