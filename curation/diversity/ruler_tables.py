"""The tables of a ruler from tokens: surprisal of words and of pairs, the tail, means and deviations of the scalars.

The lexicon of a ruler (style markers, phrases, function words) does not come from tokens; `retable` keeps it.
"""

import numpy as np

from curation.diversity.features import features
from curation.diversity.ruler import Ruler, make_ruler
from curation.kernels import features as kernel
from curation.kernels.hashing import mix64_array
from curation.kernels.tokens import WORD
from curation.text.tokens import Tokens

DISCOUNT = 0.75  # absolute discounting (Ney, Essen and Kneser 1994)
TAIL = 0.10  # share of held-out words outside the head
_LEXICON = ("marker_keys", "marker_values", "phrase_keys", "phrase_values", "function_words")


def retable(ruler: Ruler, made: Tokens, held_out: Tokens) -> Ruler:
    """`ruler` with the tables of other text: of `made`, and the cut of the tail and the moments of `held_out`.

    For a reference whose own half A is to say what is novel and rare. Both need a word; raises ValueError otherwise.
    """
    return from_tokens(made, held_out, {name: getattr(ruler, name) for name in _LEXICON})


def from_tokens(made: Tokens, held_out: Tokens, lexicon: dict[str, np.ndarray]) -> Ruler:
    """The ruler with these arrays of a lexicon (`marker_keys` to `function_words`); the rest as in `retable`."""
    unigram = unigrams(made)
    low = np.uint64(len(unigram) - 1)
    seen = np.sort(unigram[(_words(held_out) & low).astype(np.int64)])
    if len(seen) == 0:
        raise ValueError("the text that sets the cut of the tail has no word: give more documents")
    tail_from = int(seen[int(len(seen) * (1 - TAIL))]) + 1
    types, counts = np.unique(_words(made), return_counts=True)
    rare = unigram[(types & low).astype(np.int64)] >= tail_from
    tables = dict(
        unigram=unigram,
        bigram=bigrams(made, unigram),
        tail_from=np.array(tail_from, np.int64),
        head=_mask(types[~rare]),
        tail=_mask(types[rare & (counts >= 2)]),
        core_mean=np.zeros(16),
        core_sd=np.ones(16),
        words_mean=np.zeros(64),
        words_sd=np.ones(64),
        **lexicon,
    )
    found = features(held_out, make_ruler(**tables))
    spoken = found.style[:, 1] > 0
    share = found.words[spoken] / found.style[spoken, 1:2]
    core = found.core[spoken].astype(np.float64)
    tables |= dict(core_mean=core.mean(0), core_sd=np.maximum(core.std(0), 1e-3))
    tables |= dict(words_mean=share.mean(0), words_sd=np.maximum(share.std(0), 2e-4))
    return make_ruler(**tables)


def unigrams(tokens: Tokens) -> np.ndarray:
    """uint8[2^18] surprisal of a word in quanta of 1/8 bit; an unseen one counts as a quarter of an occurrence."""
    word = _words(tokens)
    if len(word) == 0:
        raise ValueError("the text that the tables are made of has no word: give more documents")
    counts = np.bincount((word & np.uint64((1 << 18) - 1)).astype(np.int64), minlength=1 << 18)
    bits = np.log2(len(word)) - np.log2(np.maximum(counts, 0.25))
    return np.clip(np.round(8 * bits), 1, 255).astype(np.uint8)


def bigrams(tokens: Tokens, unigram: np.ndarray) -> np.ndarray:
    """uint16[2^19] cells of the pairs seen twice or more, by absolute discounting with the unigrams behind."""
    first = np.zeros(len(tokens.hash), bool)
    first[tokens.offsets[:-1][tokens.offsets[:-1] < len(first)]] = True
    second = np.flatnonzero((tokens.kind & WORD > 0) & ~first)
    before, after = tokens.hash[second - 1], tokens.hash[second]
    with np.errstate(over="ignore"):
        pair = mix64_array(before * kernel.STEP + after)
    _, context, context_count = np.unique(before, return_inverse=True, return_counts=True)
    pairs, where, count = np.unique(pair, return_index=True, return_counts=True)
    followers = np.bincount(context[where], minlength=len(context_count))
    c = context[where]
    behind = 2.0 ** (-unigram[(after[where] & np.uint64((1 << 18) - 1)).astype(np.int64)] / 8.0)
    p = (count - DISCOUNT + DISCOUNT * followers[c] * behind) / context_count[c]
    kept = np.flatnonzero(count >= 2)
    kept = kept[np.lexsort((pairs[kept], count[kept]))]
    bucket = ((pairs[kept] >> np.uint64(20)) & np.uint64((1 << 19) - 1)).astype(np.int64)
    _, last = np.unique(bucket[::-1], return_index=True)  # where pairs share a bucket the commonest stays
    kept, bucket = kept[::-1][last], bucket[::-1][last]
    bits = np.clip(np.round(-8 * np.log2(p[kept])), 1, 255).astype(np.uint16)
    table = np.zeros(1 << 19, np.uint16)
    table[bucket] = ((pairs[kept] >> np.uint64(40)) & np.uint64(255)).astype(np.uint16) << 8 | bits
    return table


def _words(tokens: Tokens) -> np.ndarray:
    return tokens.hash[tokens.kind & WORD > 0]


def _mask(hashes: np.ndarray) -> np.ndarray:
    bits = np.zeros(1 << 20, np.uint8)
    bits[(hashes & np.uint64((1 << 20) - 1)).astype(np.int64)] = 1
    return np.packbits(bits, bitorder="little")
