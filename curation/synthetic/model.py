"""The synthetic-text model: its file, and the score of each document of a batch."""

import hashlib
import io
import json
import zipfile
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from curation.kernels.score import BITS, BUCKETS, WORD_BITS, score_kernel
from curation.text.tokens import TOKENISER, Tokens

#: changes whenever the features or the layout of the file change
MODEL_VERSION = "model-2"
SHIPPED = Path(__file__).parent / "model" / "shipped.npz"
#: a word count below which nobody should read a score
MIN_WORDS = 50

_ARRAYS = {
    "weights": (np.int8, (BUCKETS,)),
    "check": (np.int8, (BUCKETS // 2,)),
    "vocabulary": (np.uint8, (1 << WORD_BITS - 3,)),
}
_KEYS = ("version", "tokeniser", "bits", "scales", "calibration", "training")
_WAY_OUT = "make it again with `scripts/train_model` or `curation train-detector`, or use detect.model: shipped"


class Model(NamedTuple):
    """Two linear models over hashed n-grams and what is needed to read their scores.

    weights int8[2^21] over every feature; check int8[2^20] over the features in odd buckets only; vocabulary
    uint8[2^13]: a bit for each common word, at the top bits of its hash; scales float64[4]: scale and bias of each
    model; calibration: thresholds, slope and detection rates measured on sources
    left out of training (see `training.measure`); training: what it was trained on; version: hex digest of
    the file, for the hash that signals carry.
    """

    weights: np.ndarray
    check: np.ndarray
    vocabulary: np.ndarray
    scales: np.ndarray
    calibration: dict[str, Any]
    training: dict[str, Any]
    version: str


def load_model(path: str | Path = "shipped") -> Model:
    """The model in a file, or the shipped one; read once per process and file state.

    Raises ValueError, naming the file and the way out, when the file is missing, damaged or of another
    version.
    """
    file = SHIPPED if str(path) == "shipped" else Path(path)
    try:
        stat = file.stat()
    except OSError as error:
        raise ValueError(f"cannot read the detector model {file}: {error.strerror}; {_WAY_OUT}") from None
    return _load(str(file), stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=4)
def _load(path: str, size: int, modified: int) -> Model:
    try:
        raw = Path(path).read_bytes()
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            header = json.loads(archive.read("header.json"))
            arrays = {name: _array(archive.read(f"{name}.npy")) for name in _ARRAYS}
    except (OSError, zipfile.BadZipFile, KeyError, ValueError, EOFError, NotImplementedError) as error:
        raise ValueError(f"the detector model {path} is damaged ({error}); {_WAY_OUT}") from None
    except Exception as error:  # zlib.error has no common base with the others
        raise ValueError(f"the detector model {path} cannot be read ({error}); {_WAY_OUT}") from None
    if not isinstance(header, dict) or any(key not in header for key in _KEYS):
        raise ValueError(f"the detector model {path} has no complete header; {_WAY_OUT}")
    for key, here in (("version", MODEL_VERSION), ("tokeniser", TOKENISER), ("bits", BITS)):
        if header[key] != here:
            raise ValueError(f"the detector model {path} has {key} {header[key]!r}, not {here!r}; {_WAY_OUT}")
    for name, (dtype, shape) in _ARRAYS.items():
        if arrays[name].dtype != dtype or arrays[name].shape != shape:
            raise ValueError(f"the detector model {path}: {name} is not {np.dtype(dtype)}{list(shape)}; {_WAY_OUT}")
    digest = _digest(header, arrays)
    if header.get("sha256") != digest:
        raise ValueError(f"the detector model {path} does not match its checksum; {_WAY_OUT}")
    scales = np.array(header["scales"], np.float64)
    if scales.shape != (4,) or not np.isfinite(scales).all():
        raise ValueError(f"the detector model {path}: scales must be 4 finite numbers; {_WAY_OUT}")
    calibration, training = header["calibration"], header["training"]
    return Model(**arrays, scales=scales, calibration=calibration, training=training, version=digest)


def save_model(path: str | Path, model: Model) -> Model:
    """Write the model as a zip of .npy arrays and a JSON header, with equal bytes for equal models.

    Returns the model with `version` set to the digest that the header carries.
    """
    arrays = {name: getattr(model, name) for name in _ARRAYS}
    header: dict[str, Any] = {
        "version": MODEL_VERSION,
        "tokeniser": TOKENISER,
        "bits": BITS,
        "scales": [float(x) for x in model.scales],
        "calibration": model.calibration,
        "training": model.training,
    }
    header["sha256"] = _digest(header, arrays)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        _store(archive, "header.json", _canonical(header))
        for name, array in arrays.items():
            part = io.BytesIO()
            np.save(part, array, allow_pickle=False)
            _store(archive, f"{name}.npy", part.getvalue())
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(buffer.getvalue())
    return model._replace(version=header["sha256"])


def score(tokens: Tokens, model: Model, min_words: int = MIN_WORDS) -> tuple[np.ndarray, np.ndarray]:
    """(logit, logit_check) of each document, float32[docs]; NaN below `min_words` words.

    A logit is sum(weight) / sqrt(features) + bias over distinct hashed n-grams, averaged over the first 800
    tokens and, beyond 1,600, the 800 in the middle. It is comparable within a source and length, not between
    them: read it through `calibrate` and `apply`.
    """
    docs = len(tokens.offsets) - 1
    logit, check = np.empty(docs, np.float32), np.empty(docs, np.float32)
    arrays = model.vocabulary, model.weights, model.check, model.scales
    score_kernel(*tokens, *arrays, max(1, min_words), logit, check)
    return logit, check


def _canonical(header: dict[str, Any]) -> bytes:
    return json.dumps(header, sort_keys=True, ensure_ascii=False, allow_nan=False, indent=1).encode()


def _digest(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256(_canonical({k: v for k, v in header.items() if k != "sha256"}))
    for name in sorted(arrays):
        digest.update(name.encode() + np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()


def _array(raw: bytes) -> np.ndarray:
    return np.load(io.BytesIO(raw), allow_pickle=False)


def _store(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    # a fixed date, so that equal models are equal files
    entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, data)
