"""A lane of host threads: the CUDA sources built as C++20 behind shim.h, and called through ctypes."""

import ctypes
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from curation.device.sources import KERNELS, source

HEADER = Path(__file__).with_name("shim.h")
FLAGS = ["-std=c++20", "-O1", "-ffp-contract=off", "-shared", "-fPIC", "-pthread", "-fno-strict-aliasing", "-x", "c++"]
POISON = 0xA5


def compiler() -> str | None:
    """A compiler that knows C++20 and its barriers, or None."""
    for name in ("g++", "clang++", "c++"):
        path = shutil.which(name)
        program = "#include <barrier>\nstd::barrier<> gate(1);int main(){}"
        command = [str(path), "-std=c++20", "-x", "c++", "-fsyntax-only", "-"]
        if path and subprocess.run(command, input=program, capture_output=True, text=True, check=False).returncode == 0:
            return path
    return None


def build(folder: Path) -> ctypes.CDLL:
    """All modules as one shared library in a folder, which serves as a cache."""
    path = compiler()
    assert path is not None
    text = HEADER.read_text()
    for module, kernels in KERNELS.items():
        body = source(module)
        launchers = "".join(f"LAUNCHER({name})\n" for name in kernels)
        # constants of one module are other ones in the next
        forget = "".join(f"#undef {name}\n" for name in re.findall(r"^#define ([A-Z]\w*) ", body, re.MULTILINE))
        text += f"\nnamespace {module} {{\n{body}\n{launchers}}}\n{forget}"
    target = folder / f"kernels-{hashlib.sha256(' '.join([path, *FLAGS, text]).encode()).hexdigest()[:16]}.so"
    if not target.exists():
        new = target.with_suffix(f".{os.getpid()}")
        done = subprocess.run([path, *FLAGS, "-o", new, "-"], input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        new.rename(target)
    return ctypes.CDLL(str(target))


class HostLane:
    """What `curation.device.lane.Lane` asks for. Arrays without defined contents are full of rubbish."""

    fill = 2

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library

    def upload(self, *arrays: np.ndarray) -> list[np.ndarray]:
        return [self._padded(array) for array in arrays]

    def table(self, array: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(array)

    def empty(self, shape: Any, kind: Any) -> np.ndarray:
        found = np.empty(shape, kind)
        found.reshape(-1).view(np.uint8)[:] = POISON
        return found

    def zeros(self, shape: Any, kind: Any) -> np.ndarray:
        return np.zeros(shape, kind)

    def launch(self, kernel: str, blocks: int, threads: int, *arguments: Any, shared: int = 0) -> None:
        assert blocks > 0 and threads % 32 == 0 and threads <= 1024 and shared <= 1 << 17
        held = []
        for value in arguments:
            if isinstance(value, np.ndarray):
                assert value.flags.c_contiguous
                held.append(ctypes.c_void_p(value.ctypes.data))
            else:
                held.append(ctypes.c_double(value) if isinstance(value, float) else ctypes.c_int64(value))
        pointers = (ctypes.c_void_p * len(held))(*(ctypes.addressof(item) for item in held))
        getattr(self._library, f"launch_{kernel}")(blocks, threads, pointers)

    def running_sum(self, array: np.ndarray) -> np.ndarray:
        return np.cumsum(array, dtype=np.int64)

    def block_products(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        return np.matmul(left.transpose(0, 2, 1), right)

    def copy(self, source: np.ndarray, target: np.ndarray) -> None:
        target[:] = source

    def fetch(self, *arrays: np.ndarray) -> Callable[[], list[np.ndarray]]:
        return lambda: [array.copy() for array in arrays]

    def _padded(self, array: np.ndarray) -> np.ndarray:
        room = self.empty(-(-array.nbytes // 16) * 16, np.uint8)
        room[: array.nbytes] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        return room[: array.nbytes].view(array.dtype).reshape(array.shape)
