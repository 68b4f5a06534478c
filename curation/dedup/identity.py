"""Public ids: one name per document, also where the input repeats an id."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.dedup.anchors import EARLIER
from curation.dedup.shuffle import fixed_words


class Identities(NamedTuple):
    """ids large_string[n], distinct; rank int64[n] in the order of their UTF-8 bytes; changed bool[n]; repeated: how
    many documents had an id that came before."""

    ids: pa.Array
    rank: np.ndarray
    changed: np.ndarray
    repeated: int


def public_ids(table: pa.Table, tier: np.ndarray) -> Identities:
    """The public id of each row of a table with columns id, row_hash (binary[16]) and job_row.

    Rows with one id are ordered by row hash, then job row: the first keeps the id, a later one becomes
    `id#<row hash in hex>`, and later rows that are equal throughout `id#<row hash>-2`, `-3` and so on; a name that
    another row of the table has as its id is passed over. Rows of an earlier run (column `anchor`) come first, then
    those of a smaller `tier` int64[n].
    """
    ids = pa.concat_arrays([chunk.cast(pa.large_string()) for chunk in table.column("id").chunks])
    n = len(ids)
    number = np.asarray(ids.dictionary_encode().indices).astype(np.int64)
    row_hash = np.concatenate([fixed_words(chunk) for chunk in table.column("row_hash").chunks])
    hashes = row_hash.byteswap()  # compare as hexadecimal text does
    job_row = np.asarray(table.column("job_row")).astype(np.int64)
    new = np.ones(n, bool)
    if "anchor" in table.schema.names:
        new = np.asarray(table.column("anchor")) != EARLIER
    order = np.lexsort((job_row, hashes[:, 1], hashes[:, 0], tier, new, number))
    later = np.zeros(n, bool)
    later[1:] = number[order][1:] == number[order][:-1]
    changed = np.zeros(n, bool)
    changed[order] = later
    if changed.any():
        ids = _renamed(ids, order[later], number, row_hash, changed)
    rank = np.empty(n, np.int64)
    rank[np.asarray(pc.sort_indices(ids)).astype(np.int64)] = np.arange(n)
    return Identities(ids, rank, changed, int(changed.sum()))


def _renamed(
    ids: pa.Array, later: np.ndarray, number: np.ndarray, row_hash: np.ndarray, changed: np.ndarray
) -> pa.Array:
    """The ids with those of the rows `later` (in order of id, row hash, job row) replaced."""
    hexes = row_hash[later].astype("<u8").view(np.uint8).reshape(len(later), 16)
    same = np.zeros(len(later), bool)
    same[1:] = (number[later][1:] == number[later][:-1]) & (row_hash[later][1:] == row_hash[later][:-1]).all(axis=1)
    starts = np.maximum.accumulate(np.where(same, 0, np.arange(len(later))))
    copies = (np.arange(len(later)) - starts + 1).tolist()
    old = ids.take(pa.array(later)).to_pylist()
    new = [
        f"{name}#{digest.tobytes().hex()}" + (f"-{copy}" if copy > 1 else "")
        for name, digest, copy in zip(old, hexes, copies, strict=True)
    ]
    taken = set(pc.filter(ids, pc.is_in(ids, value_set=pa.array(new, pa.large_string()))).to_pylist())
    for i, name in enumerate(new) if taken else ():
        stem, copy = name, 1
        while name in taken:
            copy += 1
            name = f"{stem}-{copy}"
        new[i] = name
        taken.add(name)
    place = np.zeros(len(ids), np.int64)
    place[later] = np.arange(len(later)) + len(ids)
    place[~changed] = np.flatnonzero(~changed)
    return pa.concat_arrays([ids, pa.array(new, pa.large_string())]).take(pa.array(place))
