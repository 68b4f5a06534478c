"""Shards to RecordBatches. A record that cannot be read is quarantined; it never stops a job and is never
dropped.

Physical record numbers count everything: a bad record takes one number, a row group of n records that cannot be
read takes n, and a break behind which nobody can count takes one. So read = delivered + quarantined, two
reads of a shard give the same numbers, and these do not depend on the size of batches. Blank lines are no
records. Each format has a module of its own with `peek`, `schema` and `read`.
"""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from curation.io import json_lines
from curation.io.columnar import is_text
from curation.io.opening import LONGEST, OnBad
from curation.io.requests import Delivered, Request
from curation.layout import family
from curation.plan import Shard

__all__ = ["final_schema", "has_field", "is_text", "peek", "read_shard"]


def read_shard(
    shard: Shard,
    *,
    text: str,
    batch_bytes: int,
    schema: pa.Schema | None = None,
    columns: list[str] | None = None,
    on_bad: OnBad,
    longest_line: int = LONGEST,
    sound: bool = False,
) -> Iterator[Delivered]:
    """Batches of a shard in its order, all in one schema, each with the physical numbers of its records
    (int64).

    text: the text column. batch_bytes: most bytes of text in a batch (of whole records where these are lines); a
    longer document is a batch of its own. schema: that of JSON lines as `final_schema` gave it earlier, which
    saves a pass; other formats have their own. columns: what to deliver, with the text; of Parquet nothing else is
    read, so that a break in another column goes unnoticed. on_bad: called with every BadRecord, in order; one for a
    file that is empty where it may not be, or that is something else than its extension says. longest_line: most bytes
    of a line, a record or a document. sound: an earlier reading found no bad record, so strings of Parquet are not
    checked again.

    Columns are named as `shard.columns` says, and so are `text`, `schema` and `columns`.

    Records are bad that are not valid UTF-8 (any string column), that do not parse, or whose text is missing
    or not a string; null text is good. Raises ConfigError when a file with a schema has no such text column, and
    ValueError when JSON lines do not fit the given schema.
    """
    own = {name: mine for mine, name in shard.columns}
    request = Request(
        own.get(text, text),
        batch_bytes,
        None if schema is None else _renamed(schema, own),
        None if columns is None else [own.get(name, name) for name in columns],
        on_bad,
        longest_line,
        sound,
    )
    names = dict(shard.columns)
    for batch, rows in _format(shard).read(shard, request):
        yield (batch.rename_columns([names.get(n, n) for n in batch.schema.names]) if names else batch), rows


def final_schema(shard: Shard, *, text: str, longest_line: int = LONGEST) -> pa.Schema:
    """The schema of every batch of a shard: the file's own, or inferred from all records for JSON lines.

    Rules in `inference`; strings stay strings, dates included. A file that cannot be read has the text column
    only.
    """
    return _renamed(_format(shard).schema(shard, _own(shard, text), longest_line), dict(shard.columns))


def peek(shard: Shard, text: str = "text") -> pa.Schema | None:
    """The schema by the first bytes or the footer of a file; None when these cannot be read.

    text: the name that the text gets in formats that have no names of their own.
    """
    found = _format(shard).peek(shard, _own(shard, text))
    return None if found is None else _renamed(found, dict(shard.columns))


def has_field(shard: Shard, name: str) -> bool:
    """Does any record of JSON lines have this field? Reads no further than the first that does."""
    return json_lines.has_field(shard, _own(shard, name))


def is_mixed(shard: Shard, name: str) -> bool:
    """Does a column of JSON lines hold numbers and texts, say, so that all become text? By the first megabyte."""
    return _format(shard) is json_lines and json_lines.is_mixed(shard, _own(shard, name))


def _own(shard: Shard, name: str) -> str:
    """The name that a column has in the file."""
    return next((mine for mine, read_as in shard.columns if read_as == name), name)


def _renamed(schema: pa.Schema, names: dict[str, str]) -> pa.Schema:
    if not names:
        return schema
    return pa.schema([field.with_name(names.get(field.name, field.name)) for field in schema])


def _format(shard: Shard) -> Any:
    """The module that reads the shard's format."""
    from curation.io import arrow_ipc, parquet, plain_text, separated, warc

    modules: dict[str, Any] = {
        "parquet": parquet,
        "jsonl": json_lines,
        "csv": separated,
        "tsv": separated,
        "arrow": arrow_ipc,
        "warc": warc,
        "txt": plain_text,
    }
    return modules[family(shard.relative)]
