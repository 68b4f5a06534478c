"""Bad input of every kind goes through the public job: what is good comes out whole, what is bad is accounted for."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hostile import JSON_FORMATS, PACK, documents, errors, everything, good, lines, parquet, quarantined, run
from typer.testing import CliRunner

from curation.cli import app
from curation.config import ConfigError


def put(folder: Path, name: str, content: bytes) -> Path:
    path = folder / "in" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return folder / "in"


def of(rows: list[dict], *names: str) -> list[tuple]:
    return sorted(tuple(row[name] for name in names) for row in rows)


# files


@pytest.mark.parametrize("form", ["jsonl.gz", "jsonl.zst"])
def test_truncated_compression(tmp_path, form):
    records = [{**r, "noise": os.urandom(300).hex()} for r in good(150)]
    packed = PACK[form](lines(records))
    if form == "jsonl.zst":  # in frames, or one block would hold everything
        packed = b"".join(PACK[form](lines(records[i : i + 10])) for i in range(0, 150, 10))
    run(put(tmp_path, f"a.{form}", packed[: len(packed) * 2 // 3]), tmp_path / "out")
    found = everything(tmp_path / "out")
    assert 30 < len(found) < 150
    assert of(found, "id", "text", "n", "noise") == of(records[: len(found)], "id", "text", "n", "noise")
    assert errors(tmp_path / "out") == ["broken_compression"]


def test_parquet_without_a_footer_and_of_no_bytes(tmp_path):
    parquet(tmp_path / "in" / "good.parquet", good(5))
    whole = (tmp_path / "in" / "good.parquet").read_bytes()
    put(tmp_path, "cut.parquet", whole[:-9])
    put(tmp_path, "empty.parquet", b"")
    put(tmp_path, "zeros.parquet", bytes(1000))
    put(tmp_path, "lying.parquet", whole[:-8] + (2**31 - 1).to_bytes(4, "little") + b"PAR1")
    report = run(tmp_path / "in", tmp_path / "out")
    assert report["documents"]["quarantined"] == 4
    assert of(everything(tmp_path / "out"), "n") == [(i,) for i in range(5)]
    assert errors(tmp_path / "out") == ["unreadable_file"] * 4


def test_parquet_with_a_broken_page(tmp_path):
    path = parquet(tmp_path / "in" / "a.parquet", good(90), 30, use_dictionary=False, write_page_checksum=True)
    chunk = pq.read_metadata(path).row_group(1).column(1)
    data = bytearray(path.read_bytes())
    middle = chunk.data_page_offset + chunk.total_compressed_size // 2
    data[middle : middle + 20] = bytes(20)
    path.write_bytes(data)
    report = run(tmp_path / "in", tmp_path / "out")
    assert report["documents"]["quarantined"] == 30
    assert of(everything(tmp_path / "out"), "n") == [(i,) for i in (*range(30), *range(60, 90))]
    assert errors(tmp_path / "out") == ["broken_row_group"]


@pytest.mark.parametrize("form", JSON_FORMATS)
def test_empty_files_and_shards_without_records(tmp_path, form):
    put(tmp_path, f"nothing.{form}", b"")
    put(tmp_path, f"blank.{form}", PACK[form](b"\n \n\t\n\n"))
    parquet(tmp_path / "in" / "good.parquet", good(3))
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), tmp_path / "in" / "rowless.parquet")
    report = run(tmp_path / "in", tmp_path / "out")
    assert report["documents"]["read"] == 3
    assert len([f for f in (tmp_path / "out" / "kept").rglob("*") if f.is_file()]) == 4


# records


BAD_LINES = {
    b'{"text": "cut off': "invalid_json",
    b'{"text": "a"} {"text": "b"}': "invalid_json",
    b'{"text": "a", "x": NaN}': "invalid_json",
    b'{"text": "a", "x": -Infinity}': "invalid_json",
    b'{"text": "\\ud800 lone surrogate"}': "invalid_json",
    b'{"text": "\\udfff\\ud800 the wrong way round"}': "invalid_json",
    b'{"text": "\xed\xa0\x80 a surrogate in bytes"}': "invalid_utf8",
    b'{"text": "\xff\xfe"}': "invalid_utf8",
    b'{"id": "a row without text"}': "text_missing",
    b'{"text": 5}': "text_not_a_string",
    b'{"text": ["a", "b"]}': "text_not_a_string",
    b'{"text": {"a": "b"}}': "text_not_a_string",
    b'{"text": true}': "text_not_a_string",
    b'["text"]': "not_an_object",
    b"null": "not_an_object",
    b'{"text": "a", "deep": ' + b"[" * 5000 + b"]" * 5000 + b"}": "invalid_json",
}


@pytest.mark.parametrize("form", JSON_FORMATS)
def test_bad_lines(tmp_path, form):
    records = good(40)
    mixed: list = list(records)
    for i, line in enumerate(BAD_LINES):
        mixed.insert(2 * i + 1, line)
    run(put(tmp_path, f"a.{form}", PACK[form](lines(mixed))), tmp_path / "out")
    assert of(everything(tmp_path / "out"), "id", "text", "n") == of(records, "id", "text", "n")
    assert errors(tmp_path / "out") == sorted(BAD_LINES.values())
    assert {bad.raw for bad in quarantined(tmp_path / "out")} == set(BAD_LINES)


def test_inspect_shows_every_kind_of_quarantined_record(tmp_path):
    put(tmp_path, "a.jsonl", lines([*good(3), *BAD_LINES, b'{"text": "' + b"x" * 2_100_000 + b'"}']))
    put(tmp_path, "cut.parquet", b"PAR1 and no footer")
    broken = PACK["jsonl.gz"](lines(good(50)))
    put(tmp_path, "broken.jsonl.gz", broken[: len(broken) // 2])
    parquet(tmp_path / "in" / "long.parquet", [{"text": "y" * 2_100_000}, {"text": "short"}])
    path = parquet(tmp_path / "in" / "page.parquet", good(30), compression="zstd", write_page_checksum=True)
    data = bytearray(path.read_bytes())
    data[100:120] = bytes(20)
    path.write_bytes(data)
    run(tmp_path / "in", tmp_path / "out", limits={"document_mb": 2})
    kinds = set(errors(tmp_path / "out"))
    assert kinds >= {*BAD_LINES.values(), "line_too_long", "document_too_long", "broken_compression"}
    assert kinds >= {"unreadable_file", "broken_row_group"}
    shown = CliRunner().invoke(app, ["inspect", str(tmp_path / "out"), "--reason", "quarantine", "--limit", "100"])
    assert shown.exit_code == 0
    for kind in kinds:
        assert f"record, {kind}: " in shown.stdout or f"records, {kind}: " in shown.stdout, kind
    assert max(map(len, shown.stdout.splitlines())) < 2000
    assert all(c.isprintable() or c == "\n" for c in shown.stdout)


@pytest.mark.parametrize("form", JSON_FORMATS)
def test_duplicate_keys_and_odd_values_in_json(tmp_path, form):
    content = [
        b'{"text": "first", "text": "the last of two keys counts", "n": 1, "n": 2}',
        b'{"text": "a number beyond every integer", "n": 123456789012345678901234567890}',
        b'{"text": "a nested one", "n": {"a": [1, {"b": null}]}}',
        b'{"text": "a key without letters", "": 1, "\\u0000": 2, " ": 3}',
        b'{"text": null, "n": 5}',
        b'{"text": "", "n": 6}',
    ]
    report = run(put(tmp_path, f"a.{form}", PACK[form](lines(content))), tmp_path / "out")
    assert report["documents"]["by_reason"] == {"empty_text": 2}
    rows = {row["text"]: row for row in everything(tmp_path / "out")}
    assert rows["the last of two keys counts"]["n"] == "2"
    assert float(rows["a number beyond every integer"]["n"]) == 123456789012345678901234567890.0
    assert json.loads(rows["a nested one"]["n"]) == {"a": [1, {"b": None}]}
    assert [rows["a key without letters"][key] for key in ("", "\0", " ")] == [1, 2, 3]


def test_null_and_empty_text_and_rows_without_text_in_parquet(tmp_path):
    texts = [None, "", " ", "a document", None]
    parquet(tmp_path / "in" / "a.parquet", [{"text": t, "n": i} for i, t in enumerate(texts)])
    pq.write_table(pa.table({"text": pa.nulls(3, pa.string()), "n": [5, 6, 7]}), tmp_path / "in" / "b.parquet")
    report = run(tmp_path / "in", tmp_path / "out")
    assert report["documents"]["by_reason"] == {"empty_text": 6}
    assert of(everything(tmp_path / "out"), "n") == [(i,) for i in range(8)]


def test_invalid_utf8_and_surrogates_in_parquet(tmp_path):
    values = [b"good one", b"\xff\xfe", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\x80", b"fine too"]
    binary = pa.array(values, pa.binary())
    text = pa.Array.from_buffers(pa.string(), len(values), binary.buffers())
    (tmp_path / "in").mkdir()
    pq.write_table(pa.table({"text": text, "n": range(6)}), tmp_path / "in" / "a.parquet")
    other = pa.table({"text": ["a", "b"], "note": text.slice(0, 2), "n": [6, 7]})
    pq.write_table(other, tmp_path / "in" / "b.parquet")
    run(tmp_path / "in", tmp_path / "out")
    assert of(everything(tmp_path / "out"), "n") == [(0,), (5,), (6,)]
    assert errors(tmp_path / "out") == ["invalid_utf8"] * 5


def test_wrong_types_stop_the_run_before_it_starts(tmp_path):
    parquet(tmp_path / "in" / "a.parquet", good(3))
    pq.write_table(pa.table({"text": [1, 2]}), tmp_path / "in" / "b.parquet")
    with pytest.raises(ConfigError, match=r"columns.text: 'text' of .*b.parquet is int64, not a string column"):
        run(tmp_path / "in", tmp_path / "out")
    twice = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["text", "text"])
    pq.write_table(twice, tmp_path / "in" / "b.parquet")
    with pytest.raises(ConfigError, match=r"b.parquet has 2 columns called 'text'"):
        run(tmp_path / "in", tmp_path / "out")
    assert not (tmp_path / "out" / "kept").exists()


ODD_COLUMNS = [
    pa.array([[1], [2], None]),
    pa.array([{"a": 1}, None, {"a": 3}]),
    pa.array([1.5, float("nan"), None]),
    pa.array([b"\xff", b"a", None]),
    pa.array([True, False, None]),
    pa.array([10**18, -5, None]),
    pa.array(["not what it should be", "", None]),
    pa.array([None, None, None]),
    pa.array(["a", "b", None]).dictionary_encode(),
    pa.array([[("k", 1)], [], None], pa.map_(pa.string(), pa.int64())),
    pa.array([1, 2, None], pa.timestamp("ns")),
]


@pytest.mark.parametrize("odd", ODD_COLUMNS, ids=lambda a: str(a.type))
def test_a_column_of_an_odd_type_serves_as_well_as_it_can(tmp_path, odd):
    (tmp_path / "in").mkdir()
    texts = [r["text"] for r in good(3)]
    pq.write_table(pa.table({"text": texts, "n": range(3), "odd": odd}), tmp_path / "in" / "a.parquet")
    columns = dict.fromkeys(["id", "date", "url", "tokens", "source", "group"], "odd")
    report = run(tmp_path / "in", tmp_path / "out", columns=columns, dedup={"url": True})
    assert report["documents"]["read"] == 3
    assert of(everything(tmp_path / "out"), "n") == [(0,), (1,), (2,)]
    for folder in (tmp_path / "out" / "kept", tmp_path / "out" / "excluded"):
        for file in folder.rglob("*.parquet"):
            assert pq.read_schema(file).field("odd").type == odd.type
    shown = CliRunner().invoke(app, ["inspect", str(tmp_path / "out"), "--shard", "default/a.parquet"])
    assert shown.exit_code == 0, shown.output


@pytest.mark.parametrize("form", ["parquet", *JSON_FORMATS])
def test_duplicate_ids(tmp_path, form):
    texts = [r["text"] for r in good(4)]
    records = [{"id": "same", "text": text, "n": i} for i, text in enumerate([*texts, texts[0]])]
    records += [{"id": None, "text": "an id that is null", "n": 5}, {"id": None, "text": "and another", "n": 6}]
    if form == "parquet":
        parquet(tmp_path / "in" / "a.parquet", records)
    else:
        put(tmp_path, f"a.{form}", PACK[form](lines(records)))
    run(tmp_path / "in", tmp_path / "out")
    rows = everything(tmp_path / "out")
    assert of(rows, "n") == [(i,) for i in range(7)]
    assert {row["id"] for row in rows} == {"same", None}
    clusters = [row["cluster_id"] for row in documents(tmp_path / "out", "kept")]
    assert len(set(clusters)) == len(clusters) == 6


@pytest.mark.parametrize("form", ["parquet", *JSON_FORMATS])
def test_characters_that_trick_readers(tmp_path, form):
    texts = [
        "a" * 3_000_000,
        "\0" * 1000,
        "nul \0 in \0 between",
        "\u202e right to left \u2066 isolates \u2069",
        "zero\u200bwidth\u200c\u200d\u2060\ufeff",
        "\ufffe\uffff non-characters \U0010ffff",
        "e\u0301" * 2000,
        "\u0085\u2028\u2029\x1c\x1d\x1e\x0b\x0c line ends of other kinds",
        "\u0344" * 5000,
        "漢" * 100_000,
        "\U0001f468\u200d\U0001f469\u200d\U0001f467" * 500,
        "\r\n" * 5000,
        "=" * 50_000 + "\n" * 50_000,
    ]
    records = [{"text": text, "n": i} for i, text in enumerate(texts)]
    if form == "parquet":
        parquet(tmp_path / "in" / "a.parquet", records)
    else:
        put(tmp_path, f"a.{form}", PACK[form](lines(records)))
    run(tmp_path / "in", tmp_path / "out", run={"batch_mb": 0.5}, dedup={"lines": {"enabled": True}})
    assert of(everything(tmp_path / "out"), "n", "text") == list(enumerate(texts))


# sizes


def subprocess_run(folder: Path, *settings: str) -> tuple[dict, float]:
    """The documents of a job in a process of its own, and its peak memory in MB."""
    code = (
        "import re, sys\nfrom curation.cli import app\n"
        "try: app(sys.argv[1:])\n"
        "except SystemExit as e: code = e.code\n"
        # not ru_maxrss: that begins with what the parent had when it started the process
        "print('PEAK', int(re.search('VmHWM:\\\\s+(\\\\d+)', open('/proc/self/status').read())[1]) / 1024)\n"
        "sys.exit(code)"
    )
    command = [sys.executable, "-c", code, "run", "-q", "-i", str(folder / "in"), "-o", str(folder / "out")]
    command += [part for setting in settings for part in ("-s", setting)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    peak = float(done.stdout.rpartition("PEAK")[2])
    return json.loads((folder / "out" / "report" / "report.json").read_text())["documents"], peak


def long_line(path: Path, megabytes: int) -> None:
    """A good record, one of so many megabytes, and a good one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(lines(good(1)) + b'{"text": "')
        for _ in range(megabytes):
            file.write(b"lorem ipsum dolor, " * 52_631 + b"padding more")
        file.write(b'"}\n' + lines(good(2)[1:]))


@pytest.mark.parametrize(("megabytes", "bound"), [(40, 700), pytest.param(1000, 700, marks=pytest.mark.slow)])
def test_a_line_that_is_too_long_costs_no_memory(tmp_path, megabytes, bound):
    long_line(tmp_path / "in" / "a.jsonl", megabytes)
    counts, peak = subprocess_run(tmp_path, "limits.document_mb=20")
    assert (counts["kept"], counts["quarantined"]) == (2, 1)
    [bad] = quarantined(tmp_path / "out")
    assert bad.error == "line_too_long" and "limits.document_mb" in bad.message and len(bad.raw) == 65_536
    assert peak < bound, f"{peak:.0f} MB"


@pytest.mark.slow
@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_a_document_of_200_mb(tmp_path, form):
    text = " ".join(f"word{i % 50_000}" for i in range(22_000_000))
    assert len(text) > 200_000_000
    if form == "parquet":
        parquet(tmp_path / "in" / "a.parquet", [{"text": text, "n": 0}, *({**r, "n": 1} for r in good(1))])
    else:
        put(tmp_path, "a.jsonl", lines([{"text": text, "n": 0}, *({**r, "n": 1} for r in good(1))]))
    counts, peak = subprocess_run(tmp_path)
    assert counts["kept"] == 2
    assert {row["n"]: len(row["text"]) for row in documents(tmp_path / "out", "kept")}[0] == len(text)
    assert peak < 4500, f"{peak:.0f} MB"
    shutil.rmtree(tmp_path / "out")
    counts, peak = subprocess_run(tmp_path, "limits.document_mb=100")
    assert (counts["kept"], counts["quarantined"]) == (1, 1)
    assert errors(tmp_path / "out") == ["document_too_long" if form == "parquet" else "line_too_long"]
    # the check of columns before work looks at lines of up to 256 MB, whatever the limit
    assert peak < 3200, f"{peak:.0f} MB"


def test_a_higher_limit_reads_only_the_shards_again_that_had_longer_documents(tmp_path):
    long_line(tmp_path / "in" / "long.jsonl", 3)
    put(tmp_path, "short.jsonl", lines(good(10, "s")[5:]))
    first = run(tmp_path / "in", tmp_path / "out", limits={"document_mb": 1})
    assert first["documents"]["quarantined"] == 1
    times = {f.name: f.stat().st_mtime_ns for f in (tmp_path / "out" / "signals").rglob("*.parquet")}
    second = run(tmp_path / "in", tmp_path / "out", limits={"document_mb": 10})
    assert (second["documents"]["quarantined"], second["documents"]["read"]) == (0, 8)
    after = {f.name: f.stat().st_mtime_ns for f in (tmp_path / "out" / "signals").rglob("*.parquet")}
    assert {name for name in times if times[name] != after[name]} == {"long.jsonl.parquet"}
    third = run(tmp_path / "in", tmp_path / "out", limits={"document_mb": 2})
    assert third["documents"]["quarantined"] == 1


@pytest.mark.parametrize("shards", [60, pytest.param(3000, marks=pytest.mark.slow)])
def test_tiny_shards_cost_little_each(tmp_path, shards):
    folder = tmp_path / "in"
    folder.mkdir()
    for i in range(shards):
        (folder / f"{i:06}.jsonl").write_bytes(b'{"id": "d%d", "text": "the only document of shard %d"}\n' % (i, i))
    report = run(folder, tmp_path / "out")
    assert report["documents"]["read"] == shards
    cpu = sum(stage["cpu_seconds"] for stage in report["run"]["stages"].values())
    assert cpu / shards < 0.1
    assert (tmp_path / "out" / "report" / "report.html").stat().st_size < 2_000_000
    assert (tmp_path / "out" / "report" / "report.json").stat().st_size / shards < 6_000


# names, links, folders


NAMES = [
    "a b  c.jsonl",
    'it\'s "quoted".jsonl',
    "dots..and...more...jsonl",
    "ünïcödé 漢字 \U0001f600.jsonl",
    "new\nline\ttab.jsonl",
    "$(rm -rf) ; & | > < * ? [x] {a,b}.jsonl",
    "-rf.jsonl",
    "%2e%2e%2fescape.jsonl",
    "CON.jsonl",
    "x" * 234 + ".jsonl",
]


def test_file_names_of_every_kind(tmp_path):
    for i, name in enumerate(NAMES):
        put(tmp_path, f"sub dir/{name}" if i % 2 else name, lines([{"text": good(20)[i]["text"], "n": i}]))
    report = run(tmp_path / "in", tmp_path / "out", run={"format": "parquet"})
    assert of(everything(tmp_path / "out"), "n") == [(i,) for i in range(len(NAMES))]
    top = (tmp_path / "out" / "kept" / "default").resolve()
    for i, name in enumerate(NAMES):
        path = top / ("sub dir" if i % 2 else "") / f"{name}.parquet"
        assert path.is_file() and path.resolve().is_relative_to(top)
    html = (tmp_path / "out" / "report" / "report.html").read_text()
    assert "<html" in html and len(report["documents"]["by_shard"]) == len(NAMES)


def test_names_that_cannot_be_written_are_said_before_work(tmp_path):
    put(tmp_path, "y" * 236 + ".jsonl", b"")
    with pytest.raises(ConfigError, match="name .* is too long: .* rename it"):
        run(tmp_path / "in", tmp_path / "out")
    shutil.rmtree(tmp_path / "in")
    put(tmp_path, "good.jsonl", lines(good(1)))
    with open(os.fsencode(tmp_path / "in") + b"/\xff\xfe.jsonl", "wb"):
        pass
    with pytest.raises(ConfigError, match=r"xff.*is not UTF-8.*rename it"):
        run(tmp_path / "in", tmp_path / "out")


def test_symbolic_links(tmp_path):
    outside = tmp_path / "elsewhere"
    outside.mkdir()
    parquet(outside / "linked.parquet", good(3))
    put(tmp_path, "plain.jsonl", lines(good(5, "p")[3:]))
    inside = tmp_path / "in"
    os.symlink(outside, inside / "folder")
    os.symlink(inside, inside / "loop")
    os.symlink("loop2", inside / "loop2")
    os.symlink(inside / "nowhere.jsonl", inside / "dangling.jsonl")
    os.symlink("self.jsonl", inside / "self.jsonl")
    report = run(inside, tmp_path / "out")
    assert report["documents"]["read"] == 5
    assert (tmp_path / "out" / "kept" / "default" / "folder" / "linked.parquet").is_file()
    assert sorted(os.listdir(outside)) == ["linked.parquet"]


def test_links_in_the_output_do_not_lead_out_of_it(tmp_path):
    inside = put(tmp_path, "a/x.jsonl", lines(good(2)))
    victim = tmp_path / "victim"
    victim.mkdir()
    (tmp_path / "out" / "kept").mkdir(parents=True)
    os.symlink(victim, tmp_path / "out" / "kept" / "default")
    with pytest.raises(ValueError, match="leads out of .* through a link"):
        run(inside, tmp_path / "out")
    assert not any(victim.iterdir())


@pytest.fixture
def mounted(tmp_path):
    """Mounts a tmpfs of so many kilobytes; root only."""
    mounts = []

    def mount(name: str, options: str) -> Path:
        target = tmp_path / name
        target.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(target)]
        if os.geteuid() != 0 or shutil.which("mount") is None or subprocess.run(command, check=False).returncode:
            pytest.skip("a tmpfs can be mounted by root only")
        mounts.append(target)
        return target

    yield mount
    for target in mounts:
        subprocess.run(["umount", str(target)], check=True)


def test_a_full_output_says_so_and_goes_on_later(tmp_path, mounted):
    inside = put(tmp_path, "a.jsonl", lines(good(200)))
    target = mounted("small", "size=256k")
    shown = CliRunner().invoke(app, ["run", "-q", "-i", str(inside), "-o", str(target / "out")])
    assert shown.exit_code == 1
    assert "No space left" in shown.output and str(target) in shown.output and "Traceback" not in shown.output
    assert not list((target / "out").rglob(".tmp-*"))
    assert subprocess.run(["mount", "-o", "remount,size=64m", str(target)], check=False).returncode == 0
    assert run(inside, target / "out")["documents"]["read"] == 200


def test_a_read_only_output_is_said_before_work(tmp_path, mounted):
    inside = put(tmp_path, "a.jsonl", lines(good(2)))
    target = mounted("fixed", "size=1m,ro")
    shown = CliRunner().invoke(app, ["run", "-q", "-i", str(inside), "-o", str(target / "out")])
    assert shown.exit_code == 2
    assert "cannot write to" in shown.output and "another --output" in shown.output


def test_an_output_of_another_run(tmp_path):
    inside = put(tmp_path, "a.jsonl", lines(good(10)))
    other = tmp_path / "other"
    other.mkdir()
    (other / "b.jsonl").write_bytes(lines(good(3, "o")))
    run(inside, tmp_path / "out")
    before = documents(tmp_path / "out", "kept")
    with pytest.raises(ConfigError, match="holds a run that also read a.jsonl.*give another --output"):
        run(other, tmp_path / "out")
    assert documents(tmp_path / "out", "kept") == before


# files that change or go while the job reads


def in_the_middle(monkeypatch, phase, act):
    """Call `act` once as the phase begins."""
    from curation.progress import Observer

    before, done = Observer.started, []

    def started(self, name, step):
        before(self, name, step)
        if name == phase and not done:
            done.append(act())

    monkeypatch.setattr(Observer, "started", started)


def test_a_file_deleted_before_it_is_read_is_one_entry(tmp_path, monkeypatch):
    inside = put(tmp_path, "a.jsonl", lines(good(5)))
    put(tmp_path, "b.jsonl", lines(good(8, "b")[5:]))
    parquet(inside / "c.parquet", good(9)[8:])
    in_the_middle(monkeypatch, "annotate", lambda: [(inside / name).unlink() for name in ("b.jsonl", "c.parquet")])
    report = run(inside, tmp_path / "out")
    counts = report["documents"]
    assert (counts["read"], counts["kept"], counts["quarantined"]) == (7, 5, 2)
    assert errors(tmp_path / "out") == ["unreadable_file"] * 2
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert [entry["xxh3_128"] is None for entry in manifest["inputs"]] == [False, True, True]


@pytest.mark.parametrize("name", ["b.jsonl", "b.parquet"])
def test_a_file_deleted_between_the_two_readings_is_named_and_the_run_goes_on_without_it(tmp_path, monkeypatch, name):
    inside = put(tmp_path, "a.jsonl", lines(good(5)))
    if name == "b.jsonl":
        put(tmp_path, name, lines(good(8, "b")[5:]))
    else:
        parquet(inside / name, good(8, "b")[5:])
    with monkeypatch.context() as patch:
        in_the_middle(patch, "select", (inside / name).unlink)
        with pytest.raises(RuntimeError, match=rf"{name} gave 3 documents at first and 0 now.*Put it back"):
            run(inside, tmp_path / "out")
    assert run(inside, tmp_path / "out")["documents"]["read"] == 5
    assert not [f for f in (tmp_path / "out").rglob(f"{name}*") if f.parts[-3] in ("kept", "excluded")]


def test_a_file_that_grows_between_the_two_readings_is_named_and_read_again(tmp_path, monkeypatch):
    inside = put(tmp_path, "a.jsonl", lines(good(5)))

    def grow():
        with (inside / "a.jsonl").open("ab") as file:
            file.write(lines(good(8)[5:]))

    with monkeypatch.context() as patch:
        in_the_middle(patch, "select", grow)
        with pytest.raises(RuntimeError, match=r"a\.jsonl.*[Rr]un the same command again"):
            run(inside, tmp_path / "out", columns={"id": "id"})
    assert run(inside, tmp_path / "out", columns={"id": "id"})["documents"]["read"] == 8


def test_a_quarantined_shard_is_retried_alone(tmp_path, monkeypatch):
    inside = put(tmp_path, "a.jsonl", lines(good(5)))
    put(tmp_path, "b.jsonl", lines(good(9, "b")[4:]))
    opened = hostile_open(monkeypatch, "b.jsonl")
    first = run(inside, tmp_path / "out")
    assert (first["documents"]["read"], first["documents"]["quarantined"]) == (6, 1)
    opened.undo()
    assert run(inside, tmp_path / "out")["documents"] == first["documents"]  # finished: nothing is read again
    times = {f.name: f.stat().st_mtime_ns for f in (tmp_path / "out" / "signals").rglob("*.parquet")}
    again = run(inside, tmp_path / "out", run={"retry_quarantined": True})
    assert (again["documents"]["read"], again["documents"]["quarantined"]) == (10, 0)
    # the document that both hold is now known as a duplicate
    assert again["documents"]["by_reason"] == {"exact_duplicate": 1}
    after = {f.name: f.stat().st_mtime_ns for f in (tmp_path / "out" / "signals").rglob("*.parquet")}
    assert [name for name in times if times[name] != after[name]] == ["b.jsonl.parquet"]


def hostile_open(monkeypatch, name):
    """The disk answers every reading of a file with an error, until `undo`."""
    from curation.io import files

    patch = pytest.MonkeyPatch()
    before = files.open_file

    def broken(url, mode="rb"):
        if url.endswith("/in/" + name):
            raise OSError(5, "Input/output error", url)
        return before(url, mode)

    patch.setattr(files, "open_file", broken)
    monkeypatch.callback = patch
    return patch
