"""Beam YAML runs the stages on rows with a schema: the shipped pipeline, the provider listing, and what is refused."""

import json
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pytest
import yaml
from apache_beam.testing.util import assert_that, equal_to

from curation import deduplicate, measure
from hosts.world import llm, table, write

pytest.importorskip("pandas", reason="Beam YAML needs apache-beam[yaml]")
from apache_beam.yaml import main as yaml_main

import curation.beam.yaml as stages

ROOT = Path(__file__).parents[2]
PROVIDERS = Path(stages.__file__).with_name("providers.yaml")


def test_the_shipped_pipeline_runs(tmp_path: Path) -> None:
    texts = llm()[:3]
    rows = [texts[0] + " Mail jane@example.com.", texts[1], texts[1], texts[2]]
    lines = [json.dumps({"id": str(i), "text": text}) for i, text in enumerate(rows)]
    (tmp_path / "in.jsonl").write_text("\n".join(lines) + "\n")
    variables = json.dumps({"input": str(tmp_path / "in.jsonl"), "output": str(tmp_path / "out")})
    pipeline = str(ROOT / "pipelines" / "beam_stages.yaml")
    yaml_main.run(
        ["--runner=FnApiRunner", f"--yaml_pipeline_file={pipeline}", f"--jinja_variables={variables}"]
    )
    found = [json.loads(line) for file in tmp_path.glob("out*") for line in file.read_text().splitlines()]
    assert sorted(row["id"] for row in found) == ["0", "1", "3"]
    row = next(row for row in found if row["id"] == "0")
    assert "jane@" not in row["text"] and len(row["content_hash"]) == 32 and 0 <= row["p_synthetic"] <= 1


def test_every_listed_transform_is_a_transform() -> None:
    listed = yaml.safe_load(PROVIDERS.read_text())
    assert len(listed[0]["transforms"]) == 7
    for name in listed[0]["transforms"].values():
        assert issubclass(getattr(stages, name.rpartition(".")[2]), beam.PTransform)


def test_the_listing_can_be_included_and_stages_give_what_the_functions_give(tmp_path: Path) -> None:
    plain = table().select(["id", "text"])
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in plain.to_pylist()))
    spec = {
        "pipeline": {
            "type": "chain",
            "transforms": [
                {"type": "ReadFromJson", "config": {"path": str(tmp_path / "in.jsonl")}},
                {"type": "CurationDeduplicate", "config": {"id": "id"}},
                {"type": "WriteToJson", "config": {"path": str(tmp_path / "out")}},
            ],
        },
        "providers": [{"include": str(PROVIDERS)}],
    }
    yaml_main.run(["--runner=FnApiRunner", f"--yaml_pipeline={yaml.safe_dump(spec)}"])
    found = [json.loads(line) for file in tmp_path.glob("out*") for line in file.read_text().splitlines()]
    expected = pa.Table.from_batches(deduplicate(plain.to_batches(), id="id"))
    assert len(found) == plain.num_rows
    reasons = sorted(filter(None, expected["filter_reason"].to_pylist()))
    assert sorted(filter(None, (row["filter_reason"] for row in found))) == reasons


def test_rows_are_weighed_and_selected() -> None:
    rows = [beam.Row(id=row["id"], text=row["text"] or "", trust=row["trust"]) for row in table().to_pylist()]
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        weighed = pipeline | beam.Create(rows) | stages.Mix(mode="none")
        found = weighed | stages.Select(documents=40, id="id")
        counts = found | beam.Map(lambda row: row.copies) | beam.CombineGlobally(sum)
        assert_that(counts | beam.Map(lambda total: 30 < total <= 40), equal_to([True]))
        reasons = found | "Reasons" >> beam.Map(lambda row: (row.filter_reason is None) == (row.copies == 1))
        assert_that(reasons, equal_to([True] * len(rows)), label="reasons")
        with pytest.raises(ValueError, match="p_synthetic: apply DetectSynthetic before Mix"):
            _ = weighed | "Soft" >> stages.Mix(mode="soft")


def test_statistics_are_rows() -> None:
    rows = [beam.Row(id=row["id"], text=row["text"] or "") for row in table().to_pylist()]
    value = measure(table().select(["id", "text"]), id="id")["distinct_2"]["value"]
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        numbers = pipeline | beam.Create(rows) | stages.MeasureDiversity(id="id")
        chosen = numbers | beam.Filter(lambda row: row.statistic == "distinct_2") | beam.Map(lambda row: row.value)
        assert_that(chosen, equal_to([value]))


def test_the_whole_job_is_a_transform_without_input(tmp_path: Path) -> None:
    values = {"inputs": [{"path": write(tmp_path / "in", 2)}], "output": str(tmp_path / "out")}
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        counts = pipeline | stages.Curate(values=values)
        assert_that(counts | beam.Map(lambda row: row.read), equal_to([table().num_rows]))
    assert (tmp_path / "out" / "report" / "report.html").exists()


def test_rows_without_a_schema_are_refused_when_the_pipeline_is_built() -> None:
    pipeline = beam.Pipeline(runner="FnApiRunner")
    with pytest.raises(TypeError, match="DetectSynthetic needs rows with a schema"):
        _ = pipeline | beam.Create([{"text": "a"}]) | stages.DetectSynthetic()
