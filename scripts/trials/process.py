"""A run of the command line in a process of its own, watched from outside."""

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
PROGRESS = re.compile(r"^(?P<stage>[^:]+): (?P<documents>[\d,]+) documents, .*?(?P<seconds>[\d.,]+) s…?$")


class Sample(NamedTuple):
    """A line of progress: seconds since the start, CPU seconds and resident bytes of the process by then."""

    stage: str
    documents: int
    wall: float
    cpu: float
    resident: int


class Watched(NamedTuple):
    """A finished run."""

    code: int
    wall: float
    cpu: float
    peak: int  # bytes
    samples: list[Sample]
    output: str


def command(inputs: Sequence[str], output: Path | str, *settings: str) -> list[str]:
    """The command line of a run."""
    found = [sys.executable, "-m", "curation.cli", "run", "--output", str(output)]
    for item in inputs:
        found += ["--input", item]
    for setting in settings:
        found += ["--set", setting]
    return found


def environment() -> dict[str, str]:
    """Our own package, from wherever the scripts stand."""
    root = str(Path(__file__).resolve().parent.parent.parent)
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))}


def watch(arguments: Sequence[str]) -> Watched:
    """Run to the end, noting memory and CPU at every line of progress. Linux only for the latter."""
    begin = time.perf_counter()
    samples: list[Sample] = []
    said: list[str] = []
    process = subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment()
    )
    with process:
        peak, stop = [0], threading.Event()

        def look() -> None:
            while not stop.wait(0.1):
                peak[0] = max(peak[0], _status(process.pid, "VmHWM"))

        looking = threading.Thread(target=look)
        looking.start()
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            if found := PROGRESS.match(line.strip()):
                now, documents = time.perf_counter() - begin, int(found["documents"].replace(",", ""))
                cpu, resident = cpu_seconds(process.pid), _status(process.pid, "VmRSS")
                samples.append(Sample(found["stage"], documents, now, cpu, resident))
        stop.set()
        looking.join()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    cpu = used.ru_utime + used.ru_stime
    # ru_maxrss begins with what this process had when it started the other
    seen = peak[0] or used.ru_maxrss * 1024
    return Watched(process.returncode, time.perf_counter() - begin, cpu, seen, samples, "".join(said))


def cpu_seconds(pid: int) -> float:
    """CPU seconds of a running process so far, 0 where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS


def _status(pid: int, key: str) -> int:
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(key):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0
