"""Which document of a cluster survives: total orders, so that the answer never depends on the order of the input."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

POLICIES = ("human_first", "longest", "earliest", "first")
TRUST = {"human": 0, "premium": 0, "unknown": 1, "synthetic": 2}
LABEL = {"human": 0, "undetermined": 1, "synthetic": 2}


def keep_ranks(table: pa.Table, id_rank: np.ndarray, policy: str) -> np.ndarray:
    """int64[n], smaller is better, all different: the rank of each row of `table` under a keep policy.

    human_first: declared human or premium source, then label (human, undetermined, synthetic), then earliest date
    (undated last), then longest text, then id. longest: bytes, then date, then id. earliest: date, then bytes, then
    id. first: the order of the input. Raises ValueError for another policy, trust or label, naming it.
    """
    if policy not in POLICIES:
        raise ValueError(f"unknown keep policy {policy!r}: use one of {', '.join(POLICIES)}")
    n = table.num_rows
    if policy == "first":
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
