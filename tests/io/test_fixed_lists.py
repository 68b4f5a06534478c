"""Parquet with lists of fixed size of which some are null, which Arrow writes and cannot read back."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from io_helpers import read, shard

from curation import curate
from curation.io import final_schema, read_shard

PAIR = pa.list_(pa.float32(), 2)
WHOLE = pa.list_(pa.int64(), 2)
TYPES: dict[str, tuple[pa.DataType, list]] = {
    "plain": (PAIR, [[1.0, 2.0], None, [3.0, None]]),
    "in a struct": (pa.struct([("x", WHOLE), ("y", pa.int8())]), [{"x": None, "y": 1}, None, {"x": [1, 2], "y": 2}]),
    "in a list": (pa.list_(WHOLE), [[[1, 2], None], None, []]),
    "in a map": (pa.map_(pa.string(), WHOLE), [[("a", [1, 2])], None, [("b", None)]]),
    "in one of their own": (pa.list_(WHOLE, 2), [[[1, 2], None], None, [[3, 4], [5, 6]]]),
    "all null": (WHOLE, [None, None, None]),
}  # fmt: skip


def written(path: Path, table: pa.Table, group: int = 30, **options) -> None:
    pq.write_table(table, path, row_group_size=group, compression="zstd", **options)


@pytest.mark.parametrize("kind", TYPES)
def test_null_lists_come_as_they_were_written(tmp_path, kind):
    type_, values = TYPES[kind]
    words = pa.array(["red", "blue", None] * 30).dictionary_encode()
    table = pa.table(
        {"v": pa.array(values * 30, type_), "text": [f"a text {i}" for i in range(90)], "word": words, "n": range(90)}
    )
    written(tmp_path / "a.parquet", table)
    with pytest.raises(pa.ArrowInvalid):  # once Arrow reads them, this module can go
        pq.read_table(tmp_path / "a.parquet")
    for size in (1 << 20, 64):  # bytes of text in a batch
        records, rows, bad = read(tmp_path / "a.parquet", size)
        assert not bad and rows == list(range(90))
        assert records == table.to_pylist()
    found = next(iter(read_shard(shard(tmp_path / "a.parquet"), text="text", batch_bytes=1 << 20, on_bad=print)))[0]
    assert found.schema == final_schema(shard(tmp_path / "a.parquet"), text="text") == table.schema


def test_row_groups_with_and_without_nulls_follow_each_other(tmp_path, monkeypatch):
    values = [[float(i), 0.5] if i < 30 or i % 2 else None for i in range(90)]
    table = pa.table({"text": [f"a text {i}" for i in range(90)], "v": pa.array(values, PAIR)})
    written(tmp_path / "a.parquet", table)
    for held in (1 << 28, 0):  # 0: decoded twice
        monkeypatch.setattr("curation.io.parquet.HELD_ROW_GROUP", held)
        records, rows, bad = read(tmp_path / "a.parquet")
        assert not bad and rows == list(range(90)) and records == table.to_pylist()
    only = read(tmp_path / "a.parquet", columns=["v"])[0]
    assert [row["v"] for row in only] == values


def test_a_broken_page_beside_null_lists_costs_its_row_group_only(tmp_path):
    values = [[float(i), 0.5] if i % 2 else None for i in range(90)]
    path = tmp_path / "a.parquet"
    written(path, pa.table({"text": [f"a text {i}" for i in range(90)], "v": pa.array(values, PAIR)}),
            write_page_checksum=True)  # fmt: skip
    chunk = pq.read_metadata(path).row_group(1).column(1)
    data = bytearray(path.read_bytes())
    middle = chunk.data_page_offset + chunk.total_compressed_size // 2
    data[middle : middle + 8] = bytes(8)
    path.write_bytes(data)
    records, rows, bad = read(path)
    assert [(b.row, b.count, b.error) for b in bad] == [(30, 30, "broken_row_group")]
    assert rows == [*range(30), *range(60, 90)] and [row["v"] for row in records] == [values[i] for i in rows]


def test_a_job_keeps_documents_that_lack_an_embedding(tmp_path):
    words = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    texts = [" ".join(words[(i * k) % 10] for k in range(1, 40)) + f" number {i}" for i in range(60)]
    values = [[i / 64, 1.0] if i % 3 else None for i in range(60)]
    written(tmp_path / "a.parquet", pa.table({"id": [f"d{i}" for i in range(60)], "text": texts,
                                              "v": pa.array(values, PAIR)}))  # fmt: skip
    report = curate(inputs=[str(tmp_path / "a.parquet")], output=str(tmp_path / "out"), mix={"columns": {"v": 2}})
    assert report["documents"]["quarantined"] == 0 and report["documents"]["read"] == 60
    found = {}
    for folder in ("kept", "excluded"):
        for file in (tmp_path / "out" / folder).rglob("*.parquet"):
            found.update({row["id"]: row["v"] for row in read(file)[0]})
    assert found == {f"d{i}": value for i, value in enumerate(values)}
