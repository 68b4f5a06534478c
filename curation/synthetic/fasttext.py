"""fastText models as scoring steps: load a user's .bin or .ftz file and score documents by one of its labels.

The `fasttext` module is optional and imported when a model is first needed. A model is loaded once in a process and
never pickled: workers get its path. A score is the probability of one label (Joulin et al. 2017). The library reads
lines, so line breaks inside a document become spaces first; it may crash on a damaged file, so files are checked here
before it sees them.
"""

import mmap
import os
import struct
import tempfile
import threading
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.kernels.hashing import mix64_array
from curation.synthetic.documents import LEAST_WORDS, check_classes, documents, fold_codes
from curation.synthetic.evaluation import HeldOut
from curation.text.gate import ENGLISH, PROSE, gate
from curation.text.tokens import text_buffer, tokenise

_MAGIC, _VERSIONS = 793_712_314, (11, 12)
_SUPERVISED = 3
_HEADER = struct.Struct("<14id")  # magic, version, 12 settings, sampling threshold
_DIM, _LOSS, _MODEL, _BUCKET = 2, 8, 9, 10  # places of settings in it
_DICTIONARY = struct.Struct("<3i2q")  # entries, words, labels, tokens, pruned buckets or -1
_ENTRY = 10  # bytes of an entry after its word: zero, count, kind
_CENTROIDS = 256
_LINE_BREAKS = "[\\x00\\n\\x0b\\x0c\\r\\x{85}\\x{2028}\\x{2029}]+"
_WAY_OUT = "copy the file again, or train the model anew"

_loading = threading.Lock()

#: how `train` calls the classes
HUMAN, SYNTHETIC = "__label__human", "__label__synthetic"
#: word pairs in 16 dimensions; one thread, because more make every run another model
SETTINGS = {"dim": 16, "wordNgrams": 2, "bucket": 500_000, "epoch": 5, "lr": 0.3, "thread": 1, "verbose": 0}
MANY = 10_000  # training texts from which words that occur fewer than 5 times are left out
CROP = (50, 420)  # words of a training crop, log-uniform


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
    if header[_LOSS] not in (1, 2, 3, 4) or header[_BUCKET] < 0:
        raise _Damaged("its header does not add up")
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
    # the library looks rows up without a check: those of words, and of buckets or what pruning left of them
    at = _skip_matrix(data, at + 8 * max(pruned, 0), header[_DIM], words + (header[_BUCKET] if pruned < 0 else pruned))
    at = _skip_matrix(data, at, header[_DIM], count)
    if at > len(data):
        raise _Damaged(f"it ends early: {len(data):,} of {at:,} bytes are there")
    return tuple(found)


def _skip_matrix(data: mmap.mmap, at: int, dim: int, rows: int) -> int:
    """The place after a matrix of at least `rows` rows that begins at `at`.

    It is dense or quantised (product quantisation, Jegou et al. 2011).
    """
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
    if found_dim != dim or found_rows < rows:
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


def train(table: pa.Table, path: str | Path) -> HeldOut:
    """Train a classifier with the labels HUMAN and SYNTHETIC, write it to `path` and measure it on left-out sources.

    `table` as in `training.train`; `path` ends in .bin, or in .ftz for a quantised model. Every document is cropped to
    a random stretch of 50-420 words, and the smaller class is repeated until both weigh alike. The scores returned are
    log odds of SYNTHETIC, `logit_check` is missing. Raises ValueError as `documents` does, for another ending, and
    without the fasttext module.
    """
    if Path(path).suffix not in (".bin", ".ftz"):
        raise ValueError(f"a fastText model is a .bin or .ftz file, not {path}")
    if not available():
        raise ValueError("training with fastText needs its module: pip install 'curation[fasttext]'")
    found = documents(table)
    words = [value.split() for value in lines(pc.fill_null(found.text, "")).to_pylist()]
    kept = np.flatnonzero(np.array([len(w) >= LEAST_WORDS for w in words]))
    text = found.text.take(pa.array(kept))
    crops = [_crop(words[i], int(found.key[i])) for i in kept]
    label, key, source, _, fold, cluster, variant, trained = (column[kept] for column in found[1:])
    check_classes(label, trained)
    folds, codes = fold_codes(fold, key)
    logit = np.full(len(crops), np.nan, np.float32)
    for code in range(len(folds)):
        rest, out = np.flatnonzero((codes != code) & trained), np.flatnonzero(codes == code)
        if len(np.unique(label[rest])) == 2:
            logit[out] = _log_odds(_fit(crops, label, key, rest), [crops[i] for i in out])
    model = _fit(crops, label, key, np.flatnonzero(trained), quantise=Path(path).suffix == ".ftz")
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    model.save_model(str(path))
    tokens = tokenise(text)
    gated = gate(tokens, *text_buffer(text))
    prose = (gated.code == PROSE) & (gated.lang == ENGLISH)
    length = np.array([crop.count(" ") + 1 for crop in crops])
    missing = np.full(len(crops), np.nan, np.float32)
    rows = np.unique(cluster, return_inverse=True)[1]
    names = np.array(folds)[codes]
    texts = rows, key, prose, variant, trained
    return HeldOut(logit, missing, label.astype(np.int8), source, names, length, *texts)


def _crop(words: list[str], key: int) -> str:
    first, second = (mix64_array(np.array([key, key ^ 1], np.uint64)) / 2.0**64).tolist()
    low, high = CROP
    want = min(int(low * (high / low) ** first), len(words))
    begin = int(second * (len(words) - want + 1))
    return " ".join(words[begin : begin + want])


def _fit(crops: list[str], label: np.ndarray, key: np.ndarray, rows: np.ndarray, quantise: bool = False) -> Any:
    import fasttext

    names = (HUMAN, SYNTHETIC)
    counts = np.bincount(label[rows].astype(np.int64), minlength=2)
    repeated = [np.resize(rows[label[rows] == v], counts.max()) for v in (0, 1)]
    order = np.concatenate(repeated)
    salt = np.concatenate([np.arange(counts.max())] * 2).astype(np.uint64)
    order = order[np.argsort(mix64_array(key[order] + salt), kind="stable")]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "train.txt"
        with file.open("w", encoding="utf-8", errors="replace") as out:
            for i in order:
                out.write(f"{names[int(label[i])]} {crops[i]}\n")
        with _loading:
            model = fasttext.train_supervised(str(file), minCount=5 if len(rows) >= MANY else 1, **SETTINGS)
            if quantise:
                model.quantize(input=str(file), qnorm=True, retrain=False, cutoff=100_000)
    return model


def _log_odds(model: Any, texts: list[str]) -> np.ndarray:
    names, found = model.f.multilinePredict([text + "\n" for text in texts], -1, 0.0, "replace")
    p = np.array([dict(zip(n, q, strict=True)).get(SYNTHETIC, 0.0) for n, q in zip(names, found, strict=True)])
    p = np.clip(p, 1e-7, 1 - 1e-7)
    return np.log(p / (1 - p)).astype(np.float32)
