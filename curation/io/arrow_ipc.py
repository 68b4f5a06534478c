"""Arrow IPC, as files (Feather version 2) and as streams: a record batch is read whole or quarantined whole."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from curation.config import ConfigError
from curation.io import files
from curation.io.columnar import cut, is_text, is_valid_array
from curation.io.opening import READ_ERRORS, opened
from curation.io.quarantine import RAW_BYTES, BadRecord
from curation.io.requests import Delivered, Request, chosen
from curation.plan import Shard

MARK = b"ARROW1"


def peek(shard: Shard, text: str) -> pa.Schema | None:
    """The schema that the file begins with; None when it cannot be read."""
    try:
        with files.open_file(shard.url) as file:
            return _open(file)[0]
    except READ_ERRORS:
        return None


def schema(shard: Shard, text: str, longest: int) -> pa.Schema:
    """The file's schema; the text column alone when it cannot be read."""
    return peek(shard, text) or pa.schema([(text, pa.string())])


def read(shard: Shard, request: Request) -> Iterator[Delivered]:
    """Batches of the file; raises ConfigError when it has no such text column.

    A record batch of a file that cannot be read takes one record number, since nobody can count it, and reading goes
    on behind it; a stream ends there.
    """
    text, on_bad = request.text, request.on_bad
    with opened(shard, on_bad) as file:
        if not file.read(1):
            return
        file.seek(0)
        try:
            found, batches = _open(file)
        except READ_ERRORS as error:
            file.seek(0)
            raw = file.read(RAW_BYTES)
            cut_short = "the footer cannot be read, as if the file were cut short: " if raw.startswith(MARK) else ""
            on_bad(BadRecord(0, None, 1, "unreadable_file", f"{cut_short}{error}", raw))
            return
        if text not in found.names or not is_text(found.field(text).type):
            raise ConfigError(f"columns.text: {shard.url} has no string column {text!r}", "wrong-column-type")
        names = chosen(found, text, request.columns)
        row = 0
        for number, batch in enumerate(batches):
            problem = batch if isinstance(batch, Exception) else _damage(batch)
            if problem is not None:
                count = 1 if isinstance(batch, Exception) else max(batch.num_rows, 1)
                message = f"record batch {number}: {problem}"
                on_bad(BadRecord(row, None, count, "broken_record_batch", message))
                row += count
                continue
            whole = batch if names is None else batch.select(names)
            yield from cut([whole], row, request)
            row += batch.num_rows


def _open(file: Any) -> tuple[pa.Schema, Iterator[Any]]:
    """The schema of a file or stream, and its record batches; an exception in the place of one that cannot be read."""
    marked = file.read(len(MARK)) == MARK
    file.seek(0)
    if not marked:
        stream = pa.ipc.open_stream(file)
        return stream.schema, _streamed(stream)
    reader = pa.ipc.open_file(file)
    return reader.schema, _indexed(reader)


def _indexed(reader: Any) -> Iterator[Any]:
    for number in range(reader.num_record_batches):
        try:
            yield reader.get_batch(number)
        except READ_ERRORS as error:
            yield error


def _streamed(stream: Any) -> Iterator[Any]:
    while True:
        try:
            batch = stream.read_next_batch()
        except StopIteration:
            return
        except READ_ERRORS as error:
            yield error
            return
        yield batch


def _damage(batch: pa.RecordBatch) -> str | None:
    """What is wrong with the buffers of a batch, besides strings that are no UTF-8."""
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            _as_bytes(column).validate(full=True)
        except pa.ArrowInvalid as error:
            # a view or a dictionary that is sound but for UTF-8 is looked at record by record
            nested = pa.types.is_nested(column.type)
            if nested or not is_text(column.type) or "UTF8" not in str(error) or is_valid_array(column):
                return f"column {name!r}: {error}"
    return None


def _as_bytes(array: Any) -> Any:
    """Strings as bytes, which need not be UTF-8; also those of a dictionary, some of which no record may use."""
    if pa.types.is_dictionary(array.type):
        return pa.DictionaryArray.from_arrays(array.indices, _as_bytes(array.dictionary))
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        kind = pa.large_binary() if pa.types.is_large_string(array.type) else pa.binary()
        return pa.Array.from_buffers(kind, len(array), array.buffers(), array.null_count, array.offset)
    return array
