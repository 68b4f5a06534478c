"""One corpus, one configuration, every engine: the same bytes in kept, excluded and decisions, and the same report."""

import hashlib
import importlib.util
import json
import os
import runpy
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from curation import curate
from hosts.clusters import slurm
from hosts.world import settings

pytestmark = pytest.mark.engines
SCRIPT = Path(__file__).parents[2] / "pipelines" / "datatrove_curate.py"


def needs(*modules: str) -> None:
    for module in modules:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")


def fn_api(values: dict[str, Any], folder: Path, workers: int = 1) -> None:
    curate(**{**values, "run": {"runner": "FnApiRunner", "workers": workers}})


def fn_api_with_two_workers(values: dict[str, Any], folder: Path) -> None:
    fn_api(values, folder, 2)


def two_threads(values: dict[str, Any], folder: Path) -> None:
    curate(**{**values, "run": {"workers": 2}})


def dask(values: dict[str, Any], folder: Path) -> None:
    needs("dask", "distributed")
    curate(**{**values, "run": {"runner": "DaskRunner", "workers": 2}})


def datatrove_local(values: dict[str, Any], folder: Path) -> None:
    from curation.datatrove import curate_executors

    curate_executors(values, logging_dir=str(folder / "logs"), tasks=2, workers=2)[-1].run()


def script(values: dict[str, Any], folder: Path, *arguments: str) -> list[str]:
    """Arguments with which pipelines/datatrove_curate.py runs the job on two ranks."""
    (folder / "job.json").write_text(json.dumps({key: value for key, value in values.items() if key != "output"}))
    given = ["--config", str(folder / "job.json"), "--output", values["output"], "--logs", str(folder / "logs")]
    return [*given, "--tasks", "2", "--memory", "1", *arguments]


def datatrove_slurm(values: dict[str, Any], folder: Path) -> None:
    with slurm(folder / "slurm") as conf, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(conf))
        runpy.run_path(str(SCRIPT))["main"](script(values, folder, "--slurm", "cpu"))
        deadline = time.monotonic() + 1800
        queue = "not asked yet"
        while queue:
            time.sleep(1)
            asked = subprocess.run(["squeue", "-h"], capture_output=True, text=True, check=False)
            queue = f"squeue: {asked.stderr}" if asked.returncode else asked.stdout.strip()  # a busy one asks again
            broken = "DependencyNeverSatisfied" in queue or time.monotonic() > deadline
            assert not broken, queue + "".join(f.read_text()[-500:] for f in (folder / "logs").rglob("*.out"))
        nodes = (folder / "slurm" / "slurmctld.log").read_text()
        assert "NodeList=n1" in nodes and "NodeList=n2" in nodes


def datatrove_ray(values: dict[str, Any], folder: Path) -> None:
    needs("ray")
    # a network of its own, and processes that all end with the first one
    inside = 'ip link set lo up && "$@"'
    apart = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", inside, "sh"]
    can = shutil.which("unshare") and shutil.which("ip")
    if not can or subprocess.run([*apart, "true"], capture_output=True, check=False).returncode:
        pytest.skip("a Ray cluster of its own needs namespaces (root, unshare and ip)")
    command = [sys.executable, str(Path(__file__).with_name("on_ray.py")), str(SCRIPT)]
    path = os.pathsep.join(p for p in sys.path if p)
    # Ray's workers would yield to every other test
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0", "PYTHONPATH": path}
    with (folder / "said").open("w+b") as said:  # a file: a pipe would stay open for as long as a process of Ray lives
        done = subprocess.run(
            [*apart, *command, *script(values, folder, "--ray")], env=environment, stdout=said, stderr=said,
            timeout=1800, check=False,
        )  # fmt: skip
        said.seek(0)
        assert done.returncode == 0, said.read().decode("utf-8", "replace")[-3000:]


def files(folder: Path) -> dict[str, str]:
    """The checksum of every Parquet file that the job decides and writes."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for name in ("kept", "excluded", "decisions")
        for path in sorted((folder / name).rglob("*.parquet"))
    }


def report(folder: Path) -> dict[str, Any]:
    """The report without what names the folder or tells the time."""
    found = json.loads((folder / "report" / "report.json").read_text())
    for name in ("name", "output", "stages", "hashes"):
        found["run"].pop(name)
    return found


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    folder = tmp_path_factory.mktemp("identity")
    values = settings(folder, "soft")
    curate(**values, output=str(folder / "local"), run={"workers": 1})
    return values, folder / "local"


ENGINES = [
    two_threads,
    fn_api,
    fn_api_with_two_workers,
    dask,
    datatrove_local,
    datatrove_slurm,
    datatrove_ray,
]


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.__name__)
def test_every_engine_gives_the_same(expected: tuple[dict[str, Any], Path], engine: Any, tmp_path: Path) -> None:
    values, local = expected
    engine({**values, "output": str(tmp_path / "out")}, tmp_path)
    assert len(files(local)) >= 12
    assert files(tmp_path / "out") == files(local)
    assert report(tmp_path / "out") == report(local)
