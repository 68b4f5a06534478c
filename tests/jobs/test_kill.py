"""A run that is killed at any moment and started again ends with the bytes of an undisturbed one."""

import signal
import subprocess
import sys
import time

import corpus
import pytest
from test_job import hashes_of

SHARDS = 12


def command(folder, output):
    return [
        *(sys.executable, "-m", "curation.cli", "run", "--quiet"),
        *("--input", f"crawl={folder}/in/*.parquet", "--output", str(output)),
        *("--set", "select.rate=0.7", "--set", "run.workers=2", "--set", "run.batch_mb=0.02"),
    ]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kill")
    rows = corpus.documents()
    rows = [{**row, "id": f"{row['id']}-{i}", "text": row["text"] + f" {i}"} for i in range(6) for row in rows]
    corpus.write(folder / "in", rows, SHARDS)
    start = time.perf_counter()
    subprocess.run(command(folder, folder / "whole"), check=True)
    return folder, hashes_of(folder / "whole"), time.perf_counter() - start


@pytest.mark.slow
@pytest.mark.parametrize("when", [0.5, 0.65, 0.8, 0.95])
def test_killed_and_started_again(undisturbed, tmp_path, when):
    folder, whole, seconds = undisturbed
    with subprocess.Popen(command(folder, tmp_path / "out")) as process:
        try:
            process.wait(seconds * when)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
    subprocess.run(command(folder, tmp_path / "out"), check=True)
    assert hashes_of(tmp_path / "out") == whole
    assert not [f for f in (tmp_path / "out" / "kept").rglob("*") if f.is_file() and not f.name.endswith(".parquet")]
