"""The tokeniser: what it does to the texts that matter, and equality with the readable reference on any bytes."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.kernels.hashing import word_hash
from curation.kernels.tokens import ALLCAPS, CHAR, LINE, NUMBER, PUNCT, UPPER, WORD
from curation.text import reference, text_buffer, tokenise

PIECES = [
    b"don't", "l\u2019homme".encode(), b"'", b"''", b"'a", b"a'", b"a'1", b"5'x", "\u200b".encode(), "\u00ad".encode(),
    "\ufeff".encode(), "x\u200by".encode(), "'\u200bx".encode(), b"...", b"!!", "\u2026.".encode(), "\u2014-".encode(),
    ".\u200b.".encode(), "漢字かなคำไทย".encode(), "한국어".encode(),
    "\U00020000\U0002f800".encode(), "😀👨‍👩‍👧".encode(),
    "\U0001d400\U00010400".encode(), "'\U00010400".encode(), b"NASA", b"Ab", b"A1", b"1st", b"x86_64", b"\n", b"\r\n",
    b" ", b"\t", "\u2028".encode(), b"\xed\xa0\x80", b"\xed\xb0\x80", b"\xc0\xaf", b"\xe0\x80\x80", b"\xf0\x80\x80\x80",
    b"\xf4\x90\x80\x80", b"\xf5", b"\xff", b"\x80", b"\xe6\xbc", b"\xf0\x9f\x98", b"\xc3", "é".encode(), "É".encode(),
    "İ".encode(), "ß".encode(), "\u0301".encode(), "\u0660\u0661".encode(), "Ⅷ½".encode(), b"\x00", b"\x0b", b"A" * 300,
    b"-" * 300, "漢".encode() * 3, b"\xe2\x80",
]  # fmt: skip


def found(documents: list[bytes]) -> list[list[tuple[int, int, int]]]:
    tokens = tokenise(pa.array(documents, pa.large_binary()))
    rows = list(zip(tokens.hash.tolist(), tokens.kind.tolist(), tokens.length.tolist(), strict=True))
    return [rows[a:b] for a, b in zip(tokens.offsets[:-1], tokens.offsets[1:], strict=True)]


def expected(documents: list[bytes]) -> list[list[tuple[int, int, int]]]:
    return [[(t.hash, t.kind, t.length) for t in reference.tokens(document)] for document in documents]


@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join), max_size=5))
@settings(max_examples=400, deadline=None)
def test_kernel_equals_reference_on_awkward_pieces(documents):
    assert found(documents) == expected(documents)


@given(st.lists(st.text(max_size=40).map(lambda t: t.encode("utf-8", "surrogatepass")), max_size=4))
@settings(max_examples=200, deadline=None)
def test_kernel_equals_reference_on_any_unicode(documents):
    assert found(documents) == expected(documents)


@given(st.lists(st.binary(max_size=60), max_size=4))
@settings(max_examples=200, deadline=None)
def test_kernel_equals_reference_on_any_bytes(documents):
    assert found(documents) == expected(documents)


@given(st.text(alphabet="aB1' .!\n-é漢😀", max_size=60), st.integers(0, 200))
@settings(max_examples=200, deadline=None)
def test_kernel_equals_reference_on_truncated_text(text, cut):
    document = text.encode()[:cut]
    assert found([document]) == expected([document])


def test_every_code_point_alone_and_in_a_word():
    points = [c for c in range(0x10000) if not 0xD800 <= c < 0xE000] + list(range(0x10000, 0x110000, 97))
    documents = [f"{chr(c)} A{chr(c)}b".encode() for c in points]
    assert found(documents) == expected(documents)


def words(text: str) -> list[str]:
    return [t.text for t in reference.tokens(text.encode())]


def test_what_is_a_token():
    assert words("Don\u2019t panic, it's 3.5%!!!") == ["don't", "panic", ",", "it's", "3", ".", "5", "%", "!"]
    assert words("the dogs' \u201cbone\u201d *bold* #1") == ["the", "dogs", "bone", "bold", "1"]
    assert words("漢字 ไทย") == ["漢", "字", "ไ", "ท", "ย"]
    assert words("soft\u00adhyphen zero\u200bwidth") == ["softhyphen", "zerowidth"]
    assert words("naïve ÉCOLE") == ["naïve", "école"]
    assert words("") == words(" \n\t") == words("😀") == []


def test_kinds():
    tokens = tokenise(pa.array(["NASA Paris a\n4x !! 漢"]))
    assert tokens.kind.tolist() == [
        WORD | UPPER | ALLCAPS | LINE, WORD | UPPER, WORD, WORD | NUMBER | LINE, PUNCT, WORD | CHAR,
    ]  # fmt: skip
    assert tokens.length.tolist() == [4, 5, 1, 2, 2, 1]
    assert int(tokens.hash[1]) == word_hash("paris")


@pytest.mark.parametrize("make", [
    lambda a: a, lambda a: a.cast(pa.large_string()), lambda a: a.cast(pa.string_view()),
    lambda a: a.dictionary_encode(), lambda a: a.cast(pa.large_string()).dictionary_encode(),
    lambda a: a.cast(pa.binary()), lambda a: pa.concat_arrays([pa.array(["x y"]), a, pa.array(["z"])]).slice(1, 4),
])  # fmt: skip
def test_every_arrow_form_of_text_gives_the_same_tokens(make):
    plain = pa.array(["One two", None, "", "três"])
    first, second = tokenise(plain), tokenise(make(plain))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


def test_bytes_under_a_null_are_not_read():
    array = pa.Array.from_buffers(
        pa.string(),
        2,
        [pa.py_buffer(b"\x02"), pa.py_buffer(np.array([0, 3, 6], np.int32)), pa.py_buffer(b"abcdef")],
    )
    assert tokenise(array).offsets.tolist() == [0, 0, 1]


def test_text_buffer_refuses_what_is_not_text():
    with pytest.raises(TypeError, match="int64"):
        text_buffer(pa.array([1]))
    with pytest.raises(TypeError, match="chunks"):
        text_buffer(pa.chunked_array([["a"]]))


def test_documents_do_not_touch():
    together, apart = (
        tokenise(pa.array(["ab", "cd", "'s"])),
        [tokenise(pa.array([t])) for t in ("ab", "cd", "'s")],
    )
    assert together.hash.tolist() == [h for part in apart for h in part.hash.tolist()]
    assert all(kind & LINE for kind in together.kind)


def test_every_byte_is_classified_in_vectors_as_one_by_one():
    # the last 63 bytes of all texts are looked at one by one, those before them in vectors
    for byte in range(256):
        document = bytes([byte]) + b"a" + bytes([byte]) + b"A1" + bytes([byte]) * 2
        alone, followed = found([document])[0], found([document, b" " * 64])[0]
        assert alone == followed == expected([document])[0], byte
