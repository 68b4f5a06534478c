"""Stamps: what a file was made from, in the footer of Parquet or a hidden file beside another, to know it
again.
"""

from collections.abc import Mapping
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from curation.io import files
from curation.layout import format_of

KEY = b"curation"


def stamp(values: Mapping[str, Any]) -> dict[bytes, bytes]:
    """Key-value metadata that holds JSON values, the same bytes for the same values."""
    return {KEY: orjson.dumps(dict(values), option=orjson.OPT_SORT_KEYS)}


def read_stamp(url: str) -> dict[str, Any] | None:
    """The stamp of a finished file; None when the file is missing, broken, not ours or not the one
    stamped.
    """
    try:
        if format_of(url) != "parquet":
            with files.open_file(_sidecar(url)) as file:
                found = orjson.loads(file.read())
            return found["stamp"] if found["bytes"] == files.size(url) else None
        with files.open_file(url) as file:
            metadata = pq.read_metadata(file).metadata or {}
        return orjson.loads(metadata[KEY]) if KEY in metadata else None
    except (OSError, EOFError, pa.ArrowException, orjson.JSONDecodeError):
        return None


def write_sidecar(url: str, values: Mapping[str, Any]) -> None:
    """Stamp a finished file that has no footer. The stamp holds its size too, so that it fits no other
    file.
    """
    with files.atomic(_sidecar(url)) as file:
        content = {"stamp": dict(values), "bytes": files.size(url)}
        file.write(orjson.dumps(content, option=orjson.OPT_SORT_KEYS))


def _sidecar(url: str) -> str:
    folder, slash, name = url.rpartition("/")
    return f"{folder}{slash}.{name}.stamp"
