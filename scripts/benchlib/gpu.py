"""Kernels on a GPU: time, bandwidth against what a copy reaches, and the ratio to one core of the CPU."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from benchlib.costs import cpu_seconds
from benchlib.tables import Cell, table
from curation import dedup, device, diversity, synthetic
from curation.annotate import Settings
from curation.device import balance as device_balance
from curation.device import text as device_text
from curation.device.lane import Lane
from curation.mixing import balance
from curation.text import text_buffer, tokenise
from curation.token_pass import token_pass

CHOSEN = Settings(min_words=50)
SIGNATURE = {"bands": CHOSEN.bands, "rows": CHOSEN.rows, "ngram": CHOSEN.ngram, "seed": CHOSEN.seed}


class Row(NamedTuple):
    """A kernel: device seconds, the fewest bytes that it must move (None where text is not what bounds it), and the
    CPU seconds of one core for the same."""

    name: str
    seconds: float
    bytes: int | None
    cpu_seconds: float | None


class Found(NamedTuple):
    """What was measured on one card; rates in bytes and operations a second."""

    card: str
    copy_rate: float
    upload_rate: float
    gemm_rate: float
    text_bytes: int
    documents: int
    shape: tuple[int, int]
    rows: list[Row]
    gemm_share: float  # operations a second of the Newton pass's product, over gemm_rate


#: seconds of a call on the lane, without what it takes to queue it
Clock = Callable[[Callable[[], Any]], float]


def measure(
    lanes: tuple[Lane, Lane],
    clock: Clock,
    card: str,
    texts: Sequence[str],
    shape: tuple[int, int],
    repeats: int,
    copied: int = 1 << 30,
) -> Found:
    """Time every kernel on the texts, and a balance pass on `shape` (documents, features); a copy is of `copied` bytes.

    The clock is that of the first lane. Results are compared with the CPU's first: RuntimeError names one that differs.
    """
    lane = lanes[0]
    rows = _token_rows(lanes, clock, list(texts), repeats)
    balanced, gemm_rate, share = _balance_rows(lane, clock, shape, repeats)
    (source,) = lane.upload(np.random.default_rng(1).random(copied // 8))
    target = lane.empty(copied // 8, np.float64)
    copy = clock(lambda: lane.copy(source, target))
    staged = np.random.default_rng(2).random(copied // 32)
    upload = clock(lambda: lane.upload(staged))
    size = sum(len(text.encode()) for text in texts)
    return Found(
        card, 2 * copied / copy, staged.nbytes / upload, gemm_rate, size, len(texts), shape, [*rows, *balanced], share
    )


def _same(name: str, found: Sequence[np.ndarray], wanted: Sequence[np.ndarray]) -> None:
    for got, expected in zip(found, wanted, strict=True):
        if np.asarray(got).tobytes() != np.asarray(expected).tobytes():
            raise RuntimeError(f"{name} on the device differs from the CPU's: nothing was measured")


def _token_rows(lanes: tuple[Lane, Lane], clock: Clock, texts: list[str], repeats: int) -> list[Row]:
    lane = lanes[0]
    column = pa.array(texts, pa.large_string())
    data, starts = text_buffer(column)
    ruler, model = diversity.load_ruler(), synthetic.load_model("shipped")
    state = diversity.empty(ruler)
    ids = np.arange(len(texts), dtype=np.uint64)
    wanted = token_pass(column, CHOSEN)
    tokens = wanted.tokens
    given = {"ruler": ruler, "tokens": tokens, "data": data, "starts": starts, "ids_hash": ids}

    found = device_text.submit(lane, column, CHOSEN, state["levels"])()
    assert wanted.signatures and wanted.scores and wanted.features
    assert found.signatures and found.scores and found.features
    _same("tokenise", found.tokens, tokens)
    _same("signatures", found.signatures, wanted.signatures)
    _same("score", found.scores, wanted.scores)
    _same("features", found.features, wanted.features)
    counted = diversity.update(diversity.empty(ruler), features=wanted.features, counts=found.counts, **given)
    expected = diversity.update(diversity.empty(ruler), features=wanted.features, **given)
    _same("counts", list(counted.values()), list(expected.values()))

    text, begins = lane.upload(data, starts)
    held = device_text.find_tokens(lane, text, begins)
    skip = lane.zeros(len(texts), np.uint8)
    levels = expected["levels"]  # of a state that has seen some text, as all batches but the first find it
    slots = device_text.slots_for(len(data), levels)
    docs, n = len(texts), len(tokens.hash)
    scored = int(np.minimum(np.diff(tokens.offsets), 1600).sum())
    read = int(np.minimum(np.diff(tokens.offsets), device_text.FEATURE_TOKENS).sum())
    minima = CHOSEN.bands * CHOSEN.rows

    def frequencies() -> None:
        device_text.sample(lane, held, skip, levels, slots)()

    plans: list[tuple[str, Callable[[], Any], int, Callable[[], Any] | None]] = [
        (
            "tokenise and hash", lambda: device_text.find_tokens(lane, text, begins), len(data) + 10 * n + 16 * docs,
            lambda: tokenise(column),
        ),
        (
            "MinHash signatures 14 x 8", lambda: device_text.signatures(lane, held, **SIGNATURE),
            9 * n + docs * (8 + 8 * CHOSEN.bands + 2 * minima + 1), lambda: dedup.signatures(tokens, **SIGNATURE),
        ),
        (
            "linear score", lambda: device_text.score(lane, held, model, CHOSEN.min_words), 10 * scored + 16 * docs,
            lambda: synthetic.score(tokens, model, CHOSEN.min_words),
        ),
        (
            "features and n-gram bins", lambda: device_text.features(lane, held, ruler),
            10 * read + docs * (8 + 2 * (48 + 64 + 256) + 80), lambda: diversity.features(tokens, ruler),
        ),
        (
            "n-gram histograms", lambda: device_text.histograms(lane, held, ruler, skip),
            10 * n + 4 * ((1 << 20) + (1 << 16) + (1 << 18)), None,
        ),
        ("document frequency", frequencies, 9 * n, None),
    ]  # fmt: skip
    rows = []
    for name, call, size, on_cpu in plans:
        rows.append(Row(name, clock(call), size, cpu_seconds(on_cpu, repeats) if on_cpu else None))
    on_cpu = cpu_seconds(lambda: diversity.update(state, features=wanted.features, **given), repeats)
    both = sum(row.seconds for row in rows[-2:])
    rows.append(Row("histograms and frequencies together", both, None, on_cpu))
    batches = [pa.array(part.tolist(), pa.large_string()) for part in np.array_split(np.array(texts, object), 4)]

    def streamed() -> None:
        for _ in device.ahead_on(lanes, batches, lambda batch: batch, CHOSEN, expected):
            pass

    rows.append(
        Row("whole token pass, copies included", clock(streamed), None, cpu_seconds(lambda: _on_cpu(batches), repeats))
    )
    return rows


def _on_cpu(batches: list[pa.Array]) -> None:
    ruler = diversity.load_ruler()
    state = diversity.empty(ruler)
    for column in batches:
        found = token_pass(column, CHOSEN)
        data, starts = text_buffer(column)
        diversity.update(
            state, ruler=ruler, tokens=found.tokens, data=data, starts=starts,
            ids_hash=np.arange(len(column), dtype=np.uint64), features=found.features,
        )  # fmt: skip


def _balance_rows(
    lane: Lane, clock: Clock, shape: tuple[int, int], repeats: int
) -> tuple[list[Row], float, float]:
    documents, d = shape
    rng = np.random.default_rng(7)
    few = min(documents, 20_000)
    matrix = np.rint(rng.normal(0, 1, (few, d)) * 1024) / 1024
    q = rng.random(few) + 0.5
    solution = balance.start(d, 20.0, 1.0)._replace(b=tuple(rng.normal(0, 0.05, d)))
    found = device_balance.total_sums((lane, lane), [(matrix, q)], solution)
    expected = balance.merge(balance.empty_sums(d), balance.pass_sums(matrix, q, solution))
    _same("balance pass", found, expected)

    times = -(-documents // few)
    whole = np.tile(matrix.astype(np.float32), (times, 1))[:documents]
    features, base, b = lane.upload(whole, np.tile(q, times)[:documents], np.array(solution.b))
    del whole
    rows, seconds = [], {}
    for second, name in ((False, "gradient pass"), (True, "Newton pass: gradient and Hessian")):
        sums = device_balance.Accumulated(lane, d, second)

        def call(sums: device_balance.Accumulated = sums) -> None:
            sums.add_on_device(features, base, b, solution)

        seconds[second] = clock(call)
        on_cpu = cpu_seconds(lambda second=second: balance.pass_sums(matrix, q, solution, second), repeats)
        size = None if second else 4 * documents * d + 8 * documents
        rows.append(Row(f"{name}, {documents:,} x {d}", seconds[second], size, on_cpu * documents / few))
    (factor,) = lane.upload(np.tile(matrix, (times, 1))[:documents].reshape(1, documents, d))
    operations = 2.0 * documents * d * d
    gemm_rate = operations / clock(lambda: lane.block_products(factor, factor))
    share = operations / seconds[True] / gemm_rate
    return rows, gemm_rate, share


def cuda_clock(lane: Any, repeats: int) -> Clock:
    """Median seconds between two events of the lane's stream around a call, after two that are not counted."""
    import cupy

    def seconds(call: Callable[[], Any]) -> float:
        for _ in range(2):
            call()
        spent = []
        for _ in range(repeats):
            lane.stream.synchronize()
            before, after = cupy.cuda.Event(), cupy.cuda.Event()
            before.record(lane.stream)
            call()
            after.record(lane.stream)
            after.synchronize()
            spent.append(cupy.cuda.get_elapsed_time(before, after) / 1000)
        return float(np.median(spent))

    return seconds


def markdown(found: Found) -> str:
    """The table, under lines that say what was measured."""
    rows: list[list[Cell]] = []
    for row in found.rows:
        rate = None if row.bytes is None else row.bytes / row.seconds
        rows.append([
            row.name,
            row.seconds * 1000,
            None if rate is None else rate / 1e9,
            None if rate is None else rate / found.copy_rate,
            None if row.cpu_seconds is None else row.cpu_seconds * 1000,
            None if row.cpu_seconds is None else row.cpu_seconds / row.seconds,
        ])  # fmt: skip
    header = ["kernel", "ms", "GB/s of the fewest bytes", "/ copy bandwidth", "CPU ms, one core", "times one core"]
    documents, d = found.shape
    copy, upload = found.copy_rate / 1e9, found.upload_rate / 1e9
    return (
        f"{found.card}: {found.documents:,} documents, {found.text_bytes / 1e6:.1f} MB of text. A copy on the card\n"
        f"moves {copy:,.0f} GB/s, read and written; one to the card {upload:.1f} GB/s with staging.\n"
        f"A float64 product of the shape of the Newton pass ({documents:,} x {d}) runs at\n"
        f"{found.gemm_rate / 1e12:.1f} Tflop/s; the whole pass at {found.gemm_share:.2f} of that. Results were\n"
        f"compared with the CPU's before, and equal.\n\n{table(header, rows)}"
    )


def as_json(found: Found) -> dict[str, Any]:
    """Every number."""
    return found._asdict() | {"rows": [row._asdict() for row in found.rows]}
