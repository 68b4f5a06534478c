"""The part of annotate that reads every byte or token, which a device can do in the place of the CPU."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

from curation import dedup, diversity, synthetic
from curation.text import Tokens, tokenise

if TYPE_CHECKING:
    from curation.annotate import Settings


class TokenPass(NamedTuple):
    """Tokens of a batch and what is made of them; None for what the settings do not ask for.

    signatures: band hashes, minima and validity (`dedup.signatures`); scores: both logits (`synthetic.score`); counts:
    for the statistics, None where `diversity.update` is to count.
    """

    tokens: Tokens
    signatures: tuple[np.ndarray, np.ndarray, np.ndarray] | None
    scores: tuple[np.ndarray, np.ndarray] | None
    features: diversity.Features | None
    counts: diversity.Counts | None


def token_pass(text: pa.Array, settings: "Settings") -> TokenPass:
    """The pass over a batch of texts on the CPU."""
    tokens = tokenise(text)
    signatures = scores = features = None
    if settings.model is not None:
        scores = synthetic.score(tokens, synthetic.load_model(settings.model), min_words=settings.min_words)
    if settings.bands:
        signatures = dedup.signatures(
            tokens, bands=settings.bands, rows=settings.rows, ngram=settings.ngram, seed=settings.seed
        )
    if settings.features or settings.measure:
        features = diversity.features(tokens, diversity.load_ruler())
    return TokenPass(tokens, signatures, scores, features, None)
