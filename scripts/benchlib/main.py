"""The command line of scripts/bench."""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchlib.costs import SINGLE_THREAD, machine
from benchlib.tables import replace_section

DESCRIPTION = """Speed in MB of text per CPU second, at the margin: the slope between sizes, so that start-up does not
count; start-up is a row of its own. Compiled kernels are cached before the clock starts."""


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    top = argparse.ArgumentParser(prog="scripts/bench", description=DESCRIPTION)
    commands = top.add_subparsers(dest="command", required=True)
    job = commands.add_parser("job", help="the whole job stage by stage, with and without a reference, on each runner")
    job.add_argument("--reference", nargs="+", metavar="FILE", help="human text; a hash-drawn quarter of the input")
    job.add_argument("--runner", nargs="+", default=["local"], metavar="NAME", help="local, FnApiRunner")
    job.add_argument("--sizes", type=_shares, default=[0.25, 0.5, 1.0], metavar="A,B,…", help="shares of the input")
    job.add_argument("--workers", type=int, default=1, help="threads of a run")
    job.add_argument("--repeats", type=int, default=1, help="runs at every size; medians count")
    job.add_argument("--jobs", type=lambda v: v.split(","), help="some of: reference build,run,run with reference")
    job.add_argument("--scratch", metavar="DIR", help="where corpora and outputs are written for the time being")
    kernels = commands.add_parser("kernels", help="single kernels on batches in memory, one thread")
    dedup = commands.add_parser("dedup", help="deduplication with planted duplicates")
    dedup.add_argument(
        "--peers", nargs="*", metavar="NAME", help="also rensa, datasketch, polars, datatrove; all without a NAME"
    )
    dedup.add_argument("--characters", type=int, default=3000, help="length that documents are cut or joined to")
    mixing = commands.add_parser("mixing", help="weights for 10^4 to 10^6 simulated documents, step by step")
    mixing.add_argument("--documents", type=_counts, default=[10_000, 100_000, 1_000_000], metavar="A,B,…")
    mixing.add_argument("--scratch", metavar="DIR", help="where signals are written for the time being: 0.4 GB by 10^6")
    mixing.add_argument("--repeats", type=int, default=3, help="runs at every size; the cheapest counts")
    dedup.add_argument("--parquet-megabytes", type=float, default=60.0, help="text of the runs from Parquet to Parquet")
    dedup.add_argument(
        "--times", type=int, default=1, help="how often they go into the Parquet, each time in a cipher of its own"
    )
    dedup.add_argument(
        "--resolve", type=_counts, default=[100_000, 200_000], metavar="N,M,…", help="documents of the runs of resolve"
    )
    dedup.add_argument(
        "--memory-mb", type=_megabytes, default=[64], metavar="A,B,…", help="dedup.memory_mb of the runs of resolve"
    )
    dedup.add_argument("--dolma", metavar="PYTHON", help="a Python that has dolma, beside which paragraphs are counted")
    dedup.add_argument("--text-dedup", metavar="PYTHON", help="a Python that has text-dedup, another peer")
    hosts = commands.add_parser("hosts", help="the same work on this machine, Beam and datatrove")
    hosts.add_argument("--characters", type=int, default=3000, help="length that documents are cut or joined to")
    hosts.add_argument("--scratch", metavar="DIR", help="where corpora and outputs are written for the time being")
    gpu = commands.add_parser("gpu", help="kernels on a GPU, against its bandwidth and one core")
    gpu.add_argument("--megabytes", type=float, default=64.0, help="text of a batch; less is repeated up to that")
    gpu.add_argument("--documents", type=int, default=1_000_000, help="documents of the balance pass")
    gpu.add_argument("--features", type=int, default=330, help="features of the balance pass")
    gpu.add_argument("--repeats", type=int, default=9, help="medians count")
    for command, megabytes in ((kernels, 20.0), (dedup, 20.0), (hosts, 60.0)):
        command.add_argument("--megabytes", type=float, default=megabytes, help="most text taken from the input")
        command.add_argument("--repeats", type=int, default=5 if command is kernels else 3, help="medians count")
    for command in (job, kernels, dedup, hosts, gpu):
        command.add_argument("--input", nargs="+", metavar="FILE", help="Parquet; the demo corpus where none is given")
        command.add_argument("--column", default="text", help="the text column of --input")
        command.add_argument("--demo-mb", type=float, default=12.0, help="size of the demo corpus")
    for command in (job, kernels, dedup, mixing, hosts, gpu):
        command.add_argument("--json", metavar="FILE", help="write every number there")
        command.add_argument("--markdown", metavar="FILE", help="replace a section of this document by the table")
        command.add_argument("--section", metavar="NAME", help="which; the name of the command by default")
    return top


class NoDevice(Exception):
    """There is no GPU to measure on; the message says why."""


def _shares(value: str) -> list[float]:
    shares = sorted({float(part) for part in value.split(",")})
    if len(shares) < 2 or shares[0] <= 0 or shares[-1] > 1:
        raise argparse.ArgumentTypeError(f"two different shares in (0, 1] or more, not {value}")
    return shares


def _counts(value: str) -> list[int]:
    counts = sorted({int(float(part)) for part in value.split(",")})
    if len(counts) < 2 or counts[0] <= 0:
        raise argparse.ArgumentTypeError(f"two different numbers of documents or more, not {value}")
    return counts


def _megabytes(value: str) -> list[int]:
    found = sorted({int(part) for part in value.split(",")})
    if found[0] < 1:
        raise argparse.ArgumentTypeError(f"megabytes, 1 or more, not {value}")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    options = parser().parse_args(arguments)
    if options.command not in ("job", "hosts"):
        os.environ |= SINGLE_THREAD  # before NumPy, Numba and Polars are imported
    acts = {"job": _job, "kernels": _kernels, "dedup": _dedup, "mixing": _mixing, "hosts": _hosts, "gpu": _gpu}
    act = acts[options.command]
    try:
        if options.markdown:  # an unknown section is better found before the work than after it
            replace_section(Path(options.markdown).read_text("utf-8"), options.section or options.command, "")
        with tempfile.TemporaryDirectory(prefix="bench-", dir=getattr(options, "scratch", None)) as folder:
            body, numbers = act(options, Path(folder))
    except NoDevice as error:
        print(f"scripts/bench: {error}", file=sys.stderr)
        return 2
    except (ValueError, KeyError, OSError, RuntimeError) as error:
        print(f"scripts/bench: {error}", file=sys.stderr)
        return 1
    head = f"Machine: {machine()}. Compiled kernels were cached before the clock started."
    text = f"{head}\n\n{body}"
    print(text)
    if options.json:
        Path(options.json).write_text(json.dumps({"machine": machine(), options.command: numbers}, indent=2) + "\n")
    if options.markdown:
        path = Path(options.markdown)
        section = options.section or options.command
        path.write_text(replace_section(path.read_text("utf-8"), section, text), "utf-8")
    return 0


def _inputs(options: argparse.Namespace, folder: Path) -> tuple[list[str], list[str] | None]:
    from benchlib import corpus

    if options.input:
        reference = getattr(options, "reference", None)
        return corpus.files(options.input), corpus.files(reference) if reference else None
    return corpus.demo(folder / "demo", options.demo_mb)


def _job(options: argparse.Namespace, folder: Path) -> tuple[str, Any]:
    from benchlib import jobs

    wanted = options.jobs or list(jobs.JOBS)
    unknown = sorted(set(wanted) - set(jobs.JOBS))
    if unknown:
        raise ValueError(f"--jobs takes {', '.join(jobs.JOBS)}, not {', '.join(unknown)}")
    runners = ["local", *(r for r in options.runner if r != "local")] if "local" in options.runner else options.runner
    paths, reference = _inputs(options, folder)
    sizes = jobs.samples(paths, reference, options.sizes, folder, options.column)
    found = jobs.measure_all(sizes, runners, folder, workers=options.workers, repeats=options.repeats, wanted=wanted)
    return jobs.markdown(found, options.workers), jobs.as_json(found)


def _kernels(options: argparse.Namespace, folder: Path) -> tuple[str, Any]:
    from benchlib import corpus, kernels
    from benchlib.costs import rate

    paths, _ = _inputs(options, folder)
    texts = corpus.texts_of(paths, options.column, options.megabytes)
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    batches = corpus.batches(texts, min(4.0, megabytes / 4))
    found, state = kernels.measure(batches, options.repeats), kernels.states(batches)
    numbers = [{"name": k.name, **k.line._asdict(), "marginal_rate": rate(k.line)} for k in found]
    return kernels.markdown(found, len(texts), megabytes, options.repeats, state), [*numbers, state._asdict()]


def _dedup(options: argparse.Namespace, folder: Path) -> tuple[str, Any]:
    from benchlib import apart, corpus, paragraphs, parquet, peers, planted, resolve

    names = [] if options.peers is None else options.peers or list(peers.PEERS)
    unknown = sorted(set(names) - set(peers.PEERS))
    if unknown:
        raise ValueError(f"--peers takes {', '.join(peers.PEERS)}, not {', '.join(unknown)}")
    paths, _ = _inputs(options, folder)
    texts = corpus.texts_of(paths, options.column, options.megabytes)
    documents = planted.plant(corpus.equal_length(texts, options.characters))
    results, missing = peers.measure(documents, names, options.repeats)
    if options.text_dedup:
        results.append(apart.text_dedup(options.text_dedup, documents, folder, options.repeats))
    numbers = [r._asdict() | {"quality": r.quality._asdict()} for r in results]
    more = corpus.equal_length(corpus.texts_of(paths, options.column, options.parquet_megabytes), options.characters)
    larger = planted.plant(more).texts
    jobs = parquet.measure(larger, folder, options.repeats, "polars" in names, options.times)
    units = paragraphs.measure(documents.texts, options.repeats)
    beside = paragraphs.from_files(larger, folder, options.repeats, options.dolma) if options.dolma else None
    resolved = resolve.measure(options.resolve, options.memory_mb)
    rensa = next((r.signatures for r in results if r.name == "rensa"), None)
    parts = [
        peers.markdown(results, missing, documents, options.repeats),
        parquet.markdown(jobs, rensa),
        paragraphs.markdown(units, beside),
        resolve.markdown(resolved),
    ]
    found = {"tools": numbers, "parquet": jobs, "paragraphs": units, "dolma": beside, "resolve": resolved}
    return "\n\n".join(parts), found


def _mixing(options: argparse.Namespace, folder: Path) -> tuple[str, Any]:
    from benchlib import mixing

    found = mixing.measure(options.documents, folder, options.repeats)
    return mixing.markdown(found, options.repeats), [run._asdict() for run in found]


def _hosts(options: argparse.Namespace, folder: Path) -> tuple[str, Any]:
    from benchlib import corpus, hosts, planted

    paths, _ = _inputs(options, folder)
    texts = corpus.texts_of(paths, options.column, options.megabytes)
    documents = planted.plant(corpus.equal_length(texts, options.characters)).texts
    found = hosts.measure(documents, folder, options.repeats)
    return hosts.markdown(found, options.characters), [cost._asdict() for cost in found]


def _gpu(options: argparse.Namespace, folder: Path) -> tuple[str, Any]:
    from benchlib import corpus, gpu
    from curation import device

    try:
        card = device.choose("cuda")
    except device.DeviceError as error:
        raise NoDevice(f"nothing was measured: {error}") from None
    assert card is not None
    paths, _ = _inputs(options, folder)
    texts = corpus.texts_of(paths, options.column, options.megabytes)
    size = sum(len(text.encode()) for text in texts)
    texts *= max(1, round(options.megabytes * 1e6 / max(size, 1)))
    lanes, shape = (card.lane(), card.lane()), (options.documents, options.features)
    clock = gpu.cuda_clock(lanes[0], options.repeats)
    found = gpu.measure(lanes, clock, card.name, texts, shape, min(options.repeats, 3))
    return gpu.markdown(found), gpu.as_json(found)
