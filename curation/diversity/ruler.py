"""The ruler: fixed English tables by which surprisal, novelty, rarity and style markers are measured.

A ruler is not a target. Two corpora are compared on one ruler, whose version is part of the hash of the
annotations; text in other languages can be measured with it, but its surprisals then say only "not English".
"""

import hashlib
import io
import zipfile
from functools import cache
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import numpy as np

SHIPPED = "shipped"
MEMBER = "{}.npy"
CHECKSUM = "SHA256"


class Ruler(NamedTuple):
    """Tables of a reference of human text. Surprisals are in quanta of 1/8 bit.

    unigram uint8[2^18], surprisal of a word by hash & (2^18 - 1); bigram uint16[2^19], 8-bit fingerprint << 8
    | surprisal of a word after a token, 0 when unseen; tail_from: words of at least this many quanta are
    outside the types that carry 90 % of the text; head and tail uint8[2^17], bit masks (little bit order)
    over hash & (2^20 - 1) of those types and of the other known types; marker_keys uint64[4096] and
    marker_values uint16[4096], phrase_keys uint64[1024] and phrase_values uint8[1024]: the lexicon,
    open-addressed; function_words uint64[64], hashes; core_mean and core_sd float64[16], words_mean and
    words_sd float64[64] (share of words), over the human documents.
    """

    version: str
    unigram: np.ndarray
    bigram: np.ndarray
    tail_from: int
    head: np.ndarray
    tail: np.ndarray
    marker_keys: np.ndarray
    marker_values: np.ndarray
    phrase_keys: np.ndarray
    phrase_values: np.ndarray
    function_words: np.ndarray
    core_mean: np.ndarray
    core_sd: np.ndarray
    words_mean: np.ndarray
    words_sd: np.ndarray


_FIELDS = tuple(f for f in Ruler._fields if f != "version")
_SHAPES = {
    "unigram": (np.uint8, (1 << 18,)),
    "bigram": (np.uint16, (1 << 19,)),
    "tail_from": (np.int64, ()),
    "head": (np.uint8, (1 << 17,)),
    "tail": (np.uint8, (1 << 17,)),
    "marker_keys": (np.uint64, (4096,)),
    "marker_values": (np.uint16, (4096,)),
    "phrase_keys": (np.uint64, (1024,)),
    "phrase_values": (np.uint8, (1024,)),
    "function_words": (np.uint64, (64,)),
    "core_mean": (np.float64, (16,)),
    "core_sd": (np.float64, (16,)),
    "words_mean": (np.float64, (64,)),
    "words_sd": (np.float64, (64,)),
}


def _checksum(arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in _FIELDS:
        array = arrays[name]
        digest.update(f"{name}:{array.dtype.str}:{array.shape};".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def make_ruler(**arrays: np.ndarray) -> Ruler:
    """A ruler of the given tables, one per field but `version`, which is made from their contents.

    Raises ValueError for a table that is missing, superfluous or of another type or shape.
    """
    if set(arrays) != set(_FIELDS):
        wrong = sorted(set(arrays) ^ set(_FIELDS))
        raise ValueError(f"a ruler has the tables {', '.join(_FIELDS)}; missing or superfluous: {wrong}")
    plain = {}
    for name in _FIELDS:
        dtype, shape = _SHAPES[name]
        array = np.ascontiguousarray(arrays[name]).reshape(np.shape(arrays[name]))
        if array.dtype != dtype or array.shape != shape:
            given = f"{array.dtype}{array.shape}"
            raise ValueError(f"table {name} of a ruler is {np.dtype(dtype)}{shape}, not {given}")
        plain[name] = array
    version = "ruler-1-" + _checksum(plain)[:16]
    return Ruler(version, **{**plain, "tail_from": int(plain["tail_from"])})  # type: ignore[arg-type]


def save_ruler(ruler: Ruler, path: str | Path) -> None:
    """Write a ruler as a stored zip of .npy arrays; equal rulers give equal bytes."""
    arrays = {name: np.asarray(getattr(ruler, name), _SHAPES[name][0]) for name in _FIELDS}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name in _FIELDS:
            buffer = io.BytesIO()
            np.save(buffer, arrays[name], allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(MEMBER.format(name), (1980, 1, 1, 0, 0, 0)), buffer.getvalue())
        archive.writestr(zipfile.ZipInfo(CHECKSUM, (1980, 1, 1, 0, 0, 0)), _checksum(arrays))


def _read(data: bytes, where: str) -> Ruler:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {name: io.BytesIO(archive.read(MEMBER.format(name))) for name in _FIELDS}
            arrays = {name: np.load(member, allow_pickle=False) for name, member in members.items()}
            expected = archive.read(CHECKSUM).decode("ascii", "replace")
        ruler = make_ruler(**arrays)
    except (zipfile.BadZipFile, KeyError, ValueError, OSError, EOFError) as error:
        raise ValueError(f"{where} is not a ruler: {error}; make one with scripts/build_ruler") from None
    if _checksum(arrays) != expected:
        raise ValueError(f"{where} is damaged: its checksum does not match; fetch or build it again")
    return ruler


@cache
def _shipped() -> Ruler:
    file = resources.files("curation.diversity") / "ruler" / "ruler.zip"
    return _read(file.read_bytes(), "the shipped ruler")


def load_ruler(path: str | Path = SHIPPED) -> Ruler:
    """The shipped English ruler, or the one at `path`. Raises ValueError for a file that is no ruler."""
    if path == SHIPPED:
        return _shipped()
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ValueError(f"cannot read the ruler {path}: {error.strerror}; `shipped` needs no file") from None
    return _read(data, str(path))
