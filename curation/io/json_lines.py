"""JSON lines, one record a line; types are inferred from all records of a file (`inference`)."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from curation.io import files, lines, records
from curation.io.inference import arrow_type
from curation.io.opening import LONGEST, READ_ERRORS, ignore, opened
from curation.io.requests import Delivered, Request, chosen
from curation.layout import packing
from curation.plan import Shard

PEEK_BYTES = 1 << 20


def peek(shard: Shard, text: str) -> pa.Schema | None:
    """The schema by the first megabyte; None when there is no record in it or it cannot be read."""
    fields = _first_kinds(shard)
    return pa.schema([(name, arrow_type(kind)) for name, kind in fields.items()]) if fields else None


def is_mixed(shard: Shard, name: str) -> bool:
    """Does a field hold values of kinds that no type but text holds, by the first megabyte?"""
    return _first_kinds(shard).get(name) == "json"


def _first_kinds(shard: Shard) -> dict[str, Any]:
    """Kinds of the fields of the first megabyte; none when it cannot be read."""
    try:
        with files.open_file(shard.url) as file:
            fields: dict[str, Any] = {}
            seen: dict[str, type] = {}
            size = 0
            for line in _lines(file, shard, LONGEST):
                if isinstance(line, lines.Broken) or size > PEEK_BYTES:
                    break
                size += line.size
                records.update(fields, seen, records.objects(line))
            return fields
    except READ_ERRORS:
        return {}


def schema(shard: Shard, text: str, longest: int) -> pa.Schema:
    """The schema by all records that can be read; the text column alone where there is none."""
    with opened(shard, ignore) as file:
        found = records.blocks(_lines(file, shard, longest), 4 << 20, longest, ignore)
        fields = records.infer(found, text)
    return pa.schema([(name, arrow_type(kind)) for name, kind in (fields or {text: "string"}).items()])


def has_field(shard: Shard, name: str) -> bool:
    """Does any record have this field? Reads no further than the first that does."""
    with opened(shard, ignore) as file:
        found = (line for line in _lines(file, shard, LONGEST) if isinstance(line, lines.Line))
        return any(name in record for line in found for record in records.objects(line))


def read(shard: Shard, request: Request) -> Iterator[Delivered]:
    """Batches of at most `batch_bytes` of whole lines. Raises ValueError when they do not fit the given schema."""
    text, longest = request.text, request.longest
    wanted = schema(shard, text, longest) if request.schema is None else request.schema
    if text not in wanted.names:
        wanted = wanted.append(pa.field(text, pa.string()))
    keep = chosen(wanted, text, request.columns)
    with opened(shard, request.on_bad) as file:
        found = _lines(file, shard, longest)
        for block in records.blocks(found, request.batch_bytes, longest, request.on_bad):
            try:
                batch, rows = records.to_batch(block, text, wanted, request.on_bad)
            except ValueError as error:
                raise ValueError(f"{shard.url}: {error}") from None
            if len(rows):
                yield (batch if keep is None else batch.select(keep)), rows


def _lines(file: Any, shard: Shard, longest: int) -> Iterator[lines.Line | lines.Broken]:
    return lines.read_lines(file, packing(shard.url), longest)
