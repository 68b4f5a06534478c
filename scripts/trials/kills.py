"""Kill -9 at random moments, then the same command: every byte must be that of an undisturbed run.

A moment is drawn between the lock of the output folder and the end of the run. What stands under a final name right
after the kill must be whole already. The two settings take turns: Parquet with a budget, and compressed JSON lines with
broken records among them, repeated paragraphs and scores.
"""

import hashlib
import json
import multiprocessing
import random
import time
from pathlib import Path
from typing import Any

from trials import records

SETTINGS = (
    ("parquet", ("select.rate=0.7", "run.workers=2", "run.batch_mb=0.05")),
    ("jsonl.zst", ("dedup.lines.enabled=true", "run.format=same", "run.workers=2", "run.batch_mb=0.05")),
)
SHARDS, RECORDS = 12, 60
COMPARED = ("kept", "excluded", "quarantine", "signals", "decisions")


def trial(folder: Path, count: int, seed: int) -> int:
    """Kill `count` runs and finish them; returns 1 if any differs."""
    draw = random.Random(seed)
    setups = [_setup(folder / form, form, settings, seed) for form, settings in SETTINGS]
    done = early = 0
    failed: list[str] = []
    while done < count:
        form, arguments, whole, seconds = setups[done % len(setups)]
        output = folder / "killed"
        moment = draw.uniform(0, seconds)
        run = _start(arguments, output)
        if not _kill(run, output, moment):
            early += 1
            _delete(output)
            continue
        done += 1
        stage = _stage(output)
        problems = [f"{n} is not whole after the kill" for n in _differences(whole, output, subset=True)]
        again = _start(arguments, output)
        again.join()
        if again.exitcode:
            problems.append(f"the second run failed with {again.exitcode}")
        else:
            problems += [f"{n} differs" for n in _differences(whole, output, subset=False)]
        print(f"{done}/{count} {form}, killed after {moment:.2f} s ({stage}): {problems or 'equal'}", flush=True)
        if problems:
            failed.append(f"{done}: {problems}")
            output.rename(folder / f"failed-{done}")
        else:
            _delete(output)
    print(f"kills: {done - len(failed)} of {done} byte-identical after the same command; {early} ended before the kill")
    return 1 if failed else 0


def _setup(
    folder: Path, form: str, settings: tuple[str, ...], seed: int
) -> tuple[str, list[str], dict[str, str], float]:
    """The command line, the hashes of an undisturbed run, and its seconds from the lock to the end."""
    for shard in range(SHARDS):
        name = f"part-{shard:02}.{form}"
        records.plain(folder / "in" / name, RECORDS, seed * 1000 + shard, broken=form != "parquet")
    arguments = ["run", "--quiet", "--input", str(folder / "in")]
    for setting in settings:
        arguments += ["--set", setting]
    # the first time in this process, which then has everything loaded that runs need
    _work([*arguments, "--output", str(folder / "whole")])
    whole = hashes(folder / "whole")
    timed = folder / "timed"
    run = _start(arguments, timed)
    _wait_for(timed / ".lock", run)
    begin = time.perf_counter()
    run.join()
    seconds = time.perf_counter() - begin
    if run.exitcode or hashes(timed) != whole:
        raise RuntimeError(f"two undisturbed runs of {form} differ: {folder}")
    _delete(timed)
    return form, arguments, whole, seconds


def _work(arguments: list[str]) -> None:
    """The command line in this process. Raises RuntimeError when it fails."""
    from curation.cli import app

    try:
        app(arguments)
    except SystemExit as end:
        if end.code:
            raise RuntimeError(f"{arguments} ended with {end.code}") from None


def _start(arguments: list[str], output: Path) -> Any:
    """The command line in a fork of this process, which spares it starting Python and loading the kernels."""
    run = multiprocessing.get_context("fork").Process(target=_work, args=([*arguments, "--output", str(output)],))
    run.start()
    return run


def _wait_for(path: Path, run: Any) -> None:
    while not path.exists() and run.is_alive():
        time.sleep(0.002)


def _kill(run: Any, output: Path, moment: float) -> bool:
    """Whether the run was still at work at that moment after its lock."""
    _wait_for(output / ".lock", run)
    run.join(moment)
    if not run.is_alive():
        return False
    run.kill()
    run.join()
    return True


def _stage(output: Path) -> str:
    """How far a killed run had come, by the last kind of file that stands."""
    for name in ("report/report.json", "kept", "decisions/weights", "decisions/clusters", "signals"):
        found = output / name
        if found.is_file() or any(f.is_file() and not f.name.startswith(".") for f in found.rglob("*")):
            return f"{name} stands"
    return "nothing stands"


def hashes(output: Path) -> dict[str, str]:
    """A hash of every file under a final name; of manifest and report without times, counts of work and own path."""
    found = {}
    for folder in COMPARED:
        for file in sorted((output / folder).rglob("*")):
            if file.is_file() and not file.name.startswith(".tmp-"):
                found[str(file.relative_to(output))] = hashlib.sha256(file.read_bytes()).hexdigest()
    for name, drop in (("manifest.json", ("stages", "config")), ("report/report.json", ("run",))):
        file = output / name
        if file.is_file():
            content = json.loads(file.read_bytes())
            plain = json.dumps({k: v for k, v in content.items() if k not in drop}, sort_keys=True)
            found[name] = hashlib.sha256(plain.encode()).hexdigest()
    return found


def _differences(whole: dict[str, str], output: Path, subset: bool) -> list[str]:
    """Names of files that are not those of the undisturbed run; `subset`: files may be missing, and there may be
    working files, which a finished run has deleted."""
    found = hashes(output)
    wrong = [name for name, value in found.items() if whole.get(name) != value and not (subset and name not in whole)]
    left = [str(f.relative_to(output)) for f in output.rglob(".tmp-*")]
    return wrong if subset else [*wrong, *(name for name in whole if name not in found), *left]


def _delete(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
