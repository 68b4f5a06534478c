"""What a mix costs by the number of documents: the weigh phase on simulated signals, step by step."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from benchlib.costs import fit
from benchlib.tables import Cell, table
from curation import io, schema, synthetic
from curation.batch import pack
from curation.config import Config
from curation.diversity import reference
from curation.jobs import stages, weigh
from curation.local import execute
from curation.mixing.features import FEATURES
from curation.plan import Context, Job, Shard, Step

SHARD = 50_000  # documents
REFERENCE = 4_000
HUMAN = 0.3  # share of the crawl


class Run(NamedTuple):
    """CPU seconds of one mix, by step, and what came of it."""

    documents: int
    steps: dict[str, float]
    passes: int
    status: str
    largest: float | None  # standard errors that a balanced feature stays off
    human: float  # share of the weight that human documents hold


def measure(sizes: Sequence[int], folder: Path, repeats: int = 3) -> list[Run]:
    """The cheapest of `repeats` runs at every size; compiled kernels are in the cache before the clock starts."""
    profile = folder / "reference.profile"
    profile.write_bytes(reference.save(_profile()))
    _run(5_000, folder / "warm", str(profile))
    found = []
    for size in sizes:
        runs = [_run(size, folder / str(size), str(profile)) for _ in range(repeats)]
        found.append(min(runs, key=lambda run: sum(run.steps.values())))
    return found


def markdown(runs: Sequence[Run], repeats: int) -> str:
    """A table of all sizes and the slope between them."""
    names = list(runs[0].steps)
    lines: list[list[Cell]] = []
    for run in runs:
        total = sum(run.steps.values())
        off = "–" if run.largest is None else f"{run.largest:.2f}"
        lines.append([f"{run.documents:,}", total, total / run.documents * 1e5, *run.steps.values(), off, run.human])
    head = ["documents", "CPU s", "CPU s by 100,000", *names, "largest imbalance, standard errors", "human share"]
    text = (
        f"{FEATURES} features, a reservoir of 20,000 documents, {runs[0].passes} exact passes after it (the last "
        f"writes the weights and measures them); {HUMAN:.0%} of the documents are human; best of {repeats}.\n\n"
        f"{table(head, lines)}"
    )
    if len(runs) > 1:
        line = fit([run.documents / 1e5 for run in runs], [sum(run.steps.values()) for run in runs])
        text += f"\n\nSlope: {line.slope:.2f} CPU s by 100,000 documents; intercept {line.fixed:.2f} CPU s."
    return text


def simulated(human: int, machine: int, seed: int) -> pa.RecordBatch:
    """Signals of documents of six genres; machine documents are narrower than human ones and off-centre."""
    rng = np.random.default_rng(seed)
    world = np.random.default_rng(7)
    genres = world.normal(0, 1.2, (6, schema.CORE))
    widths = {"bins": schema.BINS, "words": schema.WORDS}
    loads = {name: world.normal(0, 0.3, (schema.CORE, width)) for name, width in widths.items()}
    n = human + machine
    written = np.arange(n) >= human
    core = genres[rng.integers(0, 6, n)] + rng.normal(0, 1, (n, schema.CORE)) * np.where(written, 0.55, 1.0)[:, None]
    core[written] += 0.35 * np.sin(np.arange(schema.CORE))
    length = rng.integers(80, 600, n)
    counts = {}
    for name, load in loads.items():
        scores = core @ load + np.where(written, 0.25, 0.0)[:, None] * np.cos(np.arange(load.shape[1]))
        shares = np.exp(scores - scores.max(1, keepdims=True))
        wanted = (length * 2 if name == "bins" else length // 2)[:, None]
        counts[name] = rng.poisson(shares / shares.sum(1, keepdims=True) * wanted).astype(np.uint16)
    columns = {
        "row": pa.array(np.arange(n)),
        "id": pa.array([f"{seed}-{i}" for i in range(n)]),
        "tokens": pa.array(length, pa.int64()),
        "bytes": pa.array(length * 6, pa.int64()),
        "word_count": pa.array(length, pa.int64()),
        "row_hash": pack(rng.integers(0, 256, (n, 16)).astype(np.uint8)),
        "logit": pa.array(rng.normal(np.where(written, 1.5, -1.5), 1.5), pa.float32()),
        "style": pack(rng.poisson(2, (n, schema.STYLE)).astype(np.uint16)),
        "words": pack(counts["words"]),
        "bins": pack(counts["bins"]),
        "core": pack(core.astype(np.float32)),
        "source": pa.repeat("web", n),
        "lang": pa.repeat("en", n),
        "gate": pa.repeat("prose", n),
        "group": pa.array(np.where(written, "machine", "human").tolist()),
    }
    full = schema.signal_schema(0, 0, True)
    arrays = [columns.get(field.name, pa.nulls(n, field.type)) for field in full]
    return pa.RecordBatch.from_arrays([a.cast(f.type) for a, f in zip(arrays, full, strict=True)], schema=full)


def _profile() -> reference.Profile:
    batch = simulated(REFERENCE, 0, 1)
    first = reference.first_update(batch, "en")
    frame = reference.first_result(first, "en")
    return reference.build(first, frame, reference.second_update(batch, frame))


def _run(documents: int, folder: Path, profile: str) -> Run:
    job = _job(documents, folder, profile)
    for shard in job.shards:
        if not io.exists(stages.signals_path(job, shard)):
            human = round(HUMAN * shard.size)
            batch = simulated(human, shard.size - human, 100 + shard.index)
            with io.ShardWriter(
                stages.signals_path(job, shard), "parquet", batch.schema, {}, ["source", "group", "lang", "gate"]
            ) as writer:
                writer.write(batch)
            none = schema.CLUSTERS_SCHEMA.empty_table()
            stages.write_table(stages.decisions_path(job, "clusters", shard), none)
    stages.write_json(f"{job.config.output}/decisions/clusters.json", {"examples": [], "largest": []})
    observer = _Observer()
    execute([Step("calibrate", "resolve", finish=_uncalibrated), *weigh.steps(job)], job, observer)
    found = stages.read_json(f"{job.config.output}/{weigh.SUMMARY}")["mix"]
    return Run(
        documents,
        observer.spent,
        job.config.mix.passes,
        found["status"],
        (found["imbalance"] or {}).get("after", {}).get("largest"),
        found["groups"]["human"]["weight_share"],
    )


def _job(documents: int, folder: Path, profile: str) -> Job:
    config = Config.model_validate(
        {"output": str(folder), "reference": profile, "dedup": {"enabled": False}, "run": {"workers": 1}}
    )
    sizes = [min(SHARD, documents - start) for start in range(0, documents, SHARD)]
    shards = tuple(Shard(i, f"{i}.parquet", "web", f"{i}.parquet", size=n) for i, n in enumerate(sizes))
    return Job(config, shards, {"weigh": str(time.monotonic_ns())})


def _uncalibrated(job: Job, merged: Any, context: Context) -> Any:
    """No anchors: every document has a score and none a verdict."""
    anchors = synthetic.empty_anchors()
    return {"calibration": synthetic.calibrate(anchors, synthetic.load_model("shipped"), 0.01), "anchors": anchors}


class _Observer:
    """CPU seconds by step."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}

    @contextmanager
    def stage(self, phase: str, name: str) -> Iterator[None]:
        started = time.process_time()
        yield
        if phase == "weigh":
            self.spent[name] = time.process_time() - started

    def advance(self, documents: int, size: int) -> None:
        return None

    def close(self) -> None:
        return None
