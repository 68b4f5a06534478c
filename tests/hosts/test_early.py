"""What cannot work is told while a pipeline is made: columns that are missing, stages out of order, packages; and which
steps ask for a GPU."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pytest
from datatrove.pipeline.filters import RegexFilter

from curation import beam as curation_beam
from curation.beam import yaml as on_rows
from curation.config import load
from curation.jobs import build_reference
from hosts.world import KEPT, batches, keep, rows, table, write

SCHEMA = pa.schema([("id", pa.string()), ("text", pa.string())])
LACKING = [
    (curation_beam.Annotate(url="url"), "Annotate: the batches have no column 'url'"),
    (curation_beam.AsBeam(step=RegexFilter("x"), url="link"), "AsBeam: the batches have no column 'link'"),
    (curation_beam.DetectSynthetic(text="texts"), "DetectSynthetic: .* no column 'texts': did you mean 'text'"),
    (curation_beam.Deduplicate(id="ids"), "Deduplicate: .* no column 'ids': did you mean 'id'"),
    (curation_beam.MeasureDiversity(id="n2"), "MeasureDiversity: the batches have no column 'n2'"),
    (curation_beam.Mix(mode="none", source="site"), "Mix: the batches have no column 'site'"),
    (curation_beam.Mix(mode="soft"), "apply DetectSynthetic before Mix"),
    (curation_beam.Mix(mode="cluster", gamma=0.5), "apply Deduplicate before Mix"),
    (curation_beam.Select(tokens=9, tokens_column="size"), "Select: the batches have no column 'size'"),
]


@pytest.mark.parametrize(("transform", "message"), LACKING, ids=[message.split(":")[0] for _, message in LACKING])
def test_a_column_that_is_missing_is_told_when_the_pipeline_is_built(
    transform: beam.PTransform, message: str, tmp_path: Path
) -> None:
    pipeline = beam.Pipeline(runner="FnApiRunner")
    read = pipeline | curation_beam.ReadShards(inputs=write(tmp_path / "in", 2))
    made = pipeline | beam.Create([{"text": "a", "id": "b"}]) | curation_beam.FromRows(schema=SCHEMA)
    # what passes through other transforms keeps its columns
    labelled = made | curation_beam.AsBeam(step=RegexFilter("x"))
    for number, given in enumerate((read, made, labelled)):
        with pytest.raises(ValueError, match=message):
            _ = given | f"Stage {number}" >> transform


@pytest.mark.parametrize(
    "transform",
    [*(transform for transform, _ in LACKING), curation_beam.WriteShards(output="unwritten"), curation_beam.ToRows()],
    ids=lambda transform: type(transform).__name__,
)
def test_elements_that_are_no_batches_are_refused_with_the_way_out(transform: beam.PTransform) -> None:
    given = beam.Pipeline(runner="FnApiRunner") | beam.Create([{"text": "a", "id": "b"}])
    with pytest.raises(TypeError, match=rf"{type(transform).__name__} takes batches .*Dict.*: apply FromRows"):
        _ = given | transform


def test_every_stage_counts_its_documents_under_one_namespace(tmp_path: Path) -> None:
    pipeline = beam.Pipeline(runner="FnApiRunner")
    read = pipeline | curation_beam.ReadShards(inputs=write(tmp_path / "in", 2))
    decided = read | curation_beam.DetectSynthetic() | curation_beam.Deduplicate(id="id")
    mixed = decided | curation_beam.Mix(mode="soft", id="id") | curation_beam.Select(rate=0.5, id="id")
    _ = mixed | curation_beam.WriteShards(output=str(tmp_path / "out"))
    _ = read | curation_beam.MeasureDiversity()
    _ = read | curation_beam.Annotate()
    _ = read | curation_beam.AsBeam(step=RegexFilter("x"))
    done = pipeline.run()
    done.wait_until_finish()
    counters = done.metrics().query()["counters"]
    found = {c.key.metric.name: c.committed for c in counters if c.key.metric.namespace == "curation"}
    stages = ["read-shards", "detect-synthetic", "deduplicate", "mix", "select", "write-shards", "measure-diversity"]
    for stage in (*stages, "annotate", "as-beam"):
        assert found[f"{stage}-documents"] == table().num_rows, stage


def test_columns_that_stages_add_are_known_to_later_ones(tmp_path: Path) -> None:
    KEPT["early"] = []
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        read, _ = pipeline | curation_beam.ReadShards(inputs=write(tmp_path / "in", 2), with_errors=True)
        labelled, _ = read | curation_beam.DetectSynthetic(with_errors=True)
        decided, _ = labelled | curation_beam.Deduplicate(id="id", with_errors=True)
        mixed = decided | curation_beam.Mix(mode="soft", id="id") | curation_beam.Select(tokens=999, id="id")
        with pytest.raises(ValueError, match="no column 'weights': did you mean 'weight'"):
            _ = mixed | "Again" >> curation_beam.Select(tokens=9, tokens_column="weights")
        _ = mixed | beam.Map(keep, "early")
    assert sum(batch.num_rows for batch in KEPT["early"]) == table().num_rows


def test_a_field_that_comes_late_and_batches_of_other_origin_are_left_to_the_run(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\n' * 40_000 + '{"text": "two", "id": "late"}\n')
    KEPT["early"] = []
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        read = pipeline | curation_beam.ReadShards(inputs=str(tmp_path / "a.jsonl"))
        _ = read | curation_beam.DetectSynthetic(source="id") | beam.Map(keep, "early")
        _ = pipeline | beam.Create(batches(50)) | "Plain" >> curation_beam.DetectSynthetic(source="trust")
    assert len(rows(KEPT["early"])) == 40_001


def test_rows_without_a_column_are_refused_with_the_nearest_name() -> None:
    pipeline = beam.Pipeline(runner="FnApiRunner")
    given = pipeline | beam.Create([beam.Row(text="a", id="b")])
    with pytest.raises(ValueError, match="Deduplicate: the batches have no column 'txt': did you mean 'text'"):
        _ = given | on_rows.Deduplicate(text="txt")


BLOCK = """
import importlib.abc, sys
class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == {name!r} or name.startswith({name!r} + "."):
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Block())
from curation.config import ConfigError
try:
    {code}
except (ImportError, ConfigError) as error:
    print(error)
"""
RUN = "import curation; curation.curate(inputs={path!r}, output={path!r} + '.out', run={{'runner': {runner!r}}})"


@pytest.mark.engines
@pytest.mark.parametrize(
    ("name", "code", "extra"),
    [
        ("apache_beam", "import curation.beam", "curation[beam]"),
        ("apache_beam", "FnApiRunner", "curation[beam]"),
        ("google.cloud.dataflow", "DataflowRunner", "curation[gcp]"),
        ("dask", "DaskRunner", "curation[beam,dask]"),
        ("datatrove", "import curation.datatrove", "curation[datatrove]"),
        ("datatrove", "import curation.beam.yaml as y; y.DatatroveStep('PIIFormatter')", "curation[datatrove]"),
    ],
)
def test_a_missing_package_is_named_with_the_extra_that_has_it(
    name: str, code: str, extra: str, tmp_path: Path
) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\n')
    if code.endswith("Runner"):
        code = RUN.format(path=str(tmp_path / "a.jsonl"), runner=code)
    command = [sys.executable, "-c", BLOCK.format(name=name, code=code)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert f"pip install '{extra}'" in said and name.partition(".")[0] in said
    assert not (tmp_path / "a.jsonl.out").exists()


def hints(pipeline: beam.Pipeline) -> dict[str, Any]:
    """The resource hints of a pipeline's transforms, of those that have any, by label."""
    graph = pipeline.to_runner_api().components
    return {
        transform.unique_name: dict(graph.environments[transform.environment_id].resource_hints)
        for transform in graph.transforms.values()
        if transform.environment_id and graph.environments[transform.environment_id].resource_hints
    }


def test_steps_that_use_a_gpu_ask_for_one(tmp_path: Path) -> None:
    values: dict[str, Any] = {"inputs": [{"path": write(tmp_path / "in", 2)}], "output": str(tmp_path / "out")}
    build_reference(load(None, {"inputs": values["inputs"]}), str(tmp_path / "docs.profile"), quiet=True)
    values |= {"reference": str(tmp_path / "docs.profile"), "mix": {"passes": 3}}
    plain, asking = beam.Pipeline(runner="FnApiRunner"), beam.Pipeline(runner="FnApiRunner")
    accelerator = "type:nvidia-l4;count:1;install-nvidia-driver"
    _ = plain | curation_beam.Curate(values)
    curate = curation_beam.Curate(values, accelerator=accelerator)
    _ = asking | curate
    assert hints(plain) == {}
    found = hints(asking)
    assert set(found) == {f"Curate/{step}/Work" for step in ("annotate", "pass 1", "pass 2")}
    assert {value for hint in found.values() for value in hint.values()} == {accelerator.encode()}
    assert curate.display_data()["accelerator"] == accelerator
    with pytest.raises(ValueError, match="accelerator must be a resource hint"):
        curation_beam.Curate(values, accelerator="")
