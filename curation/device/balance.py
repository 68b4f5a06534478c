"""A pass of balancing on a device: `mixing.balance.pass_sums` with the same bits."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from curation.device.lane import Lane, blocks_for
from curation.kernels import moments
from curation.mixing import balance

_BLOCK = 256
_LANES_OF_A_ROW = 8
_CHUNK = 64 * moments.BLOCK  # rows whose widened factors are held at a time: 360 MB at 350 features


class Accumulated:
    """Exact sums that stay on a lane while batches are added to them."""

    def __init__(self, lane: Lane, features: int, second: bool) -> None:
        self._lane = lane
        self._features = features
        self._totals = lane.zeros(10, np.uint64)
        self._first = lane.zeros((2, features), np.int64)
        self._second = lane.zeros((2, features + 1, features + 1), np.int64) if second else None

    def add(self, matrix: np.ndarray, q: np.ndarray, solution: balance.Solution) -> None:
        """Queue a batch: matrix float64[docs, d] on the grid and q float64[docs], as `pass_sums` takes them."""
        if len(matrix):
            # multiples of 2^-10 of at most 45 are float32 numbers
            narrow, b = matrix.astype(np.float32), np.array(solution.b, np.float64)
            features, base, coefficients = self._lane.upload(narrow, q.astype(np.float64), b)
            self.add_on_device(features, base, coefficients, solution)

    def add_on_device(self, matrix: Any, q: Any, coefficients: Any, solution: balance.Solution) -> None:
        """The same for arrays of the device: float32[docs, d], float64[docs] and float64[d]."""
        lane, d = self._lane, self._features
        top = float(moments.logarithm(solution.cap))
        for start in range(0, matrix.shape[0], _CHUNK):
            rows = min(_CHUNK, matrix.shape[0] - start)
            part, base = matrix[start : start + rows], q[start : start + rows]
            units, free = lane.empty(rows, np.float64), lane.empty(rows, np.float64)
            tiles = min(blocks_for(rows * _LANES_OF_A_ROW, _BLOCK), lane.fill)
            lane.launch(
                "tilt", tiles, _BLOCK, part, rows, d, coefficients, float(solution.offset), base, top, units, free,
                self._totals,
            )  # fmt: skip
            lane.launch("first_moments", min(rows, lane.fill), _BLOCK, part, rows, d, units, free, self._first)
            if self._second is not None:
                self._add_second(part, rows, free)

    def _add_second(self, matrix: Any, rows: int, free: Any) -> None:
        lane, width = self._lane, self._features + 1
        blocks = blocks_for(rows, moments.BLOCK)
        scaled = lane.empty((blocks, moments.BLOCK, width), np.float64)
        lane.launch(
            "scale_rows", min(blocks_for(scaled.size, _BLOCK), lane.fill), _BLOCK, matrix, rows, blocks * moments.BLOCK,
            self._features, free, scaled,
        )  # fmt: skip
        products = lane.block_products(scaled, scaled)
        size = width * width
        tiles = min(blocks_for(size, _BLOCK), lane.fill)
        lane.launch("add_blocks", tiles, _BLOCK, products, blocks, size, self._second)

    def result(self) -> balance.Sums:
        """The sums of all that was added."""
        arrays = [self._totals, self._first] + ([] if self._second is None else [self._second])
        totals, first, *second = self._lane.fetch(*arrays)()
        t = totals.astype(np.int64)
        return balance.Sums(
            t[:3], t[3:6], moments.carry(moments.limbs(first[0])), moments.carry(moments.limbs(first[1])),
            moments.carry(second[0]) if second else np.zeros((2, 0, 0), np.int64),
            moments.carry(np.array([[t[6], t[8]], [t[7], t[9]]])),
        )  # fmt: skip


def total_sums(
    lanes: tuple[Lane, Lane],
    batches: Iterable[tuple[np.ndarray, np.ndarray]],
    solution: balance.Solution,
    second: bool = True,
) -> balance.Sums:
    """The sums of `pass_sums` over all batches of (matrix, q), merged.

    Batches alternate between the lanes, so that one is copied while the other is computed.
    """
    held = [Accumulated(lane, len(solution.b), second) for lane in lanes]
    for number, (matrix, q) in enumerate(batches):
        held[number % len(held)].add(matrix, q, solution)
    return balance.merge(*(part.result() for part in held))
