"""Every kernel compiles to machine code of two generations of cards, and keeps its variables in registers."""

import re

import nvrtc
import pytest

from curation.device.sources import KERNELS, OPTIONS, source

LIBRARY = nvrtc.library()


@pytest.mark.skipif(LIBRARY is None, reason="libnvrtc is not installed")
@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
@pytest.mark.parametrize("module", KERNELS)
def test_kernels_compile_without_spilling(module, architecture):
    options = [*OPTIONS, f"--gpu-architecture={architecture}", "--ptxas-options=-v"]
    status, log = nvrtc.compile(LIBRARY, source(module), f"{module}.cu", options)
    assert status == 0, log
    assert set(re.findall(r"entry function '(\w+)'", log)) == set(KERNELS[module])
    frames = re.findall(r"(\d+) bytes stack frame, (\d+) bytes spill stores", log)
    assert len(frames) == len(KERNELS[module])
    assert set(frames) == {("0", "0")}
    shared = [int(size) for size in re.findall(r"(\d+) bytes smem", log)]
    assert max(shared, default=0) <= 48 * 1024


@pytest.mark.skipif(LIBRARY is None, reason="libnvrtc is not installed")
def test_a_mistake_is_found_in_its_file_and_line():
    broken = source("score").replace("KERNEL score", "KERNEL scored", 1).replace("return;", "return", 1)
    status, log = nvrtc.compile(LIBRARY, broken, "score.cu", list(OPTIONS))
    assert status != 0
    assert re.search(r"score\.cu\(\d+\): error", log)
