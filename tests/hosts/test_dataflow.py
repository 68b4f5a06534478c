"""Pipelines are submitted to Dataflow with Google's own client, to services on this machine, and read back."""

import json
import runpy
import subprocess
import sys
import tomllib
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from apache_beam.internal import pickler
from apache_beam.portability.api import beam_runner_api_pb2 as beam_proto
from packaging.specifiers import SpecifierSet

from curation.config import load
from curation.jobs import prepare, steps
from hosts.dataflow import Submitted, jobs_service, storage
from hosts.world import settings, write

pytestmark = pytest.mark.engines
pytest.importorskip("google.cloud.dataflow", reason="apache-beam[gcp] is not installed")
pytest.importorskip("gcp_storage_emulator")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def google() -> Iterator[tuple[Submitted, str]]:
    with jobs_service() as jobs, storage("bucket") as where, pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", where)
        patch.setenv("NO_GCE_CHECK", "true")
        yield jobs, where


def submit(google: tuple[Submitted, str], script: str, *arguments: str) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Submit a script of pipelines/; the job as the service got it, and the staged files by name."""
    jobs, where = google
    options = [
        "--runner=DataflowRunner",
        "--project=curation-test",
        "--region=us-central1",
        "--job_name=curation",
        "--temp_location=gs://bucket/tmp",
        "--staging_location=gs://bucket/staging",
        "--no_auth",
        f"--dataflow_endpoint={jobs.endpoint}",
    ]
    before = len(jobs.jobs)
    runpy.run_path(str(ROOT / "pipelines" / script))["main"]([*arguments, *options])
    assert len(jobs.jobs) == before + 1
    with urllib.request.urlopen(f"{where}/storage/v1/b/bucket/o") as answer:
        names = [item["name"] for item in json.load(answer)["items"] if item["name"].startswith("staging/")]
    latest = max(name.split("/")[1] for name in names)
    staged = {}
    for name in names:
        if name.startswith(f"staging/{latest}/"):
            quoted = urllib.request.quote(name, safe="")
            with urllib.request.urlopen(f"{where}/download/storage/v1/b/bucket/o/{quoted}?alt=media") as answer:
                staged[name.rpartition("/")[2]] = answer.read()
    return jobs.jobs[-1], staged


def functions(graph: bytes) -> dict[str, Any]:
    """What the workers would run: every pickled function of the graph, by the full label of its transform."""
    pipeline = beam_proto.Pipeline.FromString(graph)
    found = {}
    for transform in pipeline.components.transforms.values():
        if transform.spec.urn == "beam:transform:pardo:v1":
            payload = beam_proto.ParDoPayload.FromString(transform.spec.payload)
            if payload.do_fn.urn == "beam:dofn:pickled_python_info:v1":
                found[transform.unique_name] = pickler.loads(payload.do_fn.payload)
    return found


def test_stages_in_a_pipeline_are_submitted_and_their_functions_unpickle(google, tmp_path: Path) -> None:
    folder = write(tmp_path / "in", 2)
    job, staged = submit(google, "beam_detect.py", "--input", folder, "--output", "gs://bucket/labelled")
    assert job["name"] == "curation" and job["environment"]["workerPools"]
    found = functions(staged["pipeline.pb"])
    for label in ("ReadShards/Read", "DetectSynthetic/Batches", "WriteShards/Write"):
        assert any(label in name for name in found), label


def test_the_whole_job_is_submitted_with_every_step(google, tmp_path: Path) -> None:
    values = {**settings(tmp_path, "balance"), "output": "gs://bucket/out"}
    (tmp_path / "job.yaml").write_text(json.dumps(values, default=str))
    path = values["inputs"][0]["path"]
    _, staged = submit(
        google, "beam_curate.py", "--config", str(tmp_path / "job.yaml"), "--input", path, "--output", "gs://bucket/out"
    )
    found = functions(staged["pipeline.pb"])
    working = [step.name for step in steps(prepare(load(None, values))) if step.work is not None]
    assert len(working) > 8
    for step in working:
        assert any(f"{step}/Work" in name for name in found), step


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (found,) = folder.glob("*.whl")
    return str(found)


def test_workers_get_the_package_as_a_wheel(google, wheel: str, tmp_path: Path) -> None:
    arguments = ("--input", write(tmp_path / "in", 1), "--output", "gs://bucket/wheel")
    job, staged = submit(google, "beam_detect.py", *arguments, f"--extra_package={wheel}")
    assert staged[Path(wheel).name] == Path(wheel).read_bytes()
    assert Path(wheel).name in json.dumps(job["environment"]["workerPools"][0]["packages"])


def test_workers_get_the_package_by_the_setup_file(google, tmp_path: Path) -> None:
    arguments = ("--input", write(tmp_path / "in", 1), "--output", "gs://bucket/setup")
    _, staged = submit(google, "beam_detect.py", *arguments, f"--setup_file={ROOT / 'pyproject.toml'}")
    (name,) = [name for name in staged if name.endswith(".tar.gz")]
    assert len(staged[name]) > 100_000


def test_the_image_is_made_of_what_there_is() -> None:
    lines = (ROOT / "pipelines" / "Dockerfile").read_text().splitlines()
    given = dict(line.removeprefix("ARG ").split("=") for line in lines if line.startswith("ARG "))
    assert f"\napache-beam=={given['BEAM']} " in (ROOT / "constraints.txt").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert SpecifierSet(project["requires-python"]).contains(given["PYTHON"])
    for extras in (given["EXTRAS"], next(line for line in lines if "GPU" in line).partition("EXTRAS=")[2]):
        assert set(extras.split(",")) <= set(project["optional-dependencies"])
    copied = [name for line in lines if line.startswith("COPY ") for name in line.split()[1:-1]]
    assert {"curation", "configs", "pyproject.toml"} <= set(copied)  # what the wheel is built of
    assert all((ROOT / name).exists() for name in copied)


def test_a_gpu_is_asked_for_where_it_is_used(google, tmp_path: Path) -> None:
    arguments = ("--input", write(tmp_path / "in", 1), "--output", "gs://bucket/gpu", "--accelerator", "type:nvidia-l4")
    _, staged = submit(google, "beam_curate.py", *arguments)
    graph = beam_proto.Pipeline.FromString(staged["pipeline.pb"]).components
    hints = {
        transform.unique_name: dict(graph.environments[transform.environment_id].resource_hints)
        for transform in graph.transforms.values()
    }
    asking = {name for name, hint in hints.items() if hint == {"beam:resources:accelerator:v1": b"type:nvidia-l4"}}
    assert "Curate/annotate/Work" in asking and "Curate/select/Work" not in asking


def test_workers_get_the_package_in_a_container(google, tmp_path: Path) -> None:
    arguments = ("--input", write(tmp_path / "in", 1), "--output", "gs://bucket/image")
    image = "us-docker.pkg.dev/curation-test/images/curation:1"
    job, _ = submit(google, "beam_detect.py", *arguments, f"--sdk_container_image={image}", "--sdk_location=container")
    assert image in json.dumps(job["environment"]["workerPools"])
