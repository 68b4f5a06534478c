"""Schemas of several files: unified where no value changes, else named."""

import pyarrow as pa
import pytest

from curation.io.unify import fit, join, unify

S = pa.struct


@pytest.mark.parametrize(
    ("a", "b", "joined"),
    [
        (pa.null(), pa.string(), pa.string()),
        (pa.int16(), pa.int64(), pa.int64()),
        (pa.int16(), pa.float64(), pa.float64()),
        (pa.int64(), pa.float64(), None),
        (pa.float32(), pa.float64(), pa.float64()),
        (pa.string(), pa.large_string(), pa.large_string()),
        (pa.string(), pa.int64(), None),
        (pa.bool_(), pa.int64(), None),
        (pa.list_(pa.int32()), pa.list_(pa.int64()), pa.list_(pa.int64())),
        (S([("a", pa.int64())]), S([("b", pa.string())]), S([("a", pa.int64()), ("b", pa.string())])),
        (S([("a", pa.int64())]), S([("a", pa.string())]), None),
    ],
    ids=str,
)
def test_types_join_only_where_every_value_stays(a, b, joined):
    assert join(a, b) == joined
    other = join(b, a)
    assert (other is None) == (joined is None)


def test_batches_fit_the_common_schema_and_conflicts_are_named():
    a = pa.record_batch({"text": ["x"], "n": pa.array([1], pa.int8()), "o": [{"p": 1}]})
    b = pa.record_batch(
        {"text": pa.array(["y"]).dictionary_encode(), "n": [2], "o": [{"q": "z"}], "l": [[{"m": 1}]], "m": [1]}
    )
    c = pa.record_batch({"text": pa.array(["z"], pa.string_view()), "m": ["1"]})
    schema, conflicts = unify([("a", a.schema), ("b", b.schema), ("c", c.schema)])
    assert [(x.column, x.first, x.second) for x in conflicts] == [("m", "b", "c")]
    rows = [row for batch in (a, b) for row in fit(batch, schema).to_pylist()]
    assert rows == [
        {"text": "x", "n": 1, "o": {"p": 1, "q": None}, "l": None, "m": None},
        {"text": "y", "n": 2, "o": {"p": None, "q": "z"}, "l": [{"m": 1}], "m": 1},
    ]
