"""Tokens of an Arrow text column.

A token is a word (a maximal run of letters, marks and digits, with apostrophes between letters kept), one character
of a script written without spaces (Han, Kana, Thai, Lao, Khmer, Burmese), or a run of one punctuation mark. Words are
case-folded one code point at a time; curly quotes and dashes become ASCII; zero-width characters do not count;
quotation marks, markdown signs, white space, symbols and malformed bytes separate.
"""

from functools import cache
from importlib import resources
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from curation.kernels.tokens import tokenise_kernel

#: changes whenever the tokens of some text change; part of the hash that signals carry
TOKENISER = "tokens-1"


class Tokens(NamedTuple):
    """Tokens of the documents of one batch, in order.

    hash uint64[t]; kind uint8[t], bits `kernels.tokens.WORD`, NUMBER, PUNCT, UPPER, ALLCAPS, LINE (first of its
    line) and CHAR; length uint8[t], code points, at most 255; offsets int64[documents + 1] into them.
    """

    hash: np.ndarray
    kind: np.ndarray
    length: np.ndarray
    offsets: np.ndarray


@cache
def unicode_tables() -> tuple[np.ndarray, np.ndarray]:
    """Class (uint8[65536]) and folded code point (uint16[65536]) of every code point of the basic plane.

    Shipped in unicode.npz, written by scripts/build_unicode_tables.py; folding is stored as folded - code mod 2^16.
    """
    with resources.files("curation.text").joinpath("unicode.npz").open("rb") as file:
        tables = np.load(file, allow_pickle=False)
        return tables["classes"], tables["shift"] + np.arange(65536, dtype=np.uint16)


def text_buffer(text: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """The bytes and offsets of a text column: (uint8[bytes], int64[documents + 1]), without copying the bytes.

    Takes string, large_string, string_view, binary and dictionary-encoded text; a null counts as empty text.
    Raises TypeError for any other type.
    """
    if isinstance(text, pa.ChunkedArray):
        raise TypeError("text_buffer takes one pyarrow.Array, not a ChunkedArray: pass its chunks one by one")
    if pa.types.is_dictionary(text.type):
        text = text.dictionary_decode()
    if pa.types.is_string_view(text.type):
        text = text.cast(pa.large_string())
    if pa.types.is_string(text.type) or pa.types.is_binary(text.type):
        width: np.dtype[np.signedinteger] = np.dtype(np.int32)
    elif pa.types.is_large_string(text.type) or pa.types.is_large_binary(text.type):
        width = np.dtype(np.int64)
    else:
        raise TypeError(f"text must be a string column, not {text.type}")
    if text.null_count:
        # the bytes under a null are undefined, so nulls are made empty explicitly
        text = text.fill_null(b"" if "binary" in str(text.type) else "")
    _, offsets, data = text.buffers()
    if len(text) == 0 or offsets is None:
        return np.zeros(0, np.uint8), np.zeros(len(text) + 1, np.int64)
    starts = np.frombuffer(offsets, width)[text.offset : text.offset + len(text) + 1].astype(np.int64)
    bytes_ = np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(0, np.uint8)
    return bytes_, starts


def tokenise(text: pa.Array) -> Tokens:
    """Tokens of each document of a text column; nulls have none."""
    data, starts = text_buffer(text)
    first, last = int(starts[0]), int(starts[-1])
    offsets = np.empty(len(starts), np.int64)
    # a token for every three bytes is plenty for words; texts of single marks or characters take a second look
    for size in ((last - first) // 3, last - first):
        hashes, kinds, lengths = np.empty(size, np.uint64), np.empty(size, np.uint8), np.empty(size, np.uint8)
        n = tokenise_kernel(data[first:last], starts - first, *unicode_tables(), hashes, kinds, lengths, offsets)
        if n >= 0:
            break
    return Tokens(hashes[:n], kinds[:n], lengths[:n], offsets)
