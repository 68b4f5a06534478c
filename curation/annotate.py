"""Annotate: one batch of documents in, one batch of signals out, from a single pass over the text.

Everything that later phases know about a document is written here; the text itself is not needed again until select.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from curation import dedup, diversity, schema, synthetic
from curation.batch import as_strings, dates, pack
from curation.kernels.minhash import count_words
from curation.kernels.words import spaced_words
from curation.mixing import columns as user_columns
from curation.synthetic import fasttext
from curation.text import Tokens, gate, text_buffer
from curation.text.urls import keys_and_hosts
from curation.token_pass import TokenPass, token_pass

LONGEST_LABEL = 200  # characters of the name of a source or group


@dataclass(frozen=True)
class Settings:
    """What decides the signals of a document; names of columns are those of the input, None where there is none."""

    text: str = "text"
    id: str | None = None
    date: str | None = None
    url: str | None = None
    tokens: str | None = None
    source: str | None = None
    group: str | None = None
    thread: str | None = None
    bands: int = 14
    rows: int = 8
    ngram: int = 5
    seed: int = 1
    identity: str = "words"  # what norm_hash is the hash of: words, or text
    model: str | None = "shipped"
    min_words: int = 50
    features: bool = True  # store the columns that mixing needs
    measure: bool = True  # compute features for the statistics, stored or not
    keep: str | None = None  # column by which duplicates are kept
    benchmarks: dedup.Benchmarks | None = None  # text that must not be trained on
    filters: tuple[tuple[str, str, str], ...] = ()  # column, file and label of fastText models
    ratio: synthetic.Ratio | None = None  # the fitted model of ratio mode
    columns: tuple[tuple[str, int], ...] = ()  # more columns to be balanced, and how many numbers each holds
    added: tuple[str, ...] = ()

    @property
    def gated(self) -> bool:
        """Is there a use for class and language of the text? Deduplication alone has none, and they cost the most."""
        return self.model is not None or self.features or self.measure

    @property
    def tokenised(self) -> bool:
        """Does anything look at words? Equal texts do not."""
        found = (self.gated, self.bands, self.identity == "words", self.benchmarks is not None, self.ratio is not None)
        return any(found)

    @property
    def schema(self) -> pa.Schema:
        """Arrow schema of the signals."""
        return schema.signal_schema(
            self.bands * self.rows,
            self.bands,
            self.features,
            self.keep is not None,
            self.benchmarks is not None,
            tuple(column for column, _, _ in self.filters),
            self.ratio is not None,
            self.url is not None,
            self.columns,
        )


@dataclass(frozen=True)
class Annotated:
    """Signals of a batch, and what the statistics need of the pass that made them."""

    signals: pa.RecordBatch
    tokens: Tokens
    data: np.ndarray
    starts: np.ndarray
    words: np.ndarray
    features: diversity.Features | None
    counts: diversity.Counts | None
    threads: np.ndarray | None


def annotate(
    batch: pa.RecordBatch, rows: np.ndarray, source: str, settings: Settings, found: TokenPass | None = None
) -> Annotated:
    """Signals of each document of a batch (columns of `schema.signal_columns`), in order.

    `rows` int64[documents] are the physical record numbers, `source` the declared source; `found`: the pass over the
    tokens of this batch with these settings, where a device has made it. Reads the columns that the settings name.
    Raises KeyError for a column that the batch lacks.
    """
    text = _column(batch, settings.text)
    data, starts = text_buffer(text)
    documents = batch.num_rows
    content = dedup.content_hashes(text)
    if settings.tokenised:
        found = found or token_pass(text, settings)
        words = word_counts(found.tokens)
    else:
        found = TokenPass(_no_tokens(documents), None, None, None, None)
        words = spaced_words(data, starts)
    tokens = found.tokens
    if settings.identity == "text":
        norm, has_identity = content, starts[1:] > starts[:-1]
    else:
        norm, has_identity = dedup.token_hashes(tokens)
    columns: dict[str, pa.Array] = {
        "row": pa.array(rows, pa.int64()),
        "id": public_ids(batch, settings.id, content),
        "source": _labels(_strings(batch, settings.source, pa.repeat(source, documents))),
        "bytes": pa.array(np.diff(starts), pa.int64()),
        "word_count": pa.array(words, pa.int64()),
        "tokens": token_counts(batch, settings.tokens, words),
        "date": dates(_column(batch, settings.date)) if settings.date else pa.nulls(documents, pa.date32()),
        "url_key": pa.nulls(documents, pa.binary(16)),
        "content_hash": dedup.fixed_binary(content),
        "norm_hash": dedup.fixed_binary(norm, has_identity),
        "row_hash": dedup.fixed_binary(dedup.row_hashes(batch, settings.added, {settings.text: content})),
    }
    if settings.url is not None:
        columns["url_key"], columns["host"] = keys_and_hosts(as_strings(_column(batch, settings.url)))
    columns["group"] = _labels(_strings(batch, settings.group, pa.nulls(documents, pa.string())))
    if settings.gated:
        gated = gate.gate(tokens, data, starts)
        columns["gate"] = pa.array(gate.GATES, pa.string()).take(pa.array(gated.code))
        columns["lang"] = pa.array(gate.LANGS, pa.string()).take(pa.array(gated.lang))
    else:
        columns["gate"] = columns["lang"] = pa.nulls(documents, pa.string())
    if found.scores is None:
        columns["logit"] = columns["logit_check"] = pa.nulls(documents, pa.float32())
    else:
        for name, score in zip(("logit", "logit_check"), found.scores, strict=True):
            columns[name] = pa.array(score, pa.float32(), mask=np.isnan(score))
    if settings.ratio is not None:
        ratio = synthetic.score_ratio(tokens, synthetic.ratio_keys(columns["id"]), settings.ratio)
        columns["ratio_logit"] = pa.array(ratio, pa.float32(), mask=np.isnan(ratio))
    if found.signatures is not None:
        bands, minima, valid = found.signatures
        columns["bands"] = dedup.fixed_binary(bands.view(np.uint8), valid)
        columns["signature"] = dedup.fixed_binary(minima.view(np.uint8), valid)
    if settings.keep is not None:
        columns["keep_key"] = dedup.order_keys(_column(batch, settings.keep))
    if settings.benchmarks is not None:
        share, name, match = dedup.overlaps(tokens, settings.benchmarks)
        columns["contaminated_share"] = pa.array(share, pa.float32(), mask=np.isnan(share))
        columns["contaminated_by"], columns["contaminated_match"] = name, match
    for column, path, label in settings.filters:
        scored = fasttext.score(text, path, label)
        columns[schema.FILTER + column] = pa.array(scored, pa.float32(), mask=np.isnan(scored))
    for column, width in settings.columns:
        columns[schema.COLUMN + column] = user_columns.stored(_column(batch, column), width)
    features = found.features
    if settings.features and features is not None:
        columns["style"] = pack(features.style)
        columns["words"] = pack(features.words)
        columns["bins"] = pack(features.bins)
        columns["core"] = pack(features.core)
    signals = pa.RecordBatch.from_arrays([columns[name] for name in settings.schema.names], schema=settings.schema)
    return Annotated(signals, tokens, data, starts, words, features, found.counts, threads_of(batch, settings.thread))


def _no_tokens(documents: int) -> Tokens:
    none = np.zeros(0, np.uint8)
    return Tokens(np.zeros(0, np.uint64), none, none, np.zeros(documents + 1, np.int64))


def threads_of(batch: pa.RecordBatch, name: str | None) -> np.ndarray | None:
    """uint64[documents]: a hash of the thread of each, 0 for a null; None without the column."""
    if name is None or name not in batch.schema.names:
        return None
    values = _strings(batch, name, None)
    return np.where(values.is_null().to_numpy(zero_copy_only=False), 0, diversity.hash_ids(values) | np.uint64(1))


def _column(batch: pa.RecordBatch, name: str) -> pa.Array:
    index = batch.schema.get_field_index(name)
    if index < 0:
        raise KeyError(f"the input has no column {name!r}; it has {', '.join(batch.schema.names)}")
    return batch.column(index)


def word_counts(tokens: Tokens) -> np.ndarray:
    """int64[documents]: word tokens of each document."""
    out = np.empty(len(tokens.offsets) - 1, np.int64)
    count_words(tokens.kind, tokens.offsets, out)
    return out


def public_ids(batch: pa.RecordBatch, name: str | None, content: np.ndarray) -> pa.Array:
    """The id column as strings; the content hash in hex where there is none or it is null."""
    if name is None:
        return _hexes(content)
    given = as_strings(_column(batch, name))
    return pc.if_else(pc.is_valid(given), given, _hexes(content)) if given.null_count else given


def _hexes(digests: np.ndarray) -> pa.Array:
    """Digests uint8[documents, 16] in hex."""
    joined, width = digests.tobytes().hex(), 2 * digests.shape[1]
    return pa.array([joined[i : i + width] for i in range(0, len(joined), width)], pa.string())


def _strings(batch: pa.RecordBatch, name: str | None, default: pa.Array | None) -> pa.Array:
    if name is None:
        return default
    values = as_strings(_column(batch, name))
    return pc.coalesce(values, default) if default is not None and values.null_count else values


def _labels(values: pa.Array) -> pa.Array:
    """Names by which documents are counted; of one that is longer than LONGEST_LABEL, its beginning and a hash.

    Arrays of names have the width of the longest, so that a text taken for a name would fill the memory.
    """
    if not len(values) or (pc.max(pc.binary_length(values)).as_py() or 0) <= LONGEST_LABEL:
        return values
    cut = LONGEST_LABEL // 2
    return pa.array(
        [
            v if v is None or len(v) <= LONGEST_LABEL else f"{v[:cut]}#{xxhash.xxh3_128_hexdigest(v.encode())}"
            for v in values.to_pylist()
        ],
        pa.string(),
    )


def token_counts(batch: pa.RecordBatch, name: str | None, words: np.ndarray) -> pa.Array:
    """int64[documents]: the column of tokens; its words where there is none, or a value that is no count."""
    ours = pa.array(words, pa.int64())
    if name is None:
        return ours
    given = _column(batch, name)
    try:
        counts = given.cast(pa.int64())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):  # some are no counts: ours stand for these
        counts = pa.array([_count(value) for value in given.to_pylist()], pa.int64())
    return pc.if_else(pc.fill_null(pc.greater_equal(counts, 0), False), counts, ours)


def _count(value: Any) -> int | None:
    """A value as a number of tokens, None where it is none."""
    try:
        count = int(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return count if count < 1 << 40 else None
