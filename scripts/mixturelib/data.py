"""Labelled documents of one collection, split into a reference, a mixture and human text to measure with."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

COLLECTIONS = {"L2R": "ranhli/l2r_data", "M4": "mbzuai-nlp/M4", "OUTFOX": "ryuryukke/OUTFOX"}
FOLDERS = {
    "detection-open": ("paired_train", "paired_dev", "unpaired_train", "unpaired_dev"),
    "detection-open-2": ("human_train", "human_dev", "synthetic_train", "synthetic_dev"),
}
SHARE = 0.7  # of LLM text in a mixture
TARGET = 1 / 3  # of the human documents outside the reference, that are measured against


class Mixture(NamedTuple):
    """Texts and ids: trusted human text, the crawl with bool `human`, and human text that nothing else sees."""

    reference: pa.RecordBatch
    crawl: pa.RecordBatch
    human: np.ndarray
    target: pa.RecordBatch


def read(folder: Path) -> pa.Table:
    """English documents of all collections, without copies of a text. Raises FileNotFoundError."""
    tables = []
    for part, files in FOLDERS.items():
        for name in files:
            path = folder / part / f"{name}.parquet"
            if not path.exists():
                raise FileNotFoundError(f"{path} is missing: DATA_FOLDER must hold {' and '.join(FOLDERS)}")
            tables.append(pq.read_table(path, columns=["text", "label", "source", "domain", "generator", "lang"]))
    table = pa.concat_tables(tables)
    table = table.filter(pc.equal(table["lang"], "en")).combine_chunks()
    keys = pa.array([xxhash.xxh3_128_hexdigest(text.encode()) for text in table["text"].to_pylist()])
    first = np.unique(keys.to_numpy(zero_copy_only=False), return_index=True)[1]
    return table.append_column("id", keys).take(pa.array(np.sort(first)))


def mixture(table: pa.Table, source: str, odd: bool = False) -> Mixture:
    """The mixture of a collection: 30 % human, 70 % LLM text, as large as its human documents allow.

    Documents are even or odd by a hash of the text. The crawl and the human text to measure with are even (with `odd`,
    half of the odd ones, to develop on); the reference is odd, and then the other half.
    """
    mine = table.filter(pc.equal(table["source"], source))
    keys = np.array([int(key[:16], 16) for key in mine["id"].to_pylist()], np.uint64)
    human = mine["label"].to_numpy() == 0
    even = (keys & np.uint64(1)) == 0
    half = (keys & np.uint64(2)) == 0
    crawl_side = ~even & half if odd else even
    reference = human & ~even & (~half if odd else True)
    place = (keys >> np.uint64(8)).astype(np.float64) / 2.0**56
    target = human & crawl_side & (place < TARGET)
    people = np.flatnonzero(human & crawl_side & ~target)
    machines = np.flatnonzero(~human & crawl_side)
    wanted = min(len(people), int(len(machines) * (1 - SHARE) / SHARE))
    people = people[np.argsort(keys[people])][:wanted]
    machines = machines[np.argsort(keys[machines])][: round(wanted * SHARE / (1 - SHARE))]
    rows = np.concatenate([people, machines])
    rows = rows[np.argsort(keys[rows])]
    return Mixture(
        _batch(mine, np.flatnonzero(reference)), _batch(mine, rows), human[rows], _batch(mine, np.flatnonzero(target))
    )


def _batch(table: pa.Table, rows: Sequence[int] | np.ndarray) -> pa.RecordBatch:
    part = table.select(["id", "text"]).take(pa.array(rows, pa.int64())).combine_chunks()
    arrays = [pa.concat_arrays(column.chunks) if column.num_chunks else column for column in part.columns]
    return pa.RecordBatch.from_arrays([a.cast(pa.large_string()) for a in arrays], ["id", "text"])
