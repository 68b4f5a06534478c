"""Corpora to measure on: hash-drawn samples of any Parquet input, and documents of equal length."""

import glob
import random
import string
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

SCHEMA = pa.schema([("id", pa.string()), ("text", pa.string())])


class Sample(NamedTuple):
    """Files with columns id and text."""

    paths: list[str]
    documents: int
    megabytes: float


def uniform(text: str, purpose: str) -> float:
    """A number in [0, 1) that depends on the text and the purpose alone, so that equal texts share their fate."""
    return xxhash.xxh3_64_intdigest(text.encode(), seed=xxhash.xxh32_intdigest(purpose.encode())) / 2**64


def files(patterns: Sequence[str]) -> list[str]:
    """The files that globs, folders and names stand for, sorted. Raises FileNotFoundError for one without files."""
    found: list[str] = []
    for pattern in patterns:
        folder = Path(pattern)
        names = [str(p) for p in folder.rglob("*.parquet")] if folder.is_dir() else glob.glob(pattern, recursive=True)
        if not names:
            raise FileNotFoundError(f"no Parquet file at {pattern}")
        found += names
    return sorted(set(found))


def demo(folder: Path, limit_mb: float) -> tuple[list[str], list[str]]:
    """The demo's crawl and reference, gathered from the documentation on this machine."""
    command = [sys.executable, "-m", "curation.demo", "gather", str(folder), "--limit-mb", str(limit_mb)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return files([str(folder / "crawl")]), files([str(folder / "reference")])


def read(paths: Sequence[str], column: str) -> Iterator[tuple[int, list[str]]]:
    """(number of the file, texts) batch by batch; null and empty texts are left out."""
    for number, path in enumerate(paths):
        with pq.ParquetFile(path) as file:
            if column not in file.schema_arrow.names:
                raise KeyError(f"{path} has no column {column!r}: it has {', '.join(file.schema_arrow.names)}")
            for batch in file.iter_batches(8192, columns=[column], use_threads=False):
                yield number, [text for text in batch.column(0).cast(pa.string()).to_pylist() if text]


def draw(
    paths: Sequence[str], folder: Path, *, low: float, high: float, column: str = "text", purpose: str = "size"
) -> Sample:
    """Write the documents whose hash is in [low, high), one file for each input file, as columns id and text.

    Samples of one purpose are nested: that of [0, .5) holds all documents of that of [0, .25), and equal texts stay
    together, so shares of exact duplicates do not depend on the size. Raises ValueError where nothing is drawn.
    """
    folder.mkdir(parents=True, exist_ok=True)
    documents = size = 0
    written: dict[int, pq.ParquetWriter] = {}
    try:
        for number, texts in read(paths, column):
            if number not in written:
                written[number] = pq.ParquetWriter(folder / f"part-{number:05d}.parquet", SCHEMA, compression="zstd")
            chosen = [text for text in texts if low <= uniform(text, purpose) < high]
            ids = [f"d{documents + i}" for i in range(len(chosen))]
            if chosen:
                batch = pa.record_batch([pa.array(ids), pa.array(chosen, pa.string())], schema=SCHEMA)
                written[number].write_batch(batch)
                size += pc.sum(pc.binary_length(batch.column(1))).as_py()
            documents += len(chosen)
    finally:
        for writer in written.values():
            writer.close()
    if not documents:
        raise ValueError(f"no document of {', '.join(paths)} is in the sample [{low}, {high}): take a larger one")
    return Sample([str(folder / f"part-{n:05d}.parquet") for n in sorted(written)], documents, size / 1e6)


def texts_of(paths: Sequence[str], column: str, megabytes: float) -> list[str]:
    """Texts from the start of the files in turn, about `megabytes` of UTF-8 in all."""
    left, found = megabytes * 1e6, []
    for _, texts in read(paths, column):
        for text in texts:
            if left <= 0:
                return found
            found.append(text)
            left -= len(text.encode())
    return found


def equal_length(texts: Sequence[str], characters: int) -> list[str]:
    """The same text cut at spaces, or joined by newlines, to documents of about `characters`; a shorter rest is left
    out."""
    documents: list[str] = []
    held = ""
    for text in texts:
        held = f"{held}\n{text}" if held else text
        start = 0
        while len(held) - start >= characters:
            end = held.rfind(" ", start + 1, start + characters)
            end = end if end > 0 else start + characters
            documents.append(held[start:end])
            start = end
        held = held[start:]
    return documents


def ciphered(texts: Sequence[str], round_: int) -> list[str]:
    """The texts with the letters a to z exchanged for each other, by another permutation in every round; round 0 as
    they are. What is alike stays alike to the same degree and packs as well, and no round is like another.
    """
    if round_ == 0:
        return list(texts)
    letters = list(string.ascii_lowercase)
    random.Random(round_).shuffle(letters)
    shuffled = "".join(letters)
    table = str.maketrans(string.ascii_letters, shuffled + shuffled.upper())
    return [text.translate(table) for text in texts]


def batches(texts: Sequence[str], megabytes: float = 4.0) -> list[pa.RecordBatch]:
    """Record batches of columns id and text with about `megabytes` of text each."""
    found: list[pa.RecordBatch] = []
    start = size = 0
    for i, text in enumerate(texts):
        size += len(text.encode())
        if size >= megabytes * 1e6 or i == len(texts) - 1:
            ids = pa.array([f"d{n}" for n in range(start, i + 1)])
            found.append(pa.record_batch([ids, pa.array(texts[start : i + 1], pa.string())], schema=SCHEMA))
            start, size = i + 1, 0
    return found
