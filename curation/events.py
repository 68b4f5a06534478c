"""What a run tells programs: events as JSON lines, on standard output and in the log file of the output folder.

Every line is an object with `event`, `time` (ISO 8601, UTC) and what docs/errors.md lists for that event.
"""

import datetime as dt
import json
import os
import sys
from collections.abc import Callable
from typing import IO, Any

LOG = "run.log"  # in the output folder
TAIL_BYTES = 1 << 16

Sink = Callable[[dict[str, Any]], None]


def event(name: str, **values: Any) -> dict[str, Any]:
    """An event with the time of now."""
    now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"event": name, "time": now, **values}


def to_stream(stream: IO[str] | None = None) -> Sink:
    """A sink that writes lines to a stream, standard output by default."""

    def write(found: dict[str, Any]) -> None:
        print(json.dumps(found, ensure_ascii=False), file=stream or sys.stdout, flush=True)

    return write


def to_log(folder: str) -> Sink:
    """A sink that appends lines to the log of a local output folder."""
    path = os.path.join(folder, LOG)

    def write(found: dict[str, Any]) -> None:
        with open(path, "a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(json.dumps(found, ensure_ascii=False) + "\n")

    return write


def last_run(folder: str) -> list[dict[str, Any]]:
    """The events of the last run in a local folder's log, from its start; none where there is no log.

    A line that a kill cut short is left out.
    """
    try:
        with open(os.path.join(folder, LOG), "rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - TAIL_BYTES))
            lines = file.read().splitlines()
    except OSError:
        return []
    found: list[dict[str, Any]] = []
    for line in lines:
        try:
            one = json.loads(line)
        except ValueError:
            continue
        if isinstance(one, dict) and "event" in one:
            found = [one] if one["event"] == "started" else [*found, one]
    return found


def unfinished(folder: str) -> str | None:
    """What became of the last run in a folder when it did not finish, in words; None when it did or nobody knows."""
    found = last_run(folder)
    if not found or found[-1]["event"] == "done":
        return None
    stage = next((e["stage"] for e in reversed(found) if e["event"] in ("stage", "progress", "stage_done")), None)
    during = f" during {stage}" if stage else ""
    last = found[-1]
    if last["event"] == "error":
        return f"the last run here failed{during} at {last['time']} ({last['code']}: {last['message']})"
    return f"the last run here was killed{during}, or still goes on: it was last heard of at {last['time']}"
