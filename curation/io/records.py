"""Lines of JSON to RecordBatches: whole blocks by pyarrow where every line is good, else record by record."""

import io
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.json

from curation.batch import MAX_ROWS
from curation.io.inference import Kind, to_array, update
from curation.io.lines import Broken, Line
from curation.io.opening import UTF8_MARK
from curation.io.quarantine import BadRecord

#: what to do with JSON that is not written as lines, by what stands alone on its first line
ONE_A_LINE = {
    b"[": "; JSON lines hold one record a line: jq -c '.[]' FILE makes them of an array",
    b"{": "; JSON lines hold one record a line: jq -c . FILE makes them of records over several lines",
}


class Block(NamedTuple):
    """Consecutive lines, the first of them the physical record `row`."""

    row: int
    lines: list[Line]


def blocks(
    lines: Iterable[Line | Broken], limit: int, longest: int, on_bad: Callable[[BadRecord], None]
) -> Iterator[Block]:
    """Lines gathered to at most `limit` bytes (one longer line alone), numbered; what is no line goes to
    on_bad.
    """
    first, size = 0, 0
    held: list[Line] = []
    for row, line in enumerate(lines):
        if isinstance(line, Broken):
            on_bad(BadRecord(row, line.offset, 1, "broken_compression", line.message, line.data))
            break
        too_long = line.size > longest
        if held and (too_long or size + line.size > limit or len(held) == MAX_ROWS):
            yield Block(first, held)
            held, size = [], 0
        if too_long:
            message = f"the line has {line.size} bytes, more than {longest} (limits.document_mb)"
            on_bad(BadRecord(row, line.offset, 1, "line_too_long", message, line.data))
        else:
            if not held:
                first = row
            if line.offset == 0 and line.data.startswith(UTF8_MARK):
                line = line._replace(data=line.data[len(UTF8_MARK) :])
            held.append(line)
            size += line.size
    if held:
        yield Block(first, held)


def parse(
    block: Block, text: str, on_bad: Callable[[BadRecord], None]
) -> tuple[list[dict[str, Any]], np.ndarray]:
    """The good records of a block and their physical numbers; the others go to on_bad.

    JSON as in RFC 8259: no NaN, no Infinity; of a key that stands twice the last value counts; a number
    beyond what fits a double is an error.
    """
    records, rows = [], []
    for row, line in enumerate(block.lines, block.row):
        try:
            record = orjson.loads(line.data)
        except orjson.JSONDecodeError as error:
            code, message = "invalid_json", str(error) + ONE_A_LINE.get(line.data.strip(), "")
            try:
                line.data.decode()
            except UnicodeDecodeError as broken:
                code, message = "invalid_utf8", str(broken)
            on_bad(BadRecord(row, line.offset, 1, code, message, line.data))
            continue
        code = ""
        if not isinstance(record, dict):
            code, message = "not_an_object", f"the line is a JSON {type(record).__name__}, not an object"
            message += ONE_A_LINE[b"["] if isinstance(record, list) else ""
        elif text not in record:
            code, message = "text_missing", f"the record has no field {text!r}"
        elif not (record[text] is None or isinstance(record[text], str)):
            code, message = "text_not_a_string", f"{text!r} is a {type(record[text]).__name__}, not a string"
        if code:
            on_bad(BadRecord(row, line.offset, 1, code, message, line.data))
            continue
        records.append(record)
        rows.append(row)
    return records, np.array(rows, np.int64)


def infer(found: Iterable[Block], text: str) -> dict[str, Kind]:
    """The kind of every field of the good records, in order of first appearance; the text is a string."""
    fields: dict[str, Kind] = {}
    seen: dict[str, type] = {}
    for block in found:
        update(fields, seen, parse(block, text, _ignore)[0])
    if text in fields:
        fields[text] = "string"
    return fields


def _ignore(_: BadRecord) -> None:
    return None


def to_batch(
    block: Block, text: str, schema: pa.Schema, on_bad: Callable[[BadRecord], None]
) -> tuple[pa.RecordBatch, np.ndarray]:
    """The good records of a block in `schema` and their physical numbers. Raises ValueError when they do
    not fit it.
    """
    whole = _whole(block, text, schema)
    if whole is not None:
        return whole, np.arange(block.row, block.row + len(block.lines), dtype=np.int64)
    records, rows = parse(block, text, on_bad)
    known = set(schema.names)
    for record in records:
        if not known.issuperset(record):
            raise ValueError(
                f"a field {min(set(record) - known)!r} is not in the schema: the file has changed"
            )
    try:
        arrays = [to_array([record.get(field.name) for record in records], field.type) for field in schema]
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise ValueError(f"a value does not fit the schema, the file has changed: {error}") from None
    return pa.RecordBatch.from_arrays(arrays, schema=schema), rows


def _whole(block: Block, text: str, schema: pa.Schema) -> pa.RecordBatch | None:
    """The block by pyarrow's parser, without the interpreter's lock, if it means the same as record by
    record.

    Lines that begin with a brace and end with one cannot share a value, since `}` and `{` never meet inside
    one; so as many records as lines are one record a line.
    """
    stripped = [line.data.strip() for line in block.lines]
    if not all(line[:1] == b"{" and line[-1:] == b"}" for line in stripped):
        return None
    data = b"\n".join(stripped)
    try:
        table = pyarrow.json.read_json(
            io.BytesIO(data),
            read_options=pyarrow.json.ReadOptions(use_threads=False, block_size=len(data) + 1),
            parse_options=pyarrow.json.ParseOptions(
                explicit_schema=schema, unexpected_field_behavior="error"
            ),
        )
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
    batches = table.to_batches()
    if len(batches) != 1 or batches[0].num_rows != len(stripped) or not table.schema.equals(schema):
        return None
    batch = batches[0]
    if batch.column(text).null_count or not all(_plain(column) for column in batch.columns):
        return None
    try:
        batch.validate(full=True)
    except pa.ArrowInvalid:
        return None
    return batch


def _plain(array: Any) -> bool:
    """No NaN, infinity (pyarrow takes them) or negative zero (an integer's sign is lost elsewhere) in any
    double.
    """
    if pa.types.is_floating(array.type):
        values = array.drop_null().to_numpy(zero_copy_only=False)
        return bool(np.isfinite(values).all() and not (np.signbit(values) & (values == 0)).any())
    if pa.types.is_list(array.type):
        return _plain(array.flatten())
    if pa.types.is_struct(array.type):
        return all(_plain(inner) for inner in array.flatten())
    return True


def objects(line: Line) -> list[dict[str, Any]]:
    """The record of a line, if it is a JSON object."""
    try:
        record = orjson.loads(line.data.removeprefix(UTF8_MARK))
    except orjson.JSONDecodeError:
        return []
    return [record] if isinstance(record, dict) else []
