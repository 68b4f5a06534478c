"""Is a document prose, and in English? The detector was made for that, and abstains from the rest.

Rules on countable evidence, in this order: too little text; lines of code; commands of maths; columns; items;
phrases of page furniture; else prose, or mixed: prose with traces of code, tables or maths. Mixed text has a score
and a probability, but no label: those need the stricter test. Language is told by function words and script. Nothing
is learned, so a reason can be read off the counts; the rates on known text are in docs/detector.md.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.kernels import gate as counts
from curation.kernels.gate import gate_kernel, vocabulary_kernel
from curation.kernels.hashing import word_hash
from curation.kernels.tokens import WORD
from curation.text.tokens import Tokens

#: changes whenever the gate of some text changes; part of the hash that signals carry
GATE_VERSION = "gate-4"
GATES = ("prose", "code", "table", "list", "maths", "boilerplate", "short", "empty", "mixed")
PROSE, CODE, TABLE, LIST, MATHS, BOILERPLATE, SHORT, EMPTY, MIXED = range(9)
LANGS = ("en", "other", "und")
ENGLISH, OTHER, UNDETERMINED = range(3)
SHORT_WORDS = 20  # fewer words carry no evidence of either

_ENGLISH = """the of and to that is was for it with as on be by this are have or from not but at you he
she they we which his her had has were an their been would there if who will more when so can what about
my your i in a no do out up into than them these could some other its our then only may any over such how
should me him your don't it's i'm because after before where while also did does just very"""
_OTHER = """der die das und ist nicht ein eine von mit den dem des auf für zu im sich auch werden wird
le la les des et est une dans pour que qui sur pas du au avec il elle nous vous sont plus
el los las y es en un por con para del se lo como más pero sus está una
o os as e em não uma com por mais dos da na no ao como foi
il di che è per una con non sono della gli nel dei al
de het een van en dat op te zijn niet voor met aan ook er
og det som på av til är och att för jeg ikke ja ei se on että oli ovat
и в не на что с по как это для из к от а но он она они мы вы или бы за у
се да на е от за са не се ще като
w z na się nie jest że do to jak po
bir ve bu için ile da de çok
dan yang di ini itu untuk dengan tidak adalah
a az és hogy nem egy je na se za do že v s to"""
# page furniture, not the topics that it stands around
_FURNITURE = """cookie cookies login logout signup subscribe newsletter copyright sitemap unsubscribe
javascript menu navigation toggle checkout cart wishlist homepage disclaimer reserved rights trademarks
facebook twitter instagram pinterest linkedin share follow permalink breadcrumb rss faq username password
browser click"""
# words that open statements of programs and are rare at this density in prose
_KEYWORDS = """def elif self func nil struct const static void int float bool str char var null args
kwargs async await isinstance enum typedef println printf stdout stderr init namespace elseif endif
foreach lambda fmt errorf sizeof"""


class Gate(NamedTuple):
    """code uint8[docs] into GATES and lang uint8[docs] into LANGS."""

    code: np.ndarray
    lang: np.ndarray


@cache
def _vocabulary() -> tuple[np.ndarray, np.ndarray]:
    """Open-addressed table of word hashes and classes: 1 English, 2 other language, 3 furniture, 4
    keyword."""
    english = set(_ENGLISH.split())
    words = {w: 2 for w in _OTHER.split() if w not in english}
    words |= {w: 3 for w in _FURNITURE.split()} | {w: 4 for w in _KEYWORDS.split()} | {w: 1 for w in english}
    keys, classes = np.zeros(2048, np.uint64), np.zeros(2048, np.uint8)
    for word in sorted(words):
        value = word_hash(word)
        slot = value & 2047
        while classes[slot]:
            slot = (slot + 1) & 2047
        keys[slot], classes[slot] = value, words[word]
    return keys, classes


def measures(tokens: Tokens, data: np.ndarray, starts: np.ndarray) -> dict[str, np.ndarray]:
    """The shares that the gate decides on, float64[docs] each; arguments as `gate`."""
    docs = len(starts) - 1
    lines = np.zeros((docs, counts.COUNTS), np.int64)
    gate_kernel(data, starts, lines)
    found = np.zeros((docs, 5), np.int64)
    vocabulary_kernel(tokens.hash, tokens.kind, tokens.offsets, WORD, *_vocabulary(), found)
    black, rows = np.maximum(lines[:, counts.BYTES], 1), np.maximum(lines[:, counts.LINES], 1)
    words = np.maximum(found[:, 0], 1)
    return {
        "words": found[:, 0].astype(np.float64),
        "tokens": np.diff(tokens.offsets).astype(np.float64),
        "lines": lines[:, counts.LINES].astype(np.float64),
        "code": lines[:, counts.CODE_BYTES] / black,
        "table": lines[:, counts.TABLE_BYTES] / black,
        "list": lines[:, counts.LIST_BYTES] / black,
        "list_bytes": lines[:, counts.LIST_BYTES] / np.maximum(lines[:, counts.LIST_LINES], 1),
        "maths": lines[:, counts.MATHS] / black,
        "formulas": lines[:, counts.MATHS].astype(np.float64),
        "letters": lines[:, counts.LETTERS] / black,
        "digits": lines[:, counts.DIGITS] / black,
        "sentences": lines[:, counts.SENTENCES] / words,
        "short_lines": lines[:, counts.SHORT_LINES] / rows,
        "joints": lines[:, counts.JOINTS] / words,
        "comments": lines[:, counts.COMMENT_BYTES] / black,
        "indented": lines[:, counts.INDENT_BYTES] / black,
        "rows": lines[:, counts.ROW_BYTES] / black,
        "script": lines[:, counts.SCRIPT] / np.maximum(lines[:, counts.LETTERS], 1) * 2,
        "english": found[:, 1] / words,
        "other": found[:, 2] / words,
        "furniture": found[:, 3] / words,
        "keywords": found[:, 4] / words,
    }


def gate(tokens: Tokens, data: np.ndarray, starts: np.ndarray) -> Gate:
    """Gate and language of each document.

    tokens of the batch; data uint8[bytes] and starts int64[docs + 1] as `text_buffer` gives them.
    """
    m = measures(tokens, data, starts)
    english = (m["english"] >= 0.1) & (m["english"] >= 1.5 * m["other"]) & (m["script"] < 0.2)
    foreign = ~english & ((m["script"] > 0.2) | ((m["other"] >= 0.1) & (m["other"] > 1.2 * m["english"])))
    lang = np.where(english, ENGLISH, np.where(foreign, OTHER, UNDETERMINED)).astype(np.uint8)
    flowing = (m["english"] >= 0.3) & (m["sentences"] >= 0.02)
    rules = [
        (EMPTY, m["tokens"] == 0),
        (SHORT, (m["words"] < SHORT_WORDS) & (m["table"] < 0.5) & (m["code"] < 0.5)),
        (MATHS, (m["maths"] > 0.03) & (m["keywords"] < 0.05)),
        (CODE, (m["code"] > 0.4) | ((m["code"] > 0.2) & ~flowing) | (m["keywords"] > 0.04)),
        (TABLE, (m["table"] > 0.5) | (m["digits"] > 0.3)),
        (BOILERPLATE, (m["furniture"] > 0.05) | ((m["furniture"] > 0.03) & ~flowing)),
        (LIST, (m["list"] > 0.6) & (m["list_bytes"] < 50) & ~flowing),
        (LIST, (m["short_lines"] > 0.7) & (m["lines"] >= 8) & ~flowing),
        (LIST, (m["sentences"] < 0.01) & (m["english"] < 0.12) & ~foreign),
    ]
    code = np.full(len(starts) - 1, PROSE, np.uint8)
    for value, hit in reversed([*rules, (MIXED, _traces(m))]):
        code[hit] = value
    return Gate(code, lang)


def _traces(m: dict[str, np.ndarray]) -> np.ndarray:
    """bool[docs]: too much of what programs, tables and formulas are made of for a label, if prose at all."""
    beside = np.maximum(m["comments"], m["indented"])
    code = (beside > 0.15) | (m["code"] > 0.25) | (m["joints"] > 0.25)
    code |= (beside > 0.06) & (m["joints"] > 0.03)
    code |= (beside > 0.04) & (m["code"] > 0.08)
    code |= (m["keywords"] > 0.02) & (m["code"] > 0.12)
    code |= (m["english"] < 0.21) & (m["joints"] > 0.03) & (m["code"] > 0.04)
    # columns of prose beside columns of numbers, or no sentence that ends
    rows = (m["rows"] > 0.5) | ((m["rows"] > 0.2) & (m["digits"] > 0.08))
    rows |= (m["rows"] > 0.3) & (m["sentences"] < 0.02)
    table = (rows & (m["lines"] >= 6)) | (m["letters"] < 0.74)
    maths = (m["maths"] > 0.01) | ((m["maths"] > 0.0005) & (m["code"] > 0.1))
    maths |= (m["maths"] > 0.003) & ((m["joints"] > 0.05) | (m["formulas"] >= 4))
    return np.asarray(code | table | maths)


def gate_codes(names: pa.Array) -> np.ndarray:
    """Codes uint8[docs] of a column of gate names; unknown or null counts as prose."""
    return _codes(names, GATES, PROSE)


def lang_codes(names: pa.Array) -> np.ndarray:
    """Codes uint8[docs] of a column of languages; null or a name that is not in LANGS counts as
    undetermined."""
    return _codes(names, LANGS, UNDETERMINED)


def _codes(names: pa.Array, table: tuple[str, ...], default: int) -> np.ndarray:
    found = pc.index_in(names, value_set=pa.array(table, names.type)).to_numpy(zero_copy_only=False)
    return np.where(found >= 0, found, default).astype(np.uint8)  # null is NaN here
