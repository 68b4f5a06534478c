"""The whole job at several sizes, each run a fresh process, and what each stage costs at the margin."""

import json
import shutil
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchlib.corpus import Sample, draw
from benchlib.costs import Line, fit, rate, run_process
from benchlib.tables import Cell, table

REFERENCE_SHARE = 0.25  # of the input, where no reference is given
NOISE = 0.0005  # CPU seconds per MB below which a stage's slope says nothing
JOBS = ("reference build", "run", "run with reference")
BEFORE_AND_AFTER = "imports, report, manifest"
RUNNER_ITSELF = "runner itself"


class Run(NamedTuple):
    """One process: what it read and what it cost; stages are CPU seconds by name."""

    documents: int
    megabytes: float
    cpu_seconds: float
    wall_seconds: float
    peak_rss: int
    stages: dict[str, float]


def samples(
    paths: Sequence[str], reference: Sequence[str] | None, shares: Sequence[float], folder: Path, column: str
) -> list[tuple[Sample, Sample]]:
    """(crawl, reference) for every share, nested and disjoint, the smallest share first."""
    found = []
    for share in sorted(shares):
        place = folder / f"size-{share:g}"
        high = share if reference else share * (1 - REFERENCE_SHARE)
        crawl = draw(paths, place / "crawl", low=0.0, high=high, column=column)
        low = 1 - (share if reference else share * REFERENCE_SHARE)
        human = draw(reference or paths, place / "reference", low=low, high=1.0, column=column)
        found.append((crawl, human))
    return found


def measure(job: str, sample: Sample, output: Path, *, runner: str, workers: int, profile: Path) -> Run:
    """Run one of `JOBS` on a sample in a process of its own; OUT is removed first. Raises RuntimeError if it fails."""
    shutil.rmtree(output, ignore_errors=True)
    command = [sys.executable, "-m", "curation.cli", *job.split()[: 2 if job == JOBS[0] else 1], "--quiet"]
    for path in sample.paths:
        command += ["--input", f"bench={path}"]
    command += ["--set", f"run.workers={workers}"]
    if job == JOBS[0]:
        output.mkdir(parents=True)
        command += ["--output", str(profile), "--overwrite"]
    else:
        command += ["--output", str(output), "--runner", runner]
    if job == JOBS[2]:
        command += ["--reference", str(profile)]
    root = str(Path(__file__).resolve().parents[2])
    done = run_process(command, {"PYTHONPATH": root})  # otherwise a user's environment: libraries choose their threads
    report = output / "report" / "report.json"
    stages = stage_seconds(json.loads(report.read_text())["run"]["stages"], done.cpu_seconds) if report.exists() else {}
    shutil.rmtree(output, ignore_errors=True)
    return Run(sample.documents, sample.megabytes, done.cpu_seconds, done.wall_seconds, done.peak_rss, stages)


def stage_seconds(stages: dict[str, dict[str, float]], total: float) -> dict[str, float]:
    """CPU seconds by stage from a report, with what lies outside them.

    On a Beam runner the stage `pipeline` spans all others; what they leave of it is the runner's own.
    """
    found = {name: entry["cpu_seconds"] for name, entry in stages.items()}
    whole = found.pop("pipeline", None)
    inside = sum(found.values())
    if whole is not None:
        found[RUNNER_ITSELF] = whole - inside
        inside = whole
    return found | {BEFORE_AND_AFTER: total - inside}


def measure_all(
    sizes: Sequence[tuple[Sample, Sample]], runners: Sequence[str], folder: Path, *, workers: int, repeats: int,
    wanted: Sequence[str] = JOBS,
) -> dict[tuple[str, str], list[list[Run]]]:
    """{(runner, job): for every size its repeats}. The smallest size runs once before, uncounted, to fill caches.

    All runs with a reference use the profile of the largest size, so that only the crawl differs between sizes.
    """
    found: dict[tuple[str, str], list[list[Run]]] = {}
    profile, output = folder / "reference.profile", folder / "out"

    def one(job: str, pair: tuple[Sample, Sample], runner: str) -> Run:
        _say(f"{job}, {runner}, {pair[job == JOBS[0]].megabytes:.1f} MB")
        return measure(job, pair[job == JOBS[0]], output, runner=runner, workers=workers, profile=profile)

    for runner in runners:
        for job in JOBS:
            if job == JOBS[0] and runner != "local":
                continue  # a profile is always built by threads of one process
            if job not in wanted:
                if job == JOBS[0] and JOBS[2] in wanted:
                    one(job, sizes[-1], runner)
                continue
            one(job, sizes[0], runner)
            found[runner, job] = [[one(job, pair, runner) for _ in range(repeats)] for pair in sizes]
    return found


def _say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


class Stage(NamedTuple):
    """A stage at the margin: CPU seconds at the largest size, and the line through all sizes."""

    name: str
    cpu_seconds: float
    line: Line


def stages(runs: Sequence[Sequence[Run]]) -> list[Stage]:
    """Stages in the order of the report, then the total; medians of repeats, the line against MB of text."""
    names = list(dict.fromkeys(name for size in runs for run in size for name in run.stages))
    amounts = [size[0].megabytes for size in runs]

    def entry(name: str, cost: list[float]) -> Stage:
        return Stage(name, cost[-1], fit(amounts, cost))

    found = [
        entry(name, [statistics.median(run.stages.get(name, 0.0) for run in size) for size in runs]) for name in names
    ]
    return [*found, entry("total", [statistics.median(run.cpu_seconds for run in size) for size in runs])]


class Memory(NamedTuple):
    """Peak resident memory: MB at the largest size, fixed MB, MB for a MB of text, bytes for a document."""

    peak: float
    fixed: float
    per_megabyte: float
    per_document: float


def memory(runs: Sequence[Sequence[Run]]) -> Memory:
    """How the peak grows with the sample; medians of repeats."""
    peaks = [statistics.median(run.peak_rss for run in size) / 1e6 for size in runs]
    by_text = fit([size[0].megabytes for size in runs], peaks)
    by_document = fit([size[0].documents for size in runs], peaks)
    return Memory(peaks[-1], by_text.fixed, by_text.slope, by_document.slope * 1e6)


def markdown(found: dict[tuple[str, str], list[list[Run]]], workers: int) -> str:
    """One table for each runner and job, and one with the totals of all."""
    parts = [_totals(found)]
    for (runner, job), runs in found.items():
        sizes = ", ".join(f"{size[0].megabytes:.1f} MB ({size[0].documents:,} documents)" for size in runs)
        rows: list[list[Cell]] = []
        for stage in stages(runs):
            fixed = stage.line.fixed if stage.name == "total" else None
            rows.append([stage.name, rate(stage.line, NOISE), stage.line.slope * 1000, stage.cpu_seconds])
            if fixed is not None:
                rows.append(["start-up (intercept of the total)", None, None, fixed])
        header = ["stage", "MB per CPU s (marginal)", "CPU ms per MB (marginal)", "CPU s at the largest size"]
        parts.append(f"**{job}, {runner}, {workers} worker{'s' * (workers != 1)}**: {sizes}\n\n{table(header, rows)}")
    return "\n\n".join(parts)


def _totals(found: dict[tuple[str, str], list[list[Run]]]) -> str:
    rows: list[list[Cell]] = []
    for (runner, job), runs in found.items():
        total, used = stages(runs)[-1], memory(runs)
        local = stages(found["local", job])[-1] if ("local", job) in found else None
        ratio = total.line.slope / local.line.slope if local and min(total.line.slope, local.line.slope) > 0 else None
        rows.append(
            [f"{job}, {runner}", rate(total.line), total.line.fixed, ratio, used.peak, used.fixed, used.per_megabyte,
             used.per_document]
        )  # fmt: skip
    header = [
        "job", "MB per CPU s (marginal)", "start-up CPU s", "marginal cost / local", "peak MB", "fixed MB",
        "MB per MB of text", "bytes per document",
    ]  # fmt: skip
    return table(header, rows)


def as_json(found: dict[tuple[str, str], list[list[Run]]]) -> list[dict[str, object]]:
    """Every single run, and the lines through them."""
    return [
        {
            "runner": runner,
            "job": job,
            "runs": [[run._asdict() for run in size] for size in runs],
            "stages": [{"name": s.name, **s.line._asdict(), "marginal_rate": rate(s.line)} for s in stages(runs)],
            "memory": memory(runs)._asdict(),
        }
        for (runner, job), runs in found.items()
    ]
