"""Decisions are read in step with the records, and nothing of a shard stays behind it."""

import gc
import weakref

import pyarrow as pa
import pyarrow.parquet as pq

from curation.jobs.decisions import Cursor


def test_a_cursor_left_half_way_goes_with_its_last_reference(tmp_path):
    pq.write_table(pa.table({"n": range(50_000)}), tmp_path / "a.parquet")
    gc.disable()
    try:
        cursor = Cursor(str(tmp_path / "a.parquet"), ["n"])
        assert cursor.take(3).column("n").to_pylist() == [0, 1, 2]
        watched = weakref.ref(cursor)
        del cursor
        assert watched() is None
    finally:
        gc.enable()
