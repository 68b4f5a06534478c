"""What a token is, in plain Python: slow, readable, and the standard that `kernels.tokens` is held to by the tests."""

from typing import NamedTuple

from curation.kernels.hashing import word_hash
from curation.kernels.tokens import (
    ALLCAPS,
    APOSTROPHE,
    CHAR,
    DIGIT,
    IGNORED,
    LETTER,
    LINE,
    NEWLINE,
    NUMBER,
    PUNCT,
    PUNCTUATION,
    SEPARATOR,
    SPACELESS,
    UPPER,
    WORD,
)
from curation.text.tokens import unicode_tables


class Point(NamedTuple):
    """A code point, or a malformed byte: its class, the code point and what it folds to."""

    cls: int
    code: int
    folded: int


class Token(NamedTuple):
    """A token: its folded text, kind bits and length in code points (at most 255)."""

    text: str
    kind: int
    length: int

    @property
    def hash(self) -> int:
        """The 64-bit hash that the kernel gives; a run of one mark hashes as a single mark."""
        return word_hash(self.text)


def points(text: bytes) -> list[Point]:
    """The code points of UTF-8 bytes; every byte that is not part of a well-formed sequence separates."""
    found, i = [], 0
    while i < len(text):
        for size in range(1, 5):
            try:
                char = text[i : i + size].decode("utf-8")
            except UnicodeDecodeError:
                continue
            found.append(_point(ord(char[0])))
            i += size
            break
        else:
            found.append(Point(SEPARATOR, -1, -1))
            i += 1
    return found


def _point(code: int) -> Point:
    classes, folding = unicode_tables()
    if code < 0x10000:
        return Point(int(classes[code]), code, int(folding[code]))
    if 0x20000 <= code < 0x40000:
        return Point(SPACELESS, code, code)
    if code < 0x1D000 or 0x1D400 <= code < 0x1D800 or 0x1E000 <= code < 0x1F000:
        return Point(LETTER, code, code)
    if 0xE0000 <= code < 0xE01F0:
        return Point(IGNORED, code, code)
    return Point(SEPARATOR, code, code)


def tokens(text: bytes) -> list[Token]:
    """The tokens of one document, in order; `curation.text.tokenise` gives the same for a whole column."""
    document = points(text)
    found: list[Token] = []
    line, i = LINE, 0
    while i < len(document):
        cls = document[i].cls
        if cls in (LETTER, DIGIT):
            end = _word_end(document, i)
            word = [point for point in document[i:end] if point.cls != IGNORED]
            token = Token("".join(chr(p.folded) for p in word), _word_kind(word), min(len(word), 255))
        elif cls == PUNCTUATION:
            end, mark = i, document[i].folded
            while end < len(document) and document[end].cls == PUNCTUATION and document[end].folded == mark:
                end += 1
            token = Token(chr(mark), PUNCT, min(end - i, 255))
        elif cls == SPACELESS:
            end = i + 1
            token = Token(chr(document[i].folded), WORD | CHAR, 1)
        else:
            line = LINE if cls == NEWLINE else line
            i += 1
            continue
        found.append(token._replace(kind=token.kind | line))
        line, i = 0, end
    return found


def _word_end(document: list[Point], start: int) -> int:
    """Where the word that begins at `start` ends: letters, digits, ignored points and apostrophes before letters."""
    i = start
    while i < len(document):
        cls = document[i].cls
        # a letter beyond the basic plane does not hold an apostrophe in the word
        before_letter = (
            i + 1 < len(document) and document[i + 1].cls == LETTER and document[i + 1].code < 0x10000
        )
        if cls not in (LETTER, DIGIT, IGNORED) and not (cls == APOSTROPHE and before_letter):
            break
        i += 1
    return i


def _word_kind(word: list[Point]) -> int:
    kind = WORD
    letters = [point for point in word if point.cls == LETTER]
    changed = [point for point in letters if point.folded != point.code]
    if any(point.cls == DIGIT for point in word):
        kind |= NUMBER
    if word[0] in changed:
        kind |= UPPER
    if len(letters) >= 2 and len(changed) == len(letters):
        kind |= ALLCAPS
    return kind
