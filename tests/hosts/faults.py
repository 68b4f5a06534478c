"""Run the job on an engine with one step that goes wrong once, on its second shard.

The fault is kill (the worker dies), half (the step fails after some of its work) or full (no space is left).
"""

import errno
import json
import os
import signal
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import curation.jobs
from curation.jobs import steps
from curation.plan import Job, Step


@dataclass(frozen=True)
class Faulty:
    """A step's work that goes wrong where MARKER does not stand yet."""

    work: Any
    fault: str
    marker: str

    def __call__(self, job: Job, shard: Any, context: Any, progress: Any) -> Any:
        if shard.index != 1 or Path(self.marker).exists():
            return self.work(job, shard, context, progress)
        Path(self.marker).touch()
        if self.fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.fault == "full":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "part.parquet")
        self.work(job, shard, context, _stop)
        raise RuntimeError("the shard fails half-way")


def _stop(documents: int, size: int) -> None:
    raise RuntimeError("the shard fails half-way")


def faulty(job: Job, phase: str, fault: str, marker: str) -> list[Step]:
    """The steps of the job, the first of the phase that works on shards replaced."""
    found = steps(job)
    at = next(i for i, step in enumerate(found) if step.phase == phase and step.work is not None)
    found[at] = replace(found[at], work=Faulty(found[at].work, fault, marker))
    return found


def run(path: str, engine: str, phase: str, fault: str, marker: str) -> None:
    values = json.loads(Path(path).read_text())

    def wrong(job: Job) -> list[Step]:
        return faulty(job, phase, fault, marker)

    if engine == "datatrove":
        import curation.datatrove.curate as chain

        chain.steps = wrong
        chain.curate_executors(values, logging_dir=f"{path}.logs", tasks=2, workers=1)[-1].run()
    else:
        curation.jobs.steps = wrong
        curation.jobs.curate(**values, run={"runner": engine, "workers": 2})
