"""The Arrow type of each field of JSON records, the same whatever the order and the blocks in which they
are seen.

Types form a lattice: null < everything; int < double; lists and structs join member by member; whatever else
meets becomes JSON text in a string column (strings stay as they are, other values are written as JSON). So do
integers beyond int64, which a double would round, structs without or with very many fields, and what is
nested too deep.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson
import pyarrow as pa

MOST_FIELDS = 256  # a struct with more is a map in disguise and becomes JSON text
DEEPEST = 16

#: null, bool, int, double, string, json, ("list", kind) or ("struct", {name: kind})
Kind = Any

_NAMES: dict[str, Any] = {
    "null": pa.null(),
    "bool": pa.bool_(),
    "int": pa.int64(),
    "double": pa.float64(),
    "string": pa.string(),
    "json": pa.string(),
}


def kind_of(value: Any, depth: int = 0) -> Kind:
    """The kind of one value of a parsed JSON record."""
    if value is None:
        return "null"
    kind = type(value)
    if kind is str:
        return "string"
    if kind is bool:
        return "bool"
    if kind is int:
        return "int" if -(1 << 63) <= value < 1 << 63 else "json"
    if kind is float:
        return "double"
    if depth >= DEEPEST:
        return "json"
    if kind is list:
        inner: Kind = "null"
        for item in value:
            inner = join(inner, kind_of(item, depth + 1))
        return ("list", inner)
    fields = {name: kind_of(item, depth + 1) for name, item in value.items()}
    return ("struct", fields) if len(fields) <= MOST_FIELDS else "json"


def join(a: Kind, b: Kind) -> Kind:
    """The least kind that holds both; associative and commutative but for the order of fields (first seen
    first).
    """
    if b in (a, "null"):
        return a
    if a == "null":
        return b
    if (a, b) in (("int", "double"), ("double", "int")):
        return "double"
    if isinstance(a, tuple) and isinstance(b, tuple) and a[0] == b[0]:
        if a[0] == "list":
            return ("list", join(a[1], b[1]))
        fields = dict(a[1])
        for name, kind in b[1].items():
            fields[name] = join(fields[name], kind) if name in fields else kind
        return ("struct", fields) if len(fields) <= MOST_FIELDS else "json"
    return "json"


def update(fields: dict[str, Kind], seen: dict[str, type], records: Iterable[Mapping[str, Any]]) -> None:
    """Join the kinds of records into `fields`, in place; `seen` remembers by field the type that changes
    nothing.
    """
    for record in records:
        for name, value in record.items():
            kind = type(value)
            if seen.get(name) is kind and (kind is not int or -(1 << 63) <= value < 1 << 63):
                continue
            fields[name] = join(fields.get(name, "null"), kind_of(value))
            if kind is not list and kind is not dict:
                seen[name] = kind


def arrow_type(kind: Kind) -> pa.DataType:
    """The Arrow type of a kind."""
    if isinstance(kind, str):
        return _NAMES[kind]
    if kind[0] == "list":
        return pa.list_(arrow_type(kind[1]))
    if not kind[1]:
        return pa.string()  # a struct without fields cannot be stored
    return pa.struct([(name, arrow_type(inner)) for name, inner in kind[1].items()])


def to_array(values: list[Any], kind: pa.DataType) -> pa.Array:
    """Values of parsed JSON as an array of a type that inference gave for them.

    Raises pa.ArrowInvalid or pa.ArrowTypeError when a value does not fit, so when the file has changed since.
    """
    try:
        return pa.array(values, kind)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return pa.array([_fit(value, kind) for value in values], kind)


def _fit(value: Any, kind: pa.DataType) -> Any:
    if value is None:
        return None
    if pa.types.is_string(kind):
        return value if isinstance(value, str) else orjson.dumps(value).decode()
    if pa.types.is_floating(kind) and isinstance(value, int):
        return float(value)
    if pa.types.is_list(kind) and isinstance(value, list):
        return [_fit(item, kind.value_type) for item in value]
    if pa.types.is_struct(kind) and isinstance(value, dict):
        return {name: _fit(item, kind.field(name).type) for name, item in value.items()}
    return value
