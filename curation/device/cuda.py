"""Lanes of a CUDA device through CuPy, the only module that imports it."""

import threading
from collections.abc import Callable
from functools import cache
from typing import Any

import cupy
import cupyx
import numpy as np
from cupy_backends.cuda.libs import cublas

from curation.device.sources import MODULE, OPTIONS, source

_ALIGNED = 16


@cache
def _compiled(module: str, device: int) -> Any:
    return cupy.RawModule(code=source(module), options=OPTIONS)


class Cuda:
    """The current device (CUDA_VISIBLE_DEVICES chooses), and the tables that stay on it."""

    def __init__(self) -> None:
        self.index = int(cupy.cuda.runtime.getDevice())
        self.fill = 8 * int(self._properties()["multiProcessorCount"])
        self._tables: dict[int, tuple[np.ndarray, Any]] = {}
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """The card, as its driver calls it."""
        return str(self._properties()["name"].decode())

    def lane(self) -> "CudaLane":
        """A new lane, with a stream of its own."""
        return CudaLane(self)

    def _properties(self) -> dict[str, Any]:
        return cupy.cuda.runtime.getDeviceProperties(self.index)

    def table(self, array: np.ndarray) -> Any:
        """An array that stays on the device."""
        with self._lock:
            held = self._tables.get(id(array))
            if held is None:
                # the host array is kept too, so that no other can have its identity
                held = array, cupy.asarray(np.ascontiguousarray(array))
                cupy.cuda.get_current_stream().synchronize()
                self._tables[id(array)] = held
        return held[1]

    def kernel(self, name: str) -> Any:
        """A compiled kernel; its module is compiled when first asked for, and kept on disk by CuPy."""
        with self._lock:
            return _compiled(MODULE[name], self.index).get_function(name)


class CudaLane:
    """A stream, which one thread uses at a time."""

    def __init__(self, device: Cuda) -> None:
        self.device = device
        with cupy.cuda.Device(device.index):
            self.stream = cupy.cuda.Stream(non_blocking=True)
        self._copying: list[tuple[Any, np.ndarray]] = []  # the copy under way, and the pinned memory that it reads

    @property
    def fill(self) -> int:
        return self.device.fill

    def upload(self, *arrays: np.ndarray) -> list[Any]:
        for event, _ in self._copying:
            event.synchronize()
        sizes = [-(-array.nbytes // _ALIGNED) * _ALIGNED for array in arrays]
        staged = cupyx.empty_pinned(max(sum(sizes), 1), np.uint8)
        with self._current():
            whole = cupy.empty(max(sum(sizes), 1), np.uint8)
            found, at = [], 0
            for array, size in zip(arrays, sizes, strict=True):
                staged[at : at + array.nbytes] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
                found.append(whole[at : at + array.nbytes].view(array.dtype).reshape(array.shape))
                at += size
            whole.set(staged, stream=self.stream)
            self._copying = [(self.stream.record(), staged)]
        return found

    def table(self, array: np.ndarray) -> Any:
        with self._current():
            return self.device.table(array)

    def empty(self, shape: int | tuple[int, ...], kind: Any) -> Any:
        with self._current():
            return cupy.empty(shape, kind)

    def zeros(self, shape: int | tuple[int, ...], kind: Any) -> Any:
        with self._current():
            return cupy.zeros(shape, kind)

    def launch(self, kernel: str, blocks: int, threads: int, *arguments: Any, shared: int = 0) -> None:
        given = tuple(
            np.int64(a) if isinstance(a, int) else np.float64(a) if isinstance(a, float) else a for a in arguments
        )
        with self._current():
            self.device.kernel(kernel)((blocks,), (threads,), given, shared_mem=shared)

    def running_sum(self, array: Any) -> Any:
        with self._current():
            return cupy.cumsum(array, dtype=np.int64)

    def block_products(self, left: Any, right: Any) -> Any:
        blocks, k, m = left.shape
        n = right.shape[2]
        one, zero = np.array(1.0), np.array(0.0)
        with self._current():
            out = cupy.empty((blocks, m, n), np.float64)
            # cuBLAS counts by columns: our rows are its columns, so it makes the transposed product of the factors
            handle = cupy.cuda.device.get_cublas_handle()
            cublas.setPointerMode(handle, cublas.CUBLAS_POINTER_MODE_HOST)
            cublas.dgemmStridedBatched(
                handle, cublas.CUBLAS_OP_N, cublas.CUBLAS_OP_T, n, m, k, one.ctypes.data, right.data.ptr, n, k * n,
                left.data.ptr, m, k * m, zero.ctypes.data, out.data.ptr, n, m * n, blocks,
            )  # fmt: skip
        return out

    def copy(self, source: Any, target: Any) -> None:
        with self._current():
            target.data.copy_from_device_async(source.data, source.nbytes)

    def fetch(self, *arrays: Any) -> Callable[[], list[np.ndarray]]:
        with self._current():
            found = []
            for array in arrays:
                if array.size == 0:
                    found.append(np.empty(array.shape, array.dtype))
                    continue
                found.append(cupyx.empty_pinned(array.shape, array.dtype))
                array.get(stream=self.stream, out=found[-1], blocking=False)
            event = self.stream.record()

        def wait() -> list[np.ndarray]:
            event.synchronize()
            return found

        return wait

    def _current(self) -> "_Current":
        return _Current(self)


class _Current:
    """The lane's device and stream as the thread's own, for the length of a with statement."""

    def __init__(self, lane: CudaLane) -> None:
        self._parts = cupy.cuda.Device(lane.device.index), lane.stream

    def __enter__(self) -> None:
        for part in self._parts:
            part.__enter__()

    def __exit__(self, *error: Any) -> None:
        for part in reversed(self._parts):
            part.__exit__(*error)
