"""Deduplication by curation and by its peers on the same documents: 14 bands of 8, shingles of 5 words, one thread.

Every tool gets the texts as it likes them (Arrow batches or Python strings) before the clock starts. Peers that take
tokens get them from a Python regular expression, as their own examples do.
"""

import importlib.util
import re
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from benchlib.corpus import batches
from benchlib.costs import cpu_seconds
from benchlib.planted import NGRAM, Planted, Quality, assess, bin_names
from benchlib.tables import Cell, table

BANDS, ROWS, VERIFY = 14, 8, 0.70
_WORD = re.compile(r"\w+")


class Found(NamedTuple):
    """labels int64[texts] of clusters, and whether two texts were candidates; None where a tool does not say."""

    labels: np.ndarray
    candidate: Callable[[int, int], bool] | None


class Tool(NamedTuple):
    """A way to deduplicate: signatures only (None where a tool has none), and all the way to clusters."""

    name: str
    signatures: Callable[[], Any] | None
    decide: Callable[[], Found]


class Result(NamedTuple):
    """MB of text per CPU second, and what was found."""

    name: str
    signatures: float | None
    decisions: float
    quality: Quality


def curation_near(texts: Sequence[str]) -> list[Tool]:
    """Arrow batches in, decisions out: exact and near, verified."""
    from curation.dedup import deduplicate, signatures
    from curation.text import tokenise

    held = batches(texts)

    def sign() -> list[np.ndarray]:
        return [signatures(tokenise(b.column("text")), bands=BANDS, rows=ROWS, ngram=NGRAM, seed=1)[0] for b in held]

    def decide() -> Found:
        done = deduplicate(held, id="id", bands=BANDS, rows=ROWS, ngram=NGRAM, verify=VERIFY)
        labels = pa.chunked_array([b.column("cluster_id") for b in done]).dictionary_encode().combine_chunks()
        labels = labels.combine_chunks() if isinstance(labels, pa.ChunkedArray) else labels
        return Found(labels.indices.to_numpy().astype(np.int64), None)

    bands = np.concatenate(sign())
    return [
        Tool("curation", sign, lambda: decide()._replace(candidate=lambda a, b: bool((bands[a] == bands[b]).any()))),
        Tool("curation, equal bytes only", None, lambda: _exact(held)),
    ]


def _exact(held: list[pa.RecordBatch]) -> Found:
    from curation.dedup import content_hashes

    digests = np.concatenate([content_hashes(b.column("text")) for b in held]).view("<u8")
    _, labels = np.unique(digests[:, 0] ^ (digests[:, 1] << np.uint64(1)), return_inverse=True)
    return Found(labels.reshape(-1).astype(np.int64), None)


def rensa(texts: Sequence[str]) -> list[Tool]:
    """R-MinHash and its LSH; candidates verified by their digests, then united."""
    from rensa import RMinHash, RMinHashLSH

    def sign() -> list[Any]:
        return RMinHash.from_token_sets(map(shingles, texts), BANDS * ROWS, 1)

    def decide() -> Found:
        digests = sign()
        index = RMinHashLSH(threshold=VERIFY, num_perm=BANDS * ROWS, num_bands=BANDS)
        index.insert_many(digests)
        near = [set(found) for found in index.query_all(digests)]
        pairs = (
            (a, b) for a, found in enumerate(near) for b in found if a < b and digests[a].jaccard(digests[b]) >= VERIFY
        )
        return Found(components(len(texts), pairs), lambda a, b: b in near[a])

    return [Tool("rensa", sign, decide)]


def datasketch(texts: Sequence[str]) -> list[Tool]:
    """MinHash and MinHashLSH; candidates verified by their digests, then united."""
    from datasketch import MinHash, MinHashLSH

    def sign() -> list[Any]:
        return MinHash.bulk(([s.encode() for s in shingles(t)] for t in texts), num_perm=BANDS * ROWS, seed=1)

    def decide() -> Found:
        digests = sign()
        index = MinHashLSH(num_perm=BANDS * ROWS, params=(BANDS, ROWS))
        for n, digest in enumerate(digests):
            index.insert(n, digest)
        near = [set(index.query(digest)) for digest in digests]
        pairs = (
            (a, b) for a, found in enumerate(near) for b in found if a < b and digests[a].jaccard(digests[b]) >= VERIFY
        )
        return Found(components(len(texts), pairs), lambda a, b: b in near[a])

    return [Tool("datasketch", sign, decide)]


def polars(texts: Sequence[str]) -> list[Tool]:
    """Exact duplicates by a window over the text."""
    import polars as pl

    frame = pl.DataFrame({"text": list(texts)}).with_row_index("n")
    return [
        Tool(
            "polars, equal text only",
            None,
            lambda: Found(frame.select(pl.col("n").min().over("text"))["n"].to_numpy().astype(np.int64), None),
        )
    ]


def datatrove(texts: Sequence[str]) -> list[Tool]:
    """Its four MinHash steps on one task, with a tokeniser that splits at spaces and with its default one."""
    import xxhash
    from datatrove.data import Document
    from datatrove.pipeline.dedup.minhash import (
        MinhashConfig,
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupFilter,
        MinhashDedupSignature,
    )
    from datatrove.utils.word_tokenizers import WordTokenizer
    from loguru import logger

    logger.disable("datatrove")

    class Split(WordTokenizer):
        def word_tokenize(self, text: str) -> list[str]:
            return text.split()

        def sent_tokenize(self, text: str) -> list[str]:
            return [text]

        def span_tokenize(self, text: str) -> list[tuple[int, int]]:
            return [(0, len(text))]

    config = MinhashConfig(n_grams=NGRAM, num_buckets=BANDS, hashes_per_bucket=ROWS, seed=1)

    def documents() -> Iterable[Any]:
        return (Document(text=text, id=str(n)) for n, text in enumerate(texts))

    def sign(folder: str, language: Any) -> None:
        step = MinhashDedupSignature(f"{folder}/signatures", config, language)
        # its default hash, handed bytes: xxhash 4, which curation may bring, takes no strings
        step._hash_func = lambda shingle: xxhash.xxh64_intdigest(shingle.encode())
        step.run(documents())

    def alone(language: Any) -> None:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            sign(folder, language)

    def decide(language: Any) -> Found:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            sign(folder, language)
            for bucket in range(BANDS):
                buckets = MinhashDedupBuckets(f"{folder}/signatures", f"{folder}/buckets", config=config)
                buckets.run(None, bucket, BANDS)
            MinhashDedupCluster(f"{folder}/buckets", f"{folder}/remove", config, save_cluster_id=True).run(None, 0, 1)
            for _ in MinhashDedupFilter(f"{folder}/remove").run(documents()):
                pass
            labels = -1 - np.arange(len(texts), dtype=np.int64)
            clusters = Path(folder, "remove", "000000.clusters")
            if clusters.exists():
                found = np.frombuffer(clusters.read_bytes(), "<u4").reshape(-1, 2)
                labels[found[:, 0]] = found[:, 1]
            return Found(labels, None)

    tools = [Tool("datatrove, str.split", lambda: alone(Split()), lambda: decide(Split()))]
    if importlib.util.find_spec("spacy"):
        tools.append(Tool("datatrove, its tokeniser", lambda: alone("eng"), lambda: decide("eng")))
    return tools


PEERS: dict[str, Callable[[Sequence[str]], list[Tool]]] = {
    "rensa": rensa,
    "datasketch": datasketch,
    "polars": polars,
    "datatrove": datatrove,
}


def shingles(text: str) -> set[str]:
    """Shingles of words found by a regular expression, joined by spaces."""
    words = _WORD.findall(text.lower())
    return {" ".join(words[i : i + NGRAM]) for i in range(len(words) - NGRAM + 1)}


def components(count: int, pairs: Iterable[tuple[int, int]]) -> np.ndarray:
    """int64[count]: the smallest member of each one's connected component."""
    parent = list(range(count))

    def root(n: int) -> int:
        while parent[n] != n:
            parent[n] = parent[parent[n]]
            n = parent[n]
        return n

    for a, b in pairs:
        x, y = root(a), root(b)
        parent[max(x, y)] = min(x, y)
    return np.array([root(n) for n in range(count)], np.int64)


def measure(planted: Planted, names: Sequence[str], repeats: int) -> tuple[list[Result], list[str]]:
    """Results of curation and of the named peers, and a line for each peer that is not here."""
    texts, missing = planted.texts, []
    tools = curation_near(texts)
    for name in names:
        try:
            tools += PEERS[name](texts)
        except ImportError as error:
            missing.append(f"{name} skipped: {error}")
    return [_measured(tool, planted, repeats) for tool in tools], missing


def _measured(tool: Tool, planted: Planted, repeats: int) -> Result:
    megabytes = sum(len(text.encode()) for text in planted.texts) / 1e6
    kept: list[Found] = []

    def decide() -> None:
        kept[:] = [tool.decide()]

    spent = cpu_seconds(decide, repeats)
    signing = cpu_seconds(tool.signatures, repeats) if tool.signatures else None
    found = kept[0]
    quality = assess(planted, found.candidate, found.labels)
    return Result(tool.name, megabytes / signing if signing else None, megabytes / spent, quality)


def markdown(results: Sequence[Result], missing: Sequence[str], planted: Planted, repeats: int) -> str:
    """Speed and precision, then recall by bin of true similarity."""
    megabytes = sum(len(text.encode()) for text in planted.texts) / 1e6
    ours = results[0]
    speed: list[list[Cell]] = [
        [r.name, r.signatures, r.decisions, ours.decisions / r.decisions, r.quality.merges, r.quality.planted,
         r.quality.similar]
        for r in results
    ]  # fmt: skip
    header = [
        "tool", "text to signatures, MB per CPU s", "text to clusters, MB per CPU s", "curation is … times as fast",
        "merges", "of them planted", "planted or truly ≥ .70",
    ]  # fmt: skip
    columns, recall = _recall(results)
    skipped = "".join(f"\n\n{line}" for line in missing)
    return (
        f"{len(planted.texts):,} documents, {megabytes:.1f} MB, {len(planted.pairs):,} planted pairs; {BANDS} bands of "
        f"{ROWS}, shingles of {NGRAM} words, median of {repeats}.{skipped}\n\n{table(header, speed)}\n\n"
        f"Recall of planted pairs:\n\n{table(columns, recall)}"
    )


def _recall(results: Sequence[Result]) -> tuple[list[str], list[list[Cell]]]:
    """Header and rows of the table of recall; candidates only of tools that name them."""
    columns = ["true Jaccard", "pairs"]
    cells: list[Sequence[Cell]] = [bin_names(), results[0].quality.pairs]
    for result in results:
        if any(share is not None for share in result.quality.candidates):
            columns.append(f"{result.name}: candidates")
            cells.append(result.quality.candidates)
        columns.append(f"{result.name}: merged")
        cells.append(result.quality.merged)
    return columns, [list(row) for row in zip(*cells, strict=True)]
