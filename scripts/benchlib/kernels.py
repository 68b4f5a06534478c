"""Single kernels on Arrow batches in memory, one thread: marginal MB of text per CPU second."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchlib.costs import Line, cpu_seconds, fit, rate
from benchlib.tables import Cell, table
from curation import dedup, diversity, io, synthetic
from curation.annotate import Annotated, Settings, annotate
from curation.diversity.measure import add_batch
from curation.mixing import balance, features
from curation.text import Tokens, text_buffer, tokenise
from curation.text.gate import gate


class Kernel(NamedTuple):
    """A kernel and the line of its CPU seconds against MB of text."""

    name: str
    line: Line


class _Batch(NamedTuple):
    documents: pa.RecordBatch
    megabytes: float
    done: Annotated
    matrix: np.ndarray


def measure(batches: Sequence[pa.RecordBatch], repeats: int = 5) -> list[Kernel]:
    """The line through half of the batches and all of them. Raises ValueError for fewer than two batches."""
    if len(batches) < 2:
        raise ValueError("a marginal rate needs two batches or more: give more text")
    annotated = [annotate(b, np.arange(b.num_rows), "bench", Settings(id="id")) for b in batches]
    standard = _standard(annotated)
    prepared = [
        _Batch(b, (a.starts[-1] - a.starts[0]) / 1e6, a, features.design_matrix(a.signals, standard))
        for b, a in zip(batches, annotated, strict=True)
    ]
    half = prepared[: len(prepared) // 2]
    amounts = [sum(b.megabytes for b in part) for part in (half, prepared)]
    found = []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for name, make in _kernels(Path(folder), standard).items():
            costs = [cpu_seconds(make(part), repeats) for part in (half, prepared)]
            found.append(Kernel(name, fit(amounts, costs)))
    return found


def _standard(annotated: Sequence[Annotated]) -> features.Standard:
    state = None
    for item in annotated:
        part = features.standard_update(item.signals, np.ones(item.signals.num_rows, bool))
        state = part if state is None else features.standard_merge(state, part)
    assert state is not None
    return features.standard_result(state)


def _kernels(folder: Path, standard: features.Standard) -> dict[str, Callable[[list[_Batch]], Callable[[], Any]]]:
    """By name, what makes a call of it from the batches that it is to work on."""
    ruler, model = diversity.load_ruler(), synthetic.load_model("shipped")
    solution = balance.start(features.FEATURES, 20.0, 1.0)

    def each(work: Callable[[_Batch], Any]) -> Callable[[list[_Batch]], Callable[[], Any]]:
        return lambda batches: lambda: [work(batch) for batch in batches]

    def text(batch: _Batch) -> pa.Array:
        return batch.documents.column("text")

    def statistics(batches: list[_Batch]) -> Callable[[], Any]:
        ids = [diversity.hash_ids(b.documents.column("id")) for b in batches]

        def call() -> Any:
            state = diversity.empty(ruler)
            for b, hashed in zip(batches, ids, strict=True):
                a = b.done
                state = diversity.update(
                    state, ruler=ruler, tokens=a.tokens, data=a.data, starts=a.starts, ids_hash=hashed,
                    features=a.features,
                )  # fmt: skip
            return state

        return call

    def whole_statistics(more: Callable[[Tokens], Any]) -> Callable[[list[_Batch]], Callable[[], Any]]:
        def make(batches: list[_Batch]) -> Callable[[], Any]:
            ids = [diversity.hash_ids(b.documents.column("id")) for b in batches]

            def call() -> None:
                state = diversity.empty(ruler)
                for b, hashed in zip(batches, ids, strict=True):
                    tokens = tokenise(text(b))
                    data, starts = text_buffer(text(b))
                    diversity.update(state, ruler=ruler, tokens=tokens, data=data, starts=starts, ids_hash=hashed)
                    more(tokens)

            return call

        return make

    def signed_and_scored(tokens: Tokens) -> None:
        dedup.signatures(tokens, bands=14, rows=8, ngram=5, seed=1)
        synthetic.score(tokens, model)

    def write(batches: list[_Batch]) -> Callable[[], Any]:
        def call() -> None:
            with io.ShardWriter(str(folder / "written.parquet"), "parquet", batches[0].documents.schema) as writer:
                for b in batches:
                    writer.write(b.documents)

        return call

    def read(batches: list[_Batch]) -> Callable[[], Any]:
        path = str(folder / f"read-{len(batches)}.parquet")
        with io.ShardWriter(path, "parquet", batches[0].documents.schema) as writer:
            for b in batches:
                writer.write(b.documents)

        def call() -> None:
            with pq.ParquetFile(path) as file:
                for _ in file.iter_batches(8192, use_threads=False):
                    pass

        return call

    def newton(batches: list[_Batch]) -> Callable[[], Any]:
        base = [np.ones(len(b.matrix)) for b in batches]
        targets, errors = np.zeros(features.FEATURES), np.full(features.FEATURES, 0.05)

        def call() -> Any:
            sums = balance.empty_sums(features.FEATURES)
            for b, q in zip(batches, base, strict=True):
                sums = balance.merge(sums, balance.pass_sums(b.matrix, q, solution))
            return balance.newton_step(sums, targets, errors, balance.Point(solution))

        return call

    return {
        "tokenise": each(lambda b: tokenise(text(b))),
        "signatures 14 x 8": each(lambda b: dedup.signatures(b.done.tokens, bands=14, rows=8, ngram=5, seed=1)),
        "content hashes": each(lambda b: dedup.content_hashes(text(b))),
        "hashes of words": each(lambda b: dedup.token_hashes(b.done.tokens)),
        "score": each(lambda b: synthetic.score(b.done.tokens, model)),
        "gate": each(lambda b: gate(b.done.tokens, *text_buffer(text(b)))),
        "features": each(lambda b: diversity.features(b.done.tokens, ruler)),
        "statistics update": statistics,
        "all statistics: tokenise, features, update": whole_statistics(lambda b: None),
        "all statistics, signatures and score on the same tokens": whole_statistics(signed_and_scored),
        "annotate, all of the above but statistics": each(
            lambda b: annotate(b.documents, np.arange(b.documents.num_rows), "bench", Settings(id="id"))
        ),
        "Parquet read": read,
        "Parquet write": write,
        "design matrix": each(lambda b: features.design_matrix(b.done.signals, standard)),
        "Newton pass": newton,
    }


class States(NamedTuple):
    """Size of a state of statistics, and CPU milliseconds to load one from its file and to merge two."""

    in_memory: int
    in_file: int
    load: float
    merge: float


def states(batches: Sequence[pa.RecordBatch]) -> States:
    """Of the state of all batches."""
    ruler = diversity.load_ruler()
    state = diversity.empty(ruler)
    for batch in batches:
        add_batch(state, batch, ruler)
    data = diversity.dump(state)
    costs = [min(1000 * cpu_seconds(call, 7) for _ in range(3)) for call in (
        lambda: diversity.load(data), lambda: diversity.merge(state, state))]  # fmt: skip
    return States(sum(array.nbytes for array in state.values()), len(data), *costs)


def markdown(kernels: Sequence[Kernel], documents: int, megabytes: float, repeats: int, state: States) -> str:
    """The table, under a line that says what was measured."""
    rows: list[list[Cell]] = [[k.name, rate(k.line), k.line.slope * 1000, k.line.fixed * 1000] for k in kernels]
    header = ["kernel", "MB per CPU s (marginal)", "CPU ms per MB", "fixed CPU ms"]
    return (
        f"{documents:,} documents, {megabytes:.1f} MB; slope between half of the batches and all, median of {repeats}."
        f"\n\n{table(header, rows)}\n\n"
        f"A state of the statistics of all this text takes {state.in_memory / 1e6:.1f} MB in memory and "
        f"{state.in_file / 1e6:.2f} MB in its file; loading 1,000 such files takes {state.load:.1f} CPU s and merging "
        f"them {state.merge:.1f}."
    )
