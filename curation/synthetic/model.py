"""The synthetic-text model: its file, and the score of each document of a batch."""

from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from curation.kernels.score import BITS, BUCKETS, WORD_BITS, score_kernel
from curation.synthetic.packed import digest, pack, unpack
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
        header, arrays = unpack(Path(path).read_bytes(), tuple(_ARRAYS))
    except OSError as error:
        raise ValueError(f"cannot read the detector model {path}: {error.strerror}; {_WAY_OUT}") from None
    except ValueError as error:
        raise ValueError(f"the detector model {path} is {error}; {_WAY_OUT}") from None
    if not isinstance(header, dict) or any(key not in header for key in _KEYS):
        raise ValueError(f"the detector model {path} has no complete header; {_WAY_OUT}")
    for key, here in (("version", MODEL_VERSION), ("tokeniser", TOKENISER), ("bits", BITS)):
        if header[key] != here:
            raise ValueError(f"the detector model {path} has {key} {header[key]!r}, not {here!r}; {_WAY_OUT}")
    for name, (dtype, shape) in _ARRAYS.items():
        if arrays[name].dtype != dtype or arrays[name].shape != shape:
            raise ValueError(f"the detector model {path}: {name} is not {np.dtype(dtype)}{list(shape)}; {_WAY_OUT}")
    checksum = digest(header, arrays)
    if header.get("sha256") != checksum:
        raise ValueError(f"the detector model {path} does not match its checksum; {_WAY_OUT}")
    scales = np.array(header["scales"], np.float64)
    if scales.shape != (4,) or not np.isfinite(scales).all():
        raise ValueError(f"the detector model {path}: scales must be 4 finite numbers; {_WAY_OUT}")
    calibration, training = header["calibration"], header["training"]
    return Model(**arrays, scales=scales, calibration=calibration, training=training, version=checksum)


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
    data, checksum = pack(header, arrays)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(data)
    return model._replace(version=checksum)


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
