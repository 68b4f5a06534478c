"""Ratio mode: how much likelier a text is in the reference than in the crawl, by a model fitted on the spot.

No text of any generator is needed, so this keeps up with generators that nobody has seen yet: whatever there is too
much of in the crawl, reference text lacks. A logistic regression on the detector's hashed n-grams tells documents of
the reference from documents of the crawl; at equal weights of both its logit estimates log p_reference / p_crawl
(density ratio by classification, Sugiyama et al. 2012). Each document is scored by the model of the half that it is
not in, by hash of its id, since a model knows the documents it was fitted to by heart.

The crawl holds text like the reference's too, a share 1 - a of it, so the ratio has a ceiling of 1 / (1 - a), and no
logit that is linear in a score fits it. The scores of the halves are therefore read through a curve with a ceiling of
its own: p_crawl / p_reference = 1 - a + a exp(-(slope * score + intercept)), the modified logistic regression of
positive-unlabelled learning (Jaskie et al. 2019). With a = 1 this is Platt's.

What a detector knows of generators elsewhere need not be learned again from a small reference. Its weights are of the
same features, so the score that is read through the curve may be a mean of the fitted one and its own, in the parts
that make the documents that the fit did not see likeliest (stacking, Wolpert 1992). A detector that does not help here
gets no part.

Samples of both sides are the documents with the smallest hashes, so neither their order nor how they were cut into
shards has a part in the fit.
"""

import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import xxhash

from curation.kernels.hashing import mix64_array
from curation.kernels.logistic import fit_kernel, predict_kernel
from curation.kernels.score import BITS, BUCKETS, bucket_kernel, log_ratio_kernel, ratio_kernel
from curation.kernels.tokens import WORD
from curation.synthetic.model import Model, load_model
from curation.synthetic.packed import digest, pack, unpack
from curation.synthetic.training import quantise
from curation.text.tokens import TOKENISER, Tokens

RATIO_VERSION = "ratio-3"
SAMPLE = 8192  # documents of each side that a fit looks at
STORED = 4096  # of a reference, that its profile keeps
SPAN = 400  # tokens of a document that are fitted to, from its beginning
LEAST_WORDS = 20  # below which a document has no score
LEAST_DOCUMENTS = 100  # of each side
EPOCHS, RATE, PENALTY = 2, 0.05, 3e-4
_SHARES = np.round(np.linspace(0.05, 1.0, 20), 2)  # of text unlike the reference's, that are tried
_PARTS = tuple(i / 10 for i in range(11))  # of a detector in the score, that are tried
_GRID = 64  # scores are counted in units of 1 / 64
_LARGEST = 32.0  # magnitude of a score
_RIDGE = 1e-4  # keeps the slope finite where the sides are separated without error


class Sample(NamedTuple):
    """The documents with the smallest keys, in order of key and tie; merges in any order to the same arrays.

    keys uint64[docs]: hashes of ids; ties uint64[docs]: hashes of features, which order repeated ids; document i has
    the features buckets[ends[i]:ends[i+1]], int32, in ascending order.
    """

    keys: np.ndarray
    ties: np.ndarray
    ends: np.ndarray
    buckets: np.ndarray


class Ratio(NamedTuple):
    """Two models, each for the documents of the half that it was not fitted to.

    weights int8[2, 2^21]; scales float64[2]; links float64[2, 3]: share of the crawl unlike the reference, slope and
    intercept of the curve that turns a score into a log ratio; report: what the fit was made from and how well it
    separates the sides; version: hex digest.
    """

    weights: np.ndarray
    scales: np.ndarray
    links: np.ndarray
    report: dict[str, Any]
    version: str


def ratio_keys(ids: pa.Array, seed: int = 1) -> np.ndarray:
    """uint64[docs]: the hash of every id (string; null counts as empty) that decides its place in samples, and by its
    last bit its half."""
    raw = ids.cast(pa.large_string()).cast(pa.large_binary()).to_pylist()
    return np.array([xxhash.xxh3_64_intdigest(value or b"", seed) for value in raw], np.uint64)


def empty_sample() -> Sample:
    """A sample of no documents."""
    none = np.zeros(0, np.uint64)
    return Sample(none, none, np.zeros(1, np.int64), np.zeros(0, np.int32))


def sample(tokens: Tokens, keys: np.ndarray, mask: np.ndarray | None = None, size: int = SAMPLE) -> Sample:
    """The sample of a batch: its documents with the smallest keys of those where `mask` (default all) holds.

    keys as of `ratio_keys`. Documents without tokens are left out.
    """
    rows = np.flatnonzero((np.diff(tokens.offsets) > 0) & (True if mask is None else np.asarray(mask, bool)))
    if len(rows) > size:  # every document that ties with the last one: ties are ordered below
        rows = rows[keys[rows] <= np.partition(keys[rows], size - 1)[size - 1]]
    begin = tokens.offsets[:-1][rows]
    end = np.minimum(begin + SPAN, tokens.offsets[1:][rows])
    buckets, ends = np.empty(3 * int((end - begin).sum()) + 1, np.int32), np.empty(len(rows) + 1, np.int64)
    n = bucket_kernel(tokens.hash, tokens.kind, tokens.length, begin, end, _vocabulary(), buckets, ends)
    document = np.repeat(np.arange(len(rows)), np.diff(ends))
    buckets = (np.sort(document << BITS | buckets[:n]) & (BUCKETS - 1)).astype(np.int32)
    ties = [xxhash.xxh3_64_intdigest(buckets[a:b].tobytes()) for a, b in zip(ends[:-1], ends[1:], strict=True)]
    return _smallest(Sample(keys[rows], np.array(ties, np.uint64), ends, buckets), size)


def merge_samples(*parts: Sample, size: int = SAMPLE) -> Sample:
    """The sample of the documents of all parts; any order or grouping gives equal arrays."""
    steps = np.cumsum([0, *(len(part.buckets) for part in parts)])
    ends = [part.ends[1:] + step for part, step in zip(parts, steps, strict=False)]
    keys, ties, buckets = (np.concatenate([getattr(p, name) for p in parts]) for name in ("keys", "ties", "buckets"))
    return _smallest(Sample(keys, ties, np.concatenate([np.zeros(1, np.int64), *ends]), buckets), size)


def _smallest(found: Sample, size: int) -> Sample:
    order = np.lexsort((found.ties, found.keys))[:size]
    lengths = np.diff(found.ends)[order]
    ends = np.concatenate(([0], np.cumsum(lengths)))
    at = np.arange(ends[-1]) + np.repeat(found.ends[:-1][order] - ends[:-1], lengths)
    return Sample(found.keys[order], found.ties[order], ends, found.buckets[at])


def pack_sample(found: Sample) -> dict[str, np.ndarray]:
    """The sample as arrays that `np.save` stores without pickle; its features as steps, byte by byte, compressed."""
    first = np.zeros(len(found.buckets), bool)
    first[found.ends[:-1]] = True
    steps = np.where(first, found.buckets, np.diff(found.buckets, prepend=np.int32(0))).astype("<i4")
    planes = np.ascontiguousarray(steps.view(np.uint8).reshape(-1, 4).T)
    packed = np.frombuffer(zlib.compress(planes.tobytes(), 6), np.uint8)
    return {"keys": found.keys, "ties": found.ties, "ends": found.ends, "steps": packed}


def unpack_sample(arrays: Mapping[str, np.ndarray]) -> Sample:
    """The sample stored by `pack_sample`; raises ValueError for arrays that it did not make."""
    try:
        ends = arrays["ends"].astype(np.int64)
        raw = zlib.decompress(arrays["steps"].tobytes())
        planes = np.frombuffer(raw, np.uint8).reshape(4, int(ends[-1])).T
        steps = np.ascontiguousarray(planes).view("<i4").ravel().astype(np.int64)
        total = np.concatenate(([0], np.cumsum(steps)))
        buckets = (total[1:] - np.repeat(total[ends[:-1]], np.diff(ends))).astype(np.int32)
    except (KeyError, IndexError, ValueError, zlib.error) as error:
        raise ValueError(f"the sample for ratio mode is damaged ({error})") from None
    if not (len(arrays["keys"]) == len(arrays["ties"]) == len(ends) - 1):
        raise ValueError("the sample for ratio mode is damaged (its arrays differ in length)")
    if len(buckets) and not (buckets.min() >= 0 and buckets.max() < BUCKETS):
        raise ValueError("the sample for ratio mode is damaged (features beyond the table)")
    return Sample(arrays["keys"].astype(np.uint64), arrays["ties"].astype(np.uint64), ends, buckets)


def fit_ratio(reference: Sample, crawl: Sample, detector: Model | None = None) -> Ratio:
    """The models of both halves, from samples of the two sides.

    detector: a model of synthetic text whose score may take part. It should not have been trained on the reference,
    whose documents it would then know by heart.

    Raises ValueError when a half of a side has fewer than 50 documents.
    """
    for name, side in (("reference", reference), ("crawl", crawl)):
        least = min(np.bincount(_half(side.keys), minlength=2))
        if least < LEAST_DOCUMENTS // 2:
            raise ValueError(
                f"a ratio needs about {LEAST_DOCUMENTS} documents or more of the {name}, half of them in each half by "
                f"hash of the id; there are {len(side.keys)}, and {least} in one half"
            )
    keys = np.concatenate([reference.keys, crawl.keys])
    label = np.repeat(np.array([1, 0], np.float32), [len(reference.keys), len(crawl.keys)])
    buckets = np.concatenate([reference.buckets, crawl.buckets])
    ends = np.concatenate([reference.ends, crawl.ends[1:] + reference.ends[-1]])
    half = _half(keys)
    weights, scales, links = np.empty((2, BUCKETS), np.int8), np.empty(2), np.empty((2, 3))
    known = None if detector is None else detector.weights.astype(np.float32) * np.float32(-detector.scales[0])
    separation, parts, logs = [], [], np.empty(len(keys), np.float32)
    for model in (0, 1):
        rows, out = np.flatnonzero(half != model), np.flatnonzero(half == model)
        fitted = _fit(buckets, ends, label, keys, rows)
        if known is not None:
            fitted, part = _stack(fitted, known, buckets, ends, label, out)
            parts.append(part)
        weights[model], scales[model] = quantise(fitted)
        scores = np.empty(len(out), np.float32)
        predict_kernel(buckets, ends, out, weights[model], 0.0, scores)
        scores = (scores * scales[model]).astype(np.float32)
        counts = _counts(scores, label[out])
        links[model] = _link(counts)[0]
        separation.append(_auroc(counts))
        log_ratio_kernel(scores, half[out], links, _LARGEST, scores)
        logs[out] = scores
    sides = {name: logs[label == value].astype(np.float64) for name, value in (("reference", 1), ("crawl", 0))}
    report = {
        "documents": {"reference": len(reference.keys), "crawl": len(crawl.keys)},
        "auroc": [round(value, 6) for value in separation],
        "share_unlike": [float(value) for value in links[:, 0]],
        "mean": {name: round(float(values.mean()), 6) for name, values in sides.items()},
        "sd": {name: round(float(values.std()), 6) for name, values in sides.items()},
        "kurtosis": {name: round(_kurtosis(values), 6) for name, values in sides.items()},
        **({"detector": parts} if parts else {}),
    }
    ratio = Ratio(weights, scales, links, report, "")
    return ratio._replace(version=digest(_header(ratio), _arrays(ratio)))


def _kurtosis(values: np.ndarray) -> float:
    """Mean fourth power of the standardised values; 1, its least, where they do not vary."""
    sd = values.std()
    return float(np.mean(((values - values.mean()) / sd) ** 4)) if sd > 0 else 1.0


def score_ratio(tokens: Tokens, keys: np.ndarray, ratio: Ratio, least: int = LEAST_WORDS) -> np.ndarray:
    """float32[docs]: log p_reference / p_crawl of each document; NaN below `least` words. keys as of `ratio_keys`."""
    half = _half(keys)
    score = np.empty(len(half), np.float32)
    ratio_kernel(*tokens, _vocabulary(), ratio.weights, ratio.scales, half, max(1, least), score)
    log_ratio_kernel(score, half, ratio.links, _LARGEST, score)
    return score


def ratio_scores(
    reference: Tokens,
    crawl: Tokens,
    reference_ids: pa.Array,
    crawl_ids: pa.Array,
    *,
    size: int = SAMPLE,
    least: int = LEAST_WORDS,
    seed: int = 1,
    detector: Model | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """(of the reference's documents, of the crawl's): log p_reference / p_crawl, float32, NaN below `least` words.

    All in memory: samples of at most `size` documents of each side, fit, and scores, each document's by the model that
    did not see its half. ids are strings, one a document; detector as of `fit_ratio`. Raises ValueError for too few
    documents (see `fit_ratio`).
    """
    sides = [(reference, ratio_keys(reference_ids, seed)), (crawl, ratio_keys(crawl_ids, seed))]
    samples = [sample(tokens, keys, long_enough(tokens, least), size) for tokens, keys in sides]
    fitted = fit_ratio(samples[0], samples[1], detector)
    first, second = (score_ratio(tokens, keys, fitted, least) for tokens, keys in sides)
    return first, second


def long_enough(tokens: Tokens, least: int = LEAST_WORDS) -> np.ndarray:
    """bool[docs]: does each document have `least` words or more?"""
    words = np.concatenate(([0], np.cumsum(tokens.kind & np.uint8(WORD), dtype=np.int64)))[tokens.offsets]
    return np.diff(words) >= max(1, least)


def _half(keys: np.ndarray) -> np.ndarray:
    return (keys & np.uint64(1)).astype(np.uint8)


def _vocabulary() -> np.ndarray:
    """The common words of frames: the shipped detector's, so that samples agree however a job is configured."""
    return load_model().vocabulary


def _fit(buckets: np.ndarray, ends: np.ndarray, label: np.ndarray, keys: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """float32[2^21] weights of the logistic regression on the given documents, both sides weighing the same."""
    of_side = np.bincount(label[rows].astype(np.int64), minlength=2)
    importance = (len(rows) / 2 / of_side[label.astype(np.int64)]).astype(np.float32)
    nobody = np.full(len(label), -1, np.int32)
    weights, squares = np.zeros(BUCKETS, np.float32), np.zeros(BUCKETS, np.float32)
    intercepts, bias = np.zeros((1, 2)), np.zeros(2)
    for epoch in range(EPOCHS):
        order = rows[np.argsort(mix64_array(keys[rows] + np.uint64(epoch)), kind="stable")]
        rate = RATE * (1 - epoch / EPOCHS)
        fit_kernel(buckets, ends, label, importance, nobody, order, rate, PENALTY, weights, squares, intercepts, bias)
    return weights


def _stack(
    fitted: np.ndarray, known: np.ndarray, buckets: np.ndarray, ends: np.ndarray, label: np.ndarray, out: np.ndarray
) -> tuple[np.ndarray, float]:
    """(float32[2^21] weights, part of `known` in them): the mean of both, each by the deviation of its scores, under
    which the documents `out`, that `fitted` was not fitted to, are likeliest."""
    scores, spread = np.empty((2, len(out)), np.float32), []
    for row, weights in zip(scores, (fitted, known), strict=True):
        predict_kernel(buckets, ends, out, weights, 0.0, row)
        spread.append(float(row.astype(np.float64).std()))
    if min(spread) == 0.0:
        return fitted, 0.0
    scores /= np.array(spread, np.float32)[:, None]
    losses = [_link(_counts((1 - part) * scores[0] + part * scores[1], label[out]))[1] for part in _PARTS]
    part = _PARTS[int(np.argmin(losses))]  # the smallest of equals
    if part == 0.0:
        return fitted, 0.0
    return ((1 - part) / spread[0] * fitted + part / spread[1] * known).astype(np.float32), part


def _counts(scores: np.ndarray, label: np.ndarray) -> np.ndarray:
    """int64[2, 2 * _LARGEST * _GRID + 1]: documents of the crawl and the reference by score."""
    place = np.rint((np.clip(scores.astype(np.float64), -_LARGEST, _LARGEST) + _LARGEST) * _GRID).astype(np.int64)
    return np.stack([np.bincount(place[label == v], minlength=int(2 * _LARGEST * _GRID) + 1) for v in (0, 1)])


def _auroc(counts: np.ndarray) -> float:
    crawl, reference = counts / counts.sum(axis=1, keepdims=True)
    return float((reference * (np.cumsum(crawl) - crawl / 2)).sum())


def _link(counts: np.ndarray) -> tuple[np.ndarray, float]:
    """(share, slope, intercept) of the likeliest curve through the scores of documents that the model did not see, and
    its loss.

    For each share slope and intercept are found by Newton's method; a slope is never below 0.
    """
    used = np.flatnonzero(counts.sum(axis=0))
    score = used / _GRID - _LARGEST
    crawl, reference = (counts / counts.sum(axis=1, keepdims=True))[:, used]
    found = np.array([1.0, 0.0])
    best, likeliest = np.array([1.0, 0.0, 0.0]), np.inf
    for share in _SHARES[::-1]:
        loss, found = _curve(share, score, crawl, reference, found)
        if loss < likeliest - 1e-9:
            best, likeliest = np.array([share, *found]), loss
    return best, likeliest


def _curve(
    share: float, score: np.ndarray, crawl: np.ndarray, reference: np.ndarray, start: np.ndarray
) -> tuple[float, np.ndarray]:
    """(loss, slope and intercept) by Fisher scoring with halved steps; loss is the mean negative log likelihood."""

    def losses(at: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        decay = share * np.exp(-np.clip(at[0] * score + at[1], -50, 50))
        against = (1 - share) + decay  # p_crawl / p_reference
        loss = (reference * np.log1p(against)).sum() + (crawl * np.log1p(1 / against)).sum() + _RIDGE * at[0] ** 2
        return float(loss), against, decay

    at = start
    loss, against, decay = losses(at)
    for _ in range(50):
        gradient_of = decay / (against * (1 + against)) * (crawl - reference * against)  # of the margin
        gradient = np.array([(gradient_of * score).sum() + 2 * _RIDGE * at[0], gradient_of.sum()])
        spread = (crawl + reference) * decay**2 / (against * (1 + against) ** 2)
        cross = (spread * score).sum()
        information = np.array([[(spread * score**2).sum() + 2 * _RIDGE, cross], [cross, spread.sum() + 1e-12]])
        move = np.linalg.solve(information, gradient)
        for _ in range(30):
            new = at - move
            new[0] = max(new[0], 0.0)
            found = losses(new)
            if found[0] <= loss:
                break
            move = move / 2
        else:
            return loss, at
        done = loss - found[0] < 1e-12
        at, (loss, against, decay) = new, found
        if done:
            break
    return loss, at


def dump_ratio(ratio: Ratio, stamp: str = "") -> bytes:
    """The model as a zip of .npy arrays and a JSON header; equal models give equal bytes. `stamp`: of what made it."""
    return pack(_header(ratio, stamp), _arrays(ratio))[0]


def load_ratio(data: bytes, name: str) -> tuple[Ratio, str]:
    """The model that `dump_ratio` wrote, and its stamp; `name` is the file named in errors.

    Raises ValueError for damaged bytes or another version.
    """
    again = "remove it and run again"
    try:
        header, arrays = unpack(data, _ARRAYS)
        ratio = Ratio(arrays["weights"], arrays["scales"], arrays["links"], header["report"], "")
        stamp = str(header["stamp"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"the ratio model {name} is damaged ({error}): {again}") from None
    if digest(_header(ratio, stamp), arrays) != header["sha256"]:
        raise ValueError(f"the ratio model {name} is damaged or of another version: {again}")
    return ratio._replace(version=digest(_header(ratio), arrays)), stamp


_ARRAYS = ("weights", "scales", "links")


def _arrays(ratio: Ratio) -> dict[str, np.ndarray]:
    return {name: getattr(ratio, name) for name in _ARRAYS}


def _header(ratio: Ratio, stamp: str = "") -> dict[str, Any]:
    found = {"version": RATIO_VERSION, "tokeniser": TOKENISER, "bits": BITS}
    return found | {"stamp": stamp, "report": ratio.report}
