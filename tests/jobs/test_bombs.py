"""Small files that stand for huge ones: memory stays bounded, and every record is accounted for."""

import gzip
import os
import zlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hostile import errors, everything, good, lines
from test_bad_input import put, subprocess_run

from curation.io.row_groups import page_header, rows_at_once


def packed_line(form: str, megabytes: int) -> bytes:
    """A line of so many megabytes of one letter between two good records, compressed."""
    piece, first, last = b"x" * 1_000_000, lines(good(1)) + b'{"text": "', b'"}\n' + lines(good(2)[1:])
    engine = zlib.compressobj(9, zlib.DEFLATED, 31) if form == "jsonl.gz" else zstandard.ZstdCompressor().compressobj()
    return b"".join([engine.compress(p) for p in (first, *[piece] * megabytes, last)]) + engine.flush()


@pytest.mark.parametrize("form", ["jsonl.gz", "jsonl.zst"])
def test_a_line_that_unpacks_to_half_a_gigabyte(tmp_path, form):
    bomb = packed_line(form, 500)
    assert len(bomb) < 1_000_000
    put(tmp_path, f"a.{form}", bomb)
    counts, peak = subprocess_run(tmp_path, "limits.document_mb=20")
    assert (counts["kept"], counts["quarantined"]) == (2, 1)
    assert errors(tmp_path / "out") == ["line_too_long"]
    assert peak < 1100, f"{peak:.0f} MB"  # of 500 to 800 that any run takes


def test_nothing_but_newlines(tmp_path):
    put(tmp_path, "a.jsonl.zst", zstandard.compress(b"\n" * 10_000_000 + lines(good(1))))
    put(tmp_path, "b.jsonl.gz", gzip.compress(b"\n" * 5_000_000 + lines(good(2)[1:])))
    counts, peak = subprocess_run(tmp_path)
    assert counts["kept"] == counts["read"] == 2
    assert peak < 1100, f"{peak:.0f} MB"


@pytest.mark.parametrize("stored", ["string", "dictionary"])
def test_a_dictionary_that_stands_for_gigabytes(tmp_path, stored):
    text = pa.DictionaryArray.from_arrays(pa.array([0] * 20_000 + [1], pa.int32()), ["x" * 500_000, "short"])
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "a.parquet"
    extra = pa.table({"text": [f"document {i}" for i in range(20_001)], "note": text})
    pq.write_table(extra, path, compression="zstd", row_group_size=30_000, store_schema=stored == "dictionary")
    assert os.path.getsize(path) < 2_000_000  # for ten gigabytes
    code = (
        "import re, sys; from curation.io import read_shard; from curation.plan import Shard\n"
        "rows = 0\n"
        "for batch, numbers in read_shard(Shard(0, sys.argv[1], 'default', 'a.parquet'), text='text',\n"
        "        batch_bytes=1 << 22, on_bad=print): rows += batch.num_rows\n"
        # not ru_maxrss: that begins with what the parent had when it started the process
        "print(rows, int(re.search('VmHWM:\\\\s+(\\\\d+)', open('/proc/self/status').read())[1]) // 1024)"
    )
    rows, peak = in_process(code, path)
    assert rows == 20_001
    assert peak < 2000, f"{peak} MB"


def in_process(code: str, path: Path) -> tuple[int, int]:
    import subprocess
    import sys

    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows, peak = done.stdout.split()[-2:]
    return int(rows), int(peak)


def test_a_footer_that_lies_about_sizes(tmp_path):
    (tmp_path / "in").mkdir()
    pq.write_table(pa.Table.from_pylist(good(3)), tmp_path / "in" / "good.parquet")
    data = bytearray((tmp_path / "in" / "good.parquet").read_bytes())
    size = int.from_bytes(data[-8:-4], "little")
    for i in range(40):  # numbers in the footer are bytes somewhere in it
        changed = bytearray(data)
        at = len(data) - 8 - size + (i * 37) % size
        changed[at : at + 5] = b"\xff\xff\xff\xff\x7f"
        (tmp_path / "in" / f"lying-{i:02}.parquet").write_bytes(changed)
    counts, peak = subprocess_run(tmp_path)
    assert counts["read"] == counts["kept"] + counts["excluded"] + counts["quarantined"]
    assert {row["n"] for row in everything(tmp_path / "out") if "n" in row} >= {0, 1, 2}
    assert peak < 1500, f"{peak:.0f} MB"


@pytest.mark.parametrize(
    ("header", "sizes"),
    [
        (b"\x15\x04\x15\x80\x01\x15\x0a\x4c\x15\x06\x15\x00\x11\x00\x00", (15, 5, 64)),
        (b"\x15\x04\x15\x80\x01\x15\x0a", None),  # cut short
        (b"\x15\x04\x15\x0a\x00", None),  # one size only
        (b"", None),
        (b"\x15\x04\x25\x02", None),
    ],
)
def test_the_sizes_in_a_page_header(header, sizes):
    assert page_header(header) == sizes


@pytest.mark.parametrize("codec", ["zstd", "snappy", "gzip", "brotli", "lz4", "none"])
def test_long_texts_that_occur_once_are_decoded_together(tmp_path, codec):
    path, most = tmp_path / "a.parquet", 100_000_000
    texts = [f"{i} " * 1000 for i in range(3000)]
    pq.write_table(pa.table({"text": texts}), path, compression=codec)
    with open(path, "rb") as file:
        rows = rows_at_once(pq.ParquetFile(path), file, 0, 3000, most)
    if codec == "lz4":  # of whose page only the size is known
        assert 1 <= rows < 1000
    else:
        assert rows == 3000
    pq.write_table(pa.table({"text": ["x" * 100_000, "y"] * 1500}), path, compression=codec)
    with open(path, "rb") as file:
        assert most // 100_010 <= rows_at_once(pq.ParquetFile(path), file, 0, 3000, most) <= most // 100_000


@pytest.mark.parametrize("key", ["source", "group", "url"])
def test_a_text_where_a_name_should_be(tmp_path, key):
    # as wide as the longest, an array of these names would take 3 GB
    rows = [
        {**r, "name": "http://" * (key == "url") + "x" * (2_000_000 if i == 7 else i)} for i, r in enumerate(good(400))
    ]
    put(tmp_path, "a.jsonl", lines(rows))
    counts, peak = subprocess_run(tmp_path, f"columns.{key}=name", "dedup.enabled=false")
    assert counts["kept"] == 400
    assert peak < 1200, f"{peak:.0f} MB"
