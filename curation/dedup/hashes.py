"""128-bit identities of a text, of its words and of a whole row, the same on every host and in every Arrow form.

A digest is 16 bytes; texts use XXH3-128 (Collet, xxHash specification) in its canonical byte order.
"""

import json
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from curation.kernels.hashing import mix64_array
from curation.kernels.minhash import sequence_kernel
from curation.text import Tokens, text_buffer

_NANOSECONDS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
_SPREAD = np.uint64(0x9E3779B97F4A7C15)


def content_hashes(text: pa.Array) -> np.ndarray:
    """XXH3-128 of the UTF-8 bytes of each text, uint8[docs, 16]; a null text hashes as an empty one.

    Raises TypeError when the column is no text.
    """
    data, starts = text_buffer(text)
    view, digest = memoryview(data.data), xxhash.xxh3_128_digest
    bounds = starts.tolist()
    joined = b"".join([digest(view[a:b]) for a, b in zip(bounds[:-1], bounds[1:], strict=True)])
    return np.frombuffer(joined, np.uint8).reshape(-1, 16)


def token_hashes(tokens: Tokens) -> tuple[np.ndarray, np.ndarray]:
    """(uint8[docs, 16], has_words bool[docs]): a hash of the sequence of words of each document.

    Equal for texts that differ only in case, white space, quotes, markdown and punctuation; a text without words has
    no such identity (has_words is False).
    """
    documents = len(tokens.offsets) - 1
    out, has_words = np.empty((documents, 2), np.uint64), np.empty(documents, np.bool_)
    seeds = np.uint64(0x243F6A8885A308D3), np.uint64(0x13198A2E03707344)
    sequence_kernel(tokens.hash, tokens.kind, tokens.offsets, *seeds, out, has_words)
    return out.astype("<u8").view(np.uint8), has_words


def row_hashes(
    batch: pa.RecordBatch, skip: Collection[str] = (), digests: Mapping[str, np.ndarray] | None = None
) -> np.ndarray:
    """128-bit hash of each row over all columns but those in `skip`, uint8[rows, 16].

    Each column adds a hash of (name, kind of value, value), so the order of columns does not matter, and a null value
    adds nothing, so a column that is missing equals one that is null, as readers of schemaless files need. Integers
    count as int64, floats as float64 (-0 as 0, every NaN as one), texts and binaries of every width, view and
    dictionary as their bytes, timestamps as instants, and nested values as canonical JSON. `digests` maps a column to
    its content hashes (uint8[rows, 16]), which spares hashing a long text twice.
    """
    total = np.zeros((batch.num_rows, 2), np.uint64)
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if name in skip:
            continue
        column = _plain(column)
        if pa.types.is_null(column.type):
            continue
        given = (digests or {}).get(name)
        kind, words = ("text", _words(given)) if given is not None else _column_words(name, column)
        salt = _words(np.frombuffer(xxhash.xxh3_128_digest(f"{kind}:{name}".encode()), np.uint8).reshape(1, 16))
        low = mix64_array(words[:, 0] ^ salt[0, 0]) + words[:, 1]
        high = mix64_array(words[:, 1] * _SPREAD ^ salt[0, 1]) + words[:, 0]
        present = np.ones(len(column), bool) if not column.null_count else np.asarray(column.is_valid())
        total[:, 0] += np.where(present, mix64_array(low ^ salt[0, 1]), np.uint64(0))
        total[:, 1] += np.where(present, mix64_array(high ^ salt[0, 0]), np.uint64(0))
    return total.astype("<u8").view(np.uint8)


def _words(digests: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(digests).view("<u8").astype(np.uint64, copy=False)


def _plain(column: pa.Array) -> pa.Array:
    """The column without extension types and run-end encoding."""
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if pa.types.is_run_end_encoded(column.type):
        column = pc.run_end_decode(column)
    return column


def _column_words(name: str, column: pa.Array) -> tuple[str, np.ndarray]:
    """(kind of value, uint64[rows, 2]) of a column; what stands under a null does not matter."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        label, words = _column_words(name, _plain(column.dictionary))
        if len(words) == 0:
            return label, np.zeros((len(column), 2), np.uint64)
        return label, words[np.asarray(column.indices.fill_null(0)).astype(np.int64)]
    if _is_bytes(kind):
        if pa.types.is_fixed_size_binary(kind) or pa.types.is_binary_view(kind):
            column = column.cast(pa.large_binary())
        return "text", _words(content_hashes(column))
    numbers = _numbers(column)
    if numbers is not None:
        return numbers
    if pa.types.is_decimal(kind):
        return "decimal", _words(content_hashes(column.cast(pa.string())))
    if _holds_time(kind):
        texts = [canonical_json(_instant(value)) if value.is_valid else None for value in column]
    else:
        texts = [None if value is None else canonical_json(value) for value in column.to_pylist()]
    return "json", _words(content_hashes(pa.array(texts, pa.large_string())))


def _holds_time(kind: pa.DataType) -> bool:
    """Is there a time in a nested type? Some have no Python form, so they are read without one."""
    if pa.types.is_dictionary(kind):
        return _holds_time(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType):
        return _holds_time(kind.storage_type)
    if pa.types.is_nested(kind):
        return any(_holds_time(kind.field(i).type) for i in range(kind.num_fields))
    return bool(pa.types.is_temporal(kind) and not pa.types.is_date(kind))


def _instant(value: pa.Scalar) -> Any:
    """The Python form of a scalar, with times, timestamps and durations as nanoseconds."""
    if not value.is_valid:
        return None
    if isinstance(value, pa.StructScalar):
        return {name: _instant(item) for name, item in value.items()}
    if isinstance(value, (pa.ListScalar, pa.MapScalar)):
        return [_instant(item) for item in value.values]
    if isinstance(value, (pa.DictionaryScalar, pa.ExtensionScalar, pa.UnionScalar)):
        return _instant(value.value)
    if isinstance(value, (pa.TimestampScalar, pa.DurationScalar, pa.Time32Scalar, pa.Time64Scalar)):
        return {str(value.type).partition("[")[0].rstrip("3264"): value.value * _NANOSECONDS[value.type.unit]}
    if isinstance(value, pa.MonthDayNanoIntervalScalar):
        return list(value.as_py())
    return value.as_py()


def _is_bytes(kind: pa.DataType) -> bool:
    tests: list[Callable[[pa.DataType], bool]] = [
        pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_binary,
        pa.types.is_large_binary, pa.types.is_binary_view, pa.types.is_fixed_size_binary,
    ]  # fmt: skip
    return any(test(kind) for test in tests)


def _numbers(column: pa.Array) -> tuple[str, np.ndarray] | None:
    kind = column.type
    if pa.types.is_boolean(kind):
        return "bool", _pair(np.asarray(column.fill_null(False)).astype(np.uint64))
    if pa.types.is_integer(kind):
        values = np.asarray(column.fill_null(0))
        # above 2^63 an unsigned value keeps its bits, with a second word that no int64 has
        beyond = (values > 2**63 - 1) if values.dtype == np.uint64 else np.zeros(len(values), bool)
        return "int", _pair(values.astype(np.int64).view(np.uint64), beyond.astype(np.uint64))
    if pa.types.is_floating(kind):
        floats = np.asarray(column.fill_null(0.0) if column.null_count else column).astype(np.float64) + 0.0
        floats[np.isnan(floats)] = np.nan
        return "float", _pair(floats.view(np.uint64))
    if pa.types.is_date(kind):
        return "date", _pair(_integers(column.cast(pa.date32()), pa.int32()))
    for label, test in (
        ("timestamp", pa.types.is_timestamp),
        ("time", pa.types.is_time),
        ("duration", pa.types.is_duration),
    ):
        if test(kind):
            width = pa.int32() if pa.types.is_time32(kind) else pa.int64()
            raw, step = _integers(column, width).view(np.int64), _NANOSECONDS[kind.unit]
            seconds, rest = np.divmod(raw, 10**9 // step)
            return label, _pair(seconds.view(np.uint64), (rest * step).view(np.uint64))
    return None


def _integers(column: pa.Array, width: pa.DataType) -> np.ndarray:
    return np.asarray(column.view(width).fill_null(0)).astype(np.int64).view(np.uint64)


def _pair(first: np.ndarray, second: np.ndarray | None = None) -> np.ndarray:
    return np.stack([first, np.zeros_like(first) if second is None else second], axis=1)


def canonical_json(value: Any) -> str:
    """JSON of a nested value with sorted keys and without null fields, equal for equal values on every host."""
    return json.dumps(_canonical(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)


def _canonical(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _canonical(item) for key, item in value.items() if item is not None}
    if isinstance(value, (list, tuple)):
        return [_canonical(item) for item in value]
    if isinstance(value, bytes):
        return value.hex()
    return value
