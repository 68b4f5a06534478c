"""The command line of scripts/reliability."""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

DESCRIPTION = """Trials of a job: each prints one line per step and a last line with its figures, and returns 1 when
something was lost, differed or grew. docs/reliability.md has the figures."""


def parser() -> argparse.ArgumentParser:
    """All trials and their options."""
    top = argparse.ArgumentParser(prog="scripts/reliability", description=DESCRIPTION)
    commands = top.add_subparsers(dest="command", required=True)
    kills = commands.add_parser("kills", help="kill -9 at random moments, the same command again, compare every byte")
    kills.add_argument("--count", type=int, default=100, help="runs to kill")
    fuzz = commands.add_parser("fuzz", help="records of every kind, good and broken, over every reader")
    fuzz.add_argument("--records", type=int, default=1_000_000, help="records in all")
    fuzz.add_argument("--formats", type=lambda v: v.split(","), help="only these, comma-separated")
    memory = commands.add_parser("memory", help="peak memory of a run by size of the corpus")
    memory.add_argument("--sizes", type=_sizes, default=[190.0, 1900.0], metavar="MB,MB,…", help="megabytes of text")
    memory.add_argument("--input", nargs="+", metavar="FILE", help="Parquet to vary; the demo corpus otherwise")
    memory.add_argument("--growth", type=float, default=0.10, help="share by which the largest run may need more")
    memory.add_argument("--workers", type=int, default=2, help="threads of a run")
    memory.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="any key of the configuration")
    soak = commands.add_parser("soak", help="many small documents; throughput at the end beside the start")
    soak.add_argument("--documents", type=int, default=10_000_000, help="documents in all")
    soak.add_argument("--workers", type=int, default=2, help="threads of the run")
    document = commands.add_parser("document", help="one document of this size among small ones")
    document.add_argument("--megabytes", type=int, default=1000, help="its size")
    for command in (kills, fuzz, memory, soak, document):
        command.add_argument("--seed", type=int, default=1, help="another seed makes other input")
        command.add_argument("--scratch", metavar="DIR", help="where inputs and outputs stand for the time being")
    return top


def _sizes(value: str) -> list[float]:
    return sorted(float(part) for part in value.split(","))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a trial; returns 0 when it holds. What it wrote is deleted, unless it failed."""
    options = parser().parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="reliability-", dir=options.scratch))
    try:
        code = _act(options, folder)
    except KeyboardInterrupt:
        code = 0
        print("interrupted", file=sys.stderr)
    if code:
        print(f"the files of what failed are in {folder}", file=sys.stderr)
    else:
        shutil.rmtree(folder)
    return code


def _act(options: argparse.Namespace, folder: Path) -> int:
    if options.command == "kills":
        from trials import kills

        return kills.trial(folder, options.count, options.seed)
    if options.command == "fuzz":
        from trials import fuzz

        return fuzz.trial(folder, options.records, options.seed, options.formats)
    if options.command == "memory":
        from trials import memory

        chosen = (options.sizes, options.input, options.seed, options.workers, options.set, options.growth)
        return memory.trial(folder, *chosen)
    if options.command == "soak":
        from trials import soak

        return soak.trial(folder, options.documents, options.seed, options.workers)
    from trials import memory

    return memory.one_document(folder, options.megabytes)
