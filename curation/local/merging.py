"""Results merged as they come: of a step whose shards give a matrix each, few are held, not one for every shard."""

import threading
from collections.abc import Callable
from typing import Any


class Merging:
    """Merges numbered results with their neighbours, in the order of their numbers, whatever order they come in.

    Held are as many as there are gaps between the numbers that have come, so about one for each thread.
    """

    def __init__(self, merge: Callable[[Any, Any], Any]) -> None:
        self._merge = merge
        self._lock = threading.Lock()
        self._runs: dict[int, tuple[int, Any]] = {}  # by first number: the number behind the last, and what they gave
        self._starts: dict[int, int] = {}  # first number of a run by the number behind its last

    def add(self, number: int, result: Any) -> None:
        """Take one result; safe to call from many threads."""
        with self._lock:
            start, end = number, number + 1
            if start in self._starts:
                start = self._starts.pop(start)
                result = self._merge(self._runs.pop(start)[1], result)
            if end in self._runs:
                behind, following = self._runs.pop(end)
                result = self._merge(result, following)
                end = behind
            self._runs[start], self._starts[end] = (end, result), start

    def result(self) -> Any:
        """All of them merged; None where there were none. Raises ValueError when numbers are missing."""
        if len(self._runs) > 1:
            raise ValueError(f"no results between those that begin with {sorted(self._runs)}")
        return next((value for _, value in self._runs.values()), None)
