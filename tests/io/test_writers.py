"""The bytes of an output file depend on its rows alone; files appear whole or not at all."""

import datetime as dt
import decimal
import gzip
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from io_helpers import shard

from curation.batch import add_columns, slice_by_bytes
from curation.io import BadRecord, Quarantine, ShardWriter, files, output_relative
from curation.io.quarantine import read_quarantine
from curation.io.stamps import read_stamp
from curation.schema import ADDED

FORMATS = ["parquet", "jsonl", "jsonl.gz", "jsonl.zst"]


def table(rows: int) -> pa.RecordBatch:
    numbers = np.arange(rows)
    texts = [f"{i} " * (i % 40) if i % 11 else None for i in range(rows)]
    return pa.RecordBatch.from_arrays(
        [
            pa.array(texts),
            pa.array([f"c{i % 5}" for i in range(rows)]).dictionary_encode(),
            pa.array(texts, pa.string_view()),
            pa.array([list(range(i % 4)) if i % 5 else None for i in range(rows)], pa.list_(pa.int32())),
            pa.array(
                [{"a": i, "b": "x" * (i % 3)} for i in range(rows)],
                pa.struct([("a", pa.int8()), ("b", pa.string())]),
            )
            if rows < 100
            else pa.array([{"a": 1, "b": "x" * (i % 3)} for i in range(rows)]),
            pa.array([[("k", i)] if i % 2 else [] for i in range(rows)], pa.map_(pa.string(), pa.int64())),
            pa.array(numbers.astype(np.float32)),
            pa.array([bytes([i % 256]) * 16 for i in range(rows)], pa.binary(16)),
            pa.array([dt.date(2020, 1, 1 + i % 28) for i in range(rows)]),
            pa.array([[i % 7, 2] for i in range(rows)], pa.list_(pa.uint16(), 2)),
            pa.nulls(rows),
        ],
        names=["text", "kind", "view", "list", "struct", "map", "float", "hash", "day", "pair", "nothing"],
    )


def write(url: str, form: str, batches: list[pa.RecordBatch], schema: pa.Schema) -> None:
    with ShardWriter(url, form, schema, {"made": "by hand"}) as writer:
        for batch in batches:
            writer.write(batch)


@pytest.mark.parametrize("form", FORMATS)
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, 700), max_size=8), rows=st.integers(2, 64))
def test_bytes_do_not_depend_on_batching(tmp_path: Path, form: str, cuts: list[int], rows: int) -> None:
    whole = table(700)
    ends = [0, *sorted(cuts), 700]
    pieces = [whole.slice(a, b - a) for a, b in zip(ends[:-1], ends[1:], strict=True)]
    # a batch that was built anew has other dictionaries and buffers than a slice
    fresh = [pa.RecordBatch.from_pylist(p.to_pylist(), schema=p.schema) for p in pieces]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("curation.io.writers.ROWS", rows)
        patch.setattr("curation.io.writers.BYTES", 5_000)
        patch.setattr("curation.io.writers.PIECE", 1_000)
        for name, batches in (("a", [whole]), ("b", pieces), ("c", fresh)):
            write(str(tmp_path / f"{name}.{form}"), form, batches, whole.schema)
    found = {(tmp_path / f"{name}.{form}").read_bytes() for name in "abc"}
    assert len(found) == 1
    if form == "parquet":
        back = pq.read_table(tmp_path / "a.parquet")
        assert back.schema.equals(whole.schema) and back.to_pylist() == whole.to_pylist()
        sizes = [pq.read_metadata(tmp_path / "a.parquet").row_group(i).num_rows for i in range(3)]
        assert max(sizes) <= rows


def test_row_groups_are_bounded_by_bytes(tmp_path: Path) -> None:
    text = pa.array(["x" * 400, "y" * 700, "z" * 2_000, "", "w" * 10])
    batch = pa.RecordBatch.from_arrays([text], names=["text"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("curation.io.writers.BYTES", 1_000)
        write(str(tmp_path / "a.parquet"), "parquet", [batch], batch.schema)
    metadata = pq.read_metadata(tmp_path / "a.parquet")
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [1, 1, 1, 2]


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("root", ["local", "memory"])
def test_stamps_empty_shards_and_failures(tmp_path: Path, form: str, root: str) -> None:
    folder = str(tmp_path) if root == "local" else f"memory://{tmp_path.name}"
    schema = pa.schema([("text", pa.string()), ("weight", pa.float64())])
    url = files.join(folder, f"s p'ace\"/ünï/odd..x.{form}")
    assert read_stamp(url) is None
    write(url, form, [], schema)
    assert read_stamp(url) == {"made": "by hand"}
    if form == "parquet":
        with files.open_file(url) as file:
            assert pq.read_table(file).schema.equals(schema)
    before = [f.relative for f in files.list_files(folder)]
    assert before == [f"s p'ace\"/ünï/odd..x.{form}"]
    other = files.join(folder, f"other.{form}")
    with pytest.raises(ZeroDivisionError), ShardWriter(other, form, schema) as writer:
        writer.write(pa.RecordBatch.from_pylist([{"text": "x", "weight": 1.0}], schema=schema))
        1 / 0  # noqa: B018
    with pytest.raises(ValueError, match="'weight' is int64, not double"):
        wrong = pa.RecordBatch.from_pylist([{"text": "x", "weight": 1}])
        with ShardWriter(other, form, schema) as writer:
            writer.write(wrong)
    assert not files.exists(other)
    if root == "local":
        assert not list(tmp_path.rglob(".tmp-*"))


def test_json_values(tmp_path: Path) -> None:
    row = {
        "text": "é",
        "hash": b"\x00\xff",
        "day": dt.date(2024, 2, 3),
        "price": decimal.Decimal("1.50"),
        "bad": float("nan"),
        "at": dt.datetime(2024, 1, 2, 3, 4, 5),
        "none": None,
    }
    batch = pa.RecordBatch.from_pylist([row])
    batch = batch.set_column(5, "at", batch["at"].cast(pa.timestamp("ns")))
    wanted = {
        **row,
        "hash": "00ff",
        "day": "2024-02-03",
        "price": "1.50",
        "bad": None,
        "at": "2024-01-02T03:04:05",
    }
    opened = {
        "jsonl": bytes,
        "jsonl.gz": gzip.decompress,
        "jsonl.zst": lambda b: zstandard.decompress(b, 1 << 20),
    }
    for form, unpack in opened.items():
        path = tmp_path / f"a.{form}"
        write(str(path), form, [batch], batch.schema)
        assert orjson.loads(unpack(path.read_bytes())) == wanted
    path = tmp_path / "a.jsonl"
    path.write_bytes(path.read_bytes() + b"{}\n")
    assert read_stamp(str(path)) is None  # not the file that was stamped


def test_output_names() -> None:
    assert output_relative(shard("a/b.parquet"), "parquet") == "b.parquet"
    assert output_relative(shard("a/b.json.gz"), "same") == "b.json.gz"
    assert output_relative(shard("a/b.ndjson"), "jsonl") == "b.ndjson"
    assert output_relative(shard("a/b.jsonl.gz"), "parquet") == "b.jsonl.gz.parquet"


@settings(deadline=None)
@given(st.lists(st.text(max_size=9) | st.none(), max_size=30), st.integers(1, 20), st.integers(1, 7))
def test_slices_are_bounded(texts: list[str | None], limit: int, rows: int) -> None:
    batch = pa.RecordBatch.from_arrays([pa.array(texts, pa.string())], names=["t"])
    slices = list(slice_by_bytes(batch, "t", limit, rows))
    assert [v for s in slices for v in s["t"].to_pylist()] == texts
    sizes = [[len((v or "").encode()) for v in s["t"].to_pylist()] for s in slices]
    assert all(0 < len(s) <= rows and (sum(s) <= limit or len(s) == 1) for s in sizes)
    assert all(len(a) == rows or sum(a) + b[0] > limit for a, b in zip(sizes, sizes[1:], strict=False))


def test_added_columns_replace_our_own() -> None:
    old = {column.name: pa.nulls(2, column.type) for column in ADDED}
    batch = add_columns(pa.RecordBatch.from_pydict({"text": ["a", "b"]}), old)
    new = add_columns(batch, {"weight": np.array([1.0, 2.0]), "copies": pa.array([1, 2])})
    assert new.schema.names == ["text", "weight", "copies"] and new["weight"].to_pylist() == [1.0, 2.0]
    assert add_columns(batch, {"weight": np.ones(2)}, "p_").schema.names == [*batch.schema.names, "p_weight"]
    with pytest.raises(ValueError, match=r"'text'.*columns.prefix"):
        add_columns(batch, {"text": np.ones(2)})


def test_quarantine(tmp_path: Path) -> None:
    url = str(tmp_path / "q" / "a.parquet")
    bad = [
        BadRecord(i, None if i % 2 else i, 1 + i, "invalid_json", "why", b"\xff" * 100_000)
        for i in range(300)
    ]
    with Quarantine(url) as quarantine:
        for one in bad:
            quarantine(one)
    back = list(read_quarantine(url))
    assert quarantine.count == sum(b.count for b in bad) == sum(b.count for b in back)
    assert [(b.row, b.offset) for b in back] == [(b.row, b.offset) for b in bad] and len(
        back[0].raw
    ) == 65_536
    with pytest.raises(KeyError), Quarantine(url) as quarantine:
        quarantine(bad[0])
        raise KeyError
    assert len(list(read_quarantine(url))) == 300
    with Quarantine(url):
        pass
    assert not files.exists(url) and not list(read_quarantine(url))
