"""Looking into many shards before work, which on an object store is mostly waiting for it."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from curation.io import files
from curation.plan import Shard

T = TypeVar("T")

#: shards of object stores looked into at a time; few, since the head of each may be megabytes
AT_ONCE = 8
AHEAD = 256  # shards handed to the threads together, so that 100,000 do not wait in memory


def each(look: Callable[[Shard], T], shards: Sequence[Shard]) -> Iterator[T]:
    """look(shard) for every shard, in their order; AT_ONCE at a time where they stand on an object store.

    What is raised is what the first shard raises that raises anything, whichever failed first.
    """
    if all(files.is_local(shard.url) for shard in shards):
        yield from map(look, shards)
        return
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="curation-look") as pool:
        for start in range(0, len(shards), AHEAD):
            yield from pool.map(look, shards[start : start + AHEAD])
