"""The benchmark of hosts: nested samples, rounds of processes, and one row for each host against the first."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from benchlib import hosts
from benchlib.costs import Process

SCRIPT = """
import sys
source, output, kind, workers = sys.argv[1:]
open(output + "/" + kind + workers, "x").close()
"""


def test_samples_are_nested_and_in_the_files_that_hosts_read(tmp_path: Path) -> None:
    texts = [f"text number {i}" for i in range(400)]
    small, large = hosts.write(texts, tmp_path)
    found = [set(pq.read_table(place)["text"].to_pylist()) for place, _ in (small, large)]
    assert found[0] < found[1] == set(texts) and 50 < len(found[0]) < 150
    assert large[1] == pytest.approx(sum(map(len, texts)) / 1e6)


def test_every_host_runs_alone_in_an_empty_folder_in_rounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = [hosts.Host("work", name, SCRIPT, name) for name in ("one", "two")]
    costs = iter([0.0, 0.0, *(10.0, 40.0, 12.0, 52.0), *(11.0, 39.0, 14.0, 50.0)])
    order = []

    def run(command: list[str], environment: dict[str, str]) -> Process:
        done = real(command, environment)
        order.append((command[4], Path(command[2]).name))
        return done._replace(cpu_seconds=(cost := next(costs)), wall_seconds=2 * cost)

    real = hosts.run_process
    monkeypatch.setattr(hosts, "run_process", run)
    found = hosts.measure([f"text {i}" * 50 for i in range(200)], tmp_path, 2, chosen)
    rounds = [(name, size) for name in ("one", "two") for size in ("sample-0.25", "sample-1")]
    assert order == [("one", "sample-0.25"), ("two", "sample-0.25"), *rounds, *rounds]
    assert [cost.cpu_seconds for cost in found] == [[10.0, 39.0], [12.0, 50.0]]
    table = hosts.markdown(found, 3000)
    assert "work: one" in table and "1.31" in table.splitlines()[-1]  # (50 - 12) / (39 - 10)
