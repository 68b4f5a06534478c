"""Workers die, shards fail half-way and disks are full: the same command ends with what an undisturbed run gives."""

import contextlib
import json
import os
import signal
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

    def run() -> tuple[int, str]:
        """Exit code and output: in a file, since helpers that a killed process leaves would hold a pipe open."""
        with (tmp_path / "said").open("w+b") as said:
            process = subprocess.Popen(command, env=environment, stdout=said, stderr=said, start_new_session=True)
            try:
                code = process.wait(600)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            said.seek(0)
            return code, said.read().decode("utf-8", "replace")

    code, said = run()
    assert (tmp_path / "marker").exists()
    if engine == "DaskRunner":  # a scheduler gives the task of a dead worker to another
        assert code == 0, said[-3000:]
    else:
        assert code != 0
        cause = {"kill": "", "half": "fails half-way", "full": "No space left on device"}[fault]
        assert cause in said, said[-3000:]
        code, said = run()
        assert code == 0, said[-3000:]
    assert files(tmp_path / "out") == files(local)
    assert report(tmp_path / "out")["documents"] == report(local)["documents"]
