"""Memory that Arrow's allocator keeps after it was freed: pools of each thread, which fragment from shard to shard."""

import threading
import time

import pyarrow as pa

SECONDS = 1.0  # between two times in one thread: they cost some 6 ms, and shards may be tiny
_last = threading.local()


def give_back() -> None:
    """Return to the system what this thread's pool holds without use, at most once in SECONDS. For between shards."""
    now = time.monotonic()
    if now - getattr(_last, "time", now - SECONDS) < SECONDS:
        return
    _last.time = now
    pa.default_memory_pool().release_unused()
