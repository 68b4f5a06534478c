"""Marginal costs, machine line, tables and marked sections."""

import sys

import pytest
from benchlib.costs import Line, cpu_seconds, fit, machine, rate, run_process
from benchlib.tables import replace_section, show, table
from hypothesis import given
from hypothesis import strategies as st

numbers = st.floats(-1e3, 1e3)


@given(slope=numbers, fixed=numbers, amounts=st.lists(st.integers(0, 1000), min_size=2, max_size=8, unique=True))
def test_a_line_is_found_again(slope, fixed, amounts):
    line = fit(amounts, [fixed + slope * amount for amount in amounts])
    assert line.slope == pytest.approx(slope, abs=1e-6)
    assert line.fixed == pytest.approx(fixed, abs=1e-4)


def test_least_squares_between_noisy_points():
    assert fit([0, 1, 2], [0, 3, 3]) == pytest.approx(Line(1.5, 0.5))


@pytest.mark.parametrize("amounts", [[], [1.0], [2.0, 2.0]])
def test_one_size_has_no_margin(amounts):
    with pytest.raises(ValueError, match="two sizes"):
        fit(amounts, [1.0] * len(amounts))


def test_rate_is_unknown_where_cost_does_not_grow():
    assert rate(Line(0.25, 1.0)) == 4.0
    assert rate(Line(-0.1, 1.0)) is None
    assert rate(Line(0.0001, 1.0), least_seconds=0.0005) is None


def test_cpu_seconds_leaves_out_the_first_call():
    calls = []

    def slow_at_first():
        calls.append(1)
        if len(calls) == 1:
            sum(range(5_000_000))

    assert cpu_seconds(slow_at_first, repeats=3) < 0.02
    assert len(calls) == 4


def test_a_process_is_charged_with_its_children():
    burn = "import time\nwhile time.process_time() < .3: pass"
    alone = run_process([sys.executable, "-c", "pass"])
    spawn = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}])"
    parent = run_process([sys.executable, "-c", spawn])
    assert parent.cpu_seconds - alone.cpu_seconds > 0.2
    assert parent.peak_rss > 1_000_000


def test_a_failing_process_is_quoted():
    with pytest.raises(RuntimeError, match="no such luck"):
        run_process([sys.executable, "-c", "raise SystemExit('no such luck')"])


def test_the_machine_line_names_versions():
    assert "cores" in machine() and "numpy" in machine()


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "–"), (0.0, "0"), (1234567, "1,234,567"), (1234.5, "1,234"), (12.345, "12.3"), (0.012345, "0.0123")],
)
def test_cells(value, shown):
    assert show(value) == shown


def test_a_table_has_one_width():
    assert table(["a", "b"], [["x", 1]]).splitlines() == ["| a | b |", "| --- | ---: |", "| x | 1 |"]
    with pytest.raises(ValueError, match="2 cells"):
        table(["a"], [["x", 1]])


DOCUMENT = "before\n<!-- bench:one -->\nold\n<!-- /bench:one -->\nafter <!-- bench:two --><!-- /bench:two -->\n"


def test_a_section_is_replaced_and_the_rest_stays():
    once = replace_section(DOCUMENT, "one", "| new |\n")
    assert once == DOCUMENT.replace("\nold\n", "\n\n| new |\n\n")
    assert replace_section(once, "one", "| new |") == once


@pytest.mark.parametrize("name", ["three", "on"])
def test_an_unknown_section_is_named_with_those_there_are(name):
    with pytest.raises(ValueError, match="one, two"):
        replace_section(DOCUMENT, name, "")
