"""Style features of each document: what mixing balances and what the moments of a shard are taken of."""

from typing import NamedTuple

import numpy as np

from curation.diversity.ruler import Ruler
from curation.kernels.features import (
    CLASS_COLUMN,
    CORE_NAMES,
    OPENER_COLUMN,
    STYLE_NAMES,
    features_kernel,
)
from curation.schema import BINS, CORE, FEATURE_TOKENS, STYLE, WORDS
from curation.text.tokens import Tokens

__all__ = ["CORE_NAMES", "STYLE_NAMES", "Features", "features"]


class Features(NamedTuple):
    """Counted on the first 16,384 tokens of each document.

    style uint16[docs, 48], columns STYLE_NAMES, saturating at 65,535; words uint16[docs, 64], counts of
    `ruler.function_words`; bins uint16[docs, 256], hashed unigrams and bigrams of all tokens, each n-gram in
    exactly one bin, the first 128 to balance and the others never balanced; core float32[docs, 16], columns
    CORE_NAMES.
    """

    style: np.ndarray
    words: np.ndarray
    bins: np.ndarray
    core: np.ndarray


def features(tokens: Tokens, ruler: Ruler) -> Features:
    """Features of every document of a batch; always finite, and independent of how documents are batched.

    Scalars that need a word (a sentence, a pair of tokens) are 0 in a document without one. Logarithms are
    natural: `log_words` of the words, the two of sentences of 1 + the mean and 1 + the standard deviation of
    words in a sentence. Surprisals are in bits under the ruler: a word never seen there has the ruler's
    largest, and a word after a token that it never followed its own surprisal plus 2 bits. `novelty` is the
    share of words that follow a token they never follow in the ruler, `tail_share` the share of words outside
    the commonest types that carry 90 % of its text. Function words after Burrows' Delta
    (2002), hashed n-grams after DSIR (Xie et al. 2023, arXiv 2302.03169).
    """
    docs = len(tokens.offsets) - 1
    style = np.zeros((docs, STYLE), np.uint16)
    words = np.zeros((docs, WORDS), np.uint16)
    bins = np.zeros((docs, BINS), np.uint16)
    core = np.zeros((docs, CORE), np.float32)
    features_kernel(
        tokens.hash, tokens.kind, tokens.length, tokens.offsets, FEATURE_TOKENS, ruler.unigram, ruler.bigram,
        ruler.tail_from, ruler.marker_keys, ruler.marker_values, ruler.phrase_keys, ruler.phrase_values,
        CLASS_COLUMN, OPENER_COLUMN, style, words, bins, core,
    )  # fmt: skip
    return Features(style, words, bins, core)
