"""The whole job on datatrove: the same bytes as from the local runner, resumed where it stopped."""

import hashlib
import pickle
from pathlib import Path

import pytest

from curation import curate
from curation.config import load
from curation.datatrove import curate_executors
from curation.jobs import build_reference
from hosts.world import write


def checksums(folder):
    found = sorted(Path(folder).rglob("*.parquet"))
    return {str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest() for f in found}


def same_as_local(tmp_path, values):
    for folder in ("kept", "excluded", "decisions"):
        expected = checksums(tmp_path / "local" / folder)
        assert len(expected) >= 3
        assert checksums(tmp_path / "trove" / folder) == expected
    assert (tmp_path / "trove/report/report.html").exists()
    assert not list((tmp_path / "trove/decisions").rglob("steps/*"))


@pytest.mark.engines
@pytest.mark.parametrize("mode", ["soft", "balance"])
def test_curate_keeps_the_same_bytes_as_the_local_runner(mode, tmp_path):
    values = {
        "inputs": [{"path": write(tmp_path / "in", 3), "source": "docs", "trust": "human"}],
        "columns": {"date": "date"},
        "mix": {"mode": mode, "reservoir": 100},
        "select": {"documents": 60},
    }
    if mode == "balance":
        values["reference"] = str(tmp_path / "docs.profile")
        build_reference(load(None, {"inputs": values["inputs"]}), values["reference"], quiet=True)
    local = curate(output=str(tmp_path / "local"), **values)
    assert local["documents"]["excluded"] > 30
    settings = {**values, "output": str(tmp_path / "trove")}
    chain = curate_executors(settings, logging_dir=str(tmp_path / "logs"), tasks=2, workers=1)
    for executor in chain:
        pickle.loads(pickle.dumps(executor.pipeline))
    chain[-1].run()
    same_as_local(tmp_path, values)
    # everything is there: a second chain finds it so, and one with other logs takes up what stands
    for logs, tasks in (("logs", 2), ("other", 3)):
        curate_executors(settings, logging_dir=str(tmp_path / logs), tasks=tasks, workers=1)[-1].run()
        same_as_local(tmp_path, values)


@pytest.mark.engines
def test_a_chain_that_stopped_goes_on_where_it_was(tmp_path):
    values = {"inputs": [{"path": write(tmp_path / "in", 3), "source": "docs"}]}
    curate(output=str(tmp_path / "local"), **values)
    settings = {**values, "output": str(tmp_path / "trove")}

    def chain():
        return curate_executors(settings, logging_dir=str(tmp_path / "logs"), tasks=3, workers=1)

    names = [executor.pipeline[0].name for executor in chain()]
    chain()[names.index("candidates")].run()
    assert not (tmp_path / "trove/kept").exists()
    chain()[names.index("cluster: finish")].run()
    chain()[-1].run()
    same_as_local(tmp_path, values)
