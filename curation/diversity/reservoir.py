"""Statistics of the reservoir: what depends on blocks of text or of documents, and so cannot be added up.

The reservoir is a sample of documents by hash, in the order of that hash, so blocks of it are the same for
every sharding. Blocks have a fixed size, which takes out the dependence on the size of the corpus.
"""

import zlib
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from curation.diversity.estimators import count_of_counts, rarefied_seen
from curation.diversity.ruler import Ruler
from curation.kernels.features import COMMON, STEP
from curation.kernels.hashing import mix64_array, word_hash
from curation.kernels.tokens import NUMBER, WORD
from curation.text import Tokens, tokenise

COMPRESSION_BLOCK = 1 << 16
TEMPLATE_BLOCK, TEMPLATE_WIDTH, TEMPLATE_SHARED = 350, 6, 3
_PLACEHOLDER, _DIGITS = np.uint64(word_hash("X")), np.uint64(word_hash("9"))


class Blocks(NamedTuple):
    """A mean over blocks, its standard error (None below two blocks) and the number of blocks."""

    mean: float
    error: float | None
    blocks: int


def _over(values: list[float]) -> Blocks:
    error = float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
    return Blocks(float(np.mean(values)), error, len(values))


def compression(texts: list[bytes]) -> Blocks | None:
    """Raw over deflated bytes (zlib level 6) of blocks of 64 KiB of text; None below one block.

    Compression ratio as a measure of diversity: Shaib et al. 2024, arXiv 2403.00553; higher is less diverse.
    """
    joined = b"\n".join(texts)
    ratios = [
        COMPRESSION_BLOCK / len(zlib.compress(joined[i : i + COMPRESSION_BLOCK], 6))
        for i in range(0, len(joined) - COMPRESSION_BLOCK + 1, COMPRESSION_BLOCK)
    ]
    return _over(ratios) if ratios else None


def tokens_of(texts: list[bytes]) -> Tokens:
    """Tokens of the excerpts."""
    return tokenise(pa.array(texts, pa.large_binary()))


def distinct_bigrams(tokens: Tokens, budget: int) -> tuple[float | None, int]:
    """(distinct word pairs expected among `budget`, over the budget; pairs): None below the budget."""
    words, document = _words(tokens)
    adjacent = document[1:] == document[:-1]
    pairs = _mix_window([words[:-1][adjacent], words[1:][adjacent]])
    if len(pairs) < budget:
        return None, len(pairs)
    values, types = count_of_counts(np.unique(pairs, return_counts=True)[1])
    return float((types * rarefied_seen(values, len(pairs), budget)).sum() / budget), len(pairs)


def grams(tokens: Tokens) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Counts of counts of the words, and of the pairs of words with nothing but a space between them."""
    word = (tokens.kind & WORD) > 0
    document = np.repeat(np.arange(len(tokens.offsets) - 1), np.diff(tokens.offsets))
    adjacent = word[1:] & word[:-1] & (document[1:] == document[:-1])
    pairs = _mix_window([tokens.hash[:-1][adjacent], tokens.hash[1:][adjacent]])
    words, pairs = (np.unique(keys, return_counts=True)[1] for keys in (tokens.hash[word], pairs))
    return count_of_counts(words), count_of_counts(pairs)


def templates(tokens: Tokens, ruler: Ruler) -> Blocks | None:
    """Share of windows of 6 tokens whose skeleton is in 3 or more documents of a block of 350; None below one
    block.

    A skeleton keeps the 150 commonest words and the punctuation; other words become one placeholder and words
    with digits another. In the spirit of syntactic templates: Shaib et al. 2024, arXiv 2407.00211.
    """
    common = np.sort(ruler.marker_keys[(ruler.marker_values & COMMON) > 0])
    found = np.searchsorted(common, tokens.hash)
    kept = common[np.minimum(found, len(common) - 1)] == tokens.hash
    skeleton = np.where((tokens.kind & NUMBER) > 0, _DIGITS, _PLACEHOLDER)
    skeleton = np.where(kept | ((tokens.kind & WORD) == 0), tokens.hash, skeleton)
    shares = []
    documents = len(tokens.offsets) - 1
    for first in range(0, documents - TEMPLATE_BLOCK + 1, TEMPLATE_BLOCK):
        low, high = tokens.offsets[first], tokens.offsets[first + TEMPLATE_BLOCK]
        lengths = np.diff(tokens.offsets[first : first + TEMPLATE_BLOCK + 1])
        document = np.repeat(np.arange(TEMPLATE_BLOCK), lengths)
        shares.append(_shared_windows(skeleton[low:high], document))
    present = [share for share in shares if share is not None]
    return _over(present) if present else None


def _shared_windows(skeleton: np.ndarray, document: np.ndarray) -> float | None:
    width = TEMPLATE_WIDTH
    if len(skeleton) < width:
        return None
    whole = document[: len(document) - width + 1] == document[width - 1 :]
    columns = [skeleton[i : len(skeleton) - width + 1 + i][whole] for i in range(width)]
    windows, document = _mix_window(columns), document[: len(whole)][whole]
    if not len(windows):
        return None
    types, where = np.unique(windows, return_inverse=True)
    once = np.unique(where * TEMPLATE_BLOCK + document) // TEMPLATE_BLOCK
    in_documents = np.bincount(once, minlength=len(types))
    return float((in_documents[where] >= TEMPLATE_SHARED).mean())


def _words(tokens: Tokens) -> tuple[np.ndarray, np.ndarray]:
    """Hash and document of every word."""
    word = (tokens.kind & WORD) > 0
    document = np.repeat(np.arange(len(tokens.offsets) - 1), np.diff(tokens.offsets))
    return tokens.hash[word], document[word]


def _mix_window(columns: list[np.ndarray]) -> np.ndarray:
    total = np.zeros(len(columns[0]), np.uint64)
    for column in columns:
        total = total * STEP + column
    return mix64_array(total)
