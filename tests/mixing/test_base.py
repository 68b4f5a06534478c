import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.mixing.base import base_measure, human_merge, human_sums
from mixing.world import signals


def of(batch, p, size=None, kappa=1.0, **rest):
    size = np.ones(batch.num_rows, np.int64) if size is None else size
    return base_measure(batch, p, size, human_sums(batch, p, size > 0, kappa), kappa=kappa, **rest)


def test_the_human_factor_has_mean_one_in_each_source_and_gate_class():
    batch = signals(150, 150, 1, gate=pa.array((["prose"] * 3 + ["code"]) * 75))
    p = pa.array(np.random.default_rng(1).uniform(0, 0.8, 300), pa.float32())
    q = of(batch, p, kappa=2.0).q
    source, gate = batch.column("source").to_pylist(), batch.column("gate").to_pylist()
    for stratum in {*zip(source, gate, strict=True)}:
        rows = [s == stratum for s in zip(source, gate, strict=True)]
        assert abs(q[rows].mean() - 1) < 1e-6
    raw = (1 - p.to_numpy().astype(float)) ** 2
    same = np.array([s == "forum" and g == "code" for s, g in zip(source, gate, strict=True)])
    assert np.allclose(q[same] / raw[same], (q[same] / raw[same])[0])


def test_documents_without_a_verdict_weigh_one_and_nothing_falls_below_the_floor():
    batch = signals(40, 0, 2)
    p = pa.array([None] * 20 + [1.0] * 10 + [0.0] * 10, pa.float32())
    q = of(batch, p, kappa=10.0).q
    assert (q[:20] == 1).all()
    assert (q[20:30] == 0.05).all()
    assert (q[30:] > 1).all()


def test_a_source_that_is_all_machine_is_not_emptied():
    batch = signals(30, 0, 3, source=pa.array(["bot"] * 30))
    assert np.allclose(of(batch, pa.array([0.999] * 30, pa.float32())).q, 1, atol=1e-3)
    assert np.allclose(of(batch, pa.array([1.0] * 30, pa.float32())).q, 0.05)


def test_duplicates_multipliers_and_dropped_documents():
    batch = signals(3, 0, 4, source=pa.array(["a", "b", "b"]))
    nothing = pa.nulls(3, pa.float32())
    base = of(batch, nothing, np.array([16, 0, 1]), gamma=0.5, multipliers={"b": 3.0})
    assert base.q.tolist() == base.plain.tolist() == [4.0, 0.0, 3.0]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 60), max_size=4), st.floats(0, 12))
def test_sums_do_not_depend_on_batches(cuts, kappa):
    batch = signals(30, 30, 5)
    p = pa.array([None if i % 7 == 0 else i / 60 for i in range(60)], pa.float32())
    keep = np.arange(60) % 5 > 0
    edges = [0, *sorted(cuts), 60]
    total = {}
    for a, b in zip(edges, edges[1:], strict=False):
        total = human_merge(human_sums(batch.slice(a, b - a), p.slice(a, b - a), keep[a:b], kappa), total)
    assert total == human_sums(batch, p, keep, kappa)
