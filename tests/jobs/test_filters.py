"""`filters`: a fastText model adds a column, excludes where it is told to, and is checked before work starts."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation.config import ConfigError
from curation.jobs import curate
from curation.synthetic import fasttext

pytest.importorskip("fasttext")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("filters")
    draw = np.random.default_rng(3)
    common = ["the", "of", "and", "to", "that", "is", "was", "for", "it", "with", "as", "on"]
    own = (["pub", "chips", "dunno", "bloke", "muddy"], ["furthermore", "crucial", "foster", "robust", "realm"])
    texts = ["\n".join(draw.choice(common + own[i % 2], int(draw.integers(50, 120)))) for i in range(400)]
    label = [i % 2 for i in range(400)]
    fasttext.train(pa.table({"text": texts, "label": label}), folder / "model.ftz")
    rows = [*texts[:60], None, ""]
    pq.write_table(pa.table({"id": [str(i) for i in range(62)], "text": rows}), folder / "in.parquet")
    return folder


def run(world: Path, output: Path, **bounds: float) -> tuple[dict, pa.Table, pa.Table]:
    found = curate(
        inputs=[{"path": str(world / "in.parquet")}],
        output=str(output),
        detect={"enabled": False},
        measure={"enabled": False},
        signals={"features": False},
        filters=[{"model": str(world / "model.ftz"), "label": fasttext.SYNTHETIC, "column": "machine", **bounds}],
    )
    return found, *(pq.read_table(output / folder) for folder in ("kept", "excluded"))


def test_without_bounds_a_filter_only_adds_its_column(world: Path, tmp_path: Path) -> None:
    report, kept, excluded = run(world, tmp_path / "out")
    assert kept.num_rows == 60 and excluded["filter_reason"].to_pylist() == ["empty_text"] * 2
    assert kept.schema.field("machine").type == pa.float32() and excluded["machine"].null_count == 2
    expected = fasttext.score(kept["text"].combine_chunks(), str(world / "model.ftz"), fasttext.SYNTHETIC)
    np.testing.assert_array_equal(kept["machine"].to_numpy(), expected)
    assert report["documents"]["kept"] == 60


def test_bounds_exclude_with_a_reason_and_change_without_scoring_again(world: Path, tmp_path: Path) -> None:
    _, everything, _ = run(world, tmp_path / "out")
    signals = next((tmp_path / "out" / "signals").rglob("*.parquet"))
    written = signals.stat().st_mtime_ns
    report, kept, excluded = run(world, tmp_path / "out", max=0.5)
    assert signals.stat().st_mtime_ns == written
    above = everything.filter(pa.array(everything["machine"].to_numpy() > 0.5))["id"].to_pylist()
    out = excluded.filter(pa.array([r == "filter:machine" for r in excluded["filter_reason"].to_pylist()]))
    assert 20 <= len(above) <= 40 and sorted(out["id"].to_pylist()) == sorted(above)
    assert report["documents"]["by_reason"]["filter:machine"] == len(above)
    _, low, _ = run(world, tmp_path / "low", min=0.5)
    assert sorted(low["id"].to_pylist()) == sorted(above)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": "__label__hq"}, "filters.0: .*no label '__label__hq'; it has __label__"),
        ({"model": "none.bin"}, "filters.0: cannot read the fastText model none.bin"),
        ({"column": "weight"}, "filters.0.column: 'weight' is taken"),
        ({"column": "id"}, "has a column 'id' already"),
        ({"type": "bert"}, "filters.0.type"),
        ({"labl": "x"}, "unknown key 'filters.0.labl': did you mean 'label'"),
    ],
)
def test_what_cannot_score_is_named_before_work(
    world: Path, tmp_path: Path, change: dict[str, str], message: str
) -> None:
    entry = {"model": str(world / "model.ftz"), "label": fasttext.HUMAN, "column": "human"} | change
    with pytest.raises(ConfigError, match=message):
        curate(inputs=[{"path": str(world / "in.parquet")}], output=str(tmp_path / "out"), filters=[entry])
    assert not (tmp_path / "out" / "signals").exists()


def test_a_truncated_model_is_named_before_work(world: Path, tmp_path: Path) -> None:
    raw = (world / "model.ftz").read_bytes()
    (tmp_path / "cut.ftz").write_bytes(raw[: len(raw) // 2])
    entry = {"model": str(tmp_path / "cut.ftz"), "label": fasttext.HUMAN, "column": "human"}
    with pytest.raises(ConfigError, match=r"cut\.ftz.*copy the file again"):
        curate(inputs=[{"path": str(world / "in.parquet")}], output=str(tmp_path / "out"), filters=[entry])
