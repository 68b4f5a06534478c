"""What drives a number: the templates, repeated runs, sentence openings and words of a shard, as text with counts.

Statistics are computed from hashes, which cannot be read. For the few shards that a person should look at, the same
things are found once more here in the sample of documents, in plain Python, and set against the sample of the rest.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from curation.diversity.ruler import Ruler
from curation.kernels.features import COMMON
from curation.kernels.hashing import word_hash

DOCUMENTS = 350  # of the sample that are read
SHARED = 3  # documents in which a template or a run counts as shared
SHOWN = 6
_TOKEN = re.compile(r"\w+(?:'\w+)*|[^\w\s]")
_SENTENCE = re.compile(r"[.!?]\s+|\n+")


def driving(texts: Sequence[bytes], rest: Sequence[bytes], ruler: Ruler) -> dict[str, list[dict[str, Any]]]:
    """What a shard (`texts`, its sample) has more of than the rest: `templates`, `runs`, `openers`, `words`.

    Entries have `text`, `share` of the documents that have it (of the sentences for openers), `rest`, the same share of
    the rest, and for templates an `example`. The commonest first, ties by text.
    """
    own, other = _read(texts), _read(rest)
    common = _common((word for document in own for word in document), ruler)
    frames, examples = _frames(own, common)
    others, _ = _frames(other, common)
    return {
        "templates": [
            row | {"example": examples[row["text"]]} for row in _ranked(frames, others, len(own), len(other), 0.0)
        ],
        "runs": _ranked(_runs(own), _runs(other), len(own), len(other), 2.0),
        "openers": _openers(texts, rest),
        "words": _ranked(_distinct(own), _distinct(other), len(own), len(other), 3.0),
    }


def _read(texts: Sequence[bytes]) -> list[list[str]]:
    return [_TOKEN.findall(text.decode("utf-8", "replace").lower()) for text in texts[:DOCUMENTS]]


def _common(words: Iterable[str], ruler: Ruler) -> set[str]:
    """Those of the words that skeletons keep."""
    kept = {int(k) for k in ruler.marker_keys[(ruler.marker_values & COMMON) > 0]}
    return {word for word in set(words) if word_hash(word) in kept}


def _frames(documents: list[list[str]], common: set[str]) -> tuple[Counter[str], dict[str, str]]:
    """Documents by skeleton of six tokens, and one of its wordings each."""
    found: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for tokens in documents:
        skeleton = [t if t in common or not t[0].isalnum() else "9" if t[0].isdigit() else "\u2026" for t in tokens]
        mine = {}
        for i in range(len(tokens) - 5):
            window = skeleton[i : i + 6]
            if sum(t in common for t in window) >= 2 and sum(not t[0].isalnum() and t != "\u2026" for t in window) <= 2:
                mine[" ".join(window)] = " ".join(tokens[i : i + 6])
        found.update(mine.keys())
        for frame, wording in mine.items():
            examples.setdefault(frame, wording)
    return found, examples


def _runs(documents: list[list[str]]) -> Counter[str]:
    found: Counter[str] = Counter()
    for tokens in documents:
        words = [t for t in tokens if t[0].isalnum()]
        found.update({" ".join(words[i : i + 4]) for i in range(len(words) - 3)})
    return found


def _distinct(documents: list[list[str]]) -> Counter[str]:
    found: Counter[str] = Counter()
    for tokens in documents:
        found.update({t for t in tokens if t.isalpha() and len(t) > 1})
    return found


def _openers(texts: Sequence[bytes], rest: Sequence[bytes]) -> list[dict[str, Any]]:
    own, other = (Counter(_first_words(side)) for side in (texts[:DOCUMENTS], rest[:DOCUMENTS]))
    return _ranked(own, other, own.total(), other.total(), 2.0)


def _first_words(texts: Sequence[bytes]) -> list[str]:
    found = []
    for text in texts:
        for sentence in _SENTENCE.split(text.decode("utf-8", "replace").lower()):
            words = [t for t in _TOKEN.findall(sentence) if t[0].isalnum()][:2]
            if len(words) == 2:
                found.append(" ".join(words))
    return found


def _ranked(own: Counter[str], other: Counter[str], n: int, m: int, least: float) -> list[dict[str, Any]]:
    """The entries that stand out most, by how many more than by the rest's share; overlapping ones once."""
    rows = []
    for text, count in own.items():
        share, rest = count / max(n, 1), other[text] / max(m, 1)
        if count >= SHARED and share > rest and share >= least * (other[text] + 0.5) / max(m, 1):
            rows.append((rest - share, text, share, rest))
    shown: list[dict[str, Any]] = []
    for _, text, share, rest in sorted(rows):
        words = text.split()
        inner = " ".join(words[1:-1]) if len(words) > 2 else text
        if any(inner in row["text"] or " ".join(row["text"].split()[1:-1]) in text for row in shown if len(words) > 2):
            continue
        shown.append({"text": text, "share": share, "rest": rest})
        if len(shown) == SHOWN:
            break
    return shown
