"""The reference profile: what trusted human text looks like, in one small file without any text (what its statistics
need of a sample of documents is measured when it is built).

A profile is built in two passes over the signals of the reference, each a mergeable exact state. Documents split into
halves by a hash of their id. Half A gives the tables on which features depend (standardisation, coverage centroids);
half B, which those tables have not seen, gives the targets: text looks too typical of tables made from itself.

    first = first_empty();  first = first_merge(first, first_update(batch, language)) ...
    frame = first_result(first, language)
    second = second_empty(frame);  second = second_merge(second, second_update(batch, frame)) ...
    profile = build(first, frame, second, ...);  data = save(profile)
"""

import io
import json
import zipfile
from collections.abc import Mapping
from importlib import resources
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from curation import schema
from curation.kernels import moments
from curation.mixing import columns as user_columns
from curation.mixing import features, gate
from curation.mixing.columns import Columns, Widths
from curation.mixing.report import Moments, moment_merge, moment_result, moment_sums
from curation.mixing.reservoir import HALF, Reservoir, hash_ids, reservoir_empty, reservoir_merge, reservoir_update

VERSION = "reference-2"
_CENTROID_SAMPLE = 4096
_SCALE_SAMPLE = 4096
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip can hold: equal profiles are equal bytes
_ANCHORS = "anchors/"
_RATIO = "ratio/"
_HUMAN = "human/"
_COLUMNS = "columns/"
#: the reference that comes with the package, by this name wherever a profile is asked for
DEFAULT = "default"
_MOST_BYTES = 1 << 30


class ProfileError(ValueError):
    """A reference profile cannot be used; the message names the file, what is wrong and the way out."""

    code = "bad-reference"


class Frame(NamedTuple):
    """What the first pass fixes and the second needs."""

    standard: features.Standard
    centroids: np.ndarray  # float64[k, 17], see mixing.gate.centroids
    language: str
    extras: tuple[features.Extra, ...] = ()  # columns that the user names


class FirstPass(NamedTuple):
    """Mergeable state of the first pass."""

    documents: np.ndarray  # int64[2], halves A and B
    tokens: np.ndarray  # int64[2]
    standard: features.StandardState
    sample: Reservoir  # standard scalars of a hash sample of half A, for the centroids
    numbers: Reservoir  # columns that the user names, of such a sample


class SecondPass(NamedTuple):
    """Mergeable state of the second pass."""

    cell_documents: np.ndarray  # int64[cells], half B
    cell_first: np.ndarray  # int64[2, cells, d] limbs of sums of features, 2^-10, half B
    cell_squares: np.ndarray  # int64[2, cells, d] limbs of sums of their squares, 2^-20, half B
    scalars: tuple[Moments, Moments]  # the 16 scalars in halves A and B
    held_out: tuple[Moments, Moments]  # never balanced features in halves A and B


class Profile(NamedTuple):
    """What a mix needs to know about its reference."""

    language: str
    standard: features.Standard
    centroids: np.ndarray  # float64[k, 17]
    cell_documents: np.ndarray  # int64[cells], half B
    cell_means: np.ndarray  # float64[cells, d]
    cell_squares: np.ndarray  # float64[cells, d]
    documents: tuple[int, int]  # in halves A and B
    tokens: tuple[int, int]
    scalars_mean: np.ndarray  # float64[2, 16], halves A and B
    scalars_products: np.ndarray  # float64[2, 16, 16], means of products
    held_out_mean: np.ndarray  # float64[2, h]
    held_out_products: np.ndarray  # float64[2, h, h]
    anchors: dict[str, np.ndarray]  # state of the detector's human anchors, as the detector keeps it
    statistics: bytes  # diversity statistics of the reference, as diversity keeps them, sealed
    blocks: dict[str, dict[str, float | None]]  # `mean` and `spread` of statistics over blocks of 350 documents
    human: dict[str, np.ndarray]  # fields of diversity.Human; empty for a small reference
    name: str  # what a report calls it; empty for a profile known by its file
    ruler: str  # hash of the tables on which features were measured
    model: str  # hash of the detector that scored the anchors
    licences: tuple[str, ...]
    signals_version: str
    ratio: dict[str, np.ndarray]  # sample of documents for ratio mode, as the detector keeps it; may be empty
    columns: Columns | None = None  # what it says of columns that the user names


def half_b(ids: pa.Array) -> np.ndarray:
    """bool[docs]: whether a document is in half B, the top bit of a hash of its id."""
    return (hash_ids(ids, 0, HALF) >> np.uint64(63)).astype(bool)


def first_empty(columns: Widths = ()) -> FirstPass:
    """The first pass over no documents; columns: names and widths of the user's."""
    none = np.zeros((2, features.RAW), np.int64)
    state = features.StandardState(none[0], none, none)
    numbers = reservoir_empty(sum(width for _, width in columns))
    return FirstPass(np.zeros(2, np.int64), np.zeros(2, np.int64), state, reservoir_empty(schema.CORE), numbers)


def first_update(signals: pa.RecordBatch, language: str, columns: Widths = ()) -> FirstPass:
    """The first pass over one batch: counts of both halves, sums of the raw features of half A in `language`."""
    b = half_b(signals.column("id"))
    rows = ~b & _native(signals, language)
    core = features.fixed_width(signals, "core", schema.CORE)
    prose = rows & np.array([g == "prose" for g in signals.column("gate").to_pylist()], bool)
    prose &= np.isfinite(core).all(1)
    sample = reservoir_update(
        reservoir_empty(schema.CORE), signals.column("id"), np.nan_to_num(core), prose.astype(np.float64),
        seed=0, size=_CENTROID_SAMPLE,
    )  # fmt: skip
    numbers = first_empty(columns).numbers
    if columns:
        raw = user_columns.raw(signals, columns)
        known = (rows & np.isfinite(raw).any(1)).astype(np.float64)
        numbers = reservoir_update(numbers, signals.column("id"), raw, known, seed=0, size=_SCALE_SAMPLE)
    tokens = signals.column("tokens").fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    return FirstPass(
        np.array([(~b).sum(), b.sum()], np.int64),
        np.array([tokens[~b].sum(), tokens[b].sum()], np.int64),
        features.standard_update(signals, rows),
        sample,
        numbers,
    )


def first_merge(a: FirstPass, b: FirstPass) -> FirstPass:
    """The first pass over the documents of both."""
    return FirstPass(
        a.documents + b.documents,
        a.tokens + b.tokens,
        features.standard_merge(a.standard, b.standard),
        reservoir_merge(a.sample, b.sample, size=_CENTROID_SAMPLE),
        reservoir_merge(a.numbers, b.numbers, size=_SCALE_SAMPLE),
    )


def first_result(state: FirstPass, language: str, columns: Widths = ()) -> Frame:
    """Standardisation and coverage centroids from half A. Raises ProfileError for a column without numbers."""
    standard = features.standard_result(state.standard)
    sd = standard.sd[: schema.CORE]
    scale = np.divide(1.0, sd, out=np.zeros(schema.CORE), where=sd > 0)
    centroids = gate.centroids((state.sample.features - standard.mean[: schema.CORE]) * scale)
    try:
        extras = user_columns.standardised(state.numbers, columns)
    except ValueError as error:
        raise ProfileError(str(error)) from None
    return Frame(standard, centroids, language, extras)


def second_empty(frame: Frame) -> SecondPass:
    """The second pass over no documents."""
    count = gate.cell_count(frame.centroids)
    sums = np.zeros((2, count, features.width(frame.extras)), np.int64)
    scalars = moment_sums(np.zeros((0, schema.CORE)), np.zeros(0))
    held_out = moment_sums(np.zeros((0, features.HELD_OUT)), np.zeros(0))
    return SecondPass(np.zeros(count, np.int64), sums, sums, (scalars, scalars), (held_out, held_out))


def second_update(signals: pa.RecordBatch, frame: Frame) -> SecondPass:
    """The second pass over one batch: moments of half B by cell, and of both halves for the sampling floor."""
    native = _native(signals, frame.language)
    b = half_b(signals.column("id")) & native
    a = native & ~b
    matrix = features.design_matrix(signals, frame.standard, frame.extras)
    scalars = np.ascontiguousarray(matrix[:, features.CORE_COLUMNS])
    held_out = features.held_out_matrix(signals, frame.standard)
    cell = gate.cells(signals, scalars, frame.centroids, frame.language)
    count = gate.cell_count(frame.centroids)
    first = np.zeros((2, count, matrix.shape[1]), np.int64)
    squares = np.zeros_like(first)
    for c in np.unique(cell[b]):
        whole = np.ldexp(matrix[b & (cell == c)], moments.GRID).astype(np.int64)
        first[:, c] = moments.carry(moments.limbs(whole.sum(0)))
        squares[:, c] = moments.carry(moments.limbs((whole * whole).sum(0)))
    halves = [rows.astype(np.float64) for rows in (a, b)]
    return SecondPass(
        np.bincount(cell[b], minlength=count),
        first,
        squares,
        (moment_sums(scalars, halves[0]), moment_sums(scalars, halves[1])),
        (moment_sums(held_out, halves[0]), moment_sums(held_out, halves[1])),
    )


def second_merge(x: SecondPass, y: SecondPass) -> SecondPass:
    """The second pass over the documents of both."""
    return SecondPass(
        x.cell_documents + y.cell_documents,
        moments.carry(x.cell_first + y.cell_first),
        moments.carry(x.cell_squares + y.cell_squares),
        (moment_merge(x.scalars[0], y.scalars[0]), moment_merge(x.scalars[1], y.scalars[1])),
        (moment_merge(x.held_out[0], y.held_out[0]), moment_merge(x.held_out[1], y.held_out[1])),
    )


def build(
    first: FirstPass,
    frame: Frame,
    second: SecondPass,
    *,
    anchors: Mapping[str, np.ndarray] | None = None,
    statistics: bytes = b"",
    ruler: str = "",
    model: str = "",
    licences: tuple[str, ...] = (),
    blocks: Mapping[str, Mapping[str, float | None]] | None = None,
    human: Mapping[str, np.ndarray] | None = None,
    name: str = "",
    ratio: Mapping[str, np.ndarray] | None = None,
) -> Profile:
    """The profile of both passes. Raises ProfileError when a half has no documents in the language."""
    if int(second.cell_documents.sum()) == 0 or int(first.standard.counts.max()) == 0:
        raise ProfileError(
            f"the reference has {int(first.documents.sum())} documents, and one of its halves has none in "
            f"{frame.language!r}: give it more documents, or another language"
        )
    n = np.maximum(second.cell_documents, 1)[:, None]
    means = moments.to_float(second.cell_first, moments.GRID) / n
    squares = moments.to_float(second.cell_squares, 2 * moments.GRID) / n
    own = features.FEATURES  # features beyond these are of the user's columns
    scalars = [moment_result(m) for m in second.scalars]
    held_out = [moment_result(m) for m in second.held_out]
    return Profile(
        language=frame.language,
        standard=frame.standard,
        centroids=frame.centroids,
        cell_documents=second.cell_documents,
        cell_means=means[:, :own],
        cell_squares=squares[:, :own],
        documents=(int(first.documents[0]), int(first.documents[1])),
        tokens=(int(first.tokens[0]), int(first.tokens[1])),
        scalars_mean=np.stack([m for m, _ in scalars]),
        scalars_products=np.stack([s for _, s in scalars]),
        held_out_mean=np.stack([m for m, _ in held_out]),
        held_out_products=np.stack([s for _, s in held_out]),
        anchors={key: np.asarray(anchors[key]) for key in sorted(anchors or {})} if anchors else {},
        statistics=statistics,
        blocks={part: dict(sorted(values.items())) for part, values in (blocks or {}).items()},
        human=dict(human or {}),
        name=name,
        ruler=ruler,
        model=model,
        licences=tuple(licences),
        signals_version=schema.SIGNALS_VERSION,
        ratio=dict(ratio or {}),
        columns=Columns(frame.extras, means[:, own:], squares[:, own:]) if frame.extras else None,
    )


def save(profile: Profile) -> bytes:
    """An uncompressed zip of .npy arrays and `header.json`; equal profiles give equal bytes."""
    arrays = {
        "mean": profile.standard.mean,
        "sd": profile.standard.sd,
        **{name: getattr(profile, name) for name in _ARRAYS},
        **{_ANCHORS + key: value for key, value in profile.anchors.items()},
        **{_HUMAN + key: value for key, value in profile.human.items()},
        **{_RATIO + key: value for key, value in profile.ratio.items()},
        **{_COLUMNS + key: value for key, value in user_columns.to_arrays(profile.columns).items()},
    }
    header = {"version": VERSION, **{name: getattr(profile, name) for name in _HEADER}, "arrays": sorted(arrays)}
    if profile.columns is not None:
        header["columns"] = [[extra.label, len(extra.mean)] for extra in profile.columns.extras]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo("header.json", _EPOCH), json.dumps(header, sort_keys=True, indent=1))
        for name in sorted(arrays):
            part = io.BytesIO()
            np.lib.format.write_array(part, np.ascontiguousarray(arrays[name]), (1, 0), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(name + ".npy", _EPOCH), part.getvalue())
        archive.writestr(zipfile.ZipInfo("statistics.bin", _EPOCH), profile.statistics)
    return buffer.getvalue()


def load(data: bytes, name: str = "the reference profile", language: str | None = None) -> Profile:
    """The profile that `save` wrote; `name` is the file named in errors.

    Raises ProfileError for a damaged file, one of another version or of other feature widths, and for a profile of
    another language than `language` (None takes any). Nothing in the file is executed.
    """
    again = "build it again with `curation reference build`"
    if data[:4] == b"PAR1" or data[:1] in (b"{", b"["):
        raise ProfileError(
            f"{name} is a data file, not a reference profile: `curation reference build --input {name} --output "
            "human.profile` makes a profile of it"
        )
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(item.file_size for item in archive.infolist()) > _MOST_BYTES:
                raise ProfileError(f"{name} unpacks to more than 1 GiB: it is not a reference profile; {again}")
            header: dict[str, Any] = json.loads(archive.read("header.json"))
            if header.get("version") != VERSION:
                found = header.get("version")
                raise ProfileError(f"{name} has version {found!r}, this release reads {VERSION!r}: {again}")
            arrays: dict[str, Any] = {
                key: np.lib.format.read_array(io.BytesIO(archive.read(key + ".npy")), allow_pickle=False)
                for key in header["arrays"]
            }
            statistics = archive.read("statistics.bin")
    except ProfileError:
        raise
    except Exception as error:  # zip, JSON and .npy readers raise many kinds for damaged bytes
        raise ProfileError(f"{name} is damaged or not a reference profile ({error}): {again}") from None
    missing = [key for key in ("mean", "sd", *_ARRAYS) if key not in arrays] + [k for k in _HEADER if k not in header]
    if missing:
        raise ProfileError(f"{name} lacks {', '.join(missing)}: {again}")
    cells = gate.cell_count(arrays["centroids"])
    shapes = {
        "mean": (features.RAW,),
        "sd": (features.RAW,),
        "centroids": (len(arrays["centroids"]), schema.CORE + 1),
        "cell_documents": (cells,),
        "cell_means": (cells, features.FEATURES),
        "cell_squares": (cells, features.FEATURES),
    }
    for key, shape in shapes.items():
        if arrays[key].shape != shape:
            raise ProfileError(f"{name}: {key} has shape {arrays[key].shape}, this release needs {shape}: {again}")
    if header["signals_version"] != schema.SIGNALS_VERSION:
        built = header["signals_version"]
        raise ProfileError(f"{name} was built from {built!r}, not {schema.SIGNALS_VERSION!r}: {again}")
    if language is not None and header["language"] != language:
        raise ProfileError(
            f"{name} is a profile of language {header['language']!r}, the crawl is {language!r}: "
            "give a reference in the crawl's language"
        )
    values: dict[str, Any] = {
        key: tuple(header[key]) if isinstance(header[key], list) else header[key] for key in _HEADER
    }
    own = {key.removeprefix(_COLUMNS): value for key, value in arrays.items() if key.startswith(_COLUMNS)}
    try:
        columns = user_columns.from_arrays(own, tuple((n, int(width)) for n, width in header.get("columns", [])))
    except (KeyError, TypeError, ValueError) as error:
        raise ProfileError(f"{name} is damaged ({error}): {again}") from None
    return Profile(
        standard=features.Standard(arrays["mean"], arrays["sd"]),
        columns=columns,
        anchors={key.removeprefix(_ANCHORS): value for key, value in arrays.items() if key.startswith(_ANCHORS)},
        human={key.removeprefix(_HUMAN): value for key, value in arrays.items() if key.startswith(_HUMAN)},
        ratio={key.removeprefix(_RATIO): value for key, value in arrays.items() if key.startswith(_RATIO)},
        statistics=statistics,
        **{key: arrays[key] for key in _ARRAYS},
        **values,
    )


def default() -> bytes:
    """The profile that comes with the package: general English by humans; see `default/CARD.md`."""
    return (resources.files("curation.diversity") / "default" / "profile.zip").read_bytes()


_HEADER = ("language", "name", "documents", "tokens", "blocks", "ruler", "model", "licences", "signals_version")
_ARRAYS = (
    "centroids", "cell_documents", "cell_means", "cell_squares", "scalars_mean", "scalars_products",
    "held_out_mean", "held_out_products",
)  # fmt: skip


def _native(signals: pa.RecordBatch, language: str) -> np.ndarray:
    return np.array([lang in (language, "und", None) for lang in signals.column("lang").to_pylist()], bool)
