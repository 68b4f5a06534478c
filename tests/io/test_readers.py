"""Bad input of every kind is quarantined one record at a time, and record numbers never shift."""

import gzip
import json
import re
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from io_helpers import broken_strings, read, shard

from curation.config import Columns, ConfigError
from curation.io import BadRecord, check_columns, final_schema, read_shard

GOOD = [b'{"text":"one","n":1}', b'{"text":"two","n":2.5}']
BAD = {
    b'{"text":"x"': "invalid_json",
    b'{"text":"x"} {"text":"y"}': "invalid_json",
    b'{"text":"x","v":NaN}': "invalid_json",
    b'{"text":"x","v":Infinity}': "invalid_json",
    b'{"text":"x","v":1e999}': "invalid_json",
    b'{"text":"\\ud800"}': "invalid_json",
    b'{"text":"\xff"}': "invalid_utf8",
    b"[1]": "not_an_object",
    b'"text"': "not_an_object",
    b'{"n":1}': "text_missing",
    b'{"text":7}': "text_not_a_string",
    b'{"text":{"a":1}}': "text_not_a_string",
}


@pytest.mark.parametrize("line", BAD, ids=repr)
@pytest.mark.parametrize("size", [1, 30, 1 << 20])
def test_a_bad_line_is_quarantined_alone(tmp_path: Path, line: bytes, size: int) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\n".join([GOOD[0], b"", line, b"  ", GOOD[1]]) + b"\n")
    records, rows, bad = read(path, size)
    assert [(b.row, b.offset, b.count, b.error) for b in bad] == [(1, len(GOOD[0]) + 2, 1, BAD[line])]
    assert bad[0].raw == line and bad[0].message
    assert rows == [0, 2]
    assert records == [{"text": "one", "n": 1.0}, {"text": "two", "n": 2.5}]


def test_values_that_json_allows(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(
        b'\xef\xbb\xbf{"text":null,"when":"2024-01-01","k":1,"k":2}\r\n{"text":"","when":null,"big":18446744073709551615}\n'
        b'{"text":"\\u0000","mixed":1,"tags":[1]}\n{"text":"x","mixed":"1","tags":[2.5],"o":{"a":1}}\n'
        b'{"text":"y","mixed":{"z":[]},"o":{"b":"c"},"e":{}}'
    )
    for size in (1, 1 << 20):
        records, rows, bad = read(path, size)
        assert not bad and rows == [0, 1, 2, 3, 4]
        assert [r["text"] for r in records] == [None, "", "\0", "x", "y"]
        assert records[0]["when"] == "2024-01-01" and records[0]["k"] == 2
        assert records[1]["big"] == "18446744073709551615"
        assert [r["mixed"] for r in records] == [None, None, "1", "1", '{"z":[]}']
        assert [r["tags"] for r in records[2:4]] == [[1.0], [2.5]]
        assert [r["o"] for r in records[3:]] == [{"a": 1, "b": None}, {"a": None, "b": "c"}]
        assert records[4]["e"] == "{}"
    assert final_schema(shard(path), text="text").names[:3] == ["text", "when", "k"]


def test_lines_that_share_a_value_are_not_joined(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text":"a"}{"text":\n"b"}\n{"text":"c"}\n')
    records, rows, bad = read(path)
    assert [r["text"] for r in records] == ["c"] and rows == [2] and [b.row for b in bad] == [0, 1]


def test_long_lines_are_sampled(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.zst"
    long = b'{"text":"' + b"x" * 5_000_000 + b'"}'
    path.write_bytes(zstandard.compress(b"\n".join([GOOD[0], long, GOOD[1]])))
    records, rows, bad = read(path, longest_line=1_000_000)
    assert rows == [0, 2] and [(b.row, b.error) for b in bad] == [(1, "line_too_long")]
    assert bad[0].raw == long[:65_536] and str(len(long)) in bad[0].message
    assert [len(r["text"]) for r in read(path)[0]] == [3, 5_000_000, 3]


@pytest.mark.parametrize("packing", ["gz", "zst"])
def test_truncated_compression_keeps_what_stands_before(tmp_path: Path, packing: str) -> None:
    lines = [orjson.dumps({"text": f"{i} " + str(hash_like(i))}) for i in range(50_000)]
    content = b"\n".join(lines) + b"\n"
    packed = gzip.compress(content) if packing == "gz" else zstandard.compress(content)
    path = tmp_path / f"a.jsonl.{packing}"
    path.write_bytes(packed)
    assert len(read(path)[0]) == 50_000 and not read(path)[2]
    path.write_bytes(packed[: len(packed) * 2 // 3])
    records, rows, bad = read(path)
    assert 10_000 < len(records) < 50_000 and rows == list(range(len(records)))
    assert [(b.row, b.count, b.error) for b in bad] == [(len(records), 1, "broken_compression")]
    assert content[bad[0].offset :].startswith(bad[0].raw)
    path.write_bytes(packed + packed)  # members after each other are one file
    assert len(read(path)[0]) == 100_000
    path.write_bytes(b"not compressed at all")
    assert [(b.row, b.error) for b in read(path)[2]] == [(0, "unreadable_file")]


def hash_like(i: int) -> int:
    return (i * 6364136223846793005 + 1442695040888963407) % (1 << 64)


def parquet(path: Path, table: pa.Table, group: int = 100) -> None:
    pq.write_table(table, path, row_group_size=group, use_dictionary=False, compression="none")


def test_parquet_without_a_footer(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    parquet(path, pa.table({"text": ["a", "b"]}))
    path.write_bytes(path.read_bytes()[:-6])
    records, _, bad = read(path)
    assert not records and [(b.row, b.count, b.error) for b in bad] == [(0, 1, "unreadable_file")]
    path.write_bytes(b"")
    assert [b.error for b in read(path)[2]] == ["unreadable_file"]
    assert [b.error for b in read(tmp_path / "absent.parquet")[2]] == ["unreadable_file"]
    check_columns([shard(path)], Columns())


@pytest.mark.parametrize("held", [1 << 28, 0])
def test_a_broken_page_costs_its_row_group(
    tmp_path: Path, held: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("curation.io.parquet.HELD_ROW_GROUP", held)
    path = tmp_path / "a.parquet"
    table = pa.table({"text": [f"document {i}" for i in range(300)], "n": range(300)})
    pq.write_table(table, path, row_group_size=100, compression="zstd", write_page_checksum=True)
    chunk = pq.read_metadata(path).row_group(1).column(0)
    data = bytearray(path.read_bytes())
    middle = chunk.data_page_offset + chunk.total_compressed_size // 2
    data[middle : middle + 20] = bytes(20)
    path.write_bytes(data)
    for size in (64, 1 << 20):
        records, rows, bad = read(path, size)
        assert [(b.row, b.count, b.error) for b in bad] == [(100, 100, "broken_row_group")]
        assert rows == [*range(100), *range(200, 300)] == [r["n"] for r in records]
        assert "100 to 199" in bad[0].message


@pytest.mark.parametrize(
    "kind", [None, pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]
)
def test_invalid_utf8_in_parquet(tmp_path: Path, kind: pa.DataType | None) -> None:
    path = tmp_path / "a.parquet"
    strings = broken_strings([b"good", b"\xff\xfe", b"also good, and longer than a view", b"good"], None)
    if kind is not None:
        strings = strings.dictionary_encode() if pa.types.is_dictionary(kind) else strings.cast(kind)
    parquet(path, pa.table({"text": strings, "n": [0, 1, 2, 3]}))
    records, rows, bad = read(path)
    assert rows == [0, 2, 3] == [r["n"] for r in records]
    assert [(b.row, b.error, b.raw) for b in bad] == [(1, "invalid_utf8", b"\xff\xfe")] and "'text'" in bad[
        0
    ].message


@pytest.mark.parametrize("sound", [False, True])
def test_parquet_is_delivered_in_batches_of_the_size_asked_for(tmp_path: Path, sound: bool) -> None:
    path = tmp_path / "a.parquet"
    parquet(path, pa.table({"text": [f"{i:04}" * 250 for i in range(300)], "n": range(300)}))
    found = list(
        read_shard(shard(path), text="text", batch_bytes=20_000, on_bad=lambda _: None, sound=sound)
    )
    assert [row for _, rows in found for row in rows.tolist()] == list(range(300))
    assert max(batch.num_rows for batch, _ in found) <= 20 and len(found) <= 25


def test_a_row_group_that_breaks_after_it_was_found_sound_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    text = pa.array([f"{i:04} {hash((i, 7))}" * 40 for i in range(3000)])
    pq.write_table(pa.table({"text": text}), path, row_group_size=1500, use_dictionary=False, data_page_size=20_000)
    chunk = pq.read_metadata(path).row_group(1).column(0)
    data = bytearray(path.read_bytes())
    middle = chunk.data_page_offset + chunk.total_compressed_size // 2
    data[middle : middle + 200] = bytes(200)
    path.write_bytes(data)
    bad: list[BadRecord] = []
    found = read_shard(shard(path), text="text", batch_bytes=100_000, on_bad=bad.append, sound=True)
    delivered = [row for _, rows in found for row in rows.tolist()]
    assert [(b.row, b.count, b.error) for b in bad] == [(1500, 1500, "broken_row_group")]
    assert 1500 <= len(delivered) < 3000


def test_strings_that_an_earlier_reading_found_sound_are_not_checked_again(tmp_path: Path) -> None:
    delivered: dict[str, list[int]] = {}
    table = pa.table({"text": broken_strings([b"good", b"\xff"])})
    parquet(tmp_path / "a.parquet", table)
    with pa.OSFile(str(tmp_path / "a.arrow"), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    for name in ("a.parquet", "a.arrow"):
        found = read_shard(
            shard(tmp_path / name), text="text", batch_bytes=1 << 20, on_bad=lambda _: None, sound=True
        )
        delivered[name] = [row for _, rows in found for row in rows.tolist()]
    # of Arrow files buffers are mapped as they are, so that even their offsets have to be looked at
    assert delivered == {"a.parquet": [0, 1], "a.arrow": [0]}


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]
)
def test_text_of_every_string_type(tmp_path: Path, kind: pa.DataType) -> None:
    path = tmp_path / "a.parquet"
    values = ["", None, "é" * 20, "x" * 500, "y"]
    text = pa.array(values).dictionary_encode() if pa.types.is_dictionary(kind) else pa.array(values, kind)
    parquet(path, pa.table({"text": text}), 3)
    for size in (1, 41, 1 << 20):
        records, rows, bad = read(path, size)
        assert [r["text"] for r in records] == values and rows == [0, 1, 2, 3, 4] and not bad


LINES = st.lists(
    st.one_of(
        st.sampled_from([*BAD, b"", b" \t", *GOOD, b'{"text":"z","n":-0}', b'{"text":"z","n":null}']),
        st.dictionaries(
            st.sampled_from(["text", "a", "b"]),
            st.recursive(
                st.none()
                | st.booleans()
                | st.integers(-(2**64), 2**64 - 1)
                | st.floats(allow_nan=False, allow_infinity=False)
                | st.text(max_size=5),
                lambda inner: (
                    st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("pq"), inner, max_size=2)
                ),
                max_leaves=4,
            ),
        ).map(lambda d: json.dumps(d).encode()),
    ),
    max_size=12,
)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(LINES, st.integers(1, 200), st.integers(1, 200))
def test_batches_do_not_change_what_is_read(
    tmp_path: Path, lines: list[bytes], first: int, second: int
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\n".join(lines))
    a, b = read(path, first), read(path, second)
    assert repr(a) == repr(b)
    records, rows, bad = a
    assert sorted(rows + [x.row for x in bad]) == list(range(sum(bool(line.strip()) for line in lines)))
    again = read(path, second, schema=final_schema(shard(path), text="text"))
    assert repr(again) == repr(a)


def test_columns_are_checked_before_work(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    parquet(path, pa.table({"content": ["a"], "weight": ["heavy"], "n": [1]}))
    with pytest.raises(ConfigError, match=r"columns.text: .*a.parquet has no column 'contents'.*'content'"):
        check_columns([shard(path)], Columns(text="contents"))
    with pytest.raises(ConfigError, match="int64, not a string"):
        check_columns([shard(path)], Columns(text="n"))
    with pytest.raises(ConfigError, match="'weight'.*columns.prefix"):
        check_columns([shard(path)], Columns(text="content"))
    check_columns([shard(path)], Columns(text="content", prefix="c_"))
    late = tmp_path / "b.jsonl"
    late.write_bytes(b'{"text":"x"}\n' * 100_000 + b'{"text":"y","day":"2020"}\n')
    check_columns([shard(late)], Columns(date="day"))
    with pytest.raises(ConfigError, match=r"columns.date: .*'dya'"):
        check_columns([shard(late)], Columns(date="dya"))


def test_a_text_column_that_no_json_line_has_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"content":"x","n":1}\n' * 3)
    with pytest.raises(ConfigError, match=r"columns.text: .*'contents': did you mean 'content'\? \(it has content, n"):
        check_columns([shard(path)], Columns(text="contents"))
    with pytest.raises(ConfigError, match=r"no column 'zzzzzz'; it has content, n; name the column"):
        check_columns([shard(path)], Columns(text="zzzzzz"))
    path.write_bytes(b'{"content":"x","n":1}\n' * 100_000 + b'{"contents":"late"}\n')
    check_columns([shard(path)], Columns(text="contents"))
    path.write_bytes(b"no json at all")
    check_columns([shard(path)], Columns())
    parquet(tmp_path / "wide.parquet", pa.table({f"c{i:02}": [1] for i in range(30)}))
    with pytest.raises(ConfigError, match=r"it has c00, .*c19 and 10 more"):
        check_columns([shard(tmp_path / "wide.parquet")], Columns(text="zzzzzz"))


CONTENT = b'{"text":"one"}\n{"text":"two"}\n'


@pytest.mark.parametrize(
    ("name", "holds", "message"),
    [
        ("a.jsonl", "parquet", "this is Parquet, not JSON lines: rename it to .parquet"),
        ("a.jsonl.gz", "parquet", "this is Parquet, not gzip: rename it to .parquet"),
        ("a.ndjson", "gz", "this is gzip, not JSON lines: rename it to .jsonl.gz"),
        ("a.json", "zst", "this is zstd, not JSON lines: rename it to .jsonl.zst"),
        ("a.jsonl.zst", "gz", "this is gzip, not zstd: rename it to .jsonl.gz"),
        ("a.parquet", "gz", "this is gzip, not Parquet: rename it to .jsonl.gz"),
        ("a.parquet", "jsonl", "this looks like plain JSON lines, not Parquet: rename it to .jsonl"),
        ("a.jsonl.gz", "jsonl", "this looks like plain JSON lines, not gzip: rename it to .jsonl"),
        ("a.parquet", "cut", "the file begins as Parquet but its footer cannot be read, as if cut short"),
        ("a.parquet", "nothing", "the file is empty \\(0 bytes\\)"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_one_entry(
    tmp_path: Path, name: str, holds: str, message: str
) -> None:
    parquet(tmp_path / "real.parquet", pa.table({"text": [f"line {i}\n" for i in range(500)]}))
    real = (tmp_path / "real.parquet").read_bytes()
    contents = {
        "parquet": real,
        "cut": real[:-6],
        "gz": gzip.compress(CONTENT),
        "zst": zstandard.compress(CONTENT),
        "jsonl": CONTENT,
        "nothing": b"",
    }
    path = tmp_path / name
    path.write_bytes(contents[holds])
    records, _, bad = read(path)
    assert not records and [(b.row, b.offset, b.count, b.error) for b in bad] == [(0, None, 1, "unreadable_file")]
    assert re.match(message, bad[0].message) and contents[holds].startswith(bad[0].raw)
    check_columns([shard(path)], Columns())


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst"])
def test_lines_of_an_empty_file_are_none(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    assert read(tmp_path / name) == ([], [], [])


def test_projection(tmp_path: Path) -> None:
    parquet(tmp_path / "a.parquet", pa.table({"text": ["a"], "n": [1], "m": [2]}))
    (tmp_path / "a.jsonl").write_bytes(b'{"text":"a","n":1,"m":2}')
    for name in ("a.parquet", "a.jsonl"):
        assert read(tmp_path / name, columns=["n"])[0] == [{"text": "a", "n": 1}]
