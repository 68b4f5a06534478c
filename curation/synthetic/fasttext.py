"""fastText models as scoring steps: load a user's .bin or .ftz file and score documents by one of its labels.

The `fasttext` module is optional and imported when a model is first needed. A model is loaded once in a process and
never pickled: workers get its path. A score is the probability of one label (Joulin et al. 2017). The library reads
lines, so line breaks inside a document become spaces first; it may crash on a damaged file, so files are checked here
before it sees them.
"""

import mmap
import os
import struct
import threading
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_MAGIC, _VERSIONS = 793_712_314, (11, 12)
_SUPERVISED = 3
_HEADER = struct.Struct("<14id")  # magic, version, 12 settings, sampling threshold
_DIM, _MODEL, _BUCKET = 2, 9, 10  # places of settings in it
_DICTIONARY = struct.Struct("<3i2q")  # entries, words, labels, tokens, pruned buckets or -1
_ENTRY = 10  # bytes of an entry after its word: zero, count, kind
_CENTROIDS = 256
_LINE_BREAKS = "[\\x00\\n\\x0b\\x0c\\r\\x{85}\\x{2028}\\x{2029}]+"
_WAY_OUT = "copy the file again, or train the model anew"

_loading = threading.Lock()


class _Damaged(Exception):
    """What is wrong with a file."""


def available() -> bool:
    """Is the fasttext module installed?"""
    try:
        import fasttext  # noqa: F401
    except ImportError:
        return False
    return True


def labels(path: str | Path) -> tuple[str, ...]:
    """Labels of the classifier in a .bin or .ftz file, after a check of the whole layout; fasttext is not needed.

    Raises ValueError, naming the file, when it cannot be read, is truncated, or is no fastText classifier.
    """
    try:
        if os.path.getsize(path) < _HEADER.size + _DICTIONARY.size:
            raise _Damaged("it is too short")
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _check(data)
    except OSError as error:
        raise ValueError(f"cannot read the fastText model {path}: {error.strerror}") from None
    except (_Damaged, struct.error) as error:
        reason = str(error) if isinstance(error, _Damaged) else "it ends early"
        raise ValueError(f"{path} is not a fastText classifier that can be used: {reason}; {_WAY_OUT}") from None


def _check(data: mmap.mmap) -> tuple[str, ...]:
    header = _HEADER.unpack_from(data, 0)
    if header[0] != _MAGIC:
        raise _Damaged("it does not begin like a .bin or .ftz file (a .vec file holds no model)")
    if header[1] not in _VERSIONS:
        raise _Damaged(f"its format is version {header[1]}, not 11 or 12")
    if header[_MODEL] != _SUPERVISED:
        raise _Damaged("it holds word vectors without labels")
    entries, words, count, _, pruned = _DICTIONARY.unpack_from(data, _HEADER.size)
    if not (entries == words + count and words >= 0 and count > 0 and 0 < header[_DIM] < 1 << 16):
        raise _Damaged("its header does not add up")
    found, at = [], _HEADER.size + _DICTIONARY.size
    for _ in range(entries):
        end = data.find(b"\0", at)
        if end < 0 or end + _ENTRY > len(data):
            raise _Damaged(f"it ends early, in its list of {entries:,} words")
        if data[end + _ENTRY - 1]:
            found.append(data[at:end].decode("utf-8", "replace"))
        at = end + _ENTRY
    if len(found) != count:
        raise _Damaged(f"it lists {len(found)} labels and announces {count}")
    at = _skip_matrix(data, at + 8 * max(pruned, 0), header[_DIM], None)
    at = _skip_matrix(data, at, header[_DIM], count)
    if at > len(data):
        raise _Damaged(f"it ends early: {len(data):,} of {at:,} bytes are there")
    return tuple(found)


def _skip_matrix(data: mmap.mmap, at: int, dim: int, rows: int | None) -> int:
    """The place after a matrix, dense or quantised (product quantisation, Jegou et al. 2011), that begins at `at`."""
    if at >= len(data):
        raise _Damaged("it ends early, before its weights")
    if data[at]:
        norms, found_rows, found_dim, codes = struct.unpack_from("<?2qi", data, at + 1)
        at = _skip_quantiser(data, at + 22 + max(codes, 0), dim)
        if norms:
            at = _skip_quantiser(data, at + max(found_rows, 0), 1)
    else:
        found_rows, found_dim = struct.unpack_from("<2q", data, at + 1)
        at += 17 + 4 * max(found_rows, 0) * dim
    if found_dim != dim or found_rows < 0 or (rows is not None and found_rows != rows):
        raise _Damaged("its weights do not fit its header")
    return at


def _skip_quantiser(data: mmap.mmap, at: int, dim: int) -> int:
    if struct.unpack_from("<i", data, at)[0] != dim:
        raise _Damaged("its quantiser does not fit its header")
    return at + 16 + 4 * _CENTROIDS * dim


def check(path: str, label: str) -> None:
    """Can documents be scored with this label of this model? Raises ValueError saying what is in the way."""
    known = labels(path)
    if label not in known:
        listed = ", ".join(known[:8]) + (f" and {len(known) - 8} more" if len(known) > 8 else "")
        raise ValueError(f"the fastText model {path} has no label {label!r}; it has {listed}")
    if not available():
        raise ValueError("fastText models need the fasttext module: pip install 'curation[fasttext]'")


def score(text: pa.Array, path: str, label: str) -> np.ndarray:
    """Probability float32[docs] that the model in `path` gives `label`; NaN for null or blank text.

    `text` is a string array. The model is loaded on first use, once in a process. Raises ValueError as `check` does.
    """
    stat = os.stat(path)
    model = _load(path, label, stat.st_size, stat.st_mtime_ns)
    flat = lines(text)
    result = np.full(len(flat), np.nan, np.float32)
    values = flat.to_pylist()
    rows = [i for i, value in enumerate(values) if value and not value.isspace()]
    # the module's own predict() breaks with NumPy 2 in some builds; what it wraps does not
    names, found = model.f.multilinePredict([values[i] + "\n" for i in rows], -1, 0.0, "strict")
    for i, of_row, p in zip(rows, names, found, strict=True):
        of_row = list(of_row)
        result[i] = min(float(p[of_row.index(label)]), 1.0) if label in of_row else 0.0
    return result


def lines(text: pa.Array) -> pa.Array:
    """The texts as large_string with each run of line breaks and zero characters made one space."""
    if pa.types.is_dictionary(text.type):
        text = text.dictionary_decode()
    return pc.replace_substring_regex(text.cast(pa.large_string()), _LINE_BREAKS, " ")


@lru_cache(maxsize=8)
def _load(path: str, label: str, size: int, modified: int) -> Any:
    check(path, label)
    return _model(path, size, modified)


@lru_cache(maxsize=8)
def _model(path: str, size: int, modified: int) -> Any:
    import fasttext

    with _loading:
        return fasttext.load_model(path)
