"""CSV, Arrow files, web archives and plain text: every record is delivered or quarantined, at a position that stays."""

import csv
import gzip
import io
from pathlib import Path

import pyarrow as pa
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from io_helpers import read, shard

from curation.config import Columns, ConfigError, Input
from curation.io import BadRecord, check_columns, expand, final_schema, peek, read_shard
from curation.plan import Shard


def codes(bad: list[BadRecord]) -> list[tuple[int, str]]:
    return [(b.row, b.error) for b in bad]


def pack(data: bytes, packing: str) -> bytes:
    return {"": bytes, ".gz": gzip.compress, ".zst": zstandard.compress}[packing](data)


# CSV and TSV


@pytest.mark.parametrize("packing", ["", ".gz", ".zst"])
@pytest.mark.parametrize("size", [1, 1 << 20])
def test_csv_values_stay_strings_and_may_span_lines(tmp_path: Path, packing: str, size: int) -> None:
    path = tmp_path / f"a.csv{packing}"
    data = b'\xef\xbb\xbfid,text,n\r\n007,"two\n\nlines, ""quoted""",1.50\r\n\r\n8,,\r\n9,last,3'
    path.write_bytes(pack(data, packing))
    records, rows, bad = read(path, size)
    assert not bad and rows == [0, 1, 2]
    assert records == [
        {"id": "007", "text": 'two\n\nlines, "quoted"', "n": "1.50"},
        {"id": "8", "text": "", "n": ""},
        {"id": "9", "text": "last", "n": "3"},
    ]


@pytest.mark.parametrize("size", [1, 1 << 20])
def test_bad_csv_records_are_quarantined_alone(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a.csv"
    lines = [b"id,text", b"1,one", b"2,two,three", b'3,"a" b', b"4,\xff", b'5,5" disk', b"6", b"7,seven"]
    path.write_bytes(b"\n".join(lines) + b"\n")
    records, rows, bad = read(path, size)
    assert codes(bad) == [
        (1, "wrong_number_of_values"),
        (2, "invalid_csv"),
        (3, "invalid_utf8"),
        (5, "wrong_number_of_values"),
    ]
    assert [(b.offset, b.raw) for b in bad[:2]] == [(14, b"2,two,three"), (26, b'3,"a" b')]
    assert rows == [0, 4, 6] and [r["text"] for r in records] == ["one", '5" disk', "seven"]


def test_a_quote_that_is_never_closed_costs_its_own_line(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b'id,text\n1,one\n2,"open\n3,three\n\n4,four\n')
    records, rows, bad = read(path)
    assert codes(bad) == [(1, "invalid_csv")] and "never closed" in bad[0].message
    assert rows == [0, 2, 3] and [r["text"] for r in records] == ["one", "three", "four"]


def test_a_record_above_the_limit_is_quarantined(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"id,text\n1,one\n2," + b"x" * 5000 + b'\n3,"open\n' + b"4,four\n" * 300)
    records, rows, bad = read(path, longest_line=1000)
    assert codes(bad) == [(1, "document_too_long"), (2, "document_too_long")]
    assert len(records) == 301 and rows == [0, *range(3, 303)]


def test_a_tsv_has_tabs_and_takes_stray_quotes_literally(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_bytes(b'id\ttext\n1\t"Hi", she said\n2\t"quoted\nover lines"\n3\tplain, text\n')
    assert [r["text"] for r in read(path)[0]] == ['"Hi", she said', "quoted\nover lines", "plain, text"]


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_the_delimiter_of_a_csv_is_that_of_its_header(tmp_path: Path, mark: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f'id{mark}"a,b"{mark}text\n1{mark}2{mark}x, y\n')
    assert read(path)[0] == [{"id": "1", "a,b": "2", "text": "x, y"}]


def test_a_cut_off_csv_keeps_what_stands_before(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    packed = gzip.compress(b"text\n" + b"".join(b"%d %d\n" % (i, i * i * 7919) for i in range(50_000)))
    path.write_bytes(packed[: len(packed) // 2])
    records, rows, bad = read(path)
    assert 10_000 < len(records) < 50_000 and rows == list(range(len(records)))
    assert codes(bad) == [(len(records), "broken_compression")]


def test_headers_that_cannot_serve(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"text,a,a\n1,2,3\n")
    with pytest.raises(ConfigError, match="names column 'a' twice"):
        check_columns([shard(path)], Columns())
    assert codes(read(path)[2]) == [(0, "unreadable_file")]
    path.write_bytes(b"")
    assert read(path) == ([], [], [])
    path.write_bytes(b",text\n0,x\n")  # pandas writes its index so
    assert read(path)[0] == [{"column_1": "0", "text": "x"}]
    path.write_bytes("text\nx\n".encode("utf-16"))
    assert "UTF-16" in read(path)[2][0].message


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(*[st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"))] * 3), max_size=12),
    st.integers(1, 200),
)
def test_what_the_csv_module_writes_is_read_back(tmp_path: Path, rows: list[tuple], size: int) -> None:
    path = tmp_path / "a.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerow(["id", "text", "c"])
        writer.writerows(rows)
    records, numbers, bad = read(path, size)
    assert not bad and numbers == list(range(len(rows)))
    assert [tuple(r.values()) for r in records] == rows


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300), st.sampled_from(["csv", "tsv", "arrow", "warc", "txt.gz"]), st.integers(1, 100))
def test_any_bytes_are_delivered_or_quarantined(tmp_path: Path, data: bytes, ending: str, size: int) -> None:
    path = tmp_path / f"a.{ending}"
    path.write_bytes((b"text,b\n" if ending == "csv" else b"text\tb\n" if ending == "tsv" else b"") + data)
    found = shard(path) if ending != "txt.gz" else expand([Input(path=str(path))])[0]
    seen = []
    for batch_bytes in (size, 1 << 20):
        bad: list[BadRecord] = []
        rows = [n for _, ns in read_shard(found, text="text", batch_bytes=batch_bytes, on_bad=bad.append) for n in ns]
        numbers = rows + [b.row + i for b in bad for i in range(b.count)]
        assert sorted(numbers) == list(range(len(numbers)))
        seen.append((rows, bad))
    assert seen[0] == seen[1]


# Arrow


def table() -> pa.Table:
    return pa.table(
        {
            "text": pa.array(["one", None, "drei ü", "4"] * 5),
            "nested": pa.array([{"a": [1, 2]}, None, {"a": []}, {"a": None}] * 5),
            "label": pa.array(["x", "y", "x", None] * 5).dictionary_encode(),
        }
    )


def write_arrow(
    path: Path, table: pa.Table, stream: bool = False, rows: int = 6, compression: str | None = None
) -> None:
    new = pa.ipc.new_stream if stream else pa.ipc.new_file
    with new(str(path), table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(table, max_chunksize=rows)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("compression", [None, "zstd", "lz4"])
def test_arrow_files_and_streams(tmp_path: Path, stream: bool, compression: str | None) -> None:
    path = tmp_path / "a.arrow"
    write_arrow(path, table(), stream, compression=compression)
    for size in (1, 1 << 20):
        records, rows, bad = read(path, size)
        assert not bad and rows == list(range(20)) and records == table().to_pylist()
    assert peek(shard(path)) == final_schema(shard(path), text="text") == table().schema


def test_a_damaged_record_batch_is_quarantined_and_reading_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "a.arrow"
    plain = pa.table({"text": [f"document {i} " + "x" * 200 for i in range(20)]})
    write_arrow(path, plain, compression="zstd", rows=5)
    data = bytearray(path.read_bytes())
    frames = [i for i in range(len(data)) if data[i : i + 4] == b"\x28\xb5\x2f\xfd"]
    data[frames[3] + 4 : frames[3] + 30] = b"\xff" * 26  # the text of the second batch
    path.write_bytes(bytes(data))
    records, rows, bad = read(path)
    assert codes(bad) == [(5, "broken_record_batch")]
    assert [r["text"][:11].strip() for r in records] == [f"document {i}" for i in [*range(5), *range(10, 20)]]
    assert rows == [*range(5), *range(6, 16)]


@pytest.mark.parametrize("stream", [False, True])
def test_an_arrow_file_cut_short(tmp_path: Path, stream: bool) -> None:
    path = tmp_path / "a.arrows"
    write_arrow(path, table(), stream)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    records, rows, bad = read(path)
    assert len(bad) == 1 and rows == list(range(len(records)))
    assert (bad[0].error, len(records) > 0) == (("broken_record_batch", True) if stream else ("unreadable_file", False))


def test_offsets_that_lead_outside_and_strings_that_are_no_utf8(tmp_path: Path) -> None:
    path = tmp_path / "a.arrow"
    bad_utf8 = pa.Array.from_buffers(pa.string(), 3, pa.array([b"a", b"\xff", b"c"], pa.binary()).buffers())
    write_arrow(path, pa.table({"text": bad_utf8}))
    records, rows, bad = read(path)
    assert (rows, codes(bad), [r["text"] for r in records]) == ([0, 2], [(1, "invalid_utf8")], ["a", "c"])
    write_arrow(path, pa.table({"text": ["abc", "def"]}))
    data = path.read_bytes()
    ends = b"".join(i.to_bytes(4, "little") for i in (0, 3, 6))
    outside = b"".join(i.to_bytes(4, "little") for i in (0, 3, 6 << 20))
    assert data.count(ends) == 1
    path.write_bytes(data.replace(ends, outside))
    assert [(b.row, b.count, b.error) for b in read(path)[2]] == [(0, 2, "broken_record_batch")]


# web archives


def archive(gz: bool, bodies: list[bytes], kind: str = "response", content_type: str = "text/html", **headers) -> bytes:
    writers = pytest.importorskip("warcio.warcwriter")
    from warcio.statusandheaders import StatusAndHeaders

    out = io.BytesIO()
    writer = writers.WARCWriter(out, gzip=gz)
    writer.write_record(writer.create_warcinfo_record("a.warc", {"software": "test"}))
    for i, body in enumerate(bodies):
        http = None
        if kind == "response":
            given = [("Content-Type", content_type), *((k.replace("_", "-"), v) for k, v in headers.items())]
            http = StatusAndHeaders("200 OK", given, protocol="HTTP/1.1")
        record = writer.create_warc_record(
            f"http://example.org/{i}",
            kind,
            payload=io.BytesIO(body),
            http_headers=http,
            warc_content_type="" if http else content_type,
            warc_headers_dict={"WARC-Record-ID": f"<urn:uuid:{i}>", "WARC-Date": "2024-01-02T03:04:05Z"},
        )
        writer.write_record(record)
    return out.getvalue()


def page(i: int) -> bytes:
    paragraph = f"<p>This is the main text of page {i}, with ünïcode, and long enough to count as an article.</p>" * 3
    return f"<html><body><nav>Menu</nav><article>{paragraph}</article></body></html>".encode()


@pytest.mark.parametrize("gz", [False, True])
def test_pages_of_an_archive(tmp_path: Path, gz: bool) -> None:
    path = tmp_path / f"a.warc{'.gz' if gz else ''}"
    path.write_bytes(archive(gz, [page(i) for i in range(5)]))
    for size in (1, 1 << 20):
        records, rows, bad = read(path, size)
        assert not bad and rows == list(range(5))
        assert [r["url"] for r in records] == [f"http://example.org/{i}" for i in range(5)]
        assert "main text of page 3, with ünïcode" in records[3]["text"] and "Menu" not in records[3]["text"]
    assert {k: records[2][k] for k in ("id", "date", "content_type", "http_status")} == {
        "id": "2",
        "date": "2024-01-02T03:04:05Z",
        "content_type": "text/html",
        "http_status": "200",
    }


def test_encoded_bodies_charsets_and_what_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "a.warc"
    path.write_bytes(archive(False, [gzip.compress(page(0))], Content_Encoding="gzip"))
    assert "page 0" in read(path)[0][0]["text"]
    latin = page(1).decode().encode("latin-1")
    path.write_bytes(archive(False, [latin], content_type="text/html; charset=iso-8859-1"))
    assert "ünïcode" in read(path)[0][0]["text"]
    path.write_bytes(archive(False, [b"\x89PNG" + bytes(100)], content_type="image/png"))
    assert [r["text"] for r in read(path)[0]] == [None]
    path.write_bytes(archive(False, [b"\xff" * 50], Content_Encoding="gzip"))
    assert codes(read(path)[2]) == [(0, "broken_http")]


def test_extracted_text_of_a_wet_file(tmp_path: Path) -> None:
    path = tmp_path / "a.warc.wet.gz"
    path.write_bytes(archive(True, ["Bücher\nand more".encode()], kind="conversion", content_type="text/plain"))
    records, _, bad = read(path)
    assert not bad and [r["text"] for r in records] == ["Bücher\nand more"]


@pytest.mark.parametrize("gz", [False, True])
def test_damage_costs_its_record_and_reading_goes_on(tmp_path: Path, gz: bool) -> None:
    from fastwarc.warc import ArchiveIterator

    path = tmp_path / f"a.warc{'.gz' if gz else ''}"
    data = archive(gz, [page(i) for i in range(5)])
    starts = [r.stream_pos for r in ArchiveIterator(io.BytesIO(data), parse_http=False)]
    broken = bytearray(data)
    at = starts[3] + (100 if gz else 0)
    broken[at : at + 12] = b"\xfe" * 12
    path.write_bytes(bytes(broken))
    for size in (1, 1 << 20):
        records, rows, bad = read(path, size)
        assert [r["url"][-1] for r in records] == ["0", "1", "3", "4"]
        assert codes(bad) == [(2, "broken_warc_record")] and rows == [0, 1, 3, 4]
        assert bad[0].raw
    path.write_bytes(data[:-40])
    records, rows, bad = read(path)
    assert [r["url"][-1] for r in records] == ["0", "1", "2", "3"] and [b.row for b in bad] == [4]


@pytest.mark.parametrize("others", [0, 2])
def test_a_damaged_first_record_costs_itself_alone(tmp_path: Path, others: int) -> None:
    path = tmp_path / "a.warc.gz"
    data = bytearray(archive(True, [page(i) for i in range(others)]))
    data[3] = 0xD3  # flags of a gzip header that announce fields which are not there
    path.write_bytes(bytes(data))
    records, _, bad = read(path)
    assert [r["url"][-1] for r in records] == [str(i) for i in range(others)]
    assert codes(bad) == [(0, "broken_warc_record")]


def test_a_wrong_length_does_not_swallow_the_next_record(tmp_path: Path) -> None:
    path = tmp_path / "a.warc"
    data = archive(False, [page(i) for i in range(4)])
    at = data.index(b"http://example.org/1")
    start = data.index(b"Content-Length: ", at)
    end = data.index(b"\r\n", start)
    path.write_bytes(data[:start] + b"Content-Length: 1500" + data[end:])
    records, rows, bad = read(path)
    assert [r["url"][-1] for r in records] == ["0", "2", "3"]
    assert codes(bad) == [(1, "broken_warc_record")] and rows == [0, 2, 3] and "Content-Length" in bad[0].message


def test_deeply_nested_pages_take_no_quadratic_time(tmp_path: Path) -> None:
    path = tmp_path / "a.warc"
    path.write_bytes(archive(False, [b"<div>" * 100_000 + b"deep inside"]))
    assert "deep inside" in read(path)[0][0]["text"]


# plain text


def test_a_folder_of_texts_is_one_document_a_file(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfalpha")
    (tmp_path / "b" / "c.txt.gz").write_bytes(gzip.compress(b"gamma"))
    (tmp_path / "b" / "d é.txt.zst").write_bytes(zstandard.compress(b"delta"))
    (tmp_path / "b" / "e.txt").write_bytes(b"\xff\xfea\0")
    (tmp_path / "b" / "f.txt").write_bytes(b"ok \xff")
    (tmp_path / "b" / "g.txt.gz").write_bytes(gzip.compress(b"x" * 1000)[:-12])
    (tmp_path / "b" / "h.txt").write_bytes(b"")
    (found,) = expand([Input(path=str(tmp_path))])
    assert found.relative == "texts-00000.txt" and len(found.members) == 7
    bad: list[BadRecord] = []
    batches = list(read_shard(found, text="body", batch_bytes=4, on_bad=bad.append))
    assert [r for b, _ in batches for r in b.to_pylist()] == [
        {"id": "a.txt", "body": "alpha"},
        {"id": "b/c.txt.gz", "body": "gamma"},
        {"id": "b/d é.txt.zst", "body": "delta"},
        {"id": "b/h.txt", "body": ""},
    ]
    assert [n for _, rows in batches for n in rows] == [0, 1, 2, 6]
    assert codes(bad) == [(3, "unreadable_file"), (4, "invalid_utf8"), (5, "broken_compression")]
    assert "UTF-16" in bad[0].message and "f.txt" in bad[1].message


def test_texts_are_gathered_and_a_change_of_one_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curation.io.inputs.MEMBERS", 4)
    for i in range(10):
        (tmp_path / f"{i}.txt").write_text(f"text {i}")
    before = expand([Input(path=f"{tmp_path}/*.txt")])
    assert [len(s.members) for s in before] == [4, 4, 2]
    (tmp_path / "5.txt").write_text("another text")
    after = expand([Input(path=f"{tmp_path}/*.txt")])
    assert [a.version == b.version for a, b in zip(after, before, strict=True)] == [True, False, True]
    (tmp_path / "data.csv").write_text("text\nx\n")
    assert [s.relative for s in expand([Input(path=str(tmp_path))])] == ["data.csv"]
    with pytest.raises(ConfigError, match=r"say which are meant.*\*\.csv"):
        expand([Input(path=f"{tmp_path}/*")])
    assert expand([Input(path=f"{tmp_path}/3.txt")])[0].relative == "3.txt"


# names of columns


def test_an_input_may_name_its_own_columns(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("body,link,n\nhello,http://x.org,1\n")
    (tmp_path / "b.jsonl").write_text('{"text":"there"}\n')
    own = {"path": str(tmp_path / "a.csv"), "source": "a", "columns": {"text": "body", "url": "link"}}
    shards = expand([Input.model_validate(own), Input(path=str(tmp_path / "b.jsonl"))])
    check_columns(shards, Columns())
    assert [final_schema(s, text="text").names for s in shards] == [["text", "url", "n"], ["text"]]
    found = list(read_shard(shards[0], text="text", batch_bytes=1 << 20, columns=["url"], on_bad=print))
    assert found[0][0].to_pylist() == [{"text": "hello", "url": "http://x.org"}]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"text": "bdy"}, "has no column 'bdy': did you mean 'body'?"),
        ({"text": "body", "url": "lnk"}, "has no column 'lnk': did you mean 'link'?"),
        ({"text": "body", "url": "link"}, "has both 'link', to be read as 'url', and a column 'url'"),
        ({"text": "link", "id": "n", "date": "body"}, None),
    ],
)
def test_own_columns_that_are_not_there(tmp_path: Path, columns: dict, message: str | None) -> None:
    (tmp_path / "a.csv").write_text("body,link,n,url\nhello,http://x.org,1,u\n")
    (shard,) = expand([Input.model_validate({"path": str(tmp_path / "a.csv"), "columns": columns})])
    if message is None:
        check_columns([shard], Columns())
        return
    with pytest.raises(ConfigError, match="inputs.columns") as error:
        check_columns([shard], Columns())
    assert message in str(error.value)


def test_formats_of_shards_have_a_reader() -> None:
    from curation.layout import FORMATS, family

    for ending in FORMATS:
        name = f"a{ending}"
        url = f"/nowhere/{name}"
        bad: list[BadRecord] = []
        made = Shard(0, "/nowhere", "s", name, members=(name,)) if family(name) == "txt" else Shard(0, url, "s", name)
        assert not list(read_shard(made, text="text", batch_bytes=9, on_bad=bad.append))
        assert codes(bad) == [(0, "unreadable_file")]


def test_a_dictionary_entry_that_no_record_of_a_batch_uses_does_not_condemn_it(tmp_path: Path) -> None:
    entries = pa.array([*(f"entry {i}".encode() for i in range(30)), b"\xff"], pa.binary())
    dictionary = pa.Array.from_buffers(pa.string(), 31, entries.buffers())
    indices = pa.array([*range(20), 30, 1, 2], pa.int32())
    text = pa.DictionaryArray.from_arrays(indices, dictionary, safe=False)
    path = tmp_path / "a.arrow"
    table = pa.table({"text": text, "n": range(23)})
    with pa.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=10)
    _, rows, bad = read(path)
    assert rows == [*range(20), 21, 22]
    assert codes(bad) == [(20, "invalid_utf8")]
