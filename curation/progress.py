"""What a run tells the person who started it: stages with their cost, and bars or plain lines as work goes on."""

import resource
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from curation.events import Sink, event, to_stream

EVERY = 10.0  # seconds between two reports on a stage


class Stopped(RuntimeError):
    """The run was told to stop."""


def _rounded(entry: dict[str, float]) -> dict[str, float]:
    return {key: round(value, 3) for key, value in entry.items()}


class Observer:
    """Collects documents, bytes, CPU and wall seconds of each stage; shows nothing by itself.

    `expected` is the number of bytes that a pass over all shards reads, for bars, or 0 when unknown.
    """

    def __init__(self, expected: int = 0) -> None:
        self.stages: dict[str, dict[str, float]] = {}
        self.expected = expected
        self.sinks: list[Sink] = []
        self._stopped = False
        self._told = time.perf_counter()
        self._lock = threading.Lock()
        self._current: dict[str, float] = {}
        self._name = ""

    @contextmanager
    def stage(self, phase: str, name: str) -> Iterator[None]:
        """Measure a stage; the steps of one phase that share a name add up."""
        entry = self._entry(name)
        self._current, self._name = entry, name
        cpu, wall = time.process_time(), time.perf_counter()
        self._told = wall
        self.tell("stage", phase=phase, stage=name)
        self.started(phase, name)
        try:
            yield
        finally:
            entry["cpu_seconds"] += time.process_time() - cpu
            entry["wall_seconds"] += time.perf_counter() - wall
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            entry["peak_rss"] = peak * (1 if sys.platform == "darwin" else 1024)
            self.ended(phase, name)
            self.tell("stage_done", phase=phase, stage=name, **_rounded(entry))

    def tell(self, name: str, **values: Any) -> None:
        """Hand an event to every sink."""
        for sink in self.sinks:
            sink(event(name, **values))

    def stop(self) -> None:
        """Let every thread that advances from now on end with an error, so that a stopped run does stop."""
        self._stopped = True

    def advance(self, documents: int, size: int, name: str | None = None) -> None:
        """Count documents and bytes of text that a stage (the current one) has passed; called from any thread.

        Raises Stopped once the run was told to stop.
        """
        if self._stopped:
            raise Stopped
        with self._lock:
            entry = self._current if name is None else self._entry(name)
            entry["documents"] += documents
            entry["megabytes"] += size / 1e6
            now = time.perf_counter()
            if now - self._told >= EVERY:
                self._told = now
                self.tell("progress", stage=self._name if name is None else name, **_rounded(entry))

    def spent(self, name: str, cpu: float) -> None:
        """Count CPU seconds that a worker has spent on a stage, where stages overlap and cannot be timed whole."""
        with self._lock:
            self._entry(name)["cpu_seconds"] += cpu

    def _entry(self, name: str) -> dict[str, float]:
        empty: dict[str, float] = {"documents": 0, "megabytes": 0, "cpu_seconds": 0, "wall_seconds": 0, "peak_rss": 0}
        return self.stages.setdefault(name, empty)

    def started(self, phase: str, name: str) -> None:
        """Called as a stage begins."""

    def ended(self, phase: str, name: str) -> None:
        """Called as a stage ends."""

    def close(self) -> None:
        """Called once when the job is over."""


class Lines(Observer):
    """Plain lines, one every few seconds and one for each stage: for logs and pipes."""

    def __init__(self, expected: int = 0, stream: TextIO | None = None, every: float = EVERY) -> None:
        super().__init__(expected)
        self._stream = stream or sys.stderr
        self._every = every
        self._next = self._since = time.perf_counter()

    def started(self, phase: str, name: str) -> None:
        self._since = time.perf_counter()
        self._next = self._since + self._every

    def advance(self, documents: int, size: int, name: str | None = None) -> None:
        super().advance(documents, size, name)
        now = time.perf_counter()
        if now >= self._next:
            self._next = now + self._every
            self._print("…")

    def ended(self, phase: str, name: str) -> None:
        if time.perf_counter() - self._since > 1 or self._current["documents"]:
            self._print("")

    def _print(self, suffix: str) -> None:
        entry, seconds = self._current, max(time.perf_counter() - self._since, 1e-9)
        text = ""  # a stage that reads no text has no speed either
        if entry["documents"]:
            text = (
                f"{entry['documents']:,.0f} documents, {entry['megabytes']:,.1f} MB, "
                f"{entry['megabytes'] / seconds:,.1f} MB/s, "
            )
        print(
            f"{self._name}: {text}{seconds:,.1f} s{suffix}",
            file=self._stream,
            flush=True,
        )


class Bars(Observer):
    """One rich bar for each stage, with documents, MB/s and the time left."""

    def __init__(self, expected: int = 0) -> None:
        super().__init__(expected)
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self._bars = Progress(
            TextColumn("{task.description:<18}"),
            BarColumn(),
            TextColumn("{task.fields[documents]:>11,.0f} documents"),
            TextColumn("{task.fields[rate]:>8,.1f} MB/s"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            transient=False,
        )
        self._bars.start()
        self._task: Any = None

    def started(self, phase: str, name: str) -> None:
        self._since = time.perf_counter()
        self._task = self._bars.add_task(name, total=self.expected / 1e6 or None, documents=0, rate=0.0)

    def advance(self, documents: int, size: int, name: str | None = None) -> None:
        super().advance(documents, size, name)
        done = self._current["megabytes"]
        self._bars.update(
            self._task,
            completed=done,
            documents=self._current["documents"],
            rate=done / max(time.perf_counter() - self._since, 1e-9),
        )

    def ended(self, phase: str, name: str) -> None:
        if self._current["documents"]:
            self._bars.update(self._task, total=self._current["megabytes"], completed=self._current["megabytes"])
        else:  # a stage without documents is not worth a line on the screen
            self._bars.remove_task(self._task)

    def close(self) -> None:
        self._bars.stop()


def observer(expected: int = 0, *, quiet: bool = False, as_json: bool = False) -> Observer:
    """Bars on a terminal, plain lines elsewhere, nothing when quiet; events on standard output when `as_json`."""
    if as_json:
        found = Observer(expected)
        found.sinks.append(to_stream())
        return found
    if quiet:
        return Observer(expected)
    return Bars(expected) if sys.stderr.isatty() else Lines(expected)
