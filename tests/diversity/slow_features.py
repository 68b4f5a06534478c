"""What the style features are, in plain Python over tokens; slow, and nothing but words and sums."""

import math
from collections import Counter

import numpy as np

from curation.diversity import CORE_NAMES, STYLE_NAMES, Ruler
from curation.kernels import features as f
from curation.kernels.tokens import ALLCAPS, CHAR, LINE, NUMBER, UPPER, WORD
from curation.text import Tokens

CLASSES = {
    "negations": f.NEGATION, "hedges": f.HEDGE, "contrasts": f.CONTRAST, "self_corrections": f.SELF_CORRECTION,
    "refutations": f.REFUTATION, "scaffolds": f.SCAFFOLD, "first_person": f.FIRST_PERSON,
    "second_person": f.SECOND_PERSON, "third_person": f.THIRD_PERSON, "modals": f.MODAL, "additives": f.ADDITIVE,
    "intensifiers": f.INTENSIFIER, "questions": f.QUESTION, "exclamations": f.EXCLAMATION, "commas": f.COMMA,
    "semicolons": f.SEMICOLON, "colons": f.COLON, "parentheses": f.PARENTHESIS, "dashes": f.DASH, "slashes": f.SLASH,
}  # fmt: skip
PRONOUNS = (f.FIRST_PERSON, f.SECOND_PERSON, f.THIRD_PERSON)


def mix(h: int) -> int:
    h &= 2**64 - 1
    h ^= h >> 33
    h = h * 0xFF51AFD7ED558CCD & 2**64 - 1
    h ^= h >> 33
    h = h * 0xC4CEB9FE1A85EC53 & 2**64 - 1
    return h ^ h >> 33


def slow_features(tokens: Tokens, ruler: Ruler, limit: int = 16_384) -> tuple[np.ndarray, ...]:
    """style, words, bins and core as `features` gives them, for few and short documents."""
    marker = dict(zip(ruler.marker_keys.tolist(), ruler.marker_values.tolist(), strict=True))
    marker = {key: value for key, value in marker.items() if value}
    phrase = dict(zip(ruler.phrase_keys.tolist(), ruler.phrase_values.tolist(), strict=True))
    phrase = {key: value for key, value in phrase.items() if value}
    rows = []
    for start, stop in zip(tokens.offsets, tokens.offsets[1:], strict=False):
        stop = min(stop, start + limit)
        columns = (tokens.hash, tokens.kind, tokens.length)
        hashes, kinds, lengths = (column[start:stop].tolist() for column in columns)
        rows.append(_document(hashes, kinds, lengths, marker, phrase, ruler))
    return tuple(np.array([row[i] for row in rows]) for i in range(4))


def _document(hashes, kinds, lengths, marker, phrase, ruler):
    step = int(f.STEP)
    entry = [marker.get(h, 0) for h in hashes]
    code = [e >> 7 & 63 for e in entry]
    words = [i for i, kind in enumerate(kinds) if kind & WORD]
    marks = [i for i, kind in enumerate(kinds) if not kind & WORD]

    # sentences, as lists of positions of words
    sentences, ended = [[]], False
    for i, kind in enumerate(kinds):
        if ended and kind & (UPPER | LINE | CHAR):
            sentences.append([])
            ended = False
        if kind & WORD:
            sentences[-1].append(i)
            ended = False
        elif code[i] in (f.PERIOD, f.QUESTION, f.EXCLAMATION):
            ended = True
    sentences = [s for s in sentences if s]
    sizes = [len(s) for s in sentences]

    # a function word, a mark or a word of a class counts once; so does each phrase, by its shortest match
    of_class = Counter(code[i] for i in range(len(hashes)))
    for i in range(len(hashes)):
        for width in (2, 3, 4):
            if width > 2 and i == 0 or i == 0:
                continue
            window = [hashes[i - k] if i - k >= 0 else 0 for k in range(width)]
            found = phrase.get(mix(sum(h * step**k for k, h in enumerate(window))))
            if found and entry[i] & f.PHRASE_END:
                of_class[found] += 1
                break
    openers = Counter(code[s[0]] for s in sentences)
    window = Counter(hashes[i] for i in words[:300])
    ellipses = sum(code[i] == f.PERIOD and lengths[i] > 1 for i in marks)
    characters = sum(lengths[i] for i in words)
    count = {name: of_class[c] for name, c in CLASSES.items()} | {
        "tokens": len(hashes),
        "words": len(words),
        "numbers": sum(kinds[i] & NUMBER > 0 for i in words),
        "punctuation": len(marks),
        "sentences": len(sentences),
        "periods": of_class[f.PERIOD] - ellipses,
        "ellipses": ellipses,
        "capitalised": sum(kinds[i] & UPPER > 0 for i in words),
        "allcaps": sum(kinds[i] & ALLCAPS > 0 for i in words),
        "lines": sum(kind & LINE > 0 for kind in kinds),
        "list_lines": sum(k & LINE > 0 and (k & NUMBER > 0 or c == f.DASH) for k, c in zip(kinds, code, strict=True)),
        "long_words": sum(lengths[i] >= 9 for i in words),
        "short_words": sum(lengths[i] <= 3 for i in words),
        "characters_8": characters // 8,
        "characters_squared_64": sum(lengths[i] ** 2 for i in words) // 64,
        "spaceless": sum(kinds[i] & CHAR > 0 for i in words),
        "window_words": len(words[:300]),
        "window_distinct": len(window),
        "window_hapax": sum(n == 1 for n in window.values()),
        "contractions": sum(entry[i] & f.CONTRACTION > 0 for i in words),
        "openers_article": openers[f.ARTICLE],
        "openers_pronoun": sum(openers[c] for c in PRONOUNS),
        "openers_connective": openers[f.CONTRAST] + openers[f.ADDITIVE],
        "openers_preposition": openers[f.PREPOSITION],
        "sentence_words_squared_16": sum(n * n for n in sizes) // 16,
        "short_sentences": sum(n <= 5 for n in sizes),
        "long_sentences": sum(n >= 30 for n in sizes),
        "repeated_words": sum(hashes[a] == hashes[b] for a, b in zip(words, words[1:], strict=False)),
    }
    style = [min(count[name], 65535) for name in STYLE_NAMES]
    function = [entry[i] & 127 for i in words if entry[i] & 127]
    pairs = [mix(a * step + b) for a, b in zip(hashes, hashes[1:], strict=False)]
    bins = np.bincount([h >> 56 for h in hashes + pairs], minlength=256)

    unigram = [int(ruler.unigram[hashes[i] & (1 << 18) - 1]) for i in words]
    bigram, novel = [], 0
    for i, u in zip(words, unigram, strict=True):
        if i == 0:
            bigram.append(u)
            continue
        cell = int(ruler.bigram[pairs[i - 1] >> 20 & (1 << 19) - 1])
        if cell and cell >> 8 == pairs[i - 1] >> 40 & 255:
            bigram.append(cell & 255)
        else:
            novel += 1
            bigram.append(min(u + 16, 255))
    core = dict.fromkeys(CORE_NAMES, 0.0)
    if hashes:
        core["punctuation_share"] = len(marks) / len(hashes)
    if words:
        n = len(words)
        core |= {
            "log_words": math.log(n),
            "log_sentence_length": math.log1p(np.mean(sizes)),
            "log_sentence_length_sd": math.log1p(np.std(sizes)),
            "type_token_ratio": len(window) / len(words[:300]),
            "hapax_share": count["window_hapax"] / len(words[:300]),
            "word_length": characters / n,
            "capitalised_share": count["capitalised"] / n,
            "number_share": count["numbers"] / n,
            "surprisal": np.mean(unigram) / 8,
            "surprisal_sd": np.std(unigram) / 8,
            "bigram_surprisal": sum(bigram) / n / 8,
            "tail_share": sum(u >= ruler.tail_from for u in unigram) / n,
            "function_word_share": len(function) / n,
            "negation_rate": count["negations"] / n,
            "novelty": novel / max(sum(i > 0 for i in words), 1),
        }
    counts = np.bincount(function, minlength=65)[1:]
    return style, counts, bins, [core[name] for name in CORE_NAMES]
