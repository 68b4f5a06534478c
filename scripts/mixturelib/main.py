"""The command line of scripts/real_mixtures."""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchlib.tables import Cell, replace_section, table

from mixturelib.data import COLLECTIONS, SHARE, mixture, read
from mixturelib.detector import without
from mixturelib.judge import Judged, judge
from mixturelib.rules import LEAST_ESS, ess, tempered, weights, world

DESCRIPTION = f"""Mixtures of human and LLM text, {SHARE:.0%} LLM, from L2R, M4 and OUTFOX in turn; the detector has not
seen the collection that is mixed. Prints the human share of the weight and distances from human text on features that
no rule balances, as multiples of those of an oracle of the same effective size, with 90 % bootstrap intervals."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/real_mixtures", description=DESCRIPTION)
    parser.add_argument("data", type=Path, help="holds detection-open and detection-open-2")
    parser.add_argument("--collections", nargs="+", default=list(COLLECTIONS), choices=list(COLLECTIONS))
    parser.add_argument("--develop", action="store_true", help="on half of the odd documents, to choose settings by")
    parser.add_argument("--models", type=Path, help="keep the detectors there, to be used again")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every number there")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="replace its section real-mixtures by the tables")
    options = parser.parse_args(arguments)
    try:
        documents = read(options.data)
    except FileNotFoundError as error:
        print(f"scripts/real_mixtures: {error}", file=sys.stderr)
        return 1
    numbers, parts = {}, []
    with tempfile.TemporaryDirectory(prefix="mixtures-") as scratch:
        folder = options.models or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        for name in options.collections:
            model = without(documents, COLLECTIONS[name], folder / f"without-{name}.npz")
            data = mixture(documents, COLLECTIONS[name], options.develop)
            try:
                found = world(data, model)
            except ValueError as error:  # half of the odd documents of M4 are too few
                print(f"scripts/real_mixtures: {name}: {error}", file=sys.stderr)
                continue
            rows = {}
            for rule, w in weights(found).items():
                rows[rule] = judge(found, data.human, w)
                if ess(w) < LEAST_ESS and not rule.startswith("ours"):  # ours has a setting for that
                    rows[f"{rule}, tempered"] = judge(found, data.human, tempered(w))
            numbers[name] = {rule: row._asdict() for rule, row in rows.items()}
            size = f"{data.crawl.num_rows:,} documents, {data.reference.num_rows:,} in the reference"
            parts.append(f"**{name}** ({size}, {data.target.num_rows:,} to measure with)\n\n{markdown(rows)}")
            print(parts[-1], flush=True)
    if options.json:
        options.json.write_text(json.dumps(numbers, indent=2) + "\n")
    if options.markdown:
        page = options.markdown.read_text("utf-8")
        options.markdown.write_text(replace_section(page, "real-mixtures", "\n\n".join(parts)), "utf-8")
    return 0


def markdown(rows: dict[str, Judged]) -> str:
    """A table with one line a rule."""
    lines: list[list[Cell]] = [
        [rule, _interval(row.human), f"{row.ess:.2f}", _interval(row.frechet), _interval(row.moments)]
        for rule, row in rows.items()
    ]
    head = ["rule", "human share of the weight", "ESS / n", "Frechet distance / oracle's", "moment error / oracle's"]
    return table(head, lines)


def _interval(value: tuple[float, float, float]) -> str:
    return f"{value[0]:.2f} ({value[1]:.2f} to {value[2]:.2f})"
