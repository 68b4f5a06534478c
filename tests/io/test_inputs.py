"""What inputs expand to, and that everything wrong with them is said before work starts."""

import importlib
import multiprocessing
import os
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation.config import Config, ConfigError, Input
from curation.io import expand, files, manifest

ODD = [
    "a b.jsonl",
    "qu'o\"te.jsonl.gz",
    "ünï/中.parquet",
    "dots...jsonl",
    "d/e/f.json.zst",
    "x::y#z?.jsonl",
    "[1].jsonl",
]


def fill(folder: Path, names: list[str]) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())


def names(*inputs: Input, output: str = "") -> list[str]:
    shards = expand(inputs, output)
    assert [s.index for s in shards] == list(range(len(shards)))
    assert [(s.source, s.relative) for s in shards] == sorted((s.source, s.relative) for s in shards)
    for shard in shards:
        assert files.size(shard.url) == shard.size and files.version(shard.url) == shard.version != ""
    return [f"{s.source}/{s.relative}" for s in shards]


def test_folders_files_and_globs(tmp_path: Path) -> None:
    fill(tmp_path, [*ODD, ".hidden.jsonl", ".git/a.jsonl", "README.md", "d/e/g.jsonl"])
    everything = sorted(f"default/{n}" for n in [*ODD, "d/e/g.jsonl"])
    assert names(Input(path=str(tmp_path))) == everything
    assert names(Input(path=f"{tmp_path}/**/*.json*")) == [n for n in everything if "parquet" not in n]
    assert names(Input(path=f"{tmp_path}/d/**")) == ["default/e/f.json.zst", "default/e/g.jsonl"]
    assert names(Input(path=f"{tmp_path}/*/?/*.{{jsonl,parquet}}")) == ["default/d/e/g.jsonl"]
    assert names(Input(path=f"{tmp_path}/d/e/[!g]*")) == ["default/f.json.zst"]
    for name in ODD:
        assert names(Input(path=f"{tmp_path}/d/../{name}", source="s")) == [f"s/{name.rpartition('/')[2]}"]
    assert names(Input(path=f"{tmp_path}/d/**"), Input(path=f"{tmp_path}/d/e/../**"), output="") == [
        "default/e/f.json.zst",
        "default/e/g.jsonl",
    ]


def test_memory_filesystem() -> None:
    for name in ("in/a b.jsonl", "in/x/c.parquet"):
        with files.atomic(f"memory://expand/{name}") as file:
            file.write(b"1")
    assert names(Input(path="memory://expand/in")) == ["default/a b.jsonl", "default/x/c.parquet"]
    assert names(Input(path="memory://expand/*/*.jsonl")) == ["default/in/a b.jsonl"]
    assert names(Input(path="memory://expand/in/a b.jsonl")) == ["default/a b.jsonl"]
    with pytest.raises(ConfigError, match="did you mean 'in'"):
        expand([Input(path="memory://expand/inn/*.jsonl")])


def test_errors_name_the_way_out(tmp_path: Path) -> None:
    fill(tmp_path, ["data/part-0.jsonl", "data/notes.doc", "other/part-0.jsonl"])

    def fails(match: str, *inputs: Input) -> None:
        with pytest.raises(ConfigError, match=match):
            expand(inputs)

    fails("no input")
    fails("did you mean 'data'", Input(path=f"{tmp_path}/dat/*.jsonl"))
    fails("matches no file; .*data exists.*'part-0.jsonl'", Input(path=f"{tmp_path}/data/part*.jsonll"))
    fails("did you mean 'part-0.jsonl'", Input(path=f"{tmp_path}/data/part-1.jsonl"))
    fails(
        r"notes.doc: unknown extension; known are .parquet, .jsonl.gz",
        Input(path=f"{tmp_path}/data/notes.doc"),
    )
    fails("matches .*notes.doc", Input(path=f"{tmp_path}/data/*"))
    both = Input(path=f"{tmp_path}/data", source="a"), Input(path=f"{tmp_path}/data/*.jsonl", source="b")
    fails("part-0.jsonl is matched by two inputs.*source a.*source b", *both)
    fails(
        "would both be default/part-0.jsonl", Input(path=f"{tmp_path}/data"), Input(path=f"{tmp_path}/other")
    )
    os.symlink(tmp_path / "data", tmp_path / "link")
    fails(
        "matched by two inputs",
        Input(path=f"{tmp_path}/data", source="a"),
        Input(path=f"{tmp_path}/link", source="b"),
    )
    fill(tmp_path, ["same/a.jsonl", "same/a.jsonl.parquet"])
    fails("share an output name", Input(path=f"{tmp_path}/same"))
    (tmp_path / "empty").mkdir()
    fails("no file of a known format", Input(path=f"{tmp_path}/empty"))


def test_links_and_loops(tmp_path: Path) -> None:
    fill(tmp_path, ["real/a.jsonl"])
    (tmp_path / "in").mkdir()
    os.symlink(tmp_path / "real", tmp_path / "in" / "linked")
    os.symlink(tmp_path / "in", tmp_path / "in" / "loop")
    os.symlink(tmp_path / "nowhere", tmp_path / "in" / "dangling.jsonl")
    assert names(Input(path=f"{tmp_path}/in")) == ["default/linked/a.jsonl"]


def test_an_earlier_run_is_read_by_what_it_kept(tmp_path: Path) -> None:
    fill(
        tmp_path, ["o/manifest.json", "o/kept/web/a.parquet", "o/signals/web/a.parquet.parquet", "raw.jsonl"]
    )
    assert names(Input(path=f"{tmp_path}/o")) == ["default/web/a.parquet"]
    assert names(Input(path=str(tmp_path))) == ["default/raw.jsonl"]
    os.unlink(tmp_path / "o/manifest.json")
    assert names(Input(path=str(tmp_path)), output=f"{tmp_path}/o") == ["default/raw.jsonl"]
    assert names(Input(path=f"{tmp_path}/o/kept"), output=f"{tmp_path}/o2") == ["default/web/a.parquet"]


def refused(match: str, path: Path | str, output: Path | str = "") -> None:
    with pytest.raises(ConfigError, match=match):
        expand([Input(path=str(path))], str(output))


def test_a_run_does_not_write_into_what_it_reads(tmp_path: Path) -> None:
    fill(tmp_path, ["cx/a.parquet", "cx/kept/default/a.parquet", "cx/sub/b.parquet", "raw.jsonl"])
    os.symlink(tmp_path / "cx", tmp_path / "link")
    for output in ("cx", "cx/", "link", "sub/../cx"):
        refused("is an input too.*another --output", tmp_path / "cx", f"{tmp_path}/{output}")
        for inside in ("kept", "kept/default", "kept/default/a.parquet", "kept/*/*.parquet"):
            refused("is what a run to .* writes.*another --output", tmp_path / "cx" / inside, f"{tmp_path}/{output}")
    # neither reads what it writes
    assert names(Input(path=f"{tmp_path}/cx/*.parquet"), output=f"{tmp_path}/cx") == ["default/a.parquet"]
    assert names(Input(path=f"{tmp_path}/cx/**/*.parquet"), output=f"{tmp_path}/cx") == [
        "default/a.parquet",
        "default/sub/b.parquet",
    ]
    assert names(Input(path=f"{tmp_path}/cx/sub"), output=f"{tmp_path}/link") == ["default/b.parquet"]
    assert names(Input(path=str(tmp_path)), output=f"{tmp_path}/cx") == ["default/raw.jsonl"]
    with files.atomic("memory://apart/kept/default/a.jsonl") as file:
        file.write(b"{}")
    refused("is an input too", "memory://apart", "memory://apart/")
    refused("is what a run to", "memory://apart/kept", "memory://apart")


def test_a_run_among_other_data_is_not_guessed(tmp_path: Path) -> None:
    fill(tmp_path, ["cx/manifest.json", "cx/kept/s/a.parquet", "cx/report/report.json", "cx/new.parquet"])
    fill(tmp_path, ["cx/decisions/weights.json", "cx/excluded/s/a.parquet", "raw.jsonl", "of/manifest.json"])
    refused(r"such as new.parquet; .*--input '.*cx/kept' or --input '.*cx/\*.parquet'", tmp_path / "cx")
    assert names(Input(path=f"{tmp_path}/cx/kept")) == ["default/s/a.parquet"]
    assert names(Input(path=f"{tmp_path}/cx/*.parquet")) == ["default/new.parquet"]
    assert names(Input(path=f"{tmp_path}/cx/**")) == ["default/new.parquet"]
    assert names(Input(path=f"{tmp_path}/*/kept/*/*.parquet")) == ["default/cx/kept/s/a.parquet"]
    # below a folder, what runs wrote is left out; a manifest.json without kept/ is not ours
    everything = ["default/cx/new.parquet", "default/of/manifest.json", "default/raw.jsonl"]
    assert names(Input(path=str(tmp_path))) == everything
    os.unlink(tmp_path / "cx/new.parquet")
    fill(tmp_path, ["cx/more/b.jsonl"])
    refused("such as more/b.jsonl; .*or --input '.*cx/more'", tmp_path / "cx")
    assert names(Input(path=f"{tmp_path}/cx/more")) == ["default/b.jsonl"]


def test_what_may_not_be_read_is_said_before_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, ["in/a.jsonl", "in/deep/b.jsonl"])
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: "b.jsonl" not in str(path) and access(path, mode))
    refused("in/deep/b.jsonl may not be read; .*chmod", tmp_path / "in")
    monkeypatch.setattr(os, "access", access)
    scandir = os.scandir

    def closed(path: str) -> object:
        if str(path).endswith("deep"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    refused("in/deep may not be listed; .*chmod", tmp_path / "in")


def test_a_protocol_without_its_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    known = importlib.import_module("fsspec.registry")._registry
    for module, protocol in {"s3fs": "s3", "gcsfs": "gs", "adlfs": "abfs"}.items():
        monkeypatch.setitem(sys.modules, module, None)
        # fsspec keeps the class where an earlier test of the process has used it
        monkeypatch.delitem(known, protocol, raising=False)
    refused(r"reading s3:// needs s3fs: pip install 'curation\[s3\]'", "s3://bucket/*.parquet")
    refused(r"reading gs:// needs gcsfs: pip install 'curation\[gcp\]'", "gs://bucket/in")
    refused(r"reading abfs:// needs another package: .*adlfs", "abfs://bucket/in")
    refused(r"nonsense://x: .*no filesystem is called 'nonsense'", "nonsense://x")


def test_few_names_are_listed(tmp_path: Path) -> None:
    fill(tmp_path, [f"{i:02}-part.jsonl" for i in range(30)])
    refused(r"exists; there is 00-part.jsonl, .*04-part.jsonl and 25 more$", tmp_path / "zzzzz")
    refused("did you mean '07-part.jsonl'", tmp_path / "07-part.json")


def test_an_output_that_cannot_be_written_is_said_before_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, ["file"])

    def fails(match: str, output: Path) -> None:
        with pytest.raises(ConfigError, match=match), manifest.lock(str(output)):
            pass

    fails("output: .*/file is a file, not a folder; give another --output", tmp_path / "file")
    fails("output: .*/file is a file, not a folder", tmp_path / "file" / "below" / "it")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    fails("output: cannot write to .*/new/out: no permission.*give another --output", tmp_path / "new" / "out")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("bad", ["../x", "a/../../x", "/etc/passwd", "", "a//b", ".", "a\0b", "out/x"])
def test_nothing_leaves_the_root(tmp_path: Path, bad: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    os.symlink(tmp_path, root / "out")
    with pytest.raises(ValueError, match=r"root"):
        files.safe_join(str(root), bad)
    assert files.safe_join(str(root), "..a/b c") == f"{root}/..a/b c"


def _hold(folder: str, ready: object, done: object) -> None:
    with manifest.lock(folder):
        ready.set()
        done.wait(20)


def test_the_lock_dies_with_its_owner(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(str(tmp_path), ready, done))
    process.start()
    assert ready.wait(20)
    with pytest.raises(ConfigError, match=f"process {process.pid}"), manifest.lock(str(tmp_path)):
        pass
    process.kill()
    process.join()
    with (
        manifest.lock(str(tmp_path)),
        pytest.raises(ConfigError, match="another run"),
        manifest.lock(str(tmp_path)),
    ):
        pass
    with manifest.lock("memory://anything"):
        pass


def test_manifest(tmp_path: Path) -> None:
    path = tmp_path / "in" / "a.parquet"
    path.parent.mkdir()
    pq.write_table(pa.table({"text": ["a"]}), path)
    (shard,) = expand([Input(path=str(path))])
    counts = {"read": 1, "kept": 1, "excluded": 0, "quarantined": 0}
    made = manifest.build(
        Config(),
        hashes={"annotate": "x"},
        inputs=[manifest.input_entry(shard, 1)],
        outputs=[manifest.output_entry(str(tmp_path), "in/a.parquet", 1)],
        documents=counts,
        stages={},
    )
    manifest.write(str(tmp_path), made)
    back = manifest.read(str(tmp_path))
    assert back == made and back["inputs"][0]["xxh3_128"] == back["outputs"][0]["xxh3_128"]
    assert back["versions"]["pyarrow"] == pa.__version__ and manifest.read(str(tmp_path / "none")) is None
    with pytest.raises(ValueError, match="lost or counted twice"):
        manifest.build(Config(), hashes={}, inputs=[], outputs=[], documents={**counts, "read": 2}, stages={})
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(ConfigError, match="damaged"):
        manifest.read(str(tmp_path))
