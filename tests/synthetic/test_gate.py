"""What the gate lets pass, on text that anybody can check by eye."""

import inspect
import json
import textwrap

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.text import text_buffer, tokenise
from curation.text.gate import GATES, LANGS, gate, gate_codes, lang_codes

ESSAY = (
    "When I was a child my grandmother kept bees at the end of the orchard, and every August we carried the frames "
    "down to the kitchen. She said that the honey was different each year because of what the hedges had done. I did "
    "not believe her then. It was only after she died, and I had to sell the house, that I noticed how the smell of "
    "the room had changed with the weather. "
)
MAIL = (
    "Hi all,\n\nThanks for the report. I can reproduce it here with the latest build, but only when the cache is cold. "
    "Could somebody with an older machine have a look?\n\nOn Tue, Mark wrote:\n> I think that it is the same problem "
    "that we had in March, but I am not sure that the fix was ever merged.\n> It would be good to know.\n\nCheers,\n"
    "Ann\n"
)
DOCUMENT = (
    "# Getting started\n\nThe server reads its settings from a file when it starts. If there is no such file, it uses "
    "the values that are listed below, which are safe for most users.\n\n- **port**: the number of the port that the "
    "server should listen on, if you do not want it to choose one for you.\n- **log**: where it writes what it does, "
    "and how much of it.\n\nYou can also set these with `serve --port 80`, which is useful when you try things out.\n"
)
GERMAN = (
    "Als ich ein Kind war, hatte meine Großmutter am Ende des Gartens einen Bienenstock, und im August trugen wir die "
    "Waben in die Küche. Sie sagte, dass der Honig in jedem Jahr anders schmeckt, und das ist auch so gewesen. "
)
RUSSIAN = "Когда я был ребёнком, моя бабушка держала пчёл в конце сада, и каждый август мы носили соты на кухню. "
CHINESE = "我小时候，祖母在果园的尽头养蜂，每年八月我们都把蜂巢搬到厨房里。她说每年的蜂蜜都不一样。"
LATEX = (
    r"\begin{theorem} Let $f \colon \mathbb{R}^n \to \mathbb{R}$ be smooth. Then $\int_0^1 f(x)\,dx = \sum_{k} a_k$ "
    r"and \[ \frac{\partial f}{\partial x_i} = \lim_{h \to 0} \frac{f(x + h e_i) - f(x)}{h} \leq \alpha \| x \|. \] "
    r"\end{theorem} "
)
CSV = "id,name,joined,score\n" + "".join(
    f"{i},{'ab' * (i % 3 + 1)},2019-03-{i % 28 + 1:02d},{i * 7 % 50}.5\n" for i in range(40)
)
BARS = "| year | north | south |\n|---|---|---|\n" + "".join(
    f"| {1990 + i} | {i * 31 % 97} | {i * 17 % 89} |\n" for i in range(30)
)
LINKS = (
    "Home\nAbout us\nNews\nProducts\nPrices\nSupport\nContact\nImprint\nJobs\nPartners\nDownloads\nEvents\nPress\n" * 3
)
FURNITURE = (
    "Accept all cookies. Log in or sign up. Subscribe to our newsletter. Follow us on Twitter and Facebook. "
    + ("Copyright 2019, all rights reserved. Privacy policy, cookies, sitemap, RSS, login, share, menu, disclaimer. ")
)
JAVA = """
public final class Counter {
    private final Map<String, Integer> counts = new HashMap<>();

    public void add(String word) {
        counts.merge(word, 1, Integer::sum);
        if (counts.size() > LIMIT) {
            throw new IllegalStateException("too many: " + counts.size());
        }
    }
}
"""


def gated(*texts: str) -> list[tuple[str, str]]:
    column = pa.array(texts, pa.large_string())
    found = gate(tokenise(column), *text_buffer(column))
    return [(GATES[c], LANGS[x]) for c, x in zip(found.code, found.lang, strict=True)]


@pytest.mark.parametrize("text", [ESSAY, MAIL, DOCUMENT, ESSAY.lower().replace(".", ""), ESSAY.replace(". ", ".\n\n")])
def test_prose_passes(text: str) -> None:
    assert gated(text, text * 30) == [("prose", "en")] * 2


@pytest.mark.parametrize(("text", "lang"), [(GERMAN, "other"), (RUSSIAN, "other"), (CHINESE, "other")])
def test_prose_in_other_languages_is_prose_in_another_language(text: str, lang: str) -> None:
    assert gated(text * 2) == [("prose", lang)]


@pytest.mark.parametrize(
    "text",
    [inspect.getsource(textwrap), inspect.getsource(json.decoder), inspect.getsource(inspect), JAVA],
    ids=["textwrap", "json.decoder", "inspect", "java"],
)
def test_code_is_caught(text: str) -> None:
    assert gated(text)[0][0] == "code"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (CSV, "table"),
        (BARS, "table"),
        (LATEX * 3, "maths"),
        (LINKS, "list"),
        (FURNITURE * 3, "boilerplate"),
        ("Only a few words here.", "short"),
        ("", "empty"),
        (" \n\t ", "empty"),
    ],
)
def test_the_rest_is_named(text: str, expected: str) -> None:
    assert gated(text)[0][0] == expected


def test_a_quotation_of_code_does_not_make_an_essay_code() -> None:
    assert gated(ESSAY * 4 + "\n    x = f(y);\n" + ESSAY * 4) == [("prose", "en")]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.text(max_size=80), st.sampled_from([ESSAY, JAVA, CSV, GERMAN])), min_size=1, max_size=6))
def test_a_verdict_does_not_depend_on_the_batch(texts: list[str]) -> None:
    assert gated(*texts) == [gated(text)[0] for text in texts]


HEADER = "".join(f" * {line}\n" for line in textwrap.wrap(ESSAY, 70))
RECORDS = "".join(f'{i},"{line}",2019-03-{i % 28 + 1:02d}\n' for i, line in enumerate(textwrap.wrap(ESSAY * 4, 90)))
WIDE = "".join(f"| {i} | {line} | kept |\n" for i, line in enumerate(textwrap.wrap(ESSAY * 4, 90)))
DOCSTRING = textwrap.indent(textwrap.fill(ESSAY * 2, 70), "    ")
PAPER = ESSAY + r"Let $x \in \mathbb{R}$ be one of them, and $y \to x$ another, so $\alpha x = y$. " + ESSAY


# columns that blanks keep apart: where a cell fills its column, or ends as a sentence does, one gap is missing
ALIGNED = "".join(
    f"{i + 1:<5}{line + '.' * (i % 2):<89}20{i % 30:02d}-04-11    {100 + 7 * i}\n"
    for i, line in enumerate(textwrap.wrap(ESSAY * 4, 90))
)
LECTURE = (ESSAY + "Let $x$ be one of them. ") * 3


@pytest.mark.parametrize(
    "text",
    [f"/*\n{HEADER} */\n", RECORDS, WIDE, WIDE.replace(" | ", "\t"), ALIGNED, DOCSTRING, PAPER, PAPER * 5, LECTURE],
    ids=["comment", "csv", "bars", "tabs", "aligned", "docstring", "paper", "long paper", "lecture"],
)
def test_prose_with_traces_of_something_else_is_mixed(text: str) -> None:
    assert gated(text) == [("mixed", "en")]


@pytest.mark.parametrize(
    "text", [ESSAY + "It was $x$ all along. " + ESSAY, ESSAY + "He owed me $20 and then $30, or $40. " * 3 + ESSAY]
)
def test_one_formula_or_some_prices_leave_prose_prose(text: str) -> None:
    assert gated(text) == [("prose", "en")]


def test_any_bytes_have_a_verdict() -> None:
    column = pa.array([b"\xff\xfe\\$\x00" * 50, None, b"\xe2\x80", b"-"], pa.binary())
    found = gate(tokenise(column), *text_buffer(column))
    assert [GATES[c] for c in found.code[1:]] == ["empty", "empty", "short"] and found.code[0] != 0


def test_a_slice_is_gated_like_the_whole() -> None:
    column = pa.array([JAVA, ESSAY, CSV, GERMAN * 2])
    part = column.slice(1, 2)
    found = gate(tokenise(part), *text_buffer(part))
    assert [GATES[c] for c in found.code] == ["prose", "table"]


def test_names_become_codes_again() -> None:
    np.testing.assert_array_equal(
        gate_codes(pa.array(["table", None, "prose", "odd"])), [GATES.index("table"), 0, 0, 0]
    )
    np.testing.assert_array_equal(lang_codes(pa.array(["other", None, "en", "fr"])), [1, 2, 0, 2])
