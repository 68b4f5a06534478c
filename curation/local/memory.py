"""Memory that allocators keep after it was freed.

Both the C library and Arrow keep freed memory in pools of each thread, which fragment: over a hundred shards a run came
to hold 300 MB more than it used, and would have gone on, ever more slowly.
"""

import ctypes
import sys
import threading
import time
from collections.abc import Callable

import pyarrow as pa

SECONDS = 1.0  # between two times in one thread: they cost some 12 ms, and shards may be tiny
_last = threading.local()


def give_back() -> None:
    """Return to the system what this thread's pools hold without use, at most once in SECONDS. For between shards."""
    now = time.monotonic()
    if now - getattr(_last, "time", now - SECONDS) < SECONDS:
        return
    _last.time = now
    pa.default_memory_pool().release_unused()
    _trim(0)


def _found() -> Callable[[int], object]:
    """glibc's malloc_trim; nothing where the C library is another."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            return trim
    return lambda _: None


_trim = _found()
