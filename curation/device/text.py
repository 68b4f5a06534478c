"""A token pass on a device: what is launched, on which buffers, and how results come back."""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from curation import diversity, synthetic
from curation.annotate import Settings
from curation.device import sources
from curation.device.lane import Lane, blocks_for
from curation.diversity.state import GRAMS, SAMPLE
from curation.kernels.features import CLASS_COLUMN, OPENER_COLUMN, scalars_kernel
from curation.kernels.minhash import permutations
from curation.kernels.score import BLANKS, SHAPES
from curation.schema import BINS, CORE, FEATURE_TOKENS, STYLE, WORDS
from curation.text import Tokens, text_buffer
from curation.text.tokens import unicode_tables
from curation.token_pass import TokenPass, token_pass

_BLOCK = 128
_SUMS = 10  # integers of a document that its scalars are made of, beside its style counts
_LEAST_SLOTS = 1 << 16

Fetch = Callable[[], list[np.ndarray]]


class DeviceTokens(NamedTuple):
    """Tokens on the device; hash, kind and length have room for a token a byte."""

    hash: Any
    kind: Any
    length: Any
    offsets: Any
    documents: int
    bytes: int


@cache
def _unicode_table() -> np.ndarray:
    """uint32[65536]: class << 16 | folded code point."""
    classes, folding = unicode_tables()
    return classes.astype(np.uint32) << np.uint32(16) | folding


@cache
def _terms() -> np.ndarray:
    return np.concatenate([SHAPES, BLANKS])


@cache
def _permutations(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    return permutations(count, seed)


def tokenise(lane: Lane, data: np.ndarray, starts: np.ndarray) -> DeviceTokens:
    """Tokens of the documents data[starts[d]:starts[d + 1]]; data uint8, one byte or more, starts int64 from 0 on."""
    text, begins = lane.upload(data, starts)
    return find_tokens(lane, text, begins)


def find_tokens(lane: Lane, text: Any, begins: Any) -> DeviceTokens:
    """`tokenise` of what is on the device already, by `lane.upload`."""
    size, documents = int(text.shape[0]), int(begins.shape[0]) - 1
    table = lane.table(_unicode_table())
    segments = blocks_for(size, sources.SEGMENT)
    counts = lane.empty(segments, np.int32)
    found = DeviceTokens(
        lane.empty(size, np.uint64), lane.empty(size, np.uint8), lane.empty(size, np.uint8),
        lane.empty(documents + 1, np.int64), documents, size,
    )  # fmt: skip
    blocks = blocks_for(segments, _BLOCK)
    lane.launch("tokens_count", blocks, _BLOCK, text, size, begins, documents, table, counts)
    ends = lane.running_sum(counts)
    lane.launch("tokens_write", blocks, _BLOCK, text, size, begins, documents, table, counts, ends, *found[:4])
    return found


def signatures(lane: Lane, tokens: DeviceTokens, *, bands: int, rows: int, ngram: int, seed: int) -> tuple[Any, ...]:
    """Band hashes uint64[docs, bands], minima uint16[docs, bands * rows] and validity uint8[docs] on the device."""
    count = bands * rows
    factors, summands = (lane.table(values) for values in _permutations(count, seed))
    out = (
        lane.empty((tokens.documents, bands), np.uint64), lane.empty((tokens.documents, count), np.uint16),
        lane.empty(tokens.documents, np.uint8),
    )  # fmt: skip
    shared = 8 * (ngram - 1 + sources.CHUNK) + 4 * count
    lane.launch(
        "signatures", tokens.documents, _BLOCK, tokens.hash, tokens.kind, tokens.offsets, ngram, factors, summands,
        bands, rows, *out, shared=shared,
    )  # fmt: skip
    return out


def score(lane: Lane, tokens: DeviceTokens, model: synthetic.Model, min_words: int) -> tuple[Any, ...]:
    """Both logits float32[docs] on the device."""
    out = lane.empty(tokens.documents, np.float32), lane.empty(tokens.documents, np.float32)
    tables = (lane.table(a) for a in (model.vocabulary, _terms(), model.weights, model.check, model.scales))
    lane.launch(
        "score", blocks_for(tokens.documents, sources.SCORE_WARPS), 32 * sources.SCORE_WARPS, *tokens[:5], *tables,
        max(1, min_words), *out,
    )  # fmt: skip
    return out


def features(lane: Lane, tokens: DeviceTokens, ruler: diversity.Ruler) -> tuple[Any, ...]:
    """style, words and bins as in `Features`, and int64[docs, 10] of which `scalars_kernel` makes the fourth."""
    documents = tokens.documents
    out = (
        lane.empty((documents, STYLE), np.uint16), lane.empty((documents, WORDS), np.uint16),
        lane.empty((documents, BINS), np.uint16), lane.empty((documents, _SUMS), np.int64),
    )  # fmt: skip
    lane.launch(
        "features", blocks_for(documents, sources.FEATURE_WARPS), 32 * sources.FEATURE_WARPS, *tokens[:5],
        FEATURE_TOKENS, lane.table(ruler.unigram), len(ruler.unigram) - 1, lane.table(ruler.bigram),
        len(ruler.bigram) - 1, ruler.tail_from, lane.table(ruler.marker_keys), lane.table(ruler.marker_values),
        len(ruler.marker_keys) - 1, lane.table(ruler.phrase_keys), lane.table(ruler.phrase_values),
        len(ruler.phrase_keys) - 1, lane.table(CLASS_COLUMN), lane.table(OPENER_COLUMN), *out,
    )  # fmt: skip
    return out


def histograms(lane: Lane, tokens: DeviceTokens, ruler: diversity.Ruler, skip: Any) -> tuple[Any, ...]:
    """Tables of unigrams, openers and polarity as in a state, and uint64[2]: words and tokens."""
    out = (
        lane.zeros(1 << 20, np.uint32), lane.zeros(1 << 16, np.uint32), lane.zeros((1 << 17, 2), np.uint32),
        lane.zeros(2, np.uint64),
    )  # fmt: skip
    blocks = min(blocks_for(tokens.documents, sources.HISTOGRAM_WARPS), lane.fill)
    lane.launch(
        "histograms", blocks, 32 * sources.HISTOGRAM_WARPS, *tokens[:5], skip, lane.table(ruler.marker_keys),
        lane.table(ruler.marker_values), len(ruler.marker_keys) - 1, *out,
    )  # fmt: skip
    return out


def sample(lane: Lane, tokens: DeviceTokens, skip: Any, levels: np.ndarray, slots: int) -> Fetch:
    """Document frequencies of sampled words and runs: counted in tables of `slots` slots (a power of two).

    Fetches uint32[3, 2] (slots used, and whether there were too few), the levels int64[3] that leave at most SAMPLE
    keys, how many that are uint32[3], the keys uint64[3, SAMPLE] in no order, and uint32[3, SAMPLE, 2] of occurrences
    and documents.
    """
    grams = len(GRAMS)
    keys = lane.zeros((grams, slots + 1), np.uint64)
    counts, documents = (lane.zeros((grams, slots + 1), np.uint32) for _ in range(2))
    pairs, state = lane.zeros((grams, slots), np.uint64), lane.zeros((grams, 2), np.uint32)
    (level,) = lane.upload(levels)
    lane.launch(
        "sample", blocks_for(tokens.documents, sources.SAMPLE_WARPS), 32 * sources.SAMPLE_WARPS, tokens.hash,
        tokens.kind, tokens.offsets, tokens.documents, skip, level, slots, keys, counts, documents, pairs, state,
    )  # fmt: skip
    zeros, found = lane.zeros((grams, 65), np.uint32), lane.zeros(grams, np.uint32)
    blocks = min(blocks_for(grams * (slots + 1), _BLOCK), lane.fill)
    lane.launch("sample_zeros", blocks, _BLOCK, slots, keys, counts, zeros)
    lane.launch("sample_levels", 1, 32, zeros, SAMPLE, level)
    out = lane.empty((grams, SAMPLE), np.uint64), lane.empty((grams, SAMPLE, 2), np.uint32)
    lane.launch("sample_collect", blocks, _BLOCK, slots, keys, counts, documents, level, SAMPLE, *out, found)
    return lane.fetch(state, level, found, *out)


def submit(lane: Lane, text: pa.Array, settings: Settings, levels: np.ndarray | None) -> Callable[[], TokenPass]:
    """Queue the token pass of a batch on a lane; what comes back waits for it and gives its results.

    levels int64[3]: those of the state that the counts go to, or of an earlier state of the same; None counts nothing.
    One copy brings the text and its offsets to the device.
    """
    data, starts = text_buffer(text)
    data, starts = data[starts[0] : starts[-1]], starts - starts[0]
    if not len(data) or not fits(settings):
        return lambda: token_pass(text, settings)
    tokens = tokenise(lane, data, starts)
    queued: dict[str, Fetch] = {}
    if settings.bands:
        made = signatures(
            lane, tokens, bands=settings.bands, rows=settings.rows, ngram=settings.ngram, seed=settings.seed
        )
        queued["signatures"] = lane.fetch(*made)
    if settings.model is not None:
        queued["scores"] = lane.fetch(*score(lane, tokens, synthetic.load_model(settings.model), settings.min_words))
    ruler = diversity.load_ruler()
    if settings.features or settings.measure:
        queued["features"] = lane.fetch(*features(lane, tokens, ruler))
    counted = None
    if levels is not None:
        skip = lane.zeros(tokens.documents, np.uint8)
        queued["histograms"] = lane.fetch(*histograms(lane, tokens, ruler, skip))
        counted = _counted(lane, tokens, skip, levels.copy())
    offsets = lane.fetch(tokens.offsets)

    def collect() -> TokenPass:
        (ends,) = offsets()
        n = int(ends[-1])
        arrays = lane.fetch(tokens.hash[:n], tokens.kind[:n], tokens.length[:n])
        made: dict[str, Any] = {name: tuple(fetch()) for name, fetch in queued.items()}
        if "signatures" in made:
            bands, minima, valid = made["signatures"]
            made["signatures"] = bands, minima, valid.view(np.bool_)
        if "features" in made:
            made["features"] = _with_scalars(*made["features"])
        tables = made.pop("histograms", None)
        counts = None
        if counted is not None and tables is not None:
            unigram, opener, polarity, totals = tables
            reached, samples = counted()
            counts = diversity.Counts(unigram, opener, polarity, int(totals[0]), int(totals[1]), reached, samples)
        hashes, kinds, lengths = arrays()
        found = Tokens(hashes, kinds, lengths, ends)
        return TokenPass(found, made.get("signatures"), made.get("scores"), made.get("features"), counts)

    return collect


def fits(settings: Settings) -> bool:
    """Do the words and minima of a block of the signature kernel fit in the shared memory that every card has?"""
    return 8 * (settings.ngram - 1 + sources.CHUNK) + 4 * settings.bands * settings.rows <= 40_000


def _with_scalars(style: np.ndarray, words: np.ndarray, bins: np.ndarray, sums: np.ndarray) -> diversity.Features:
    core = np.zeros((len(style), CORE), np.float32)
    scalars_kernel(style, sums, core)
    return diversity.Features(style, words, bins, core)


def slots_for(size: int, levels: np.ndarray) -> int:
    """Slots of a table for a text of so many bytes: it has a word in five, and tables should be half full at most."""
    return max(_LEAST_SLOTS, 1 << (size // 2 >> int(levels.min())).bit_length())


def _counted(
    lane: Lane, tokens: DeviceTokens, skip: Any, levels: np.ndarray
) -> Callable[[], tuple[np.ndarray, tuple[tuple[np.ndarray, np.ndarray], ...]]]:
    """Queue the samples; what comes back gives their levels, keys and values as in `diversity.Counts`."""
    slots = slots_for(tokens.bytes, levels)
    fetch = sample(lane, tokens, skip, levels, slots)

    def collect() -> tuple[np.ndarray, tuple[tuple[np.ndarray, np.ndarray], ...]]:
        held, size = fetch(), slots
        while held[0][:, 1].any():
            size *= 4
            held = sample(lane, tokens, skip, levels, size)()
        _, reached, found, keys, values = held
        samples = []
        for gram in range(len(GRAMS)):
            n = int(found[gram])
            order = np.argsort(keys[gram, :n])
            samples.append((keys[gram, :n][order], values[gram, :n][order].astype(np.int64)))
        return reached, tuple(samples)

    return collect
