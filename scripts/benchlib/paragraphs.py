"""Counting paragraphs: units found and hashed, with what a shuffle of their hashes costs."""

from collections.abc import Sequence

from benchlib.corpus import batches
from benchlib.costs import cpu_seconds
from benchlib.tables import Cell, table

PARTITIONS = 8
MAX_REPEATS = 10


def measure(texts: Sequence[str], repeats: int) -> dict[str, float]:
    """MB of text per CPU second: `found` only finds and hashes, `counted` also emits the hashes and counts them."""
    import pyarrow as pa

    from curation.dedup import count_units, emit_units, find_units
    from curation.dedup.lines import pack_units, unpack_units

    columns: list[pa.Array] = [batch.column("text") for batch in batches(texts)]
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    found = {}
    for unit in ("paragraph", "line"):

        def find(unit: str = unit) -> None:
            for column in columns:
                find_units(column, unit=unit, min_chars=20)

        def count(unit: str = unit) -> None:
            chunks: dict[int, list] = {}
            for column in columns:
                records, offsets = unpack_units(pack_units(find_units(column, unit=unit, min_chars=20)))
                for number, chunk in emit_units(records, offsets, PARTITIONS).items():
                    chunks.setdefault(number, []).append(chunk)
            for number in sorted(chunks):
                count_units(chunks[number], MAX_REPEATS)

        found[f"{unit}s found"] = megabytes / cpu_seconds(find, repeats)
        found[f"{unit}s counted"] = megabytes / cpu_seconds(count, repeats)
    return found


def markdown(rates: dict[str, float]) -> str:
    """One row for each rate."""
    rows: list[list[Cell]] = [[name, rate] for name, rate in rates.items()]
    return table(["units of text", "MB per CPU s"], rows)
