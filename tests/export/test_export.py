"""Exports hold every kept row as often as its copies, in one order whatever the sharding, in files of a given size."""

import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
import zstandard
from typer.testing import CliRunner

from curation import curate
from curation.cli import app
from curation.config import ConfigError
from curation.export import export, shuffle

TEXTS = [f"Note {i} on {i * 37 % 101} ways of crossing river {i * 13 % 59}, {i} drawings. " * 4 for i in range(600)]


def run(folder: Path, shards: int, **changes) -> str:
    (folder / "in").mkdir(parents=True)
    size = -(-len(TEXTS) // shards)
    for i in range(shards):
        texts = TEXTS[i * size : (i + 1) * size]
        ids = [f"n{i * size + j}" for j in range(len(texts))]
        table = pa.table({"id": ids, "text": texts, "length": pa.array([len(t) for t in texts], pa.int32())})
        if i % 2:
            table = table.set_column(1, "text", table["text"].cast(pa.large_string())).append_column(
                "extra", pa.array([{"a": j} for j in range(len(texts))])
            )
        pq.write_table(table, folder / "in" / f"{i}.parquet")
    values = {"dedup": {"enabled": False}, "detect": {"enabled": False}, "measure": {"enabled": False}}
    curate(inputs=str(folder / "in"), output=str(folder / "out"), **{**values, **changes})
    return str(folder / "out")


@pytest.fixture(scope="module")
def repeated(tmp_path_factory):
    """A run in which documents are drawn up to three times."""
    folder = tmp_path_factory.mktemp("export")
    multipliers = {"default": 1.0}
    select = {"documents": 1200, "max_repeats": 3}
    return run(folder, 4, select=select, mix={"mode": "none", "multipliers": multipliers})


def rows(folder: str | Path) -> list[dict]:
    return [row for f in sorted(Path(folder).rglob("*.parquet")) for row in pq.read_table(f).to_pylist()]


def test_every_copy_stands_there_once_in_shuffled_order(repeated, tmp_path, monkeypatch):
    monkeypatch.setattr("curation.export.write.BUCKET_BYTES", 30_000)
    monkeypatch.setattr(shuffle, "HELD_BYTES", 20_000)
    target = str(tmp_path / "data")
    found = export(repeated, target, target_mb=0.02, quiet=True)
    kept = rows(Path(repeated, "kept"))
    got = rows(target)
    assert sum(r["copies"] for r in kept) > len(kept)
    assert Counter(r["id"] for r in got) == Counter({r["id"]: r["copies"] for r in kept})
    assert found["rows"] == len(got) and len(found["files"]) > 3
    assert {"copies", "filter_reason"}.isdisjoint(got[0]) and got[0].keys() >= {"extra", "weight", "length"}
    order = [int(r["id"][1:]) for r in got]
    rising = sum(a < b for a, b in zip(order, order[1:], strict=False))
    assert 0.4 < rising / len(order) < 0.6
    sizes = [entry["rows"] for entry in found["files"]]
    assert max(sizes) < 1.5 * min(sizes)
    on_disk = [entry["bytes"] for entry in found["files"]]
    assert sum(on_disk) / len(on_disk) < 60_000
    assert not list(tmp_path.glob(".*"))


def test_the_order_depends_on_the_seed_and_not_on_the_sharding(tmp_path):
    whole, parts = run(tmp_path / "a", 1), run(tmp_path / "b", 7)
    for name, out, seed in (("x", whole, 1), ("y", parts, 1), ("z", parts, 2)):
        export(out, str(tmp_path / name), seed=seed, quiet=True)
    orders = {name: [r["id"] for r in rows(tmp_path / name)] for name in "xyz"}
    assert orders["x"] == orders["y"] != orders["z"] and sorted(orders["x"]) == sorted(orders["z"])
    again = export(parts, str(tmp_path / "w"), quiet=True)
    first = {f.name: f.read_bytes() for f in (tmp_path / "y").glob("*.parquet")}
    assert first == {f.name: f.read_bytes() for f in (tmp_path / "w").glob("*.parquet")}
    assert [entry["rows"] for entry in again["files"]] == [600]


def test_json_lines_and_a_hugging_face_folder(repeated, tmp_path):
    shown = CliRunner().invoke(
        app, ["export", repeated, "-o", str(tmp_path / "lines"), "--format", "jsonl.zst", "--target-mb", "0.01"]
    )
    assert shown.exit_code == 0, shown.stderr
    files = sorted((tmp_path / "lines").glob("part-*.jsonl.zst"))
    lines = [
        json.loads(line)
        for f in files
        for line in zstandard.ZstdDecompressor().decompressobj().decompress(f.read_bytes()).splitlines()
    ]
    export(repeated, str(tmp_path / "hub"), format="huggingface", quiet=True)
    folder = tmp_path / "hub"
    table = pq.read_table(folder / "data")
    assert [line["id"] for line in lines] == table["id"].to_pylist() and len(files) > 1
    front, _, body = (folder / "README.md").read_text().removeprefix("---\n").partition("---\n")
    card = yaml.safe_load(front)
    assert card["configs"][0]["data_files"][0]["path"] == "data/train-*.parquet"
    assert card["size_categories"] == ["1K<n<10K"] and "| kept | 600 |" in body and "crossing" not in body
    assert yaml.safe_load((folder / "configuration.yaml").read_text())["select"]["documents"] == 1200
    assert json.loads((folder / "report.json").read_text())["documents"]["kept"] == 600


def test_the_croissant_file_describes_the_shards(repeated, tmp_path):
    export(repeated, str(tmp_path / "hub"), format="huggingface", licence="cc0-1.0", quiet=True)
    found = json.loads((tmp_path / "hub" / "croissant.json").read_text())
    assert {f["name"] for f in found["recordSet"][0]["field"]} >= {"id", "text", "weight"}
    assert found["distribution"][0]["contentUrl"] == "data/train-00000-of-00001.parquet"
    mlcroissant = pytest.importorskip("mlcroissant")
    metadata = mlcroissant.Metadata.from_json(mlcroissant.Context(), found)
    assert not metadata.ctx.issues.errors, metadata.ctx.issues.report()


def test_what_cannot_be_exported_says_why(repeated, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("x")
    for output, target, format, code in (
        (str(tmp_path / "none"), "t", "parquet", "no-finished-run"),
        (repeated, str(tmp_path / "full"), "parquet", "output-conflict"),
        (repeated, str(tmp_path / "t"), "csv", "usage"),
    ):
        with pytest.raises(ConfigError) as error:
            export(output, target, format=format, quiet=True)
        assert error.value.code == code
    for name, value in (("a", 1), ("b", "one")):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"text": TEXTS[0] + name, "mixed": value}) + "\n")
    values = {"dedup": {"enabled": False}, "detect": {"enabled": False}, "measure": {"enabled": False}}
    curate(inputs=[str(tmp_path / "a.jsonl"), str(tmp_path / "b.jsonl")], output=str(tmp_path / "out"), **values)
    with pytest.raises(ConfigError, match=r"'mixed' is int64 in .*a\.jsonl.* and string in .*b\.jsonl"):
        export(str(tmp_path / "out"), str(tmp_path / "t"), quiet=True)
    assert not (tmp_path / "t").exists()
