"""One schema for files of several: columns that all or some have, in types that hold every value unchanged."""

from collections.abc import Iterable
from typing import NamedTuple

import pyarrow as pa


class Conflict(NamedTuple):
    """A column that has types in two files which no common type holds."""

    column: str
    first: str
    first_type: pa.DataType
    second: str
    second_type: pa.DataType


def unify(found: Iterable[tuple[str, pa.Schema]]) -> tuple[pa.Schema, list[Conflict]]:
    """The common schema of (name of file, schema) pairs, in order of first appearance, and what has none.

    Null joins every type, integers the wider one, floats likewise, small integers floats; strings of every kind
    become strings (large ones if any is), dictionaries their values, lists and structs join member by member. A
    conflicting column keeps its first type.
    """
    types: dict[str, tuple[str, pa.DataType]] = {}
    conflicts: list[Conflict] = []
    for name, schema in found:
        for field in schema:
            plain = _plain(field.type)
            if field.name not in types:
                types[field.name] = (name, plain)
                continue
            first, known = types[field.name]
            joined = join(known, plain)
            if joined is None:
                conflicts.append(Conflict(field.name, first, known, name, plain))
            elif joined != known:
                types[field.name] = (name if pa.types.is_null(known) else first, joined)
    return pa.schema([(column, kind) for column, (_, kind) in types.items()]), conflicts


def join(a: pa.DataType, b: pa.DataType) -> pa.DataType | None:
    """The least type that holds the values of both unchanged, or None."""
    if a == b or pa.types.is_null(b):
        return a
    if pa.types.is_null(a):
        return b
    if pa.types.is_struct(a) and pa.types.is_struct(b):
        return _join_structs(a, b)
    if _is_list(a) and _is_list(b):
        inner = join(a.value_type, b.value_type)
        large = pa.types.is_large_list(a) or pa.types.is_large_list(b)
        return None if inner is None else pa.large_list(inner) if large else pa.list_(inner)
    try:
        (merged,) = pa.unify_schemas(
            [pa.schema([("x", a)]), pa.schema([("x", b)])], promote_options="permissive"
        )
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return None
    return merged.type if _holds(merged.type, a) and _holds(merged.type, b) else None


def _join_structs(a: pa.StructType, b: pa.StructType) -> pa.DataType | None:
    fields = {field.name: field.type for field in a}
    for field in b:
        joined = join(fields[field.name], field.type) if field.name in fields else field.type
        if joined is None:
            return None
        fields[field.name] = joined
    return pa.struct(list(fields.items()))


def _holds(wide: pa.DataType, narrow: pa.DataType) -> bool:
    """Does a float hold every value of an integer type, and a date or decimal what it is made of?"""
    if pa.types.is_floating(wide) and pa.types.is_integer(narrow):
        return narrow.bit_width < {16: 11, 32: 24, 64: 53}[wide.bit_width]
    return not (pa.types.is_string(wide) and not pa.types.is_string(narrow))


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind)


def _plain(kind: pa.DataType) -> pa.DataType:
    """Without dictionaries and views at the top."""
    if pa.types.is_dictionary(kind):
        return _plain(kind.value_type)
    if pa.types.is_string_view(kind):
        return pa.large_string()
    return pa.large_binary() if pa.types.is_binary_view(kind) else kind


def fit(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The batch in a schema that `unify` gave; columns that it lacks are null."""
    columns = []
    for field in schema:
        at = batch.schema.get_field_index(field.name)
        if at < 0:
            columns.append(pa.nulls(batch.num_rows, field.type))
            continue
        column = batch.column(at)
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        columns.append(column if column.type == field.type else _cast(column, field.type))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _cast(column: pa.Array, kind: pa.DataType) -> pa.Array:
    if pa.types.is_struct(kind) and pa.types.is_struct(column.type):
        inner = []
        for field in kind:
            at = column.type.get_field_index(field.name)
            member = column.field(at) if at >= 0 else pa.nulls(len(column), field.type)
            inner.append(member if member.type == field.type else _cast(member, field.type))
        return pa.StructArray.from_arrays(inner, fields=list(kind), mask=column.is_null())
    if _is_list(kind) and _is_list(column.type) and pa.types.is_struct(kind.value_type):
        return pa.array(column.to_pylist(), kind)
    return column.cast(kind)
