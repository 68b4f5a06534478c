"""Peak memory of a run by the size of the corpus, and of a run over one huge document.

Texts of the input are taken again and again until there are enough; of every copy three words in ten are replaced by
others of the input, so that copies are as far from each other as different texts are.
"""

import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from trials import process

SHARD_MB = 20
REPLACED = 0.3
CANDIDATE_BYTES = 1000  # that resolve holds of a document which shares a key with another, as README.md states


def trial(
    folder: Path, sizes: Sequence[float], inputs: Sequence[str] | None, seed: int, workers: int, settings: list[str],
    most: float = 0.10,
) -> int:
    """Print peaks by phase for every size; returns 1 if the largest run needs more than `most` above the smallest, as a
    share of it, the stated bytes for duplicate candidates left aside."""
    texts = _texts(folder, inputs)
    found = []
    for size in sizes:
        where = folder / f"{size:g}"
        documents = _write(where / "in", texts, size, seed)
        arguments = process.command([str(where / "in")], where / "out", f"run.workers={workers}", *settings)
        run = process.watch(arguments)
        if run.code:
            print(run.output)
            return 1
        report = json.loads((where / "out" / "report" / "report.json").read_bytes())
        candidates = json.loads((where / "out" / "decisions" / "clusters.json").read_bytes())["candidates"]
        phases: dict[str, int] = {}
        for sample in run.samples:
            phases[sample.stage] = max(phases.get(sample.stage, 0), sample.resident)
        print(
            f"{size:g} MB, {documents:,} documents, {candidates:,} candidates, {report['documents']['kept']:,} kept: "
            f"peak {run.peak / 1e6:,.0f} MB, {run.cpu:,.0f} CPU s, {run.wall:,.0f} s; resident by stage in MB: "
            + ", ".join(f"{stage} {bytes_ / 1e6:,.0f}" for stage, bytes_ in phases.items()),
            flush=True,
        )
        found.append((size, run.peak, candidates))
        _empty(where)
    (small, low, few), (large, high, many) = found[0], found[-1]
    growth = high - low
    print(
        f"memory: {low / 1e6:,.0f} MB at {small:g} MB of text and {high / 1e6:,.0f} MB at {large:g} MB: "
        f"{growth / low:+.1%}; {growth / max(many - few, 1):,.0f} bytes for each further candidate, "
        f"{growth / max(large - small, 1e-9) / 1e6:.4f} bytes for each further byte of text"
    )
    return int(growth - CANDIDATE_BYTES * (many - few) > most * low)


def one_document(folder: Path, megabytes: int) -> int:
    """A document of that size among small ones, as JSON lines and as Parquet; returns 1 unless it is processed or
    quarantined as limits.document_mb has it."""
    limit = 256
    for form in ("jsonl", "parquet"):
        inside = folder / form / "in"
        inside.mkdir(parents=True)
        _huge(inside / f"huge.{form}", megabytes)
        output = folder / form / "out"
        run = process.watch(process.command([str(inside)], output, f"limits.document_mb={limit}"))
        if run.code:
            print(run.output)
            return 1
        counts = json.loads((output / "report" / "report.json").read_bytes())["documents"]
        print(
            f"one document of {megabytes} MB as {form}, limits.document_mb {limit}: {counts['kept']} kept, "
            f"{counts['quarantined']} quarantined, peak {run.peak / 1e6:,.0f} MB, {run.cpu:,.0f} CPU s",
            flush=True,
        )
        if (counts["kept"], counts["quarantined"]) != ((2, 1) if megabytes > limit else (3, 0)):
            return 1
        _empty(folder / form)
    return 0


def _huge(path: Path, megabytes: int) -> None:
    draw = random.Random("huge")
    words = ["".join(draw.choices("abcdefghijklmnop", k=draw.randint(2, 9))) for _ in range(50_000)]
    block = " ".join(draw.choices(words, k=160_000))[: 1_000_000 - 1] + " "
    if path.suffix == ".jsonl":
        with path.open("w") as file:
            file.write('{"text": "a small one before"}\n{"text": "')
            for i in range(megabytes):
                file.write(block[i:] + block[:i])
            file.write('"}\n{"text": "a small one behind"}\n')
        return
    text = "".join(block[i:] + block[:i] for i in range(megabytes))
    table = pa.table({"text": pa.array(["a small one before", text, "a small one behind"], pa.large_string())})
    pq.write_table(table, path, use_dictionary=False)


def _texts(folder: Path, inputs: Sequence[str] | None) -> list[list[str]]:
    """The words of the texts to vary."""
    from benchlib import corpus

    paths = corpus.files(inputs) if inputs else corpus.demo(folder / "demo", 30)[0]
    return [text.split(" ") for text in corpus.texts_of(paths, "text", 60)]


def _varied(texts: list[list[str]], seed: int) -> Iterator[str]:
    vocabulary = [word for words in texts[::50] for word in words if word.isalpha()]
    copy = 0
    while True:
        draw = random.Random(f"{seed}-{copy}")
        for words in texts:
            if copy == 0:
                yield " ".join(words)
                continue
            out = list(words)
            step = int(1 / REPLACED)
            for i in range(draw.randrange(step), len(out), step):
                out[i] = vocabulary[draw.randrange(len(vocabulary))]
            yield " ".join(out)
        copy += 1


def _write(folder: Path, texts: list[list[str]], megabytes: float, seed: int) -> int:
    """Shards of about 20 MB; returns the number of documents."""
    folder.mkdir(parents=True)
    made = _varied(texts, seed)
    number = written = 0
    left = megabytes * 1e6
    while left > 0:
        part: list[str] = []
        size = 0.0
        while size < min(SHARD_MB * 1e6, left):
            part.append(next(made))
            size += len(part[-1].encode())
        ids = [f"d{written + i}" for i in range(len(part))]
        pq.write_table(pa.table({"id": ids, "text": part}), folder / f"part-{number:04}.parquet", compression="zstd")
        number, written, left = number + 1, written + len(part), left - size
    return written


def _empty(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder)
