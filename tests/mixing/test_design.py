"""The fused kernels give the numbers of plain NumPy, bit for bit."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation import schema
from curation.batch import pack
from curation.kernels.moments import GRID, LIMIT
from curation.mixing import features
from curation.mixing.features import FEATURES, HELD_OUT, Standard, design_matrix, held_out_matrix


def columns(core, words, bins, style, logit):
    return pa.RecordBatch.from_arrays(
        [
            pack(core),
            pack(words),
            pack(bins),
            pack(style),
            pa.array(logit, pa.float32(), mask=np.isnan(logit)),
        ],
        ["core", "words", "bins", "style", "logit"],
    )


def grid(values):
    return np.rint(np.clip(values, -LIMIT, LIMIT) * (1 << GRID)) / (1 << GRID)


def plain(core, words, bins, style, logit, standard):
    """Both matrices by NumPy, one operation after the other."""
    scale = np.divide(1.0, standard.sd, out=np.zeros_like(standard.sd), where=standard.sd > 0)
    counted = bins.astype(np.float64).sum(1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = np.concatenate([words / counted, bins / counted, style / counted], axis=1)
        shares[counted[:, 0] == 0] = np.nan  # a document without counted n-grams is at the mean
        raw = np.concatenate([core, shares, logit[:, None]], axis=1).astype(np.float64)
        z = np.nan_to_num((raw - standard.mean) * scale, nan=0.0, posinf=LIMIT, neginf=-LIMIT)
    c, w, b = schema.CORE, schema.WORDS, schema.BINS
    scalars = grid(np.clip(z[:, :c], -6.5, 6.5))
    left, right = np.triu_indices(c)
    score = np.clip(z[:, -1], -6.5, 6.5)
    scored = np.isfinite(logit) & (standard.sd[-1] > 0)
    live = max(int((standard.sd[:c] > 0).sum()), 1)
    design = np.column_stack(
        [
            scalars,
            scalars[:, left] * scalars[:, right],
            z[:, c : c + w],
            z[:, c + w : c + w + schema.BINS_BALANCED],
            score,
            np.where(scored, score**2 - 1.0, 0.0),
            (scalars**2).sum(1) > 2.0 * live,
            (np.abs(scalars) > 3.0).any(1),
        ]
    )
    markers = z[:, c + w + b : -1][:, features._HELD_OUT_COLUMNS]
    return grid(design), grid(np.concatenate([z[:, c + w + schema.BINS_BALANCED : c + w + b], markers], axis=1))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), rows=st.integers(0, 40), wild=st.booleans(), silent=st.booleans())
def test_kernels_agree_with_numpy(seed, rows, wild, silent):
    rng = np.random.default_rng(seed)
    core = rng.normal(0, 1e6 if wild else 2, (rows, schema.CORE)).astype(np.float32)
    words = rng.integers(0, 65_536 if wild else 9, (rows, schema.WORDS)).astype(np.uint16)
    bins = rng.integers(0, 65_536 if wild else 5, (rows, schema.BINS)).astype(np.uint16)
    style = rng.integers(0, 50, (rows, schema.STYLE)).astype(np.uint16)
    logit = rng.normal(0, 3, rows).astype(np.float32)
    logit[rng.random(rows) < 0.3] = np.nan
    bins[rng.random(rows) < 0.2] = 0
    if wild and rows:
        core[0, :3] = np.nan, np.inf, -np.inf
    mean, sd = rng.normal(0, 0.1, features.RAW), rng.random(features.RAW) * (0.01 if wild else 1.0)
    sd[rng.random(features.RAW) < 0.2] = 0.0
    if silent:
        sd[-1] = 0.0
    standard = Standard(mean, sd)
    batch = columns(core, words, bins, style, logit)
    design, held_out = plain(core, words, bins, style, logit, standard)
    assert design.shape[1] == FEATURES and held_out.shape[1] == HELD_OUT
    np.testing.assert_array_equal(design_matrix(batch, standard), design)
    np.testing.assert_array_equal(held_out_matrix(batch, standard), held_out)
    half = rows // 2
    np.testing.assert_array_equal(design_matrix(batch.slice(half), standard), design[half:])


def test_a_column_that_is_missing_is_named():
    batch = pa.RecordBatch.from_arrays([pa.array([0.5], pa.float32())], ["logit"])
    with pytest.raises(ValueError, match="'core'"):
        design_matrix(batch, Standard(np.zeros(features.RAW), np.ones(features.RAW)))
