"""Workers die, shards fail half-way and disks are full: the same command ends with what an undisturbed run gives."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from curation import curate
from hosts.test_identity import files, needs, report
from hosts.world import settings

pytestmark = [pytest.mark.engines, pytest.mark.slow]


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    folder = tmp_path_factory.mktemp("faults")
    values = settings(folder, "soft")
    curate(**values, output=str(folder / "local"), run={"workers": 1})
    return values, folder / "local"


@pytest.mark.parametrize("phase", ["annotate", "resolve", "weigh", "select"])
@pytest.mark.parametrize(
    ("engine", "fault"),
    [
        ("FnApiRunner", "kill"),
        ("datatrove", "kill"),
        ("DaskRunner", "kill"),
        ("datatrove", "half"),
        ("FnApiRunner", "full"),
    ],
)
def test_the_same_command_mends_it(
    expected: tuple[dict[str, Any], Path], engine: str, fault: str, phase: str, tmp_path: Path
) -> None:
    if engine == "DaskRunner":
        needs("dask", "distributed")
    values, local = expected
    (tmp_path / "job.json").write_text(json.dumps({**values, "output": str(tmp_path / "out")}))
    # imported by its full name, so that what is sent to workers can be found there
    code = "import sys; from hosts.faults import run; run(*sys.argv[1:])"
    command = [sys.executable, "-c", code, str(tmp_path / "job.json"), engine, phase, fault, str(tmp_path / "marker")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)

    first = run()
    assert (tmp_path / "marker").exists()
    if engine == "DaskRunner":  # a scheduler gives the task of a dead worker to another
        assert first.returncode == 0, first.stderr[-3000:]
    else:
        assert first.returncode != 0
        cause = {"kill": "", "half": "fails half-way", "full": "No space left on device"}[fault]
        assert cause in first.stderr, first.stderr[-3000:]
        again = run()
        assert again.returncode == 0, again.stderr[-3000:]
    assert files(tmp_path / "out") == files(local)
    assert report(tmp_path / "out")["documents"] == report(local)["documents"]
