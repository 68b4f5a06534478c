"""A job is a list of steps over shards; a host (local threads, Beam, datatrove) is whatever carries them out.

A step's functions are module-level and its values picklable, so every host can ship them. Steps talk through files
(signals, decisions) and through a small context: what each finished step returned, by the step's name.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from curation.config import Config

Context = dict[str, Any]
#: called with (documents, bytes of text) as work goes on
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Shard:
    """One input file. `version` is the modification time or etag by which a replaced file is noticed.

    columns: pairs of a column's own name in the file and the name that it is read as. members: of plain text, where
    a shard is many files and `url` their folder, the paths of these below it.
    """

    index: int
    url: str
    source: str
    relative: str
    trust: str = "unknown"
    before: dt.date | None = None
    size: int = 0
    version: str = ""
    columns: tuple[tuple[str, str], ...] = ()
    members: tuple[str, ...] = ()


@dataclass(frozen=True)
class Job:
    """What every worker knows: the configuration, the shards, and by phase the hash that stamps are compared with."""

    config: Config
    shards: tuple[Shard, ...]
    hashes: Mapping[str, str]
    #: finished runs that this one is deduplicated against (`jobs.earlier.Earlier`)
    earlier: tuple[Any, ...] = ()


def own_shards(job: Job) -> tuple[Shard, ...]:
    """The shards that the job reads and writes."""
    return job.shards


def _nothing(*_: Any) -> None:
    return None


def emitted(result: Any) -> Iterator[dict[int, np.ndarray]]:
    """What work of a step with `group` returned or yields, part by part."""
    yield from [result] if isinstance(result, dict) else result


@dataclass(frozen=True)
class Step:
    """work(job, shard, context, progress) -> result for every shard, then finish(job, merged, context) -> value.

    `merge(a, b)` combines two results (associative and commutative); without it `merged` is the list of results in
    the order of the shards. With `group`, work returns {partition: uint8 array} instead, or yields several of these so
    that nobody holds all that a large shard sends; every partition's chunks are brought together,
    `group(job, partition, chunks)` makes one result of them, and these are merged. Without `work` only finish runs,
    once. `shards(job)` are what work is done on: the job's own, or more that are only read. The value of finish becomes
    context[name]. `gpu`: work uses a GPU where there is one.
    """

    name: str
    phase: str
    finish: Callable[[Job, Any, Context], Any] = _nothing
    work: Callable[[Job, Shard, Context, Progress], Any] | None = None
    merge: Callable[[Any, Any], Any] | None = None
    group: Callable[[Job, int, Iterable[np.ndarray]], Any] | None = None
    shards: Callable[[Job], tuple[Shard, ...]] = own_shards
    gpu: bool = False
