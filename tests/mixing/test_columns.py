"""The user's columns in the core: what counts as a number, how a reference keeps them, and that they are balanced."""

import decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation import schema
from curation.diversity import reference
from curation.mixing import columns, mix
from curation.mixing.features import FEATURES, design_matrix, width
from mixing import world

WIDE = 3
NAMED = (("quality", 1), ("embedding", WIDE))


def with_columns(batch, seed, quality, shift, nulls=0.0):
    """The batch with a quality and an embedding that its other features do not tell."""
    rng = np.random.default_rng(seed)
    n = batch.num_rows
    lacks = rng.random(n) < nulls
    vectors = rng.normal(shift, 0.2, (n, WIDE))
    lists = [None if gone else v for v, gone in zip(vectors.tolist(), lacks, strict=True)]
    found = {"quality": pa.array(rng.normal(quality, 2.0, n), mask=lacks), "embedding": pa.array(lists)}
    for name, wide in NAMED:
        batch = batch.append_column(schema.COLUMN + name, columns.stored(found[name], wide))
    return batch


def profile_of(*batches):
    first = reference.first_empty(NAMED)
    for batch in batches:
        first = reference.first_merge(first, reference.first_update(batch, "en", NAMED))
    frame = reference.first_result(first, "en", NAMED)
    second = reference.second_empty(frame)
    for batch in batches:
        second = reference.second_merge(second, reference.second_update(batch, frame))
    return reference.build(first, frame, second)


@pytest.fixture(scope="module")
def human():
    return with_columns(world.signals(3000, 0, 1), 1, 10.0, 0.5)


@pytest.fixture(scope="module")
def profile(human):
    return profile_of(human)


@pytest.mark.parametrize("nulls", [0.0, 0.2])
def test_weighted_means_reach_the_reference_within_the_tolerance(profile, nulls):
    crawl = with_columns(world.signals(4000, 0, 2), 2, 9.0, 0.45, nulls)
    names = [name for name, _ in NAMED]
    (weights,), report = mix([crawl], profile, columns=names)
    extras = profile.columns.extras
    matrix = design_matrix(crawl, profile.standard, extras)[:, FEATURES:]
    assert matrix.shape[1] == width(extras) - FEATURES == 2 + WIDE
    for at, name in enumerate(("quality", "quality squared", *(f"embedding {i}" for i in range(WIDE)))):
        counts = profile.cell_documents / profile.cell_documents.sum()
        target = float((counts * profile.columns.means[:, at]).sum())
        slack = report["tolerance"]["features"][name]
        before, after = abs(matrix[:, at].mean() - target), abs(np.average(matrix[:, at], weights=weights) - target)
        assert after < 1.5 * slack + 1e-3, name
        if name != "quality squared":
            assert before > 3 * slack, name
    (untouched,), _ = mix([crawl], profile)  # the same reference without its columns
    plain = np.average(matrix[:, 0], weights=untouched)
    assert plain < np.average(matrix[:, 0], weights=weights) - 0.2


def test_a_null_counts_as_the_mean_and_moves_no_document(profile):
    crawl = with_columns(world.signals(300, 0, 3), 3, 9.0, 0.4, nulls=0.5)
    matrix = design_matrix(crawl, profile.standard, profile.columns.extras)[:, FEATURES:]
    lacks = crawl.column("column:quality").is_null().to_numpy(zero_copy_only=False)
    assert 100 < lacks.sum() < 200
    assert (matrix[lacks] == 0).all()
    assert (matrix[~lacks] != 0).all(1).mean() > 0.9


def test_batches_in_any_order_give_the_same_profile(human, profile):
    parts = [human.slice(0, 700), human.slice(700, 1500), human.slice(2200)]
    assert reference.save(profile_of(*parts[::-1])) == reference.save(profile)


def test_a_number_without_variance_takes_no_part(human):
    at = human.schema.get_field_index("column:quality")
    flat = human.set_column(at, "column:quality", pa.array(np.full(human.num_rows, 1e9 / 3)))
    extras = profile_of(flat).columns.extras
    assert extras[0].sd.tolist() == [0.0]
    assert (design_matrix(flat, profile_of(flat).standard, extras)[:, FEATURES : FEATURES + 2] == 0).all()


def test_only_what_is_asked_for_is_chosen(profile):
    found = columns.chosen(profile.columns, ["embedding"])
    assert [extra.label for extra in found.extras] == ["embedding"]
    np.testing.assert_array_equal(found.means, profile.columns.means[:, 2:])
    assert columns.chosen(profile.columns, {}) is None
    with pytest.raises(ValueError, match="without mix.columns 'other'"):
        columns.chosen(profile.columns, {"other": 1})
    with pytest.raises(ValueError, match="without mix.columns 'quality'"):
        columns.chosen(None, {"quality": 1})


@given(st.lists(st.none() | st.lists(st.none() | st.floats(width=32), max_size=4), max_size=20))
@settings(max_examples=60, deadline=None)
def test_lists_are_kept_where_they_have_the_right_length_and_null_elsewhere(values):
    expected = np.full((len(values), 2), np.nan)
    for i, value in enumerate(values):
        if value is not None and len(value) == 2:
            numbers = [np.nan if v is None or not abs(v) < 1e30 else v for v in value]
            expected[i] = numbers
    for kind in (pa.list_(pa.float32()), pa.large_list(pa.float64())):
        column = pa.array(values, kind)
        np.testing.assert_allclose(columns.numbers(column, 2), expected, rtol=1e-6)
        packed = columns.stored(column, 2)
        assert packed.is_valid().to_pylist() == (~np.isnan(expected).all(1)).tolist()
        batch = pa.RecordBatch.from_arrays([packed], ["column:v"])
        np.testing.assert_allclose(columns.raw(batch, (("v", 2),)), expected, rtol=1e-6)
        np.testing.assert_allclose(columns.raw(batch.slice(1), (("v", 2),)), expected[1:], rtol=1e-6)


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([1, None, 3], pa.int8()), [1, np.nan, 3]),
        (pa.array([1, None, 2**63], pa.uint64()), [1, np.nan, 2.0**63]),
        (pa.array([True, None, False]), [1, np.nan, 0]),
        (pa.array([decimal.Decimal("1.5"), None]), [1.5, np.nan]),
        (pa.array(np.array([0.5, np.inf], np.float16)), [0.5, np.nan]),
        (pa.array(["1", "x", None]), [np.nan] * 3),
        (pa.nulls(2), [np.nan] * 2),
        (pa.array([[1.0], [2.0]]), [np.nan] * 2),
    ],
)
def test_numbers_of_every_type_and_nothing_for_the_others(column, expected):
    np.testing.assert_array_equal(columns.numbers(column, 1)[:, 0], expected)
    assert columns.stored(column, 1).type == pa.float64()


def test_fixed_size_lists():
    column = pa.array([[1.0, 2.0], None, [3.0, 4.0]], pa.list_(pa.float32(), 2))
    expected = [[1, 2], [np.nan, np.nan], [3, 4]]
    np.testing.assert_array_equal(columns.numbers(column, 2), expected)
    np.testing.assert_array_equal(columns.numbers(column.slice(1), 2), expected[1:])
