"""As much of CuPy as curation/device/cuda.py uses, on memory of the host: it runs that module without a GPU.

Kernels are those of the host shim. cuBLAS is told from its definition: matrices by columns, with leading dimensions.
"""

import contextlib
import ctypes
import types
from typing import Any

import numpy as np
import shim


class Memory:
    """The address of an array, as `cupy.ndarray.data`."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        self.ptr = array.ctypes.data

    def copy_from_device_async(self, source: "Memory", size: int) -> None:
        ctypes.memmove(self.ptr, source.ptr, size)


class Array(np.ndarray):
    """An array of the device; it has no meaning to NumPy until `get` brings it to the host."""

    data = property(lambda self: Memory(self.view(np.ndarray)))  # type: ignore[assignment]

    def set(self, values: np.ndarray, stream: Any = None) -> None:
        assert values.dtype == self.dtype and values.flags.c_contiguous
        self.view(np.ndarray)[...] = values

    def get(self, stream: Any, out: np.ndarray, blocking: bool) -> None:
        assert not blocking and out.flags.c_contiguous and self.flags.c_contiguous
        out[...] = self.view(np.ndarray)


def array_of(shape: Any, kind: Any, fill: int) -> Array:
    found = np.empty(shape, kind)
    found.reshape(-1).view(np.uint8)[:] = fill
    return found.view(Array)


class Stream:
    entered: list["Stream"] = []

    def __init__(self, non_blocking: bool = False) -> None:
        assert non_blocking

    def __enter__(self) -> None:
        Stream.entered.append(self)

    def __exit__(self, *_: Any) -> None:
        assert Stream.entered.pop() is self

    def synchronize(self) -> None:
        pass

    def record(self) -> "Stream":
        return self


class Kernel:
    def __init__(self, lane: shim.HostLane, name: str) -> None:
        self.lane, self.name = lane, name

    def __call__(self, grid: tuple[int], block: tuple[int], arguments: tuple[Any, ...], shared_mem: int) -> None:
        assert Stream.entered, "a kernel was launched outside its stream"
        plain = []
        for value in arguments:
            assert isinstance(value, (Array, np.int64, np.float64)), type(value)
            plain.append(value.view(np.ndarray) if isinstance(value, Array) else value.item())
        self.lane.launch(self.name, grid[0], block[0], *plain, shared=shared_mem)


def dgemm_strided_batched(handle, transa, transb, m, n, k, alpha, a, lda, stride_a, b, ldb, stride_b, beta, c, ldc,
                          stride_c, batches):  # fmt: skip
    """c = alpha * op(a) op(b) + beta * c for each batch, all by columns."""

    def columns(pointer: int, number: int, stride: int, leading: int, rows: int, width: int) -> np.ndarray:
        whole = (ctypes.c_double * (leading * width)).from_address(pointer + 8 * number * stride)
        return np.frombuffer(whole).reshape(width, leading).T[:rows]

    factor, kept = (ctypes.c_double.from_address(p).value for p in (alpha, beta))
    assert kept == 0.0
    for number in range(batches):
        left = columns(a, number, stride_a, lda, k, m).T if transa else columns(a, number, stride_a, lda, m, k)
        right = columns(b, number, stride_b, ldb, n, k).T if transb else columns(b, number, stride_b, ldb, k, n)
        columns(c, number, stride_c, ldc, m, n)[...] = factor * (left @ right)


def modules(lane: shim.HostLane) -> dict[str, types.ModuleType]:
    """What stands for the modules that cuda.py imports, by name."""
    cupy, cupyx = types.ModuleType("cupy"), types.ModuleType("cupyx")
    backends, cuda, libs = (types.ModuleType(n) for n in ("cupy_backends", "cupy_backends.cuda", "libs"))
    properties = {"name": b"threads of the host", "multiProcessorCount": 1}

    class RawModule:
        def __init__(self, code: str, options: tuple[str, ...]) -> None:
            assert "KERNEL" in code and "--fmad=false" in options

        def get_function(self, name: str) -> Kernel:
            return Kernel(lane, name)

    cupy.RawModule = RawModule
    cupy.empty = lambda shape, kind: array_of(shape, kind, shim.POISON)
    cupy.zeros = lambda shape, kind: array_of(shape, kind, 0)
    cupy.asarray = lambda array: array.copy().view(Array)
    cupy.cumsum = lambda array, dtype: np.cumsum(array.view(np.ndarray), dtype=dtype).view(Array)
    cupy.cuda = types.SimpleNamespace(
        Stream=Stream,
        Device=lambda index: contextlib.nullcontext(),
        get_current_stream=lambda: Stream.entered[-1],
        device=types.SimpleNamespace(get_cublas_handle=lambda: 1),
        runtime=types.SimpleNamespace(
            getDevice=lambda: 0, getDeviceCount=lambda: 1, getDeviceProperties=lambda index: properties
        ),
    )
    cupyx.empty_pinned = np.empty
    libs.cublas = types.SimpleNamespace(
        CUBLAS_OP_N=0, CUBLAS_OP_T=1, CUBLAS_POINTER_MODE_HOST=0, setPointerMode=lambda handle, mode: None,
        dgemmStridedBatched=dgemm_strided_batched,
    )  # fmt: skip
    return {
        "cupy": cupy, "cupyx": cupyx, "cupy_backends": backends, "cupy_backends.cuda": cuda,
        "cupy_backends.cuda.libs": libs,
    }  # fmt: skip
