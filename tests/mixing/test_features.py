import numpy as np
import pyarrow as pa
import pytest

from curation import schema
from curation.batch import pack
from curation.mixing import features
from mixing.world import signals


def standard(batch):
    return features.standard_result(features.standard_update(batch, np.ones(batch.num_rows, bool)))


def test_every_column_has_a_name_and_stands_on_the_grid():
    batch = signals(80, 20, 1)
    matrix = features.design_matrix(batch, standard(batch))
    held_out = features.held_out_matrix(batch, standard(batch))
    assert matrix.shape == (100, features.FEATURES) == (100, len(features.FEATURE_NAMES))
    assert held_out.shape == (100, features.HELD_OUT) == (100, len(features.HELD_OUT_NAMES))
    for m in (matrix, held_out):
        assert np.array_equal(m * 1024, np.rint(m * 1024))
        assert np.abs(m).max() <= 45
    pair = features.FEATURE_NAMES.index(f"{features.FEATURE_NAMES[2]} * {features.FEATURE_NAMES[5]}")
    assert np.allclose(matrix[:, pair], matrix[:, 2] * matrix[:, 5], atol=2**-11)


def test_standardised_columns_have_mean_zero_and_variance_one_where_they_were_fitted():
    batch = signals(400, 0, 2)
    matrix = features.design_matrix(batch, standard(batch))
    shares = slice(152, 152 + schema.WORDS + schema.BINS_BALANCED)
    for columns in (features.CORE_COLUMNS, shares):
        assert np.abs(matrix[:, columns].mean(0)).max() < 1e-3
        assert np.abs(matrix[:, columns].std(0) - 1).max() < 0.02


def test_standard_is_exact_and_merges_in_any_order():
    batch = signals(50, 30, 3)
    rows = np.ones(80, bool)
    whole = features.standard_update(batch, rows)
    parts = [features.standard_update(batch.slice(a, 16), rows[:16]) for a in (64, 0, 32, 16, 48)]
    merged = parts[0]
    for part in parts[1:]:
        merged = features.standard_merge(merged, part)
    assert all(np.array_equal(x, y) for x, y in zip(whole, merged, strict=True))
    result = features.standard_result(whole)
    core = features.fixed_width(batch, "core", schema.CORE)
    assert np.allclose(result.mean[:16], core.mean(0), atol=1e-5)
    assert np.allclose(result.sd[:16], core.std(0), rtol=1e-4)


def test_missing_values_count_as_the_mean():
    batch = signals(20, 0, 4)
    fitted = standard(batch)
    logit = pa.array([None, float("nan"), *[1.0] * 18], pa.float32())
    zero = pack(np.zeros((20, schema.BINS), np.uint16))
    empty = batch.set_column(batch.schema.get_field_index("logit"), "logit", logit)
    at = batch.schema.get_field_index("bins")
    empty = empty.set_column(at, "bins", zero)
    core = pa.array([None] + [bytes(64)] * 19, pa.binary(64))
    empty = empty.set_column(batch.schema.get_field_index("core"), "core", core)
    matrix = features.design_matrix(empty, fitted)
    assert np.isfinite(matrix).all()
    assert not matrix[:2, features.LOGIT_COLUMNS].any()
    assert matrix[2:, features.LOGIT_COLUMNS].all()
    assert not matrix[:, 152 : 152 + 192].any()
    assert not matrix[0, :152].any()


def test_slices_of_a_batch_give_the_rows_of_the_whole():
    batch = signals(40, 0, 5)
    fitted = standard(batch)
    whole = features.design_matrix(batch, fitted)
    assert np.array_equal(features.design_matrix(batch.slice(13, 9), fitted), whole[13:22])
    assert np.array_equal(features.scalars(batch, fitted), whole[:, features.CORE_COLUMNS])
    assert features.design_matrix(batch.slice(0, 0), fitted).shape == (0, features.FEATURES)


def test_a_column_without_variance_is_switched_off():
    core = np.random.default_rng(1).normal(size=(30, 16)).astype(np.float32)
    core[:, 4] = 0.3
    batch = signals(30, 0, 6, core=pack(core))
    fitted = standard(batch)
    assert fitted.sd[4] == 0
    matrix = features.design_matrix(signals(30, 0, 7), fitted)
    off = [j for j, name in enumerate(features.FEATURE_NAMES[:152]) if features.FEATURE_NAMES[4] in name.split(" * ")]
    assert len(off) == 17
    assert not matrix[:, off].any()


def test_signals_without_features_are_named():
    batch = signals(3, 0, 8)
    with pytest.raises(ValueError, match="'core'.*signals.features"):
        features.design_matrix(batch.drop_columns(["core"]), standard(batch))
    narrow = pack(np.ones((3, 1), np.uint16))
    wrong = batch.set_column(batch.schema.get_field_index("bins"), "bins", narrow)
    with pytest.raises(ValueError, match="'bins'.*256"):
        features.design_matrix(wrong, standard(batch))
