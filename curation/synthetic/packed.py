"""A zip of .npy arrays and a JSON header with a checksum: how models are stored, without pickle."""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np


def pack(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> tuple[bytes, str]:
    """(file, checksum); equal values give equal bytes. The header is JSON values and gets the checksum as `sha256`."""
    checksum = digest(header, arrays)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        _store(archive, "header.json", _canonical({**header, "sha256": checksum}))
        for name, array in arrays.items():
            part = io.BytesIO()
            np.save(part, array, allow_pickle=False)
            _store(archive, f"{name}.npy", part.getvalue())
    return buffer.getvalue(), checksum


def unpack(data: bytes, names: tuple[str, ...]) -> tuple[Any, dict[str, np.ndarray]]:
    """(header, arrays of these names). Raises ValueError, saying what is wrong, for bytes that `pack` did not make; the
    checksum is left to the caller."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            header = json.loads(archive.read("header.json"))
            stored = {name: archive.read(f"{name}.npy") for name in names}
        return header, {name: np.load(io.BytesIO(raw), allow_pickle=False) for name, raw in stored.items()}
    except Exception as error:  # zip, zlib, JSON and .npy readers raise many kinds for damaged bytes
        raise ValueError(f"damaged ({error})") from None


def digest(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
    """Hex SHA-256 of the header without its `sha256`, and the arrays."""
    found = hashlib.sha256(_canonical({k: v for k, v in header.items() if k != "sha256"}))
    for name in sorted(arrays):
        found.update(name.encode() + np.ascontiguousarray(arrays[name]).tobytes())
    return found.hexdigest()


def _canonical(header: Mapping[str, Any]) -> bytes:
    return json.dumps(header, sort_keys=True, ensure_ascii=False, allow_nan=False, indent=1).encode()


def _store(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    # a fixed date, so that equal models are equal files
    entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, data)
