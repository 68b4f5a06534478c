"""Deduplicate a PCollection of batches as a whole.

A PCollection has no shards and no order, so a row is named by what it is and where: the first 40 bits of a hash over
all rows of its batch, and its place in that batch. The name is computed, never drawn, so a runner may compute it again.
Batches that share a name (equal ones, or by a collision) come together in the groups below and are numbered there.

What crosses a shuffle: 16 bytes for each key of a document (at most one for each band, two more), in packed chunks by
partition; the signals of each document (some 0.4 kB); decisions for the documents in clusters; and each batch once,
to meet its decisions. Candidates are clustered on one worker, as in every other host.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from apache_beam.metrics import Metrics

from curation import dedup
from curation.beam.batches import (
    ERRORS,
    NAMESPACE,
    Error,
    PerBatch,
    check_bounded,
    check_columns,
    column_name,
    displayed,
    know_columns,
    typed,
)
from curation.beam.coder import decode, encode
from curation.dedup.keep import POLICIES, TRUST
from curation.dedup.memory import document_signals, with_decisions
from curation.dedup.shuffle import fixed_words
from curation.text import text_buffer

PLACE_BITS = 23
MOST_ROWS = 1 << PLACE_BITS
_DIGEST = 16
ADDED = ("content_hash", "cluster_id", "cluster_size", "duplicate_of", "similarity", "filter_reason")
#: what stands under the name of a batch
BATCH, SIGNALS, SHARED, DECIDED = range(4)
Tagged = tuple[int, tuple[int, bytes]]


@dataclass(kw_only=True, eq=False)
class Deduplicate(beam.PTransform):
    """Every batch with the columns that `deduplicate` adds; no row is removed: filter on `filter_reason`.

    The arguments are those of `deduplicate`, and the rows are the same as if all batches were given to it, however
    they are cut. `keep="first"` is not offered, since a PCollection has no order. `partitions` divides the shuffle of
    keys: each needs about 50 bytes of memory for every key in it.
    """

    text: str = "text"
    id: str | None = None
    date: str | None = None
    trust: str | None = None
    exact: bool = True
    near: bool = True
    bands: int = 14
    rows: int = 8
    ngram: int = 5
    verify: float = 0.7
    keep: str = "human_first"
    max_bucket: int = 1000
    seed: int = 1
    partitions: int = 128
    with_errors: bool = False

    def __post_init__(self) -> None:
        super().__init__()
        column_name(self.text, "text")
        for name in ("id", "date", "trust"):
            column_name(getattr(self, name), name, optional=True)
        for name in ("bands", "rows", "ngram", "partitions"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.max_bucket < 2:
            raise ValueError(f"max_bucket must be at least 2, not {self.max_bucket}")
        if not 0 <= self.verify <= 1:
            raise ValueError(f"verify must lie between 0 and 1, not {self.verify}")
        known = [policy for policy in POLICIES if policy != "first"]
        if self.keep not in known:
            hint = " (a PCollection has no first document)" if self.keep == "first" else ""
            raise ValueError(f"keep must be one of {', '.join(known)}, not {self.keep!r}{hint}")

    def expand(self, batches: beam.PCollection) -> Any:
        check_bounded(batches, "Deduplicate", windowed=True)
        check_columns(batches, "Deduplicate", (self.text, self.id, self.date, self.trust))
        identify = _Identify(self.text, self.id, self.date, self.trust, self.bands, self.rows, self.ngram, self.seed)
        found = batches | "Identify" >> beam.ParDo(
            PerBatch(identify, "deduplicate", self.with_errors)
        ).with_outputs(ERRORS, main="named")
        named = typed(found["named"], _Named)
        held = named | "Batches" >> beam.Map(_batch).with_output_types(Tagged)
        signals = named | "Signals" >> beam.Map(_signals).with_output_types(Tagged)
        shared = (
            named
            | "Keys" >> beam.FlatMap(_keys, self.exact, self.near, self.partitions).with_output_types(tuple[int, bytes])
            | "Meet" >> beam.GroupByKey()
            | "Shared" >> beam.FlatMap(_shared).with_output_types(Tagged)
        )
        settings = dedup.DedupSettings(self.exact, self.near, False, self.verify, self.keep, self.max_bucket)
        decided = (
            (signals, shared)
            | "SignalsAndShared" >> beam.Flatten()
            | "ByBatch" >> beam.GroupByKey()
            | "Candidates" >> beam.FlatMap(_candidates).with_output_types(tuple[int, bytes])
            | "Gather" >> beam.GroupByKey()
            | "Cluster" >> beam.FlatMap(_cluster, settings).with_output_types(Tagged)
        )
        result = (
            (held, decided)
            | "BatchesAndDecided" >> beam.Flatten()
            | "Return" >> beam.GroupByKey()
            | "Decorate" >> beam.FlatMap(_decorate, identify).with_output_types(pa.RecordBatch)
        )
        know_columns(result, batches, ADDED)
        return (result, typed(found[ERRORS], Error)) if self.with_errors else result

    def display_data(self) -> dict[str, Any]:
        names = ("text", "id", "date", "trust", "exact", "near", "bands", "rows", "ngram", "verify", "keep")
        return displayed(self, *names, "max_bucket", "seed", "partitions", "with_errors")


#: name of the batch, the batch, its signals
_Named = tuple[int, pa.RecordBatch, pa.RecordBatch]


@dataclass(frozen=True)
class _Identify:
    """A batch with its name and signals; `job_row` is the name above the place."""

    text: str
    id: str | None
    date: str | None
    trust: str | None
    bands: int
    rows: int
    ngram: int
    seed: int

    def __call__(self, batch: pa.RecordBatch) -> tuple[int, pa.RecordBatch, pa.RecordBatch]:
        if batch.num_rows > MOST_ROWS:
            raise ValueError(f"a batch of {batch.num_rows} rows: cut it into batches of at most {MOST_ROWS}")
        signals = document_signals(
            batch, 0, self.text, self.id, self.date, self.trust, self.bands, self.rows, self.ngram, self.seed
        )
        trust = signals.column("trust")
        place = pc.index_in(trust, value_set=pa.array(list(TRUST)))
        if place.null_count:
            bad = trust.filter(pc.is_null(place))[0].as_py()
            raise ValueError(f"column {self.trust!r} holds {bad!r}: use one of {', '.join(TRUST)}")
        name = _name(_digest(signals))
        rows = (np.int64(name) << np.int64(PLACE_BITS)) | np.arange(batch.num_rows, dtype=np.int64)
        return name, batch, signals.set_column(0, "job_row", pa.array(rows))


def _name(digest: bytes) -> int:
    """The name of a batch: 40 bits, so that with 23 bits of a place it makes a job row."""
    return int.from_bytes(digest[:5], "big")


def _digest(signals: pa.RecordBatch) -> bytes:
    """A hash of all rows of a batch: equal when all rows are, and then it does not matter which batch is which."""
    return xxhash.xxh3_128_digest(fixed_words(signals.column("row_hash")).astype("<u8").tobytes())


def _batch(element: tuple[int, pa.RecordBatch, pa.RecordBatch]) -> tuple[int, tuple[int, bytes]]:
    name, batch, signals = element
    return name, (BATCH, _digest(signals) + encode(batch))


def _signals(element: tuple[int, pa.RecordBatch, pa.RecordBatch]) -> tuple[int, tuple[int, bytes]]:
    name, _, signals = element
    return name, (SIGNALS, _digest(signals) + encode(signals))


def _keys(
    element: tuple[int, pa.RecordBatch, pa.RecordBatch], exact: bool, near: bool, partitions: int
) -> Iterator[tuple[int, bytes]]:
    signals = element[2]
    keys = dedup.signal_keys(signals, exact=exact, near=near)
    for partition, chunk in dedup.emit(keys, np.asarray(signals.column("job_row")), partitions).items():
        yield partition, chunk.tobytes()


def _shared(element: tuple[int, Iterable[bytes]]) -> Iterator[tuple[int, tuple[int, bytes]]]:
    """By batch, the places of documents that share a key with another."""
    rows = dedup.group(np.frombuffer(chunk, np.uint8) for chunk in element[1])
    for name, start, end in _runs(rows >> PLACE_BITS):
        yield name, (SHARED, (rows[start:end] & (MOST_ROWS - 1)).astype("<i8").tobytes())


def _runs(values: np.ndarray) -> Iterator[tuple[int, int, int]]:
    """(value, start, end) of each run of equal values in a sorted array."""
    names, first = np.unique(values, return_index=True)
    ends = np.append(first, len(values))[1:]
    yield from zip(names.tolist(), first.tolist(), ends.tolist(), strict=True)


def _under(payloads: Iterable[tuple[int, bytes]], tag: int) -> list[tuple[int, pa.RecordBatch]]:
    """(first place, batch) of the batches under one name, in the order of their digests."""
    found, first = [], 0
    for payload in sorted(data for kind, data in payloads if kind == tag):
        batch = decode(payload[_DIGEST:])
        found.append((first, batch))
        first += batch.num_rows
    return found


def _candidates(element: tuple[int, Iterable[tuple[int, bytes]]]) -> Iterator[tuple[int, bytes]]:
    """The signals of the documents of one name that share a key, with `name` and `place` in front."""
    name, payloads = element[0], list(element[1])
    batches = _under(payloads, SIGNALS)
    places = [np.frombuffer(data, "<i8") for kind, data in payloads if kind == SHARED]
    shared = np.unique(np.concatenate(places)) if places else np.empty(0, np.int64)
    for first, batch in batches:
        place = np.arange(batch.num_rows, dtype=np.int64)
        # documents of two batches under one name cannot be told apart by their keys, so all of them are looked at
        wanted = np.isin(place, shared) if len(batches) == 1 else np.ones(len(place), bool)
        if wanted.any():
            chosen = batch.filter(pa.array(wanted))
            columns = [pa.repeat(pa.scalar(name, pa.int64()), chosen.num_rows), pa.array(first + place[wanted])]
            names = ["name", "place", *chosen.schema.names[1:]]
            yield 0, encode(pa.RecordBatch.from_arrays([*columns, *chosen.columns[1:]], names))


def _cluster(
    element: tuple[int, Iterable[bytes]], settings: dedup.DedupSettings
) -> Iterator[tuple[int, tuple[int, bytes]]]:
    """What was decided on the candidates, by batch; `job_row` is then the place under the batch's name."""
    table = pa.Table.from_batches([decode(data) for data in element[1]])
    table = table.sort_by([("name", "ascending"), ("place", "ascending")])
    name, place = (np.asarray(table.column(column)) for column in ("name", "place"))
    numbered = table.append_column("job_row", pa.array(np.arange(len(table))))
    decided = dedup.cluster(numbered, settings).combine_chunks()
    rows = np.asarray(decided.column("job_row"))
    decided = decided.set_column(0, "job_row", pa.array(place[rows]))
    for number, start, end in _runs(name[rows]):
        for batch in decided.slice(start, end - start).to_batches():
            yield number, (DECIDED, encode(batch))


def _decorate(element: tuple[int, Iterable[tuple[int, bytes]]], identify: _Identify) -> Iterator[pa.RecordBatch]:
    payloads = list(element[1])
    decided = pa.Table.from_batches(
        [decode(data) for kind, data in payloads if kind == DECIDED], schema=dedup.RESULT_SCHEMA
    )
    place = np.asarray(decided.column("job_row"))
    for first, batch in _under(payloads, BATCH):
        mine = (place >= first) & (place < first + batch.num_rows)
        part = decided.filter(pa.array(mine)).set_column(0, "job_row", pa.array(place[mine] - first))
        out = with_decisions(batch, _names(batch, identify), part)
        Metrics.counter(NAMESPACE, "deduplicate-duplicates").inc(part.num_rows - part.column("reason").null_count)
        yield out


def _names(batch: pa.RecordBatch, identify: _Identify) -> pa.RecordBatch:
    """The signals that `with_decisions` reads."""
    text = batch.column(identify.text)
    content = dedup.content_hashes(text)
    hexes = pa.array([digest.tobytes().hex() for digest in content], pa.string())
    ids = hexes if identify.id is None else pc.coalesce(batch.column(identify.id).cast(pa.string()), hexes)
    size = pa.array(np.diff(text_buffer(text)[1]))
    return pa.RecordBatch.from_arrays([ids, dedup.fixed_binary(content), size], ["id", "content_hash", "bytes"])
