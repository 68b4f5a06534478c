"""`curation train-detector` from files to a model, and what it says about bad ones."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from curation.cli import app
from curation.synthetic import load_model

runner = CliRunner()


def records(n: int = 240, seed: int = 1) -> list[dict[str, object]]:
    draw = np.random.default_rng(seed)
    common = ["the", "of", "and", "to", "that", "is", "was", "for", "it", "with", "as", "on"]
    own = (["pub", "chips", "dunno", "bloke", "muddy"], ["furthermore", "crucial", "foster", "robust", "realm"])
    texts = [" ".join(draw.choice(common + own[i % 2], int(draw.integers(50, 120)))) for i in range(n)]
    return [{"text": t, "label": i % 2, "source": f"corpus {i // 2 % 3}"} for i, t in enumerate(texts)]


def run(*arguments: object) -> tuple[int, str]:
    result = runner.invoke(app, ["train-detector", *map(str, arguments)])
    return result.exit_code, result.output


def test_parquet_and_json_lines_give_one_model(tmp_path: Path) -> None:
    rows = records()
    pq.write_table(pa.Table.from_pylist(rows[:100]), tmp_path / "a.parquet")
    (tmp_path / "b.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[100:]))
    (tmp_path / "all.jsonl").write_text("".join(json.dumps(row) + "\n" for row in reversed(rows)))
    code, said = run(tmp_path / "a.parquet", tmp_path / "b.jsonl", "--output", tmp_path / "two.npz")
    assert code == 0 and "| corpus 1 |" in said and "**mean**" in said and "240 documents" in said
    assert run(tmp_path / "all.jsonl", "--output", tmp_path / "one.npz")[0] == 0
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    sources = load_model(tmp_path / "one.npz").training["sources"]
    assert sources[1] == {"source": "corpus 1", "human": 40, "synthetic": 40} and len(sources) == 3


def test_documents_that_are_only_measured_change_no_weight(tmp_path: Path) -> None:
    rows, others = records(), [row | {"trained": False} for row in records(80, seed=2)]
    (tmp_path / "all.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*rows, *others]))
    (tmp_path / "some.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    code, said = run(tmp_path / "all.jsonl", "--output", tmp_path / "all.npz")
    assert code == 0 and "320 documents" in said
    assert run(tmp_path / "some.jsonl", "--output", tmp_path / "some.npz")[0] == 0
    models = [load_model(tmp_path / name) for name in ("all.npz", "some.npz")]
    np.testing.assert_array_equal(models[0].weights, models[1].weights)
    assert models[0].training == models[1].training
    assert models[0].training["sources"][1] == {"source": "corpus 1", "human": 40, "synthetic": 40}


def test_fasttext_writes_its_own_format(tmp_path: Path) -> None:
    pytest.importorskip("fasttext")
    pq.write_table(pa.Table.from_pylist(records()), tmp_path / "a.parquet")
    code, said = run(tmp_path / "a.parquet", "--output", tmp_path / "model.ftz", "--backend", "fasttext")
    assert code == 0 and "**mean**" in said and (tmp_path / "model.ftz").stat().st_size > 1000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": 1}, "20 or more human documents"),
        ({"label": 2}, "0 (human) or 1 (synthetic); it holds 2"),
        ({"label": "ai"}, "labels are numbers: 0 human, 1 synthetic"),
        ({"trained": False}, "20 or more human documents"),
        ({"trained": "perhaps"}, "'trained' holds string; it takes true or false"),
        ({"label": None}, "must be 0"),
        ({"text": ""}, "20 or more human documents"),
    ],
)
def test_data_that_cannot_train_are_named(tmp_path: Path, change: dict[str, object], message: str) -> None:
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row | change) + "\n" for row in records(60)))
    code, said = run(tmp_path / "a.jsonl", "--output", tmp_path / "model.npz")
    assert code == 2 and message in said and "[bad-training-data]" in said and not (tmp_path / "model.npz").exists()


def test_a_record_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    lines = [json.dumps(row) for row in records(60)]
    (tmp_path / "a.jsonl").write_text("\n".join([*lines[:7], "{broken", *lines[7:]]))
    code, said = run(tmp_path / "a.jsonl", "--output", tmp_path / "model.npz")
    assert code == 2 and "a.jsonl: record 7 cannot be read (invalid_json" in said


def test_files_and_backends_that_are_not_there(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "a.parquet")
    code, said = run(tmp_path / "a.parquet", "--output", tmp_path / "m.npz")
    assert code == 2 and "needs columns text and label (0 human, 1 synthetic); it has text [missing-column]" in said
    assert run(tmp_path / "none.parquet", "--output", tmp_path / "m.npz")[0] == 2
    code, said = run(tmp_path / "a.parquet", "--output", tmp_path / "m.npz", "--backend", "forest")
    assert code == 2 and "hashed or fasttext" in said


def test_one_source_is_measured_on_quarters_with_a_warning(tmp_path: Path) -> None:
    rows = [{k: v for k, v in row.items() if k != "source"} for row in records()]
    rows += [{"text": "too short", "label": 0}] * 3
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    code, said = run(tmp_path / "a.parquet", "--output", tmp_path / "m.npz")
    assert code == 0 and "which flatters" in said and "3 documents of fewer than 40 words" in said
