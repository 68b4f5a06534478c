"""Deduplicate record batches that fit in memory: the whole of this package in one call."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.batch import dates, holds_dates
from curation.dedup.cluster import VERIFY_BY, DedupSettings, cluster
from curation.dedup.gathering import fixed_binary
from curation.dedup.hashes import content_hashes, row_hashes, token_hashes
from curation.dedup.keep import column_of, order_keys, order_kind
from curation.dedup.measure import Shingles, shingles
from curation.dedup.shuffle import emit, group, job_rows, signal_keys
from curation.dedup.signatures import signatures
from curation.schema import ADDED
from curation.text import text_buffer, tokenise

_ADDED = {
    column.name: column.type
    for column in ADDED
    if column.name in ("content_hash", "cluster_id", "cluster_size", "duplicate_of", "similarity", "filter_reason")
}


def deduplicate(
    batches: Iterable[pa.RecordBatch] | pa.Table | pa.RecordBatch,
    *,
    text: str = "text",
    id: str | None = None,
    date: str | None = None,
    trust: str | None = None,
    source: str | None = None,
    exact: bool = True,
    near: bool = True,
    bands: int = 14,
    rows: int = 8,
    ngram: int = 5,
    verify: float = 0.7,
    verify_by: str = "minhash",
    keep: str = "human_first",
    prefer: Sequence[str] = (),
    max_bucket: int = 1000,
    seed: int = 1,
) -> Iterator[pa.RecordBatch]:
    """The same batches with the decisions of deduplication as columns; no row is removed.

    batches: record batches, or one batch or table, whose batches are given back.
    `text`, `id`, `date`, `trust` and `source` name columns; without `id` the public id is the content hash, `date`
    holds dates, timestamps or ISO strings, `trust` holds human, premium, unknown or synthetic, and `source` the names
    that `prefer` speaks of. Added (or replaced):
    content_hash, cluster_id, cluster_size (1 when alone), duplicate_of (the id of the document that stands for this
    one), similarity and filter_reason (exact_duplicate, near_duplicate or empty_text; null for documents to keep).
    The remaining arguments are those of the `dedup` section of a configuration. All batches are held in memory, with
    about 1.1 kB for each duplicate (with `verify_by` "shingles" 8 bytes more for each of its words) and 460 bytes for
    every document beside them. Raises KeyError for a column that is not there and ValueError for a value
    that cannot be used.

    >>> texts = ["A rose is a rose.", "a rose is a ROSE", "A tulip"]
    >>> batch = pa.RecordBatch.from_pydict({"text": texts, "id": ["a", "b", "c"]})
    >>> [out] = deduplicate([batch], id="id")
    >>> out.column("duplicate_of").to_pylist(), out.column("cluster_size").to_pylist()
    ([None, 'a', None], [2, 2, 1])
    """
    if verify_by not in VERIFY_BY:
        raise ValueError(f"verify_by is {' or '.join(VERIFY_BY)}, not {verify_by!r}")
    if prefer and source is None:
        raise ValueError("prefer needs source: the column that holds the names of sources")
    if isinstance(batches, pa.Table):
        batches = batches.to_batches()
    held = [batches] if isinstance(batches, pa.RecordBatch) else list(batches)
    signals = [
        document_signals(batch, number, text, id, date, trust, bands, rows, ngram, seed)
        for number, batch in enumerate(held)
    ]
    if not held:
        return
    by_column = column_of(keep)
    if by_column is not None:
        signals = _with_keys(held, signals, by_column[0])
    if source is not None:
        signals = [_with_source(batch, given, source) for batch, given in zip(held, signals, strict=True)]
    chunks: list[np.ndarray] = []
    for batch in signals:
        keys = signal_keys(batch, exact=exact, near=near)
        chunks += emit(keys, np.asarray(batch.column("job_row")), 1).values()
    shared = group(chunks)
    chosen = [pa.array(np.isin(np.asarray(batch.column("job_row")), shared)) for batch in signals]
    candidates = pa.Table.from_batches(
        [batch.filter(mine) for batch, mine in zip(signals, chosen, strict=True)], signals[0].schema
    )
    sets = None
    if near and verify_by == "shingles":
        texts = (batch.column(text).filter(mine) for batch, mine in zip(held, chosen, strict=True))
        sets = _joined([shingles(tokenise(each), ngram=ngram) for each in texts])
    decided = cluster(candidates, DedupSettings(exact, near, False, verify, keep, max_bucket, verify_by, prefer), sets)
    decided_rows = np.asarray(decided.column("job_row"))
    for number, batch in enumerate(held):
        first, last = np.searchsorted(decided_rows, [number << 40, (number + 1) << 40])
        yield with_decisions(batch, signals[number], decided.slice(first, last - first))


def _joined(sets: list[Shingles]) -> Shingles:
    """The sets of documents of several batches, one after another."""
    starts = np.cumsum([0, *(len(each.values) for each in sets)])
    return Shingles(
        np.concatenate([each.values for each in sets]),
        np.concatenate([each.spans + start for each, start in zip(sets, starts, strict=False)]),
    )


def _with_source(batch: pa.RecordBatch, signals: pa.RecordBatch, column: str) -> pa.RecordBatch:
    """The signals with the sources that a column of the batch names."""
    if column not in batch.schema.names:
        raise KeyError(f"there is no column {column!r}; the batch has {', '.join(batch.schema.names)}")
    names = batch.column(column).cast(pa.string()).fill_null("default")
    return signals.set_column(signals.schema.get_field_index("source"), "source", names)


def _with_keys(held: list[pa.RecordBatch], signals: list[pa.RecordBatch], column: str) -> list[pa.RecordBatch]:
    """The signals with the keys of a keep policy by column."""
    kinds = set()
    for batch in held:
        if column not in batch.schema.names:
            raise KeyError(f"keep: there is no column {column!r}; the batch has {', '.join(batch.schema.names)}")
        if not pa.types.is_null(batch.schema.field(column).type):
            kinds |= {order_kind(batch.schema.field(column).type)}
    if len(kinds) > 1:
        found = ", ".join(sorted(map(str, kinds)))
        raise ValueError(f"keep: column {column!r} holds values that cannot be compared: {found}")
    keys = [order_keys(batch.column(column)) for batch in held]
    return [batch.append_column("keep_key", key) for batch, key in zip(signals, keys, strict=True)]


def document_signals(
    batch: pa.RecordBatch, number: int, text: str, id: str | None, date: str | None, trust: str | None,
    bands: int, rows: int, ngram: int, seed: int,
) -> pa.RecordBatch:  # fmt: skip
    """What `cluster` reads of each document of batch `number`; the arguments are those of `deduplicate`.

    Raises KeyError for a column that is not there and ValueError for dates that are none.
    """
    for name in (text, id, date, trust):
        if name is not None and name not in batch.schema.names:
            raise KeyError(f"there is no column {name!r}; the batch has {', '.join(batch.schema.names)}")
    column = batch.column(text)
    tokens = tokenise(column)
    content = content_hashes(column)
    norm, has_words = token_hashes(tokens)
    band_hashes, minima, valid = signatures(tokens, bands=bands, rows=rows, ngram=ngram, seed=seed)
    hexes = pa.array([digest.tobytes().hex() for digest in content], pa.string())
    n = batch.num_rows
    columns = {
        "job_row": pa.array(job_rows(number, np.arange(n))),
        "id": hexes if id is None else pc.coalesce(batch.column(id).cast(pa.string()), hexes),
        "source": pa.array(["default"] * n, pa.string()),
        "trust": pa.array(["unknown"] * n, pa.string()) if trust is None else batch.column(trust).cast(pa.string()),
        "label": pa.array(["undetermined"] * n, pa.string()),
        "bytes": pa.array(np.diff(text_buffer(column)[1])),
        "date": pa.nulls(n, pa.date32()) if date is None else _dates(batch.column(date)),
        "content_hash": fixed_binary(content),
        "row_hash": fixed_binary(row_hashes(batch, tuple(_ADDED), {text: content})),
        "norm_hash": fixed_binary(norm, has_words),
        "url_key": pa.nulls(n, pa.binary(16)),
        "bands": fixed_binary(band_hashes.astype("<u8").view(np.uint8), valid),
        "signature": fixed_binary(minima.astype("<u2").view(np.uint8), valid),
    }
    if trust is not None:
        columns["trust"] = columns["trust"].fill_null("unknown")
    return pa.RecordBatch.from_pydict(columns)


def _dates(column: pa.Array) -> pa.Array:
    """The column as dates; a type that cannot hold any is a mistake of the caller."""
    if not holds_dates(column.type):
        raise ValueError(f"dates must be dates, timestamps or ISO strings, not {column.type}")
    return dates(column)


def with_decisions(batch: pa.RecordBatch, signals: pa.RecordBatch, decided: pa.Table) -> pa.RecordBatch:
    """The batch with the columns of deduplication, from its signals and what `cluster` decided on its documents.

    The low 40 bits of `job_row` in `decided` are places in the batch; documents that are not there stand alone.
    """
    n = batch.num_rows
    place = np.full(n, -1, np.int64)
    place[np.asarray(decided.column("job_row")) & (2**40 - 1)] = np.arange(decided.num_rows)
    index = pa.array(place, mask=place < 0)
    taken = decided.take(index)

    def column(name: str) -> pa.Array:
        values = taken.column(name)
        return pa.concat_arrays(values.chunks) if values.num_chunks else pa.nulls(0, values.type)

    empty = pa.array(np.asarray(signals.column("bytes")) == 0)
    added = {
        "content_hash": signals.column("content_hash"),
        "cluster_id": pc.coalesce(column("cluster_id"), signals.column("id")),
        "cluster_size": column("cluster_size").fill_null(1),
        "duplicate_of": column("duplicate_of"),
        "similarity": column("similarity"),
        "filter_reason": pc.if_else(empty, "empty_text", column("reason")),
    }
    kept = [name for name in batch.schema.names if name not in added]
    columns = {name: batch.column(name) for name in kept} | added
    fields = [batch.schema.field(name) for name in kept] + [pa.field(name, _ADDED[name]) for name in added]
    return pa.RecordBatch.from_arrays(list(columns.values()), schema=pa.schema(fields, batch.schema.metadata))
