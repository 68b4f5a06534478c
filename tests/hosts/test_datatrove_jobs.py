"""The whole job on datatrove: the same bytes as from the local runner, resumed where it stopped."""

import hashlib
import pickle
from pathlib import Path

import pytest
from datatrove.executor import SlurmPipelineExecutor

from curation import curate
from curation.datatrove import curate_executors
from hosts.world import settings, write


def checksums(folder):
    found = sorted(Path(folder).rglob("*.parquet"))
    return {str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest() for f in found}


def same_as_local(tmp_path):
    for folder in ("kept", "excluded", "decisions"):
        expected = checksums(tmp_path / "local" / folder)
        assert len(expected) >= 3
        assert checksums(tmp_path / "trove" / folder) == expected
    assert (tmp_path / "trove/report/report.html").exists()
    assert not list((tmp_path / "trove/decisions").rglob("steps/*"))


@pytest.mark.engines
@pytest.mark.parametrize("kind", ["soft", "all"])
def test_curate_keeps_the_same_bytes_as_the_local_runner(kind, tmp_path):
    values = settings(tmp_path, kind)
    local = curate(output=str(tmp_path / "local"), **values)
    assert local["documents"]["excluded"] > 30
    if kind == "all":
        assert local["duplicates"]["against"] and local["duplicates"]["lines"]
        assert "contaminated" in local["documents"]["by_reason"]
    job = {**values, "output": str(tmp_path / "trove")}
    chain = curate_executors(job, logging_dir=str(tmp_path / "logs"), tasks=2, workers=1)
    for executor in chain:
        pickle.loads(pickle.dumps(executor.pipeline))
    chain[-1].run()
    same_as_local(tmp_path)
    # everything is there: a second chain finds it so, and one with other logs takes up what stands
    for logs, tasks in (("logs", 2), ("other", 3)):
        curate_executors(job, logging_dir=str(tmp_path / logs), tasks=tasks, workers=1)[-1].run()
        same_as_local(tmp_path)


@pytest.mark.engines
def test_a_chain_that_stopped_goes_on_where_it_was(tmp_path):
    values = {"inputs": [{"path": write(tmp_path / "in", 3), "source": "docs"}]}
    curate(output=str(tmp_path / "local"), **values)
    job = {**values, "output": str(tmp_path / "trove")}

    def chain():
        return curate_executors(job, logging_dir=str(tmp_path / "logs"), tasks=3, workers=1)

    names = [executor.pipeline[0].name for executor in chain()]
    chain()[names.index("candidates")].run()
    assert not (tmp_path / "trove/kept").exists()
    chain()[names.index("cluster: finish")].run()
    chain()[-1].run()
    same_as_local(tmp_path)


def test_a_chain_for_slurm_depends_step_on_step(tmp_path):
    values = {"inputs": [{"path": write(tmp_path / "in", 3)}], "output": str(tmp_path / "out")}
    options = {"partition": "cpu", "time": "01:00:00"}
    chain = curate_executors(values, logging_dir=str(tmp_path), tasks=3, executor=SlurmPipelineExecutor, **options)
    assert [executor.depends for executor in chain] == [None, *chain[:-1]]
    assert chain[0].tasks == 3 and chain[1].tasks == 1
    assert len({executor.logging_dir.path for executor in chain}) == len(chain)
    assert not (tmp_path / "out").exists()
