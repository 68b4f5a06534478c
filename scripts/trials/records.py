"""Records of every kind, good and broken, made from a seed: what a crawl may hold, and what nobody would write.

`shard` writes one file of a format and says what must be true of it afterwards.
"""

import csv
import gzip
import io
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

WORDS = [
    f"{a}{b}{c}"
    for a in ("ba", "ko", "li", "stra", "ne", "")
    for b in ("ma", "ri", "tten", "o")
    for c in ("", "s", "l")
]
ODD = [
    "\0", "\u202e", "\u2066", "\u200b", "\ufeff", "\u2028", "\x1c", "\x85", "\r", "\r\n", "\n\n", "\t", "\ufffe",
    "\U0010ffff", "漢字", "\U0001f468\u200d\U0001f469", "ﬀ", "ß", "İ", "ǆ", "\u0344", "נ", "ي", "'", '"', "\\",
    "<script>", "e\u0301", "{{7*7}}", "${x}", "=1+1", "%00", "http://[::1]:99999/", "==>", "|||", "\x7f", "0" * 400,
]  # fmt: skip
SURROGATES = [b"\xed\xa0\x80", b"\xff", b"\xc0\x80", b"\xf5\x80\x80\x80", b"\xe2\x82", b"\x80"]


class Made(NamedTuple):
    """What was written: texts of the records that must come out, by `n`; how many records there are, None where the
    file itself is damaged and nobody can know."""

    texts: dict[int, str | None]
    records: int | None


def plain(path: Path, count: int, seed: int, *, broken: bool) -> None:
    """A file for runs that are killed: words, duplicates, repeated paragraphs, and broken records if asked for."""
    draw = random.Random(f"plain-{seed}")
    found: list[Any] = []
    for n in range(count):
        body = " ".join(draw.choice(WORDS) for _ in range(draw.randint(5, 400)))
        if n % 5 == 0:
            body += "\n\nthe same paragraph stands below many of these texts\n\n" + " ".join(
                draw.choice(WORDS) for _ in range(9)
            )
        if n % 9 == 8:
            body = found[-3]["text"] if isinstance(found[-3], dict) else body
        found.append({"id": f"{seed}-{n}", "text": body, "n": n})
        if broken and n % 17 == 4:
            found.append(b'{"text": "cut')
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(found), path, row_group_size=37)
    else:
        lines = [r if isinstance(r, bytes) else json.dumps(r).encode() for r in found]
        path.write_bytes(_pack(b"\n".join(lines) + b"\n", path.name, draw))


def text(draw: random.Random, before: list[str]) -> str | None:
    """A text: words, none at all, odd characters, a copy of an earlier one or nearly, or one thing over and over."""
    kind = draw.random()
    if kind < 0.05:
        return draw.choice([None, "", " ", "\n", "\0"])
    if kind < 0.15 and before:
        return draw.choice(before)
    if kind < 0.25 and before:
        words = draw.choice(before).split(" ")
        words[draw.randrange(len(words))] = draw.choice(WORDS)
        return " ".join(words)
    if kind < 0.3:
        return draw.choice([*ODD, *"ab .-\n"]) * draw.choice([1, 7, 100, 3000])
    words = draw.choices(WORDS, k=int(draw.paretovariate(0.9)) % 600 + 1)
    if kind < 0.5:
        for _ in range(draw.randint(1, 6)):
            words.insert(draw.randrange(len(words)), draw.choice(ODD))
    return draw.choice([" ", " ", " ", "\n", ""]).join(words)


def value(draw: random.Random, depth: int = 0) -> Any:
    """Any JSON value."""
    kind = draw.randrange(9 if depth < 3 else 6)
    if kind == 0:
        return None
    if kind == 1:
        return draw.choice([True, False])
    if kind == 2:
        return draw.choice([0, -1, 2**31, 2**53 + 1, -(2**63), 2**63, 2**64 - 1, 10**25, draw.randrange(1000)])
    if kind == 3:
        return draw.choice([0.0, -0.0, 1e-320, 1.5, 1e308, draw.random()])
    if kind in (4, 5):
        return draw.choice([*ODD, *WORDS, "2020-01-01", "2020-13-45", "http://example.org/a?b=c", ""])
    if kind == 6:
        return [value(draw, depth + 1) for _ in range(draw.randrange(4))]
    return {
        draw.choice(["a", "b", "", " ", "é", "text", "\0", *WORDS[:9]]): value(draw, depth + 1)
        for _ in range(draw.randrange(4))
    }


def _record(draw: random.Random, n: int, before: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {"n": n, "text": text(draw, before)}
    for name in ("id", "date", "url", "score", "meta"):
        if draw.random() < 0.6:
            found[name] = value(draw) if draw.random() < 0.3 else {"id": f"i{n % 977}", "date": "2021-02-03"}.get(name)
    if isinstance(found["text"], str) and 0 < len(found["text"]) < 4000 and len(before) < 200:
        before.append(found["text"])
    keys = list(found)
    draw.shuffle(keys)
    return {key: found[key] for key in keys}


def _broken_line(draw: random.Random, line: bytes, n: int) -> bytes:
    """A line that is no good record, without a newline and never blank."""
    kind = draw.randrange(12)
    if kind == 0:
        return line[: draw.randrange(1, len(line))] if line[1:].strip() else b"{"
    if kind == 1:
        at = draw.randrange(len(line))
        return line[:at] + draw.choice(SURROGATES) + line[at:] if line[:at].count(b'"') % 2 else b'{"text": "\xff"}'
    if kind == 2:
        return b'{"n": %d}' % n
    if kind == 3:
        return b'{"n": %d, "text": %s}' % (n, draw.choice([b"1", b"[]", b"{}", b"true", b"1.5", b'["a"]']))
    if kind == 4:
        return draw.choice(
            [b"[]", b"null", b"1", b'"text"', b"nan", b"'text'", b"}", b"[" * 3000, b"\xef\xbb\xbf", b"\0", b"{"]
        )
    if kind == 5:
        return line[:-1] + draw.choice(
            [b', "v": NaN}', b', "v": Infinity}', b', "v": 1e999}', b', "v": 01}', b", }", b", 'a': 1}"]
        )
    if kind == 6:
        return line[:-1] + b', "s": "' + draw.choice([b"\\ud800", b"\\udc00x", b"\\x41", b"\\u12", b"\x01"]) + b'"}'
    if kind == 7:
        return line + line
    if kind == 8:
        return line + draw.choice([b",", b"]", b" {}", b"\0"])
    if kind == 9:
        return line.replace(b":", b"=", 1)
    if kind == 10:
        return line[:-1] + b', "deep": ' + b"[" * 1500 + b"]" * 1500 + b"}"
    return bytes(draw.choice(b'abc{}[]",:\\\x00\x80\xff') for _ in range(draw.randint(1, 40))) + b"x"


def _good_lines(draw: random.Random, count: int, start: int) -> Iterator[tuple[bytes, int | None, str | None]]:
    """(line, number of its record or None where it is broken, text)."""
    before: list[str] = []
    for n in range(start, start + count):
        record = _record(draw, n, before)
        line = json.dumps(record, ensure_ascii=draw.random() < 0.5).encode("utf-8", "surrogatepass")
        if draw.random() < 0.08:
            yield _broken_line(draw, line, n), None, None
            continue
        if draw.random() < 0.05:  # of two keys the last counts
            line = b'{"text": 5, "n": -1, ' + line[1:]
        if draw.random() < 0.05:
            line = draw.choice([b" ", b"\t", b""]) + line + draw.choice([b" ", b"\r", b"\t \r"])
        yield line, n, record["text"]


def _json_lines(path: Path, draw: random.Random, count: int, start: int) -> Made:
    out, texts, records = bytearray(), {}, 0
    for line, n, body in _good_lines(draw, count, start):
        # a line is a record unless it is blank; a broken one may be by chance
        records += not (line.isspace() or not line)
        if n is not None:
            texts[n] = body
        out += line + b"\n"
        if draw.random() < 0.02:
            out += draw.choice([b"\n", b"  \n", b"\r\n", b"\t\n\n"])
    if draw.random() < 0.2:
        out = bytearray(b"\xef\xbb\xbf") + out
    data = _pack(bytes(out), path.name, draw)
    return _written(path, data, Made(texts, records), draw)


def _pack(data: bytes, name: str, draw: random.Random) -> bytes:
    pack: Callable[[bytes], bytes] = bytes
    if name.endswith(".gz"):
        pack = lambda part: gzip.compress(part, draw.choice([1, 6, 9]), mtime=0)  # noqa: E731
    elif name.endswith(".zst"):
        pack = lambda part: zstandard.ZstdCompressor(level=draw.choice([1, 3, 9])).compress(part)  # noqa: E731
    cuts = sorted(draw.randrange(len(data) + 1) for _ in range(draw.choice([0, 0, 3])))
    return b"".join(pack(data[a:b]) for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True))


def _written(path: Path, data: bytes, made: Made, draw: random.Random) -> Made:
    """Write the file, one in eight damaged: cut, or with bytes changed."""
    if draw.random() < 0.125 and len(data) > 20:
        if draw.random() < 0.5:
            data = data[: draw.randrange(1, len(data))]
        else:
            changed = bytearray(data)
            for _ in range(draw.choice([1, 3, 30])):
                changed[draw.randrange(len(data))] = draw.randrange(256)
            data = bytes(changed)
        made = Made({}, None)
    path.write_bytes(data)
    return made


TYPES = [
    pa.int64(), pa.float32(), pa.string(), pa.large_string(), pa.binary(), pa.bool_(), pa.timestamp("ns"), pa.date32(),
    pa.decimal128(25, 3), pa.list_(pa.string()), pa.struct([("a", pa.int8()), ("b", pa.string())]), pa.null(),
    pa.dictionary(pa.int32(), pa.string()), pa.map_(pa.string(), pa.int64()), pa.time64("us"), pa.uint64(),
    pa.list_(pa.float32(), 2),
]  # fmt: skip


def _column(draw: random.Random, kind: pa.DataType, count: int) -> pa.Array:
    """Values of a type, some of them null."""
    if pa.types.is_dictionary(kind):
        return pa.array([draw.choice([*WORDS, None]) for _ in range(count)], pa.string()).dictionary_encode()
    makers: dict[str, Callable[[], Any]] = {
        "string": lambda: draw.choice([*ODD, *WORDS]), "large_string": lambda: draw.choice(ODD),
        "binary": lambda: draw.choice(SURROGATES), "bool": lambda: draw.random() < 0.5,
        "double": draw.random, "float": draw.random, "halffloat": lambda: 1.5,
        "list<item: string>": lambda: [draw.choice([*WORDS, None]) for _ in range(draw.randrange(4))],
        "struct<a: int8, b: string>": lambda: {"a": draw.randrange(100), "b": draw.choice(WORDS)},
        "fixed_size_list<item: float>[2]": lambda: [draw.random(), None],
        "map<string, int64>": lambda: [(draw.choice(WORDS), draw.randrange(9))], "null": lambda: None,
    }  # fmt: skip
    name = str(kind)
    if name not in makers:  # a number in one way or another
        wide = pa.int32() if pa.types.is_date32(kind) else pa.int64()
        raw = pa.array([draw.choice([0, draw.randrange(10**9), None]) for _ in range(count)], wide)
        return raw.view(kind) if pa.types.is_temporal(kind) else raw.cast(kind)
    made = makers[name]
    return pa.array([made() if draw.random() < 0.9 else None for _ in range(count)], kind)


def _table(draw: random.Random, count: int, start: int) -> tuple[pa.Table, dict[int, str | None]]:
    """Columns of odd types beside texts, some of them no UTF-8, and the texts that are, by `n`."""
    before: list[str] = []
    values: list[bytes | None] = []
    texts: dict[int, str | None] = {}
    for n in range(start, start + count):
        body = text(draw, before)
        if isinstance(body, str) and 0 < len(body) < 4000 and len(before) < 200:
            before.append(body)
        if draw.random() < 0.03:
            values.append(draw.choice(WORDS).encode() + draw.choice(SURROGATES) + draw.choice(WORDS).encode())
        else:
            values.append(None if body is None else body.encode())
            texts[n] = body
    binary = pa.array(values, pa.binary())
    column: Any = pa.Array.from_buffers(pa.string(), count, binary.buffers(), binary.null_count)
    kind = draw.choice([pa.string(), pa.string(), pa.large_string(), pa.string_view(), "dictionary"])
    if kind == "dictionary":
        column = column.dictionary_encode()
    elif kind != pa.string():
        column = column.cast(kind)
    columns = {"text": column, "n": pa.array(range(start, start + count))}
    if draw.random() < 0.5:
        plain_ids = pa.array([f"i{i % 977}" for i in range(count)])
        columns["id"] = draw.choice([plain_ids, _column(draw, draw.choice(TYPES), count)])
    for i in range(draw.randrange(4)):
        columns[f"extra {i}"] = _column(draw, draw.choice(TYPES), count)
    names = list(columns)
    draw.shuffle(names)
    return pa.table({name: columns[name] for name in names}), texts


def _parquet(path: Path, draw: random.Random, count: int, start: int) -> Made:
    table, texts = _table(draw, count, start)
    sink = pa.BufferOutputStream()
    pq.write_table(
        table,
        sink,
        row_group_size=draw.choice([1 + count // 50, 100, 5000]),
        compression=draw.choice(["none", "snappy", "zstd", "gzip"]),
        use_dictionary=draw.choice([True, False]),
        data_page_version=draw.choice(["1.0", "2.0"]),
        write_page_checksum=True,
        data_page_size=draw.choice([None, 500]),
    )
    return _written(path, sink.getvalue().to_pybytes(), Made(texts, count), draw)


def _arrow(path: Path, draw: random.Random, count: int, start: int) -> Made:
    table, texts = _table(draw, count, start)
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=draw.choice([None, "lz4", "zstd"]))
    new = draw.choice([pa.ipc.new_file, pa.ipc.new_stream])
    with new(sink, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=draw.choice([1 + count // 50, 5000]))
    return _written(path, sink.getvalue().to_pybytes(), Made(texts, count), draw)


def _separated(path: Path, draw: random.Random, count: int, start: int) -> Made:
    """CSV or TSV as a spreadsheet writes it; a broken record has too many values or is no UTF-8."""
    out, texts = bytearray(), {}
    before: list[str] = []
    mark = "\t" if ".tsv" in path.name else draw.choice(",;|")
    buffer = io.StringIO()
    # the writer does not quote for a carriage return alone, as RFC 4180 has it
    writer = csv.writer(buffer, delimiter=mark, lineterminator=draw.choice(["\n", "\r\n"]), quoting=csv.QUOTE_ALL)
    writer.writerow(["n", "text", "note"])
    for n in range(start, start + count):
        body = text(draw, before) or ""
        if 0 < len(body) < 4000 and len(before) < 200:
            before.append(body)
        broken = draw.random()
        row = [n, body, draw.choice([*ODD, *WORDS])]
        writer.writerow([*row, "one too many"] if broken < 0.05 else row)
        line = buffer.getvalue().encode()
        buffer.seek(0)
        buffer.truncate()
        if 0.05 <= broken < 0.08:
            line = line.replace(b"%d" % n, b"\xff%d" % n, 1)
        if broken >= 0.08:
            texts[n] = body
        out += line
    data = _pack(bytes(out), path.name, draw)
    return _written(path, data, Made(texts, count), draw)


def _warc(path: Path, draw: random.Random, count: int, start: int) -> Made:
    """Pages and their text; requests between them, which are no documents."""
    before: list[str] = []
    out = []
    for n in range(start, start + count):
        body = (text(draw, before) or "").encode()
        kind, content = "conversion", "text/plain"
        if draw.random() < 0.5:
            kind, content = "response", "application/http; msgtype=response"
            page = b"<html><body><p>" + body + draw.choice([b"</p></body></html>", b"<div>" * 3000, b"", b"<!--"])
            head = draw.choice([b"HTTP/1.1 200 OK", b"HTTP/1.1 404 Not Found", b"HTTP/1.1 200"])
            body = head + b"\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + page
        out += [_archived(kind, content, n, body)]
        if draw.random() < 0.2:
            out.append(_archived("request", "application/http; msgtype=request", n, b"GET / HTTP/1.1\r\n\r\n"))
    pack = (lambda part: gzip.compress(part, 1, mtime=0)) if path.name.endswith(".gz") else bytes
    return _written(path, b"".join(map(pack, out)), Made({}, count), draw)


def _archived(kind: str, content: str, n: int, body: bytes) -> bytes:
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <urn:uuid:{n:032x}>\r\nWARC-Target-URI: http://a.b/{n}\r\n"
    )
    return f"{head}Content-Type: {content}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body + b"\r\n\r\n"


#: extension and what writes it: (path, draw, records, first number) -> Made
WRITERS: dict[str, Callable[[Path, random.Random, int, int], Made]] = {
    "jsonl": _json_lines,
    "jsonl.gz": _json_lines,
    "jsonl.zst": _json_lines,
    "parquet": _parquet,
    "csv": _separated,
    "tsv.gz": _separated,
    "arrow": _arrow,
    "warc.gz": _warc,
    "warc": _warc,
}


def shard(path: Path, form: str, count: int, start: int, seed: str) -> Made:
    """Write `count` records, numbered from `start`, to a file of a format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return WRITERS[form](path, random.Random(seed), count, start)
