"""What launchers ask of a device: `cuda.CudaLane`, and in the tests a lane of host threads for the same launchers."""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np


class Lane(Protocol):
    """A queue of work in order, on one device. Arrays of the device are opaque but for shape, dtype and slices."""

    @property
    def fill(self) -> int:
        """Blocks that fill the device: the grid of kernels whose blocks take one item after another."""

    def upload(self, *arrays: np.ndarray) -> list[Any]:
        """The arrays on the device, by one copy. Each is padded to a multiple of 16 bytes."""

    def table(self, array: np.ndarray) -> Any:
        """An array that stays on the device; asked for again, it is not copied again."""

    def empty(self, shape: int | tuple[int, ...], kind: Any) -> Any:
        """An array of the device with no defined contents."""

    def zeros(self, shape: int | tuple[int, ...], kind: Any) -> Any:
        """An array of zeros of the device."""

    def launch(self, kernel: str, blocks: int, threads: int, *arguments: Any, shared: int = 0) -> None:
        """Queue a kernel; arguments are arrays of the device, int (64 bits) and float; `shared` in bytes."""

    def running_sum(self, array: Any) -> Any:
        """int64 running sum of an int32 array, each element included."""

    def block_products(self, left: Any, right: Any) -> Any:
        """float64[blocks, m, n]: transposed left[blocks, k, m] times right[blocks, k, n], block by block."""

    def copy(self, source: Any, target: Any) -> None:
        """Queue a copy on the device between two arrays of one type and size."""

    def fetch(self, *arrays: Any) -> Callable[[], list[np.ndarray]]:
        """Queue a copy to the host; what comes back waits for it and gives the arrays."""


def blocks_for(threads: int, block: int) -> int:
    """Blocks of `block` threads for at least so many threads."""
    return -(-threads // block)
