"""What inputs expand to, and that everything wrong with them is said before work starts."""

import multiprocessing
import os
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
    fill(tmp_path, ["data/part-0.jsonl", "data/notes.txt", "other/part-0.jsonl"])

    def fails(match: str, *inputs: Input) -> None:
        with pytest.raises(ConfigError, match=match):
            expand(inputs)

    fails("no input")
    fails("did you mean 'data'", Input(path=f"{tmp_path}/dat/*.jsonl"))
    fails("matches no file; .*data exists.*'part-0.jsonl'", Input(path=f"{tmp_path}/data/part*.jsonll"))
    fails("did you mean 'part-0.jsonl'", Input(path=f"{tmp_path}/data/part-1.jsonl"))
    fails(
        r"notes.txt: unknown extension; known are .parquet, .jsonl.gz",
        Input(path=f"{tmp_path}/data/notes.txt"),
    )
    fails("matches .*notes.txt", Input(path=f"{tmp_path}/data/*"))
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
    assert names(Input(path=f"{tmp_path}/o/kept"), output=f"{tmp_path}/o") == ["default/web/a.parquet"]


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
