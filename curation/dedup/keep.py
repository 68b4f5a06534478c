"""Which document of a cluster survives: total orders, so that the answer never depends on the order of the input."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

POLICIES = ("human_first", "longest", "earliest", "first")
TRUST = {"human": 0, "premium": 0, "unknown": 1, "synthetic": 2}
LABEL = {"human": 0, "undetermined": 1, "synthetic": 2}


def column_of(policy: str) -> tuple[str, bool] | None:
    """(column, descending) of a policy `column:NAME:asc` or `column:NAME:desc`; None for another policy."""
    kind, _, rest = policy.partition(":")
    name, _, direction = rest.rpartition(":")
    if kind != "column" or not name or direction not in ("asc", "desc"):
        return None
    return name, direction == "desc"


def is_policy(policy: str) -> bool:
    """Is this a keep policy?"""
    return policy in POLICIES or column_of(policy) is not None


def order_kind(kind: pa.DataType) -> str | None:
    """What values of an Arrow type can be ordered with: number, text or time; None where there is no order."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        return "number"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return "text"
    return "time" if pa.types.is_date(kind) or pa.types.is_timestamp(kind) else None


def order_keys(column: pa.Array) -> pa.Array:
    """Binary keys that sort as the values of a column do; null for null and NaN.

    Integers, floats and booleans sort together (integers below 2^63 exactly), texts by their UTF-8 bytes, dates and
    timestamps together by instant. Raises ValueError for a type without an order.
    """
    kind = order_kind(column.type)
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if kind == "text":
        return column.cast(pa.large_string()).cast(pa.large_binary()).cast(pa.binary())
    if pa.types.is_null(column.type):
        return pa.nulls(len(column), pa.binary())
    if kind is None:
        raise ValueError(f"a column of type {column.type} has no order to keep documents by")
    valid = np.asarray(column.is_valid()).astype(bool)
    rest = np.zeros(len(column), np.int64)
    if kind == "time":
        if pa.types.is_date(column.type):
            column = column.cast(pa.date32())
            floats = np.asarray(column.cast(pa.int32()).fill_null(0)).astype(np.float64) * 86_400
        else:
            per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[column.type.unit]
            seconds, below = np.divmod(np.asarray(column.cast(pa.int64()).fill_null(0)), per_second)
            floats, rest = seconds.astype(np.float64), below * (10**9 // per_second)
    elif pa.types.is_floating(column.type):
        floats = np.asarray(column.cast(pa.float64()).fill_null(0.0)) + 0.0  # -0 as 0
        valid &= ~np.isnan(floats)
    else:
        whole = np.asarray(column.cast(pa.uint64() if column.type == pa.uint64() else pa.int64()).fill_null(0))
        floats = whole.astype(np.float64)
        # what a float cannot hold of a large integer; both sides are near each other, so the difference is small
        near = np.where(floats >= 2.0**63, 0.0, floats).astype(np.int64)
        rest = np.where(floats >= 2.0**63, 0, whole.astype(np.int64) - near)
    bits = floats.view(np.uint64)
    sign = np.uint64(1 << 63)
    high = np.where(bits & sign, ~bits, bits | sign)
    keys = np.stack([high, rest.view(np.uint64) ^ sign], axis=1).astype(">u8")
    packed = pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(keys), [None, pa.py_buffer(keys)])
    return pc.if_else(pa.array(valid), packed.cast(pa.binary()), pa.scalar(None, pa.binary()))


def keep_ranks(table: pa.Table, id_rank: np.ndarray, policy: str) -> np.ndarray:
    """int64[n], smaller is better, all different: the rank of each row of `table` under a keep policy.

    human_first: declared human or premium source, then label (human, undetermined, synthetic), then earliest date
    (undated last), then longest text, then id. longest: bytes, then date, then id. earliest: date, then bytes, then
    id. first: the order of the input. column:NAME:asc or column:NAME:desc: the binary column `keep_key` of the table,
    which `order_keys` made of column NAME, smallest or largest first, nulls last, then id. Raises ValueError for
    another policy, trust or label, naming it.
    """
    if not is_policy(policy):
        raise ValueError(f"unknown keep policy {policy!r}: use {', '.join(POLICIES)} or column:NAME:desc")
    n = table.num_rows
    by_column = column_of(policy)
    if by_column is not None:
        keys = [_dense(table.column("keep_key"), "descending" if by_column[1] else "ascending"), id_rank]
    elif policy == "first":
        keys = [_integers(table, "job_row")]
    else:
        longest = -_integers(table, "bytes")
        earliest = _integers(table, "date", missing=np.iinfo(np.int64).max)
        keys = [longest, earliest, id_rank] if policy == "longest" else [earliest, longest, id_rank]
        if policy == "human_first":
            keys = [_codes(table, "trust", TRUST), _codes(table, "label", LABEL), *keys]
    order = np.lexsort(keys[::-1])
    rank = np.empty(n, np.int64)
    rank[order] = np.arange(n)
    return rank


def _dense(column: pa.ChunkedArray, order: str) -> np.ndarray:
    """int64[n]: equal for equal keys, in the order asked for, nulls last."""
    coded = column.combine_chunks().dictionary_encode()
    words = coded.dictionary
    place = np.empty(len(words) + 1, np.int64)
    place[np.asarray(pc.array_sort_indices(words, order=order)).astype(np.int64)] = np.arange(len(words))
    place[-1] = len(words)
    return place[np.asarray(coded.indices.fill_null(len(words))).astype(np.int64)]


def _integers(table: pa.Table, name: str, missing: int = 0) -> np.ndarray:
    column = table.column(name)
    if pa.types.is_date(column.type):
        column = column.cast(pa.date32()).cast(pa.int32())
    return np.asarray(column.cast(pa.int64()).fill_null(missing)).astype(np.int64)


def _codes(table: pa.Table, name: str, values: dict[str, int]) -> np.ndarray:
    column = table.column(name).cast(pa.string())
    place = pc.index_in(column, value_set=pa.array(list(values)))
    if place.null_count:
        bad = pc.filter(column, pc.is_null(place))[0].as_py()
        raise ValueError(f"column {name!r} holds {bad!r}: use one of {', '.join(values)}")
    return np.array(list(values.values()), np.int64)[np.asarray(place)]
