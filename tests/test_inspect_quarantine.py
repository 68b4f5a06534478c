"""`curation inspect OUT --reason quarantine` shows every kind of record that could not be read as a readable block."""

import gzip
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from curation.cli import app

ROOT = Path(__file__).resolve().parent.parent
GOOD = b'{"text":"fine one"}\n'


def documented() -> set[str]:
    """The reasons of docs/formats.md."""
    table = (ROOT / "docs" / "formats.md").read_text().partition("## What is quarantined")[2]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}


def damaged(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at : at + 20] = bytes(20)
    path.write_bytes(data)


def archived(kind: str, content: str, body: bytes, length: int | None = None) -> bytes:
    head = f"WARC/1.0\r\nWARC-Type: {kind}\r\nContent-Type: {content}\r\nContent-Length: {length or len(body)}\r\n\r\n"
    return head.encode() + body + b"\r\n\r\n"


def write_all(folder: Path) -> None:
    """Files with a bad record of every kind."""
    folder.mkdir()
    lines = [b'{"text": ', b"[1,2]", b'{"n":1}', b'{"text":5}', b'{"text":"\xff"}', b'\xe2\x80\xae{"a\x1b[31m"']
    lines.append(b'{"text":"' + b"y" * 1_200_000 + b'"}')
    (folder / "a.jsonl").write_bytes(GOOD + b"\n".join(lines))
    (folder / "b.csv").write_bytes(b'n,text\n1,ok\n2,x,y\n3,"open\n4,\xff\n')
    (folder / "c.jsonl.gz").write_bytes(gzip.compress(GOOD * 2000)[:-30])
    (folder / "d.parquet").write_bytes(GOOD)
    table = pa.table({"text": [f"document {i}" for i in range(300)]})
    pq.write_table(table, folder / "e.parquet", row_group_size=100, compression="zstd", write_page_checksum=True)
    chunk = pq.read_metadata(folder / "e.parquet").row_group(1).column(0)
    damaged(folder / "e.parquet", chunk.data_page_offset + chunk.total_compressed_size // 2)
    pq.write_table(pa.table({"text": ["a", "z" * 1_200_000]}), folder / "f.parquet")
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with (
        pa.OSFile(str(folder / "g.arrow"), "wb") as file,
        pa.ipc.new_file(file, table.schema, options=options) as writer,
    ):
        writer.write_table(table, max_chunksize=100)
    damaged(folder / "g.arrow", (folder / "g.arrow").stat().st_size // 2)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
    response = "application/http; msgtype=response"
    (folder / "h.warc").write_bytes(
        archived("conversion", "text/plain", b"hello there")
        + b"garbage\r\n\r\n"
        + archived("response", response, head + b"Content-Encoding: gzip\r\n\r\n\x1f\x8bbroken")
        + archived("response", response, head + b"\r\n<html><p>nobody can extract this</p></html>")
        + archived("conversion", "text/plain", b"cut short", 5000)
    )


def test_every_kind_of_quarantined_record_is_shown_readably(tmp_path, monkeypatch):
    pytest.importorskip("fastwarc")
    extract = pytest.importorskip("resiliparse.extract.html2text")

    def fail(*_, **__):
        raise ValueError("no text\nin two lines")

    monkeypatch.setattr(extract, "extract_plain_text", fail)
    write_all(tmp_path / "in")
    run = ["dedup", "-i", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "-q", "-s", "limits.document_mb=1"]
    assert CliRunner().invoke(app, run).exit_code == 0
    shown = CliRunner().invoke(app, ["inspect", str(tmp_path / "out"), "--reason", "quarantine", "--limit", "99"])
    assert shown.exit_code == 0
    assert all(c.isprintable() or c == "\n" for c in shown.stdout)
    blocks = [block for block in shown.stdout.split("\n\ndefault/") if block.strip()]
    place = r"[a-h]\.[a-z.]+, record [\d,]+(, byte [\d,]+)?: (one record|[\d,]+ records), (\w+): [^\n]+\n  [|(] ?\S"
    kinds = {}
    for block in blocks:
        found = re.match(place, block.removeprefix("default/"))
        assert found, block[:300]
        kinds[found[3]] = block
        assert len(block) < 2500
    assert set(kinds) == documented()
    assert r"\u202e{" in shown.stdout and "no text in two lines" in kinds["extraction_failed"]
