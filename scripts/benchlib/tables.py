"""Markdown tables, and the marked sections of a document that they go to."""

import re
from collections.abc import Sequence

Cell = str | float | int | None


def show(value: Cell) -> str:
    """A number with three significant digits, a count in full, and a dash for None."""
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return f"{value:,}"
    if value == 0:
        return "0"
    digits = max(0, 2 - int(f"{abs(value):e}".partition("e")[2]))
    return f"{value:,.{min(digits, 4)}f}"


def table(header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """A Markdown table; the first column is text, the others are numbers.

    Raises ValueError for a row of another width than the header.
    """
    for row in rows:
        if len(row) != len(header):
            raise ValueError(f"a row of {len(row)} cells under a header of {len(header)}: {row}")
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *([show(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def replace_section(document: str, name: str, body: str) -> str:
    """The document with what stands between `<!-- bench:NAME -->` and `<!-- /bench:NAME -->` replaced.

    Raises ValueError unless there is exactly one such pair.
    """
    opening, closing = f"<!-- bench:{name} -->", f"<!-- /bench:{name} -->"
    once = document.count(opening) == document.count(closing) == 1
    if not once or document.index(opening) > document.index(closing):
        known = ", ".join(re.findall(r"<!-- bench:(\S+) -->", document)) or "none"
        raise ValueError(f"no section {name!r}: put {opening} and {closing} around it; there are {known}")
    before, _, rest = document.partition(opening)
    _, _, after = rest.partition(closing)
    return f"{before}{opening}\n\n{body.strip()}\n\n{closing}{after}"
