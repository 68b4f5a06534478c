"""The features that mixing balances, and those that it never touches, from the columns of signals.

Balanced, in order: the 16 style scalars standardised, their 136 products (so covariance is balanced with the means),
64 function words and 128 hashed n-gram bins as shares of the counted n-grams, the detector logit and its centred
square, and two tail indicators. Held out: the other 128 bins and the shares of some style markers.

Every feature is rounded to 2^-10 and clipped, so that the sums in kernels/moments.py are exact.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from curation import schema
from curation.batch import unpack
from curation.kernels import moments
from curation.kernels.design import design_kernel, held_out_kernel, numbers_kernel, scalars_kernel
from curation.kernels.features import CORE_NAMES, STYLE_NAMES

RATIO_COVERAGE = 0.9  # of the crawl, below which the reference's ratios are no target for what it covers
SD_FLOOR_SHARE = 2e-4  # without a floor, near-constant shares blow up any second moment
SD_FLOOR_SCALAR = 1e-4

#: markers that no scalar of `core` is made of: measured, never balanced
HELD_OUT_STYLE = (
    "semicolons", "colons", "questions", "exclamations", "parentheses", "dashes", "hedges", "contrasts",
    "self_corrections", "scaffolds", "first_person", "second_person", "modals", "additives", "intensifiers",
    "contractions",
)  # fmt: skip
_HELD_OUT_COLUMNS = [STYLE_NAMES.index(name) for name in HELD_OUT_STYLE]

_CORE = slice(0, schema.CORE)
_WORDS = slice(_CORE.stop, _CORE.stop + schema.WORDS)
_BINS = slice(_WORDS.stop, _WORDS.stop + schema.BINS)
_STYLE = slice(_BINS.stop, _BINS.stop + schema.STYLE)
_LOGIT = slice(_STYLE.stop, _STYLE.stop + 1)
RAW = _LOGIT.stop  # raw features that are standardised

_PAIRS = np.triu_indices(schema.CORE)
#: number of features that are always balanced
FEATURES = schema.CORE + len(_PAIRS[0]) + schema.WORDS + schema.BINS_BALANCED + 2 + 2
#: number of features that are only measured
HELD_OUT = schema.BINS_HELD_OUT + len(HELD_OUT_STYLE)
#: columns of the design matrix that hold the standardised scalars
CORE_COLUMNS = slice(0, schema.CORE)
#: columns that hold the detector logit and its centred square
LOGIT_COLUMNS = slice(FEATURES - 4, FEATURES - 2)

#: names of the first columns of `design_matrix`, in order
FEATURE_NAMES = (
    *CORE_NAMES,
    *(f"{CORE_NAMES[a]} * {CORE_NAMES[b]}" for a, b in zip(*_PAIRS, strict=True)),
    *(f"function word {i}" for i in range(schema.WORDS)),
    *(f"n-gram bin {i}" for i in range(schema.BINS_BALANCED)),
    "detector logit",
    "detector logit squared",
    "tail: mean square",
    "tail: one scalar",
)
#: names of the columns of `held_out_matrix`, in order
HELD_OUT_NAMES = (*(f"n-gram bin {i}" for i in range(schema.BINS_BALANCED, schema.BINS)), *HELD_OUT_STYLE)

# raw values are summed as integers below 2^31: scalars and logits to 2^-19 within 4096, shares to 2^-30
_BITS = np.full(RAW, 30)
_BITS[_CORE] = 19
_BITS[_LOGIT] = 19


class Standard(NamedTuple):
    """Mean and standard deviation of every raw feature; a deviation of 0 switches the feature off."""

    mean: np.ndarray  # float64[RAW]
    sd: np.ndarray  # float64[RAW]


class Extra(NamedTuple):
    """One more column of signals whose numbers are balanced too: a score with its square, or an embedding."""

    name: str  # column of signals: numbers, or packed float32
    mean: np.ndarray  # float64[width], of the reference
    sd: np.ndarray  # float64[width]; 0 switches a number off
    squares: bool = True

    @property
    def features(self) -> int:
        """Columns of the design matrix that it takes: every number, then with `squares` every centred square."""
        return (1 + self.squares) * len(self.mean)

    @property
    def label(self) -> str:
        """What it is called outside of signals."""
        return self.name.removeprefix(schema.COLUMN)


class StandardState(NamedTuple):
    """Mergeable exact sums behind a `Standard`: every array merges by addition."""

    counts: np.ndarray  # int64[RAW], documents that have the feature
    total: np.ndarray  # int64[2, RAW] limbs
    squares: np.ndarray  # int64[2, RAW] limbs


def standard_update(signals: pa.RecordBatch, rows: np.ndarray) -> StandardState:
    """The exact sums of the raw features of the documents where bool[docs] `rows` holds."""
    raw = _raw(signals)[rows]
    known = np.isfinite(raw)
    fixed = np.where(known, raw, 0.0) * np.exp2(_BITS)
    fixed = np.rint(np.clip(fixed, -(2.0**31 - 1), 2.0**31 - 1)).astype(np.int64)
    squares = fixed * fixed
    return StandardState(
        known.sum(0),
        moments.carry(moments.limbs(fixed).sum(1)),
        moments.carry(moments.limbs(squares).sum(1)),
    )


def standard_merge(a: StandardState, b: StandardState) -> StandardState:
    """The sums over the documents of both."""
    return StandardState(a.counts + b.counts, moments.carry(a.total + b.total), moments.carry(a.squares + b.squares))


def standard_result(state: StandardState) -> Standard:
    """Mean and floored standard deviation; 0 where fewer than two documents or no variance were seen."""
    mean = np.zeros(RAW)
    sd = np.zeros(RAW)
    for j in range(RAW):
        n = int(state.counts[j])
        if n == 0:
            continue
        total = (int(state.total[0, j]) << 32) + int(state.total[1, j])
        squares = (int(state.squares[0, j]) << 32) + int(state.squares[1, j])
        unit = 1 << int(_BITS[j])
        mean[j] = total / (n * unit)
        spread = squares * n - total * total  # exact: n^2 times the variance
        if n > 1 and spread > 0:
            floor = SD_FLOOR_SCALAR if _BITS[j] == 19 else SD_FLOOR_SHARE
            sd[j] = max((spread / (n * n)) ** 0.5 / unit, floor)
    return Standard(mean, sd)


def width(extras: Sequence[Extra] = ()) -> int:
    """Number of columns of the design matrix."""
    return FEATURES + sum(extra.features for extra in extras)


def feature_names(extras: Sequence[Extra] = ()) -> tuple[str, ...]:
    """Names of the columns of the design matrix, in order."""
    names = list(FEATURE_NAMES)
    for extra in extras:
        each = [extra.label] if len(extra.mean) == 1 else [f"{extra.label} {i}" for i in range(len(extra.mean))]
        names += [*each, *(f"{name} squared" for name in each if extra.squares)]
    return tuple(names)


def design_matrix(signals: pa.RecordBatch, standard: Standard, extras: Sequence[Extra] = ()) -> np.ndarray:
    """float64[docs, width]: the balanced features of every document, multiples of 2^-10 of at most 45.

    Reads `core`, `words`, `bins` and `logit`, and the columns of `extras`. A missing scalar, logit or other number
    counts as the reference's mean, and the squares of logits and others are centred, so a document without a score
    neither helps nor hinders that balance. A document without counted n-grams has mean shares. Raises ValueError when
    a column is missing or has the wrong width.
    """
    scale = _scale(standard)
    used = np.r_[_CORE, _WORDS, _BINS, _LOGIT]
    matrix = np.empty((signals.num_rows, width(extras)))
    design_kernel(
        _columns(signals, "core", schema.CORE, np.nan),
        _columns(signals, "words", schema.WORDS, 0),
        _columns(signals, "bins", schema.BINS, 0),
        schema.BINS_BALANCED,
        signals.column("logit").cast(pa.float64()).to_numpy(zero_copy_only=False),
        standard.mean[used],
        scale[used],
        int((standard.sd[_CORE] > 0).sum()),
        matrix,
    )
    at = FEATURES
    for extra in extras:
        wide = len(extra.mean)
        numbers_kernel(
            extra_numbers(signals, extra.name, wide), extra.mean,
            np.divide(1.0, extra.sd, out=np.zeros(wide), where=extra.sd > 0), extra.squares,
            matrix[:, at : at + extra.features],
        )  # fmt: skip
        at += extra.features
    return matrix


def ratio_extra(report: Mapping[str, Any]) -> Extra:
    """The scores of ratio mode, standardised by the reference's: `report` is that of `synthetic.fit_ratio`."""
    mean, sd = report["mean"]["reference"], report["sd"]["reference"]
    return Extra("ratio_logit", np.array([mean]), np.array([sd]))


def ratio_goal(report: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """float64[2] targets of `ratio_extra` (0 by its standardisation) and their standard errors."""
    n = report["documents"]["reference"]
    spread = np.array([1.0, max(report["kurtosis"]["reference"] - 1.0, 1.0)])
    return np.zeros(2), np.sqrt((spread * n + 1.0) / (n + 1.0) / n)


def extra_numbers(signals: pa.RecordBatch, name: str, wide: int) -> np.ndarray:
    """float64[docs, wide] of a column of numbers (wide 1) or of packed float32, NaN where null or not finite.

    Raises ValueError that names the column when it is missing or of another width.
    """
    index = signals.schema.get_field_index(name)
    if index < 0:
        raise ValueError(f"signals have no column {name!r}, which the reference was measured with: annotate again")
    column: Any = signals.column(index)
    if pa.types.is_fixed_size_binary(column.type):
        if column.type.byte_width != 4 * wide:
            raise ValueError(f"signals column {name!r} has {column.type.byte_width // 4} numbers, expected {wide}")
        values = unpack(column, np.dtype(np.float32)).astype(np.float64)
        values[column.is_null().to_numpy(zero_copy_only=False)] = np.nan
    else:
        values = column.cast(pa.float64()).to_numpy(zero_copy_only=False).reshape(-1, 1).copy()
    values[~np.isfinite(values)] = np.nan
    return values


def scalars(signals: pa.RecordBatch, standard: Standard) -> np.ndarray:
    """float64[docs, 16]: the first columns of `design_matrix`, from the column `core` alone."""
    out = np.empty((signals.num_rows, schema.CORE))
    scalars_kernel(
        _columns(signals, "core", schema.CORE, np.nan), standard.mean[_CORE], _scale(standard)[_CORE], out
    )
    return out


def held_out_matrix(signals: pa.RecordBatch, standard: Standard) -> np.ndarray:
    """float64[docs, HELD_OUT]: features that no weight is ever fitted to, standardised and on the same grid."""
    scale = _scale(standard)
    matrix = np.empty((signals.num_rows, HELD_OUT))
    held_out_kernel(
        _columns(signals, "style", schema.STYLE, 0),
        np.array(_HELD_OUT_COLUMNS),
        _columns(signals, "bins", schema.BINS, 0),
        schema.BINS_BALANCED,
        standard.mean[_BINS],
        scale[_BINS],
        standard.mean[_STYLE],
        scale[_STYLE],
        matrix,
    )
    return matrix


def _scale(standard: Standard) -> np.ndarray:
    return np.divide(1.0, standard.sd, out=np.zeros(RAW), where=standard.sd > 0)


def _raw(signals: pa.RecordBatch) -> np.ndarray:
    """float64[docs, RAW]; NaN where a document lacks the feature."""
    raw = np.full((signals.num_rows, RAW), np.nan)
    raw[:, _CORE] = fixed_width(signals, "core", schema.CORE)
    bins = fixed_width(signals, "bins", schema.BINS)
    counted = bins.sum(1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        raw[:, _BINS] = bins / counted
        raw[:, _WORDS] = fixed_width(signals, "words", schema.WORDS) / counted
        raw[:, _STYLE] = fixed_width(signals, "style", schema.STYLE) / counted
    raw[~(counted[:, 0] > 0), _WORDS.start : _STYLE.stop] = np.nan
    raw[:, _LOGIT.start] = signals.column("logit").cast(pa.float64()).to_numpy(zero_copy_only=False)
    return raw


def fixed_width(signals: pa.RecordBatch, name: str, width: int) -> np.ndarray:
    """A packed column of signals as float64[docs, width], NaN in the rows that are null.

    Raises ValueError that names the column when it is missing or not `width` wide.
    """
    return _columns(signals, name, width, np.nan).astype(np.float64)


def _columns(signals: pa.RecordBatch, name: str, width: int, missing: float) -> np.ndarray:
    """A packed column of signals as numbers[docs, width] of its own type where no row is null."""
    index = signals.schema.get_field_index(name)
    if index < 0:
        raise ValueError(
            f"signals have no column {name!r}: they were annotated with signals.features: false; set it to true"
        )
    column: Any = signals.column(index)
    kind = np.dtype(np.float32 if name == "core" else np.uint16)
    if column.type != pa.binary(width * kind.itemsize):
        raise ValueError(f"signals column {name!r} has type {column.type}, expected {width} numbers of type {kind}")
    out = unpack(column, kind)
    if not column.null_count:
        return out
    if np.isnan(missing):
        out = out.astype(np.float64 if out.dtype.kind != "f" else out.dtype)
    out = out.copy()
    out[column.is_null().to_numpy(zero_copy_only=False)] = missing
    return out
