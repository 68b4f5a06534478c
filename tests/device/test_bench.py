"""scripts/bench gpu: from texts to a table on threads of the host; and what it says without a GPU."""

import json
import sys
import time
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "scripts"))

from benchlib import gpu, main

from curation import device


def clock(call):
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


TEXTS = ["The first was not good. However, it came back. " * 3, "one two three four five six", "x"] * 2


@pytest.mark.slow
def test_every_kernel_has_a_row(lane):
    found = gpu.measure((lane, lane), clock, "host", TEXTS, (60, 5), 1, copied=1 << 16)
    text = gpu.markdown(found)
    for name in ("tokenise and hash", "MinHash", "linear score", "n-gram histograms", "document frequency", "Newton"):
        assert f"| {name}" in text
    assert all(row.seconds > 0 for row in found.rows)
    assert json.loads(json.dumps(gpu.as_json(found)))["card"] == "host"


def test_a_result_that_differs_stops_it():
    with pytest.raises(RuntimeError, match="score on the device differs"):
        gpu._same("score", [np.zeros(2)], [np.array([0.0, -0.0])])


def test_without_a_device_it_says_so(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "cupy", None)
    device._cuda.cache_clear()
    assert main.main(["gpu"]) == 2
    device._cuda.cache_clear()
    assert "nothing was measured" in capsys.readouterr().err
