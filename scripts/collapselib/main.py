"""The command line of scripts/collapse_benchmark."""

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash
from benchlib.corpus import demo
from benchlib.tables import replace_section

from collapselib import corpus, loop, plan, plots, tables, world
from collapselib.rules import SLACK

DESCRIPTION = """Each generation crawls fresh human text mixed with what the lineage's own earlier models wrote, a rule
curates the crawl to a third of its tokens, a Kneser-Ney 5-gram model is trained on them, and its perplexity on human
text is measured. Every record is appended to a file; a run that was interrupted goes on where it stopped, and when all
lineages are there the tables and plots are made from the file."""


def parser() -> argparse.ArgumentParser:
    """All options."""
    top = argparse.ArgumentParser(prog="scripts/collapse_benchmark", description=DESCRIPTION)
    top.add_argument("--data", nargs="+", metavar="PATH", help="human text; this machine's own by default")
    top.add_argument("--side", choices=("odd", "even", "all"), default="all", help="which documents, by a hash of text")
    top.add_argument("--seeds", type=_seeds, default=[0], metavar="A-B", help="as 100-104 or 0,3")
    top.add_argument("--generations", type=int, default=plan.GENERATIONS)
    top.add_argument("--small", action="store_true", help="little text, two settings and five rules: under a minute")
    top.add_argument("--records", type=Path, default=Path("out/collapse/records.jsonl"), metavar="FILE")
    top.add_argument("--processes", type=int, default=1, help="lineages of different seeds side by side")
    top.add_argument("--markdown", type=Path, metavar="FILE", help="replace the section `collapse` of this document")
    top.add_argument("--plots", type=Path, metavar="FOLDER", help="where to write the plots")
    return top


def _seeds(value: str) -> list[int]:
    found: list[int] = []
    for part in value.split(","):
        first, _, last = part.partition("-")
        try:
            found += range(int(first), int(last or first) + 1)
        except ValueError:
            raise argparse.ArgumentTypeError(f"seeds are numbers as in 100-104 or 0,3, not {value!r}") from None
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what has not run yet, and write the tables; returns the exit code."""
    options = parser().parse_args(arguments)
    try:
        text = run(options)
    except (ValueError, OSError) as error:
        print(f"scripts/collapse_benchmark: {error}", file=sys.stderr)
        return 1
    print(text)
    return 0


def run(options: argparse.Namespace) -> str:
    """Run the lineages that have no records yet, and the tables of all as Markdown."""
    if options.markdown:  # a missing section is better found before the work than after it
        replace_section(options.markdown.read_text("utf-8"), "collapse", "")
    options.records.parent.mkdir(parents=True, exist_ok=True)
    shares = [options.seeds[i :: options.processes] for i in range(options.processes)]
    shares = [share for share in shares if share]
    if len(shares) <= 1:
        _work(options, options.seeds)
    else:
        context = multiprocessing.get_context("spawn")
        workers = [context.Process(target=_work, args=(options, share)) for share in shares]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        if any(worker.exitcode for worker in workers):
            raise ValueError("a process ended early; its message stands above, and the same command goes on")
    records = [r for r in plan.read(options.records, _run_of(options)) if r["seed"] in options.seeds]
    text = _summary(options, records)
    if options.plots:
        plots.draw(records, options.plots)
    if options.markdown:
        document = options.markdown.read_text("utf-8")
        options.markdown.write_text(replace_section(document, "collapse", text), "utf-8")
    return text


def _run_of(options: argparse.Namespace) -> str:
    """The stamp of the last record, which `_work` has just checked or written."""
    lines = options.records.read_text("utf-8").splitlines()
    return str(json.loads(lines[-1])["run"])


def _work(options: argparse.Namespace, seeds: Sequence[int]) -> None:
    text = human(options)
    sizes = plan.SMALL_SIZES if options.small else loop.Sizes()
    parts = plan.SMALL if options.small else plan.FULL
    data = xxhash.xxh3_64_hexdigest(text.pool.tokens.tobytes() + text.reference.tokens.tobytes())
    run_ = plan.stamp(data=data, sizes=sizes, generations=options.generations, slack=SLACK)
    done = plan.read(options.records, run_)
    worlds: dict[float, world.World] = {}
    starts: dict[tuple[float, int], loop.Start] = {}
    for lineage in plan.lineages(parts, list(seeds)):
        if plan.finished(done, lineage, options.generations):
            continue
        known = lineage.setting.known
        if known not in worlds:
            worlds[known] = world.build(text, known)
        key = (known, lineage.seed)
        if key not in starts:
            starts = {k: v for k, v in starts.items() if k[1] == lineage.seed}
            starts[key] = loop.Start(worlds[known], lineage.seed, sizes)
        clock = time.process_time()
        records = list(loop.generations(worlds[known], starts[key], *lineage, options.generations, sizes))
        with options.records.open("a", encoding="utf-8") as file:
            file.write("".join(json.dumps(dict(record, run=run_)) + "\n" for record in records))
        print(
            f"{lineage.setting.name}, {lineage.rule}, seed {lineage.seed}: perplexity "
            f"{records[-1]['perplexity']:.1f} in {time.process_time() - clock:.1f} CPU s",
            file=sys.stderr,
        )


def human(options: argparse.Namespace) -> corpus.Corpus:
    """The human text that the options name; without any, that of the demo, which is this machine's documentation."""
    shares = plan.SMALL_SHARES if options.small else corpus.SHARES
    if options.data:
        return corpus.build(*corpus.documents(options.data, options.side), shares=shares)
    with tempfile.TemporaryDirectory(prefix="collapse-") as folder:
        root = Path(folder)
        crawl, reference = demo(root, 12.0)
        truth = pq.read_table(root / "truth.parquet", columns=["id", "origin"]).to_pylist()
        machine = {row["id"] for row in truth if row["origin"] != "human"}
        table = pa.concat_tables([pq.read_table(path, columns=["id", "text"]) for path in (*crawl, *reference)])
        kept = pa.array([name not in machine for name in table["id"].to_pylist()])
        pq.write_table(table.filter(kept), root / "human.parquet")
        return corpus.build(*corpus.documents([str(root / "human.parquet")], options.side), shares=shares)


def _summary(options: argparse.Namespace, records: list[dict[str, Any]]) -> str:
    seeds = f"{options.seeds[0]} to {options.seeds[-1]}" if len(options.seeds) > 1 else f"{options.seeds[0]}"
    seconds = sum(r.get("seconds", 0.0) for r in records)
    head = (
        f"Seeds {seeds}, {options.side} documents, {options.generations} generations: "
        f"means over seeds with 95 % intervals (Student's t). {len(records):,} records, {seconds / 60:.0f} CPU minutes."
    )
    parts = [head, tables.markdown(records)]
    if {"0.5 1 replace", "0.8 1.1 replace"} <= {r["setting"] for r in records}:
        parts.insert(1, tables.compared(records))
    return "\n\n".join(parts)


#: one thread for linear algebra: lineages run side by side, and the clock counts CPU seconds
os.environ |= {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")}
