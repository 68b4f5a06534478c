"""Training of the synthetic-text model: crops, cell weights, source intercepts, and scores of left-out sources.

A detector learns what differs between its classes, and in collected corpora much of that is not authorship: length,
layout, topic. So every document is cropped to a random stretch of 50-420 words, layout never reaches the tokens, each
cell (a source's domain and label) weighs n^-1/2, only features that several domains share get a weight, and every
source that has both classes gets an intercept that only training sees, which takes up its share of each class. How
good the model is, is only read from sources it never saw.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import xxhash

from curation.kernels.hashing import mix64_array
from curation.kernels.logistic import fit_kernel, predict_kernel, spread_kernel
from curation.kernels.score import BUCKETS, WORD_BITS, bucket_kernel
from curation.kernels.tokens import NUMBER, WORD
from curation.synthetic.documents import LEAST_DOCUMENTS, LEAST_WORDS, check_classes, documents, fold_codes
from curation.synthetic.evaluation import HeldOut, measure
from curation.synthetic.model import Model
from curation.text.gate import ENGLISH, PROSE, gate
from curation.text.tokens import Tokens, text_buffer, tokenise

CROP = (50, 420)  # words of a training crop, log-uniform
CROPS = 2  # of a document; scores of left-out sources are those of the first
EPOCHS, RATE, PENALTY = 3, 0.2, 3e-4
COMMON_WORDS = 1000  # size of the vocabulary of frames
SPREAD = 4  # domains that must share a feature; fewer where there are fewer than 60 domains
SPREAD_CROPS = 600  # of a domain, that are looked at for that


class Crops(NamedTuple):
    """Training rows: the first crop of every document in canonical order, then the second crops; arrays [rows].

    Row i has the features buckets[ends[i]:ends[i+1]].

    label float32; place int64: code of the source and domain; source, fold: codes into names and folds; trained bool:
    the others (of a variant, or by the column `trained`) are only measured; turn uint64: decides the order of rows in
    an epoch; prose bool: English prose by the gate. Rows that are not prose are trained on too, but not measured on.
    """

    buckets: np.ndarray
    ends: np.ndarray
    label: np.ndarray
    place: np.ndarray
    source: np.ndarray
    fold: np.ndarray
    words: np.ndarray
    key: np.ndarray
    turn: np.ndarray
    cluster: np.ndarray
    prose: np.ndarray
    variant: np.ndarray
    trained: np.ndarray
    vocabulary: np.ndarray
    names: list[str]
    folds: list[str]


def train(table: pa.Table, sources: Sequence[dict[str, Any]] = ()) -> tuple[Model, HeldOut]:
    """Fit the model on labelled documents and measure it on the sources that each refit leaves out.

    `table` has `text` and `label` (0 human, 1 synthetic), and if it can `source` (corpus), `domain` (weighed as its own
    cell), `fold` (sources left out together; default the source), `cluster` (resampled together in intervals; default
    the document), `variant` (a name such as "attacked": these documents are not trained on, and measured apart;
    default none, the empty string) and `trained` (false: only scored and measured, like any left-out source; of all
    that a model keeps, just its detection rates by fold count these documents too; default true). `sources` is kept in
    the model as its provenance. The result depends on the set of documents, not on their order. Raises ValueError when
    a column is missing, a label is not 0 or 1, or a class has fewer than 20 documents of 40 words to train on.
    """
    crops = prepare(table)
    everything = np.flatnonzero(crops.trained)
    weights, bias = fit(crops, everything)
    odd = odd_features(crops)
    check, check_bias = fit(odd, everything)
    held_out = leave_out(crops, odd)
    main, scale = quantise(weights)
    half, check_scale = quantise(check[1::2])
    training = {
        "documents": [int((crops.label[everything] == v).sum()) // CROPS for v in (0, 1)],
        "crops": CROPS,
        "sources": list(sources),
        "folds": crops.folds,
        "crop_words": list(CROP),
        "common_words": COMMON_WORDS,
        "spread": SPREAD,
        "epochs": EPOCHS,
        "rate": RATE,
        "penalty": PENALTY,
        "data": xxhash.xxh3_128_hexdigest(crops.key[everything].tobytes() + crops.label[everything].tobytes()),
    }
    scales = np.array([scale, bias, check_scale, check_bias], np.float64)
    return Model(main, half, crops.vocabulary, scales, measure(held_out), training, ""), held_out


def prepare(table: pa.Table) -> Crops:
    """Validate the training table, crop each document and hash the features of the crops (see `train`)."""
    found = documents(table)
    tokens = tokenise(found.text)
    gated = gate(tokens, *text_buffer(found.text))
    prose = (gated.code == PROSE) & (gated.lang == ENGLISH)
    begin, end, words = (np.stack(x) for x in zip(*(crop(tokens, found.key, i) for i in range(CROPS)), strict=True))
    kept = np.flatnonzero(words[0] >= LEAST_WORDS)
    begin, end, words = begin[:, kept], end[:, kept], words[:, kept]
    label, key, source, place, fold, cluster, variant, trained = (column[kept] for column in found[1:])
    check_classes(label, trained)
    sources, source_code = np.unique(source, return_inverse=True)
    vocabulary = common_words(tokens, begin[0][trained], end[0][trained], source_code[trained])
    buckets, ends = features(tokens, begin.ravel(), end.ravel(), vocabulary)
    folds, fold_code = fold_codes(fold, key)
    columns = {
        "label": label,
        "place": np.unique(place, return_inverse=True)[1],
        "source": source_code,
        "fold": fold_code,
        "key": key,
        "cluster": np.unique(cluster, return_inverse=True)[1],
        "prose": prose[kept],
        "variant": variant,
        "trained": trained,
    }
    repeated = {name: np.tile(column, CROPS) for name, column in columns.items()}
    turn = np.concatenate([mix64_array(key + np.uint64(i)) for i in range(CROPS)])
    names = [str(s) for s in sources]
    return Crops(
        buckets, ends, words=words.ravel(), turn=turn, vocabulary=vocabulary, names=names, folds=folds, **repeated
    )


def crop(tokens: Tokens, key: np.ndarray, number: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(first token, one past the last, words) of a random stretch of each document; drawn by hash of its key.

    `number` tells several stretches of a document apart.
    The number of words is log-uniform in CROP, at most the document's; the place is uniform.
    """
    is_word = (tokens.kind & WORD) > 0
    position = np.append(np.flatnonzero(is_word), 0)
    before = np.concatenate(([0], np.cumsum(is_word)))[tokens.offsets]
    have = np.diff(before)
    low, high = CROP
    want = np.minimum(np.floor(low * (high / low) ** _uniform(key, 1000 * number + 1)).astype(np.int64), have)
    first = before[:-1] + np.floor(_uniform(key, 1000 * number + 2) * (have - want + 1)).astype(np.int64)
    some = want > 0
    begin = np.where(some, position[np.where(some, first, 0)], 0)
    end = np.where(some, position[np.where(some, first + want - 1, 0)] + 1, 0)
    return begin, end, want


def features(
    tokens: Tokens, begin: np.ndarray, end: np.ndarray, vocabulary: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(buckets int32, ends int64[spans + 1]) of the features of tokens begin[i]:end[i], each feature once."""
    buckets, ends = np.empty(3 * int((end - begin).sum()) + 1, np.int32), np.empty(len(begin) + 1, np.int64)
    n = bucket_kernel(tokens.hash, tokens.kind, tokens.length, begin, end, vocabulary, buckets, ends)
    return buckets[:n].copy(), ends


def common_words(tokens: Tokens, begin: np.ndarray, end: np.ndarray, source: np.ndarray) -> np.ndarray:
    """uint8[2^13]: bits of the 1,000 words (by the top 16 bits of their hash) that are commonest across sources.

    The sum over sources of the root of a word's share ranks them, so that no large source decides alone; up to 400
    spans of each are looked at. Labels are not.
    """
    rank = np.zeros(1 << WORD_BITS)
    for code in np.unique(source).tolist():
        rows = np.flatnonzero(source == code)[:400]
        at = np.concatenate([np.arange(begin[i], end[i]) for i in rows])
        at = at[tokens.kind[at] & (WORD | NUMBER) == WORD]
        count = np.bincount((tokens.hash[at] >> np.uint64(64 - WORD_BITS)).astype(np.int64), minlength=len(rank))
        rank += np.sqrt(count / max(1, len(at)))
    chosen = np.zeros(len(rank), bool)
    chosen[np.argsort(-rank, kind="stable")[:COMMON_WORDS]] = True
    return np.packbits(chosen & (rank > 0), bitorder="little")


def odd_features(crops: Crops) -> Crops:
    """The crops with only the features in odd buckets, which are all that `logit_check` reads."""
    keep = (crops.buckets & 1) == 1
    return crops._replace(buckets=crops.buckets[keep], ends=np.concatenate(([0], np.cumsum(keep)))[crops.ends])


def fit(crops: Crops, rows: np.ndarray) -> tuple[np.ndarray, float]:
    """(weights float32[2^21], bias) of the logistic regression on the given rows of the crops."""
    label, source = crops.label[rows], crops.source[rows]
    cell = 2 * crops.place[rows] + label.astype(np.int64)
    importance = np.zeros(len(crops.label), np.float32)
    share = np.bincount(cell)[cell] ** -0.5
    for value in (0, 1):
        share[label == value] *= len(rows) / 2 / share[label == value].sum()
    importance[rows] = share
    counts = np.stack([np.bincount(source[label == v], minlength=len(crops.names)) for v in (0, 1)])
    both = (counts > 0).all(axis=0)
    intercept = np.where(both, np.cumsum(both) - 1, -1).astype(np.int32)
    weights, squares = np.zeros(BUCKETS, np.float32), np.zeros(BUCKETS, np.float32)
    intercepts, bias = np.zeros((max(1, int(both.sum())), 2)), np.zeros(2)
    group = intercept[crops.source]
    alone = ~shared(crops, rows)
    for epoch in range(EPOCHS):
        order = rows[np.argsort(_uniform(crops.turn[rows], 100 + epoch), kind="stable")]
        rate = RATE * (1 - epoch / EPOCHS)
        arrays = crops.buckets, crops.ends, crops.label, importance, group, order
        fit_kernel(*arrays, rate, PENALTY, weights, squares, intercepts, bias)
        weights[alone] = 0
    return weights, float(bias[0])


def shared(crops: Crops, rows: np.ndarray) -> np.ndarray:
    """bool[2^21]: the features that occur in SPREAD domains or more; what one corpus alone says is its subject.

    With fewer than 60 domains fewer must share it, with fewer than 20 none.
    """
    place = crops.place[rows]
    least = min(SPREAD, 1 + len(np.unique(place)) // 20)
    last, count = np.full(BUCKETS, -1, np.int32), np.zeros(BUCKETS, np.int32)
    order = rows[np.argsort(place, kind="stable")]
    spread_kernel(crops.buckets, crops.ends, order, crops.place, SPREAD_CROPS, last, count)
    return count >= least


def leave_out(crops: Crops, odd: Crops) -> HeldOut:
    """Scores of every document's first crop by models that never saw its fold; NaN for folds without which a class is
    missing."""
    count = len(crops.label) // CROPS
    logit = np.full((2, count), np.nan, np.float32)
    for code in range(len(crops.folds)):
        rest, out = np.flatnonzero((crops.fold != code) & crops.trained), np.flatnonzero(crops.fold[:count] == code)
        if min(np.bincount(crops.label[rest].astype(np.int64), minlength=2)) < LEAST_DOCUMENTS // 2:
            continue
        for kind, view in enumerate((crops, odd)):
            weights, bias = fit(view, rest)
            logit[kind, out] = predict(view, out, weights, bias)
    names, folds = np.array(crops.names)[crops.source], np.array(crops.folds)[crops.fold]
    texts = crops.words, crops.cluster, crops.key, crops.prose, crops.variant, crops.trained
    columns = crops.label.astype(np.int8), names, folds, *texts
    return HeldOut(logit[0], logit[1], *(column[:count] for column in columns))


def predict(crops: Crops, rows: np.ndarray, weights: np.ndarray, bias: float) -> np.ndarray:
    """Scores float32[rows] of rows of the crops by weights that are not quantised."""
    scores = np.empty(len(rows), np.float32)
    predict_kernel(crops.buckets, crops.ends, rows, weights, bias, scores)
    return scores


def quantise(weights: np.ndarray) -> tuple[np.ndarray, float]:
    """(int8 weights, scale): 127 steps up to the 99.99th percentile of the magnitudes in use, clipped."""
    used = np.abs(weights[weights != 0])
    top = float(np.quantile(used, 0.9999)) if len(used) else 1.0
    return np.clip(np.rint(weights / top * 127), -127, 127).astype(np.int8), top / 127


def _uniform(key: np.ndarray, salt: int) -> np.ndarray:
    return mix64_array(key + np.uint64(salt * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF)) / 2.0**64
