"""The counts of the gate against regular expressions on lines, which anybody can read."""

import re

import numpy as np
import pyarrow as pa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from curation.kernels import gate
from curation.text import text_buffer

L = rb"[A-Za-z\x80-\xff]"
ITEM = rb"[*+-] |\xe2\x80\xa2.|(?:[0-9]{1,3}|[A-Za-z])[.)] "
COMMENTS = (rb"//", rb"/\*", rb"\*/", rb">>>", rb'"""')


def count(pattern: bytes, line: bytes) -> int:
    return len(re.findall(pattern, line))


def expected(data: bytes) -> list[int]:
    row = dict.fromkeys(range(gate.COUNTS), 0)
    before, hashed, starred, inside = (0, 0, 0, 0), False, False, False
    for raw in data[: gate.READ].split(b"\n"):
        line = raw.strip(b" \t\v\f\r")
        if not line:
            continue
        indent = sum(4 if c == 9 else 1 for c in raw[: len(raw) - len(raw.lstrip(b" \t\v\f\r"))])
        black, digits = count(rb"\S", line), count(rb"[0-9]", line)
        signs = count(rb"[{}\[\];=<>\\^~|&+$_@%]", line)
        calls = count(rb"(?<=" + L + rb")\(", line)
        calls += count(rb"(?:(?<=[0-9])|(?<=" + L + rb"))\.(?=" + L + rb")", line)
        sentences = count(rb"(?<=\S)[.!?](?=\s|$)", line)
        code = 2 if line[-1:] in b";{}" else int(indent >= 2 and line[-1:] in b"(),:[]")
        code += 2 if signs * 25 >= black * 2 and signs >= 2 else int(signs * 50 >= black and signs >= 1)
        code += (calls * 40 >= black) + (indent >= 4 and sentences == 0)
        code += len(line) >= 2 and (line[:2] == b"//" or line[:1] == b"@")
        item = bool(re.match(ITEM, line, re.DOTALL))
        bars, tabs = line.count(b"|"), line.count(b"\t")
        marks = count(rb"[,;](?=[^ ])", line) + count(rb" {3,}", line) + bars + tabs
        columns = sentences == 0 and marks >= 2 and (marks * 25 >= len(line) or digits * 4 >= black)
        if columns or (sentences == 0 and digits * 5 >= black * 2):
            row[gate.TABLE_BYTES] += black
        if code >= 2 and not item and not (columns and bars + tabs >= 2):
            row[gate.CODE_BYTES] += black
        gaps = count(rb"(?:[\t\v\f\r0-9{}\[\];=<>\\^~|&+$_@%,)]|" + L + rb") {2,}", line)
        commas = sum(count(rb"[,;]", part) for part in line.split(b'"')[::2])
        now = (bars, tabs, gaps, commas)
        if any(a >= 2 and a == b for a, b in zip(now, before, strict=True)):
            row[gate.ROW_BYTES] += black
        before = now
        if line.endswith(b"*/") and b"/*" not in line[:-1]:  # ends a comment, perhaps one that began before the text
            row[gate.COMMENT_BYTES] = (row[gate.COMMENT_BYTES] if inside else row[gate.BYTES]) + black
            inside = False
        else:
            now_starred = bool(re.match(rb"\*\*( |$)", line))
            inside |= line.startswith(b"/*") and not line.endswith(b"*/")
            comment = inside or (starred and now_starred) or any(re.match(opening, line) for opening in COMMENTS)
            comment |= line[:2] == b"* " and indent % 2 == 1
            comment |= line[:1] == b"#" and hashed and len(line) > 1
            row[gate.COMMENT_BYTES] += black * comment
            starred = now_starred
        hashed = line[:1] == b"#"
        row[gate.INDENT_BYTES] += black * (indent >= 4)
        joints = (rb"(?<=[a-z])[A-Z]", rb"(?<=" + L + rb")_", rb"(?<=-)>", rb"(?<=:):")
        row[gate.JOINTS] += calls + sum(count(joint, line) for joint in joints)
        row[gate.MATHS] += count(rb"\\(?=" + L + L + rb")", line) + count(rb"\$(?![0-9])", line)
        row[gate.SCRIPT] += count(rb"[\xcd-\xe1\xe3-\xef]", line)
        row[gate.BYTES] += black
        row[gate.LETTERS] += count(L, line)
        row[gate.DIGITS] += digits
        row[gate.LINES] += 1
        row[gate.SENTENCES] += sentences
        row[gate.LIST_LINES] += item
        row[gate.LIST_BYTES] += black * item
        row[gate.SHORT_LINES] += len(line) <= 40 and line[-1:] not in b'.!?"'
    return list(row.values())


PIECES = [
    *("word", "Word", "aB", "a_b", "f(", "a.b", "x::y", "->", "\\alpha", "\\n", "$x", "$5", "12", "3.5", "it's", "é"),
    *("漢字", ", ", ",", "; ", ";", ". ", ".", "! ", "?", "  ", "   ", "\t", "|", " | ", '"', '"a, b"', "{", "}", "="),
    *(":", ")", "\n", "\n\n", "\n    ", "\n\t", "\n# ", "\n// ", "\n * ", "\n** ", "\n/* ", " */", "*/", "/*"),
    *("\n- ", "\n1. ", "\n• ", "\n>>> ", '\n"""', "\r\n", " ", "\x0b"),
]  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=80), st.integers(0, 70))
@example(["a, b, ", "\n"], 0)
@example(["word. "] * 40 + ["\n"], 63)
def test_the_kernel_counts_what_regular_expressions_do(pieces: list[str], shift: int) -> None:
    # shifted, so that every pattern comes to lie across the ends of the masks
    check(["x" * shift + "".join(pieces)])


def test_only_the_first_16_kb_count_and_documents_do_not_touch() -> None:
    random = np.random.default_rng(1)
    long = ["".join(random.choice(PIECES, 9000)) for _ in range(3)]
    check([long[0], "", "\n", long[1], "a", long[2] + "\n"])


def check(texts: list[str]) -> None:
    data, starts = text_buffer(pa.array(texts, pa.large_string()))
    found = np.zeros((len(texts), gate.COUNTS), np.int64)
    gate.gate_kernel(data, starts, found)
    for text, row in zip(texts, found.tolist(), strict=True):
        assert row == expected(text.encode())
