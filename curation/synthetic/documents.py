"""Labelled documents for training a detector: validated, and in an order that the order of rows has no part in."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import xxhash

from curation.kernels.hashing import mix64_array

LEAST_WORDS = 40  # shorter documents are not trained on
LEAST_DOCUMENTS = 20  # of each class
FOLDS = 8  # most refits for the scores of left-out sources


class BadTrainingData(ValueError):
    """Labelled documents that a detector cannot learn from."""

    code = "bad-training-data"


class Documents(NamedTuple):
    """Arrays [docs]: text; label float32; key uint64 (hash of the text); source, place (source and domain), fold,
    cluster, variant str; trained bool: the others are only measured."""

    text: pa.Array
    label: np.ndarray
    key: np.ndarray
    source: np.ndarray
    place: np.ndarray
    fold: np.ndarray
    cluster: np.ndarray
    variant: np.ndarray
    trained: np.ndarray


def documents(table: pa.Table) -> Documents:
    """The documents of a training table in canonical order; columns as in `training.train`, null text as empty.

    Raises ValueError when `text` or `label` is missing, a column is of another type, or a label is not 0 or 1.
    """
    for name in ("text", "label"):
        if name not in table.column_names:
            raise BadTrainingData(f"training needs a column {name!r}; the table has {', '.join(table.column_names)}")
    kind = table["text"].type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise BadTrainingData(f"column 'text' must hold strings, not {kind}")
    label = np.array([-1 if v is None else v for v in table["label"].to_pylist()], object)
    wrong = sorted({repr(v) for v in label if v not in (0, 1)})
    if wrong:
        raise BadTrainingData(f"column 'label' must be 0 (human) or 1 (synthetic); it holds {', '.join(wrong[:5])}")
    text = table["text"].cast(pa.large_string()).combine_chunks()
    values = ["" if v is None else v for v in text.to_pylist()]
    key = np.array([xxhash.xxh3_64_intdigest(v.encode("utf-8", "replace")) for v in values], np.uint64)
    source = _text_column(table, "source", "default")
    domain = _text_column(table, "domain", "")
    place = np.array([f"{s}\t{d}" for s, d in zip(source, domain, strict=True)])
    fold = _text_column(table, "fold", None, source)
    cluster = _text_column(table, "cluster", None, np.array([f"{k:016x}" for k in key]))
    variant = _text_column(table, "variant", "")
    trained = _trained_column(table) & (variant == "")
    order = np.lexsort((trained, cluster, variant, fold, place, label.astype(np.int8), key))
    columns = label.astype(np.float32), key, source, place, fold, cluster, variant, trained
    return Documents(text.take(pa.array(order, pa.int64())), *(column[order] for column in columns))


def _text_column(table: pa.Table, name: str, default: str | None, values: np.ndarray | None = None) -> np.ndarray:
    if name in table.column_names:
        return np.array(["" if v is None else str(v) for v in table[name].to_pylist()])
    return values if values is not None else np.full(table.num_rows, default)


def _trained_column(table: pa.Table) -> np.ndarray:
    if "trained" not in table.column_names:
        return np.ones(table.num_rows, bool)
    kind = table["trained"].type
    if not pa.types.is_boolean(kind):
        raise BadTrainingData(f"column 'trained' must hold true or false, not {kind}")
    return np.array([v is not False for v in table["trained"].to_pylist()], bool)


def check_classes(label: np.ndarray, trained: np.ndarray) -> None:
    """Raises ValueError unless both classes have documents enough; only those that are trained on count."""
    for value, name in ((0, "human"), (1, "synthetic")):
        count = int(((label == value) & trained).sum())
        if count < LEAST_DOCUMENTS:
            raise BadTrainingData(
                f"training needs {LEAST_DOCUMENTS} or more {name} documents (label {value}) of {LEAST_WORDS} "
                f"words or more; the table has {count}"
            )


def fold_codes(fold: np.ndarray, key: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Fold names and codes: as given; joined by hash beyond 8; by document when there is one."""
    names, codes = np.unique(fold, return_inverse=True)
    if len(names) == 1:
        return [f"random-{i}" for i in range(4)], (mix64_array(key) >> np.uint64(62)).astype(np.int64)
    if len(names) > FOLDS:
        joined = np.array([xxhash.xxh3_64_intdigest(n.encode()) % FOLDS for n in names])
        used, joined = np.unique(joined, return_inverse=True)
        return [f"sources-{i}" for i in range(len(used))], joined[codes]
    return [str(n) for n in names], codes
