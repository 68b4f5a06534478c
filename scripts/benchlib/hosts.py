"""The same work on every host, each run a fresh process: what a host costs beside the work itself.

`whole job` reads files and writes files; `stages` labels and measures the documents of a stream, in batches or, in
datatrove, as Documents. Costs are slopes between two sizes, so start-up stands apart.
"""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from benchlib.corpus import SCHEMA, uniform
from benchlib.costs import SINGLE_THREAD, Process, fit, rate, run_process
from benchlib.tables import Cell, table

SHARES = (0.25, 1.0)
FILES = 4

JOB = """
import sys
from curation import curate
source, output, runner, workers = sys.argv[1:]
curate(inputs=source, output=output, run={"runner": runner, "workers": int(workers)})
"""

CHAIN = """
import sys
from curation.datatrove import curate_executors
if __name__ == "__main__":
    source, output, _, workers = sys.argv[1:]
    values = {"inputs": source, "output": output}
    tasks = int(workers)
    curate_executors(values, logging_dir=output + "-logs", tasks=tasks, workers=tasks)[-1].run()
"""

PLAIN = """
import sys
import pyarrow as pa
from curation import detect_synthetic, diversity, io
from curation.config import Input
from curation.diversity.measure import add_batch
source, output, _, _ = sys.argv[1:]
ruler = diversity.load_ruler()
state, writer = diversity.empty(ruler), None
for shard in io.expand([Input(path=source)]):
    for batch, _ in io.read_shard(shard, text="text", batch_bytes=4_000_000, on_bad=print):
        for done in detect_synthetic(pa.Table.from_batches([batch])).to_batches():
            writer = writer or io.ShardWriter(output + "/out.parquet", "parquet", done.schema)
            writer.write(done)
            add_batch(state, done, ruler, text="text", id="id")
writer.close()
diversity.result(state, ruler)
"""

BEAM = """
import sys
import apache_beam as beam
from curation import beam as curation_beam
source, output, runner, _ = sys.argv[1:]
with beam.Pipeline(runner=runner) as pipeline:
    labelled = pipeline | curation_beam.ReadShards(inputs=source) | curation_beam.DetectSynthetic()
    labelled | curation_beam.MeasureDiversity(id="id")
    labelled | curation_beam.WriteShards(output=output + "/out", files=4)
"""

TROVE = """
import sys
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.readers import ParquetReader
from datatrove.pipeline.writers import ParquetWriter
from curation.datatrove import ArrowReader, ArrowWriter, DetectSynthetic, MeasureDiversity
if __name__ == "__main__":
    source, output, kind, _ = sys.argv[1:]
    arrow = kind == "arrow"
    reader = ArrowReader(source) if arrow else ParquetReader(source)
    writer = ArrowWriter(output + "/out") if arrow else ParquetWriter(output + "/out", compression="zstd")
    steps = [reader, DetectSynthetic(), MeasureDiversity(output + "/states"), writer]
    LocalPipelineExecutor(steps, tasks=1, workers=1, logging_dir=output + "/logs").run()
"""


class Host(NamedTuple):
    """A row: the work, the host, its script, and the runner or kind that the script is told."""

    work: str
    name: str
    script: str
    kind: str
    workers: int = 1


HOSTS = [
    Host("whole job", "local", JOB, "local"),
    Host("whole job", "Beam, FnApiRunner", JOB, "FnApiRunner"),
    Host("whole job", "datatrove, chain of executors", CHAIN, ""),
    Host("whole job", "local, two workers", JOB, "local", 2),
    Host("whole job", "Beam, FnApiRunner, two workers", JOB, "FnApiRunner", 2),
    Host("stages", "a loop over batches", PLAIN, ""),
    Host("stages", "Beam, FnApiRunner", BEAM, "FnApiRunner"),
    Host("stages", "datatrove, Arrow steps", TROVE, "arrow"),
    Host("stages", "datatrove, Documents", TROVE, "documents"),
]


class Cost(NamedTuple):
    """What a host took: seconds of processor and of wall clock by size, and megabytes of the sizes."""

    host: Host
    megabytes: list[float]
    cpu_seconds: list[float]
    wall_seconds: list[float]


def write(texts: Sequence[str], folder: Path) -> list[tuple[Path, float]]:
    """(folder of FILES files, MB of text) of nested samples of the texts, the smaller first."""
    found = []
    for share in SHARES:
        chosen = [text for text in texts if uniform(text, "size") < share]
        place = folder / f"sample-{share:g}"
        place.mkdir(parents=True)
        for number in range(FILES):
            part = chosen[number::FILES]
            rows = pa.table([[f"d{n}-{number}" for n in range(len(part))], part], schema=SCHEMA)
            pq.write_table(rows, place / f"part-{number}.parquet", compression="zstd", row_group_size=8192)
        found.append((place, sum(len(text.encode()) for text in chosen) / 1e6))
    return found


def measure(texts: Sequence[str], folder: Path, repeats: int, hosts: Sequence[Host] = HOSTS) -> list[Cost]:
    """The cheapest of `repeats` runs of every host at both sizes, in rounds of all hosts, so that a machine that slows
    down slows all of them; before that one run on the small size that is not counted."""
    sizes = write(texts, folder)
    cpu: dict[int, list[list[float]]] = {n: [[] for _ in sizes] for n in range(len(hosts))}
    wall: dict[int, list[list[float]]] = {n: [[] for _ in sizes] for n in range(len(hosts))}
    for count in range(repeats + 1):
        for number, host in enumerate(hosts):
            print(f"bench: {host.work}, {host.name}, round {count} of {repeats}", file=sys.stderr, flush=True)
            for size, (place, _) in enumerate(sizes if count else sizes[:1]):
                run = _run(host, number, place, folder)
                if count:
                    cpu[number][size].append(run.cpu_seconds)
                    wall[number][size].append(run.wall_seconds)
    amounts = [megabytes for _, megabytes in sizes]
    return [Cost(host, amounts, list(map(min, cpu[n])), list(map(min, wall[n]))) for n, host in enumerate(hosts)]


def _run(host: Host, number: int, source: Path, folder: Path) -> Process:
    script, output = folder / f"host-{number}.py", folder / "out"
    script.write_text(host.script)  # a file: datatrove's processes import it again
    for stale in (output, folder / "out-logs"):
        shutil.rmtree(stale, ignore_errors=True)
    output.mkdir()
    command = [sys.executable, str(script), str(source), str(output), host.kind, str(host.workers)]
    root = str(Path(__file__).resolve().parents[2])
    return run_process(command, {"PYTHONPATH": root, **SINGLE_THREAD})


def markdown(costs: Sequence[Cost], characters: int) -> str:
    """One row for each host; ratios against the first host of the same work."""
    rows: list[list[Cell]] = []
    for cost in costs:
        line, base = fit(cost.megabytes, cost.cpu_seconds), next(c for c in costs if c.host.work == cost.host.work)
        wall = (cost.wall_seconds[-1] - cost.wall_seconds[0]) / (base.wall_seconds[-1] - base.wall_seconds[0])
        times = line.slope / fit(base.megabytes, base.cpu_seconds).slope
        rows.append([f"{cost.host.work}: {cost.host.name}", rate(line), times, line.fixed, wall])
    header = ["host", "MB per CPU s (marginal)", "CPU / first", "start-up CPU s", "wall clock / first (marginal)"]
    sizes = " and ".join(f"{megabytes:.0f}" for megabytes in costs[0].megabytes)
    what = f"{sizes} MB in {FILES} files, documents of about {characters:,} characters, the cheapest run of each size"
    return f"{what}:\n\n{table(header, rows)}"
