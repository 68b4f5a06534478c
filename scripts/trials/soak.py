"""Many small documents through one run: does it end, and is it as fast at the end as at the start?

Speed is documents per CPU second of the whole process between lines of progress, so that a busy machine does not pass
for a slow run; documents per second are printed too.
"""

import random
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from trials import process

OF_A_SHARD = 100_000
MOST_LOSS = 0.10
WINDOW = 0.2  # share of a stage's documents that is its start, and its end


def trial(folder: Path, documents: int, seed: int, workers: int) -> int:
    """Run over `documents` small documents; returns 1 if a stage that reads them all slows down by over a tenth."""
    _write(folder / "in", documents, seed)
    arguments = process.command([str(folder / "in")], folder / "out", f"run.workers={workers}", "run.excluded=ids")
    run = process.watch(arguments)
    if run.code:
        print(run.output)
        return 1
    slow = []
    for stage in dict.fromkeys(sample.stage for sample in run.samples):
        samples = [s for s in run.samples if s.stage == stage]
        most = samples[-1].documents
        start = [s for s in samples if s.documents <= WINDOW * most]
        end = [s for s in samples if s.documents >= (1 - WINDOW) * most]
        if most < documents or len(start) < 2 or len(end) < 2:
            continue
        speeds = []
        for window in (start, end):
            done = window[-1].documents - window[0].documents
            speeds.append((done / (window[-1].cpu - window[0].cpu), done / (window[-1].wall - window[0].wall)))
        (cpu_start, wall_start), (cpu_end, wall_end) = speeds
        print(
            f"{stage}: {cpu_start:,.0f} documents per CPU second at the start, {cpu_end:,.0f} at the end "
            f"({cpu_end / cpu_start - 1:+.1%}); {wall_start:,.0f} and {wall_end:,.0f} per second; resident "
            f"{start[0].resident / 1e6:,.0f} and {end[-1].resident / 1e6:,.0f} MB"
        )
        if cpu_end < (1 - MOST_LOSS) * cpu_start:
            slow.append(stage)
    print(
        f"soak: {documents:,} documents in {run.wall:,.0f} s with {workers} workers, {run.cpu:,.0f} CPU s, "
        f"peak {run.peak / 1e6:,.0f} MB; slower by over {MOST_LOSS:.0%}: {', '.join(slow) or 'no stage'}"
    )
    shutil.rmtree(folder / "out")
    return 1 if slow else 0


def _write(folder: Path, documents: int, seed: int) -> None:
    """Shards of 100,000 documents of 5 to 60 words, one in fifty a copy of another of its shard."""
    folder.mkdir(parents=True)
    draw = random.Random(seed)
    words = ["".join(draw.choices("abcdefghijklmnoprstu", k=draw.randint(2, 9))) for _ in range(30_000)]
    number = 0
    while documents > 0:
        count = min(OF_A_SHARD, documents)
        pool = draw.choices(words, k=4 * count)  # documents are windows into one stream with random starts and lengths
        texts = []
        for i in range(count):
            if i % 50 == 49:
                texts.append(texts[draw.randrange(i)])
                continue
            at, length = draw.randrange(len(pool) - 60), int(5 + 55 * draw.random() ** 2)
            # two words of its own keep windows apart
            texts.append(f"{words[draw.randrange(30_000)]} {' '.join(pool[at : at + length])} {number}-{i}")
        ids = pa.array([f"{number}-{i}" for i in range(count)])
        pq.write_table(pa.table({"id": ids, "text": texts}), folder / f"part-{number:05}.parquet", compression="zstd")
        number, documents = number + 1, documents - count
