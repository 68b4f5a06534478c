"""What stays the same through all generations: the human text of one side, the reference profile, and features."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from collapselib import statistics
from collapselib.corpus import Corpus, Texts, Vocabulary, as_tokens, take
from curation import diversity
from curation.batch import pack
from curation.diversity import reference
from curation.diversity.features import Features
from curation.diversity.reference import Profile
from curation.diversity.ruler import Ruler
from curation.diversity.ruler_tables import retable
from curation.kernels.hashing import mix64_array


class World(NamedTuple):
    """The human text with everything that is measured on it once."""

    vocabulary: Vocabulary
    genres: tuple[str, ...]
    test: Texts
    pool: Texts
    reference: Texts  # what a rule may look at
    ids: pa.Array  # of the reference's documents
    ruler: Ruler
    profile: Profile
    features: Features  # of the pool
    tail: np.ndarray  # bool[vocabulary]
    missing: tuple[str, ...]  # genres that the reference lacks


def build(corpus: Corpus, known: float = 1.0) -> World:
    """The world of a corpus, with a reference that knows the largest genres: at most `known` of the pool's tokens, at
    least one genre.

    One half of the reference, by hash of the id, makes the ruler, and the other the profile: text looks too typical by
    tables that were made from it.
    """
    trusted, missing = corpus.reference, ()
    if known < 1:
        sizes = np.bincount(corpus.pool.genre, np.diff(corpus.pool.offsets), len(corpus.genres))
        order = np.argsort(-sizes, kind="stable")
        enough = max(1, int(np.searchsorted(np.cumsum(sizes[order]), known * sizes.sum(), side="right")))
        trusted = take(trusted, np.flatnonzero(np.isin(trusted.genre, order[:enough])))
        missing = tuple(corpus.genres[g] for g in order[enough:])
    ids = pa.array([f"r{row}" for row in range(len(trusted.genre))])
    half = (mix64_array(np.arange(len(ids), dtype=np.uint64) + np.uint64(1)) >> np.uint64(63)).astype(bool)
    tables, targets = take(trusted, np.flatnonzero(~half)), take(trusted, np.flatnonzero(half))
    fifth = np.arange(len(tables.genre)) % 5 == 0
    ruler = retable(
        diversity.load_ruler(),
        as_tokens(take(tables, np.flatnonzero(~fifth)), corpus.vocabulary),
        as_tokens(take(tables, np.flatnonzero(fifth)), corpus.vocabulary),
    )
    features = diversity.features(as_tokens(corpus.pool, corpus.vocabulary), ruler)
    seen = signals(
        targets,
        ids.filter(pa.array(half)),
        diversity.features(as_tokens(targets, corpus.vocabulary), ruler),
    )
    first = reference.first_update(seen, "en")
    frame = reference.first_result(first, "en")
    profile = reference.build(first, frame, reference.second_update(seen, frame))
    tail = statistics.tail_types(corpus.pool.tokens, len(corpus.vocabulary.hash))
    return World(
        corpus.vocabulary, corpus.genres, corpus.test, corpus.pool, trusted, ids, ruler, profile, features, tail,
        missing,
    )  # fmt: skip


def signals(texts: Texts, ids: pa.Array, features: Features, logit: np.ndarray | None = None) -> pa.RecordBatch:
    """The columns of signals that mixing reads; every document is English prose of one source."""
    n = len(texts.genre)
    return pa.RecordBatch.from_pydict(
        {
            "id": ids,
            "source": pa.repeat("crawl", n),
            "tokens": pa.array(np.diff(texts.offsets)),
            "lang": pa.repeat("en", n),
            "group": pa.nulls(n, pa.string()),
            "gate": pa.repeat("prose", n),
            "logit": pa.nulls(n, pa.float32()) if logit is None else pa.array(logit, pa.float32()),
            "style": pack(features.style),
            "words": pack(features.words),
            "bins": pack(features.bins),
            "core": pack(features.core),
        }
    )


def rows_of(features: Features, rows: np.ndarray) -> Features:
    """The features of some documents."""
    return Features(*(column[rows] for column in features))


def joined(parts: list[Features]) -> Features:
    """The features of all parts."""
    return Features(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
