"""The hot kernels on a GPU, with the bits of the CPU. CuPy is imported only when a device is looked for."""

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pyarrow as pa

from curation.annotate import Settings
from curation.device import balance, text
from curation.device.lane import Lane
from curation.diversity import State
from curation.mixing.balance import Solution, Sums
from curation.token_pass import TokenPass

if TYPE_CHECKING:
    from curation.device.cuda import Cuda

__all__ = ["DeviceError", "ahead", "ahead_on", "choose", "total_sums"]

Item = TypeVar("Item")
_EXTRAS = "pip install 'curation[gpu-cuda12]' (or gpu-cuda13, as nvidia-smi names the CUDA version)"


class DeviceError(ValueError):
    """There is no device where one was asked for; the message says what is missing and the way out."""


def choose(asked: str) -> "Cuda | None":
    """The device for `auto`, `cpu` or `cuda`: None for the CPU, which `auto` takes where there is no CuPy or no GPU.

    Raises DeviceError for `cuda` without one or the other.
    """
    if asked == "cpu":
        return None
    found = _cuda()
    if isinstance(found, str):
        if asked == "cuda":
            raise DeviceError(f"run.device is cuda, but {found}")
        return None
    return found


@cache
def _cuda() -> "Cuda | str":
    """The device, or why there is none."""
    try:
        import cupy
    except ImportError as error:
        return f"CuPy cannot be imported ({error}): {_EXTRAS}, or set run.device to cpu"
    try:
        cupy.cuda.runtime.getDeviceCount()
        from curation.device.cuda import Cuda

        return Cuda()
    except Exception as error:  # CuPy and its libraries raise their own kinds
        return f"CuPy finds no device that it can use ({error}): check nvidia-smi, {_EXTRAS}, or set run.device to cpu"


def ahead(
    device: "Cuda | None",
    items: Iterable[Item],
    text_of: Callable[[Item], pa.Array],
    settings: Settings,
    state: State | None = None,
) -> Iterator[tuple[Item, TokenPass | None]]:
    """Each item with the token pass of its text, of which the device makes the next one meanwhile; None on the CPU.

    state: what the items' counts go to, while they are made; None where nothing is counted.
    """
    if device is None:
        for item in items:
            yield item, None
        return
    yield from ahead_on((device.lane(), device.lane()), items, text_of, settings, state)


def ahead_on(
    lanes: tuple[Lane, Lane],
    items: Iterable[Item],
    text_of: Callable[[Item], pa.Array],
    settings: Settings,
    state: State | None = None,
) -> Iterator[tuple[Item, TokenPass]]:
    """`ahead` on two lanes, which take turns."""
    queued: list[tuple[Item, Callable[[], TokenPass]]] = []
    for number, item in enumerate(items):
        lane = lanes[number % 2]
        queued.append((item, text.submit(lane, text_of(item), settings, None if state is None else state["levels"])))
        if len(queued) == 2:
            before, collect = queued.pop(0)
            yield before, collect()
    for before, collect in queued:
        yield before, collect()


def total_sums(
    device: "Cuda", batches: Iterable[tuple[np.ndarray, np.ndarray]], solution: Solution, second: bool = True
) -> Sums:
    """`pass_sums` over all batches of (matrix, q), merged, on a device."""
    return balance.total_sums((device.lane(), device.lane()), batches, solution, second)
