"""The tokeniser's CUDA twin on segments of 32 bytes: the same tokens as on the CPU, wherever segments fall."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curation.device.sources import SEGMENT
from curation.device.text import tokenise as on_device
from curation.text import reference, text_buffer, tokenise

PIECES = [
    b"don't", "l\u2019homme".encode(), b"'", b"''", b"'a", b"a'", b"5'x", "\u200b".encode(), "\u00ad".encode(),
    "x\u200by".encode(), "'\u200bx".encode(), "y\u200b'z".encode(), b"...", b"!!", "\u2026.".encode(),
    ".\u200b.".encode(), "漢字かなคำไทย".encode(), "한국어".encode(), "\U00020000".encode(), "😀👨‍👩‍👧".encode(),
    "\U0001d400\U00010400".encode(), "'\U00010400".encode(), b"NASA", b"Ab", b"1st", b"\n", b"\r\n", b" ", b"\t",
    b"\xed\xa0\x80", b"\xc0\xaf", b"\xe0\x80\x80", b"\xf4\x90\x80\x80", b"\xff", b"\x80", b"\xe6\xbc", b"\xf0\x9f\x98",
    b"\xc3", "É".encode(), "İ".encode(), "ß".encode(), "\u0301".encode(), b"\x00", b"A" * 70, b"-" * 70, b" " * 70,
    "\u200b".encode() * 25, "漢".encode() * 25, b"'" * 40, b"\n" * 40, b"x'y" * 20, b"\x80" * 5,
]  # fmt: skip
documents = st.lists(st.sampled_from(PIECES), max_size=10).map(b"".join) | st.binary(max_size=50)
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def check(lane, texts):
    column = pa.array(texts, pa.large_binary())
    data, starts = text_buffer(column)
    expected = tokenise(column)
    if not len(data):
        return
    found = on_device(lane, data, starts)
    (offsets,) = lane.fetch(found.offsets)()
    assert offsets.tolist() == expected.offsets.tolist()
    n = int(offsets[-1])
    for got, wanted in zip(lane.fetch(found.hash[:n], found.kind[:n], found.length[:n])(), expected, strict=False):
        assert got.dtype == wanted.dtype
        assert got.tolist() == wanted.tolist()


@quick
@given(st.lists(documents, max_size=6))
def test_tokens_equal_those_of_the_cpu(lane, texts):
    check(lane, texts)


@pytest.mark.parametrize("around", [
    "don't", "a\u200b'b", "é", "漢", "😀", "..", "\u200b\u200b", "\n", "''a", "A\u0301", "'",
])  # fmt: skip
def test_every_place_of_a_segment_boundary(lane, around):
    piece = around.encode()
    # the piece at each distance from the end of a segment, in a word, among spaces and among marks
    texts = [fill * (SEGMENT - 12 + k) + piece + fill * 12 for fill in (b"x", b" ", b".") for k in range(14)]
    padded = [text + b" " * (-len(text) % SEGMENT) for text in texts]
    check(lane, padded)


def test_every_cut_of_a_text(lane):
    whole = "Don’t – “quote”, x\u200by 漢字 Ünïcode… l'homme\r\n\tNASA’s 😀 3.5%!!".encode()
    check(lane, [whole[:cut] for cut in range(len(whole))] + [whole[cut:] for cut in range(len(whole))])


def test_documents_that_are_empty_or_longer_than_a_block(lane):
    long = ("The quick brown fox jumps over the lazy dog, doesn't it?\n" * 200).encode()
    check(lane, [b"", b"", long, b"", b"x", b"y" * 5000, b"", "\u200b".encode() * 700, b" " * 3000 + b"z", b"", b""])


def test_one_token_equals_the_readable_reference(lane):
    text = "Zoë's\u200b'best' — NASA… 漢!!".encode()
    data, starts = text_buffer(pa.array([text], pa.large_binary()))
    found = on_device(lane, data, starts)
    n = int(lane.fetch(found.offsets)()[0][-1])
    rows = zip(*(a.tolist() for a in lane.fetch(found.hash[:n], found.kind[:n], found.length[:n])()), strict=True)
    assert list(rows) == [(t.hash, t.kind, t.length) for t in reference.tokens(text)]


def test_all_code_points_of_the_basic_plane(lane, real):
    step = 1 if real else 23
    texts = [f"{chr(c)} A{chr(c)}b'{chr(c)}".encode() for c in range(0, 0x10000, step) if not 0xD800 <= c < 0xE000]
    check(lane, texts + [f"a{chr(c)}b".encode() for c in range(0x10000, 0x110000, 8 * 1031 if not real else 257)])
    assert np.unique([len(t) for t in texts]).size > 2
