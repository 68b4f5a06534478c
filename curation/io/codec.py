"""What steps return, as bytes without pickle: a zip of JSON and .npy arrays.

Plain values, lists, tuples, dicts, Counters, NumPy arrays and numbers, Arrow tables, and NamedTuples and dataclasses
that this package defines. Reading makes nothing else, so a file from elsewhere cannot run code.
"""

import dataclasses
import io
import json
import zipfile
from collections import Counter
from importlib import import_module
from typing import Any

import numpy as np
import pyarrow as pa

_PACKAGE = "curation"
_EPOCH = (1980, 1, 1, 0, 0, 0)


def dumps(value: Any) -> bytes:
    """The value as bytes. Raises TypeError for a value of another type, naming it."""
    parts: list[bytes] = []
    head = json.dumps(_plain(value, parts)).encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in [("value.json", head), *((str(i), part) for i, part in enumerate(parts))]:
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), data)
    return out.getvalue()


def loads(data: bytes) -> Any:
    """The value that `dumps` wrote. Raises ValueError for bytes that it did not write."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return _value(json.loads(archive.read("value.json")), archive)
    except (zipfile.BadZipFile, KeyError, json.JSONDecodeError) as error:
        raise ValueError(f"no stored result ({error}): delete the file and run the step again") from None


def _plain(value: Any, parts: list[bytes]) -> Any:
    """JSON in which everything but null, booleans, numbers and strings is [kind, ...]."""
    if value is None or isinstance(value, bool | str) or type(value) in (int, float):
        return value
    if isinstance(value, np.ndarray | np.generic):
        if value.dtype.hasobject:
            raise TypeError(f"an array of {value.dtype} cannot be stored without pickle")
        buffer = io.BytesIO()
        np.save(buffer, np.asarray(value), allow_pickle=False)
        parts.append(buffer.getvalue())
        return ["array" if isinstance(value, np.ndarray) else "scalar", len(parts) - 1]
    if isinstance(value, bytes):
        parts.append(value)
        return ["bytes", len(parts) - 1]
    if isinstance(value, pa.Table):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, value.schema) as writer:
            writer.write_table(value)
        parts.append(sink.getvalue().to_pybytes())
        return ["table", len(parts) - 1]
    if type(value) in (list, tuple):
        return [type(value).__name__, *(_plain(item, parts) for item in value)]
    if type(value) in (dict, Counter):
        return [type(value).__name__.lower(), *([_plain(k, parts), _plain(v, parts)] for k, v in value.items())]
    kind = type(value)
    if kind.__module__.partition(".")[0] == _PACKAGE:
        if isinstance(value, tuple) and hasattr(kind, "_fields"):
            return ["record", kind.__module__, kind.__qualname__, *(_plain(item, parts) for item in value)]
        if dataclasses.is_dataclass(value):
            items = (getattr(value, field.name) for field in dataclasses.fields(value))
            return ["record", kind.__module__, kind.__qualname__, *(_plain(item, parts) for item in items)]
    raise TypeError(f"a {kind.__module__}.{kind.__qualname__} cannot be stored as a result of a step")


def _value(found: Any, archive: zipfile.ZipFile) -> Any:
    if not isinstance(found, list):
        return found
    kind, *rest = found
    if kind in ("array", "scalar"):
        array = np.load(io.BytesIO(archive.read(str(rest[0]))), allow_pickle=False)
        return array if kind == "array" else array[()]
    if kind == "bytes":
        return archive.read(str(rest[0]))
    if kind == "table":
        with pa.ipc.open_stream(archive.read(str(rest[0]))) as reader:
            return reader.read_all()
    if kind in ("list", "tuple"):
        sequence = [_value(item, archive) for item in rest]
        return sequence if kind == "list" else tuple(sequence)
    if kind in ("dict", "counter"):
        items = {_value(k, archive): _value(v, archive) for k, v in rest}
        return items if kind == "dict" else Counter(items)
    if kind == "record":
        return _record(rest[0], rest[1])(*(_value(item, archive) for item in rest[2:]))
    raise ValueError(f"a stored result has an unknown kind {kind!r}: delete the file and run the step again")


def _record(module: str, name: str) -> Any:
    """A NamedTuple or dataclass of this package by name; nothing else."""
    found: Any = None
    if module.partition(".")[0] == _PACKAGE:
        found = import_module(module)
        for part in name.split("."):
            found = getattr(found, part, None)
    if not isinstance(found, type) or not (hasattr(found, "_fields") or dataclasses.is_dataclass(found)):
        raise ValueError(f"a stored result names {module}.{name}, which is no record of {_PACKAGE}")
    return found
