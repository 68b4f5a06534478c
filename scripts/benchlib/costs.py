"""Costs: CPU seconds of a call or of a process, and how they grow with the amount of text."""

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

SINGLE_THREAD = {
    name: "1"
    for name in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS",
                 "POLARS_MAX_THREADS")
}  # fmt: skip


class Line(NamedTuple):
    """cost = fixed + slope * amount, by least squares."""

    slope: float
    fixed: float


def fit(amounts: Sequence[float], costs: Sequence[float]) -> Line:
    """The least-squares line through (amount, cost). Raises ValueError for fewer than two different amounts."""
    if len(amounts) != len(costs):
        raise ValueError(f"{len(amounts)} amounts and {len(costs)} costs")
    if len(set(amounts)) < 2:
        raise ValueError(f"a marginal cost needs two sizes or more, not {sorted(set(amounts))}")
    x, y = statistics.fmean(amounts), statistics.fmean(costs)
    slope = sum((a - x) * (c - y) for a, c in zip(amounts, costs, strict=True)) / sum((a - x) ** 2 for a in amounts)
    return Line(slope, y - slope * x)


def rate(line: Line, least_seconds: float = 1e-9) -> float | None:
    """Amount per unit of cost at the margin; None where the cost does not grow by more than `least_seconds`."""
    return 1 / line.slope if line.slope > least_seconds else None


def cpu_seconds(call: Callable[[], Any], repeats: int = 5) -> float:
    """Median CPU seconds of a call (all threads of this process), after one call that is not counted."""
    call()
    spent = []
    for _ in range(repeats):
        started = time.process_time()
        call()
        spent.append(time.process_time() - started)
    return statistics.median(spent)


class Process(NamedTuple):
    """What a finished process has used, its own children included."""

    cpu_seconds: float
    wall_seconds: float
    peak_rss: int  # bytes, of the largest process
    output: str


def run_process(
    command: Sequence[str], environment: dict[str, str] | None = None, folder: Path | None = None
) -> Process:
    """Run a command to its end, in `folder`. Raises RuntimeError with the command's own words where it fails."""
    started = time.perf_counter()
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, **(environment or {})}, cwd=folder
    )
    assert child.stdout is not None
    output = child.stdout.read().decode("utf-8", "replace")
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    child.stdout.close()
    if child.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {child.returncode}:\n{output[-3000:]}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Process(usage.ru_utime + usage.ru_stime, time.perf_counter() - started, usage.ru_maxrss * unit, output)


def machine() -> str:
    """One line: processor, cores, memory, and the versions that speed depends on."""
    names = ("numpy", "numba", "pyarrow", "apache-beam", "datatrove", "rensa", "datasketch", "polars")
    versions = [f"{name} {found}" for name in names if (found := _version(name))]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    return f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB; {system}, {', '.join(versions)}"


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    fields: dict[str, str] = {}
    for line in info.read_text().splitlines() if info.exists() else []:
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    if "model name" not in fields:
        return platform.processor() or "unknown processor"
    family = f" (family {fields['cpu family']} model {fields['model']})" if "cpu family" in fields else ""
    return fields["model name"] + family
