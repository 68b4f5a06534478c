"""Short versions of the trials in scripts/reliability; docs/reliability.md has the figures of the long ones."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
SCRIPT = ROOT / "scripts" / "reliability"


def trial(scratch: Path, *arguments: str) -> str:
    """What a trial prints last; it must hold and leave nothing behind."""
    command = [sys.executable, str(SCRIPT), *arguments, "--scratch", str(scratch)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert not list(scratch.iterdir())
    return done.stdout.splitlines()[-1]


@pytest.mark.slow
def test_five_runs_are_killed_and_started_again(tmp_path):
    assert trial(tmp_path, "kills", "--count", "5", "--seed", "2").startswith("kills: 5 of 5 byte-identical")


def test_records_of_every_kind_over_every_reader(tmp_path):
    assert "every one accounted for; no crash" in trial(tmp_path, "fuzz", "--records", "1800", "--seed", "3")


@pytest.mark.slow
@pytest.mark.parametrize("seed", ["4", "5"])
def test_more_records_of_every_kind(tmp_path, seed):
    assert "every one accounted for; no crash" in trial(tmp_path, "fuzz", "--records", "18000", "--seed", seed)


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory by line of progress is read from /proc")
def test_memory_endurance_and_one_large_document(tmp_path):
    # samples of fixed size still fill up at such sizes
    assert trial(tmp_path, "memory", "--sizes", "4,12", "--growth", "0.5").startswith("memory: ")
    assert "soak: 30,000 documents" in trial(tmp_path, "soak", "--documents", "30000")
    assert "1 quarantined" in trial(tmp_path, "document", "--megabytes", "300")


@pytest.mark.skipif(sys.platform == "win32", reason="there is no lock")
def test_two_runs_into_one_folder_are_refused_until_the_first_dies(tmp_path):
    rows = [json.dumps({"id": f"d{i}", "text": f"a document of its own, number {i}"}) for i in range(60_000)]
    (tmp_path / "in.jsonl").write_text("\n".join(rows))
    command = [sys.executable, "-m", "curation.cli", "run", "-q", "-i", str(tmp_path / "in.jsonl")]
    command += ["-o", str(tmp_path / "out")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    first = subprocess.Popen(command, env=environment)
    while not (tmp_path / "out" / ".lock").exists() or not (tmp_path / "out" / ".lock").stat().st_size:
        assert first.poll() is None
        time.sleep(0.005)
    # held by a run that stands still, however long the second takes to start
    first.send_signal(signal.SIGSTOP)
    second = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert second.returncode == 2
    assert f"another run (process {first.pid}) is writing to" in second.stderr
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert subprocess.run(command, env=environment, check=False).returncode == 0
    assert not list((tmp_path / "out").rglob(".tmp-*"))
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["documents"]["read"] == 60_000
