"""The lane of CuPy, run on a stand-in for CuPy: packing, streams, arguments and the order of cuBLAS's."""

import sys

import host_cupy
import numpy as np
import pyarrow as pa
import pytest
import shim
from test_sums import compare as compare_sums
from test_sums import problem
from test_token_pass import compare

from curation import device
from curation.annotate import Settings


@pytest.fixture
def card(lane, monkeypatch):
    if not isinstance(lane, shim.HostLane):
        pytest.skip("the real CuPy is tested by the other files")
    for name, module in host_cupy.modules(lane).items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.delitem(sys.modules, "curation.device.cuda", raising=False)
    device._cuda.cache_clear()
    yield device.choose("cuda")
    device._cuda.cache_clear()
    monkeypatch.delitem(sys.modules, "curation.device.cuda", raising=False)


def test_arrays_come_back_as_they_went(card):
    lane = card.lane()
    arrays = [np.arange(5, dtype=np.uint8), np.zeros((0, 3)), np.arange(6.0).reshape(2, 3), np.array([7], np.int64)]
    there = lane.upload(*arrays)
    assert all(a.ctypes.data % 16 == there[0].ctypes.data % 16 for a in there)
    for array, got in zip(arrays, lane.fetch(*there)(), strict=True):
        assert got.dtype == array.dtype
        assert np.array_equal(got, array)
    source, target = lane.upload(np.arange(8.0))[0], lane.zeros(8, np.float64)
    lane.copy(source, target)
    assert np.array_equal(lane.fetch(target)()[0], np.arange(8.0))


def test_tables_are_copied_once(card):
    table = np.arange(4)
    assert card.lane().table(table) is card.lane().table(table)
    assert card.lane().table(table.copy()) is not card.lane().table(table)


def test_products_by_blocks(card):
    lane, rng = card.lane(), np.random.default_rng(1)
    left, right = rng.normal(size=(3, 7, 2)), rng.normal(size=(3, 7, 5))
    (found,) = lane.fetch(lane.block_products(*lane.upload(left, right)))()
    np.testing.assert_allclose(found, left.transpose(0, 2, 1) @ right)


def test_a_token_pass_and_a_balance_pass(card):
    compare(card.lane(), ["Not so good. It was 3 o'clock, and they left.", "", None], Settings(min_words=2, rows=2))
    compare_sums(card.lane(), *problem(3, 30, 9), True, [11])
    assert card.name == "threads of the host"


def test_batches_alternate_between_two_streams(card):
    items = [pa.record_batch({"text": [f"word number {n}"]}) for n in range(3)]
    found = list(device.ahead(card, items, lambda item: item.column("text"), Settings(model=None, bands=0)))
    assert [item for item, _ in found] == items
    assert [len(made.tokens.hash) for _, made in found] == [3, 3, 3]
