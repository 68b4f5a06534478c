"""Columns that the user names to be balanced too: scores, and vectors such as embeddings.

A score is balanced in mean and second moment, a vector in the mean of each of its numbers: the squares of hundreds of
coordinates cost as many features and say little. Both are standardised by the reference and clipped like all other
features. A null, a vector of another length and a value that is no number count as the reference's mean: they move no
document.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from curation import schema
from curation.batch import pack
from curation.mixing.features import Extra, extra_numbers
from curation.mixing.reservoir import Reservoir

if TYPE_CHECKING:
    from curation.diversity.reference import Profile

#: deviations below this share of the mean are the rounding of the sample, no variance
_LEAST_SPREAD = 1e-6

_LARGEST = 1e30  # well inside float32, which vectors and samples are kept in

#: name and how many numbers it holds, in order
Widths = tuple[tuple[str, int], ...]


class Columns(NamedTuple):
    """What a reference says of the user's columns."""

    extras: tuple[Extra, ...]
    means: np.ndarray  # float64[cells, features], of the features of `extras` in order
    squares: np.ndarray  # float64[cells, features]


def numbers(column: Any, width: int) -> np.ndarray:
    """float64[docs, width] of an input column of numbers (width 1) or of lists of so many; NaN where it has none.

    Whatever is no number, larger than 1e30, or a list of another length, is NaN: nothing raises.
    """
    kind, out = column.type, np.full((len(column), width), np.nan)
    if width == 1 and is_numeric(kind):
        out[:, 0] = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    elif width > 1 and is_vector(kind) and is_numeric(kind.value_type):
        lists = column.cast(pa.list_(kind.value_type))
        lengths = lists.value_lengths().fill_null(-1).to_numpy(zero_copy_only=False)
        rows = np.flatnonzero(lengths == width)
        flat = lists.take(pa.array(rows)).flatten().cast(pa.float64(), safe=False)
        out[rows] = flat.to_numpy(zero_copy_only=False).reshape(-1, width)
    out[~(np.abs(out) < _LARGEST)] = np.nan
    return out


def is_numeric(kind: pa.DataType) -> bool:
    """Is it a type of numbers or truth values?"""
    types = pa.types
    return types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind) or types.is_boolean(kind)


def is_vector(kind: pa.DataType) -> bool:
    """Is it a type of lists?"""
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def stored(column: Any, width: int) -> pa.Array:
    """An input column as signals keep it: float64, or `width` packed float32; null where it has no number at all."""
    values = numbers(column, width)
    lacking = np.isnan(values).all(1)
    if width == 1:
        return pa.array(values[:, 0], pa.float64(), mask=lacking)
    packed: Any = pack(values.astype(np.float32))
    bits = np.packbits(~lacking, bitorder="little")
    return pa.FixedSizeBinaryArray.from_buffers(packed.type, len(packed), [pa.py_buffer(bits), packed.buffers()[1]])


def raw(signals: pa.RecordBatch, columns: Widths) -> np.ndarray:
    """float64[docs, numbers]: the columns of signals side by side, NaN where there is no number."""
    parts = [extra_numbers(signals, schema.COLUMN + name, width) for name, width in columns]
    return np.concatenate(parts, axis=1) if parts else np.zeros((signals.num_rows, 0))


def standardised(sample: Reservoir, columns: Widths) -> tuple[Extra, ...]:
    """The columns with mean and deviation of a sample of the reference, whose features are `raw`.

    A number without variance in the sample is switched off. Raises ValueError that names
    a column of which the sample has fewer than two values.
    """
    extras, at = [], 0
    for name, width in columns:
        values = sample.features[:, at : at + width].astype(np.float64)
        at += width
        known = np.isfinite(values)
        count = known.sum(0)
        if int(count.max(initial=0)) < 2:
            raise ValueError(
                f"mix.columns: the half of the reference that sets the scale has fewer than two documents with "
                f"{width if width > 1 else 'a'} number{'s' if width > 1 else ''} in {name!r}"
            )
        mean = np.where(known, values, 0.0).sum(0) / np.maximum(count, 1)
        sd = np.sqrt((np.where(known, values - mean, 0.0) ** 2).sum(0) / np.maximum(count, 1))
        useful = (sd > _LEAST_SPREAD * np.abs(mean)) & (count > 1)
        extras.append(Extra(schema.COLUMN + name, mean, np.where(useful, sd, 0.0), squares=width == 1))
    return tuple(extras)


def chosen(found: Columns | None, wanted: Mapping[str, int] | Iterable[str]) -> Columns | None:
    """What a reference says of the columns `wanted`, in its own order; None where none is wanted.

    Raises ValueError that names a column which the reference was not built with, or with another width.
    """
    if not wanted:
        return None
    widths = dict(wanted) if isinstance(wanted, Mapping) else dict.fromkeys(wanted)
    known = {extra.label: len(extra.mean) for extra in found.extras} if found is not None else {}
    for name, width in widths.items():
        if name not in known:
            raise ValueError(f"it was built without mix.columns {name!r}")
        if width not in (None, known[name]):
            raise ValueError(f"it was built with {known[name]} numbers in mix.columns {name!r}, not {width}")
    assert found is not None
    kept: list[Extra] = []
    places: list[int] = []
    at = 0
    for extra in found.extras:
        if extra.label in widths:
            kept.append(extra)
            places += range(at, at + extra.features)
        at += extra.features
    at_features = np.array(places, np.int64)
    return Columns(tuple(kept), found.means[:, at_features], found.squares[:, at_features])


def moments_of(
    profile: "Profile", wanted: Mapping[str, int] | Iterable[str]
) -> tuple[np.ndarray, np.ndarray, list[Extra]]:
    """Means and mean squares by cell, float64[cells, d], of all that is balanced, and the columns `wanted` in it.

    Raises ValueError as `chosen` does.
    """
    found = chosen(profile.columns, wanted)
    if found is None:
        return profile.cell_means, profile.cell_squares, []
    means = np.hstack([profile.cell_means, found.means])
    return means, np.hstack([profile.cell_squares, found.squares]), list(found.extras)


def to_arrays(columns: Columns | None) -> dict[str, np.ndarray]:
    """The columns as arrays for a file; the inverse of `from_arrays` with the widths."""
    if columns is None:
        return {}
    mean, sd = (np.concatenate([getattr(extra, key) for extra in columns.extras]) for key in ("mean", "sd"))
    return {"mean": mean, "sd": sd, "means": columns.means, "squares": columns.squares}


def from_arrays(arrays: Mapping[str, np.ndarray], columns: Widths) -> Columns | None:
    """The columns of `to_arrays`. Raises ValueError where the arrays do not fit the widths."""
    if not columns:
        return None
    total, features = sum(width for _, width in columns), sum(2 if width == 1 else width for _, width in columns)
    shapes = [arrays[key].shape for key in ("mean", "sd")], [arrays[key].shape[1:] for key in ("means", "squares")]
    if any(s != (total,) for s in shapes[0]) or any(s != (features,) for s in shapes[1]):
        raise ValueError("the arrays of its columns do not fit their widths")
    ends = np.cumsum([width for _, width in columns])
    extras = tuple(
        Extra(schema.COLUMN + name, arrays["mean"][end - width : end], arrays["sd"][end - width : end], width == 1)
        for (name, width), end in zip(columns, ends.tolist(), strict=True)
    )
    return Columns(extras, arrays["means"], arrays["squares"])
