"""Opening an input file: what cannot be opened, or is not what its extension says, becomes one bad record."""

import io
from collections.abc import Callable
from typing import Any

import pyarrow as pa

from curation.io import files
from curation.io.quarantine import BadRecord
from curation.layout import format_of
from curation.plan import Shard

LONGEST = 256 << 20  # bytes of a line, a record or a document
HEAD_BYTES = 64
UTF8_MARK = b"\xef\xbb\xbf"
#: first bytes of a file and what it is then
MARKS = (
    (b"PAR1", "Parquet"),
    (b"ARROW1", "Arrow IPC"),
    (b"\xff\xff\xff\xff", "Arrow IPC"),  # a stream begins with this continuation mark
    (b"\x1f\x8b", "gzip"),  # RFC 1952
    (b"\x28\xb5\x2f\xfd", "zstd"),  # RFC 8878
    (b"FEA1", "Feather version 1"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\xff\xfe", "UTF-16 text"),
    (b"\xfe\xff", "UTF-16 text"),
    (b"WARC/1.", "WARC"),
)
_NAMES = {
    "parquet": "Parquet",
    "arrow": "Arrow IPC",
    "jsonl": "JSON lines",
    "csv": "CSV",
    "tsv": "TSV",
    "txt": "text",
    "warc": "WARC",
}
_PLAIN = frozenset(range(32, 127)) | frozenset(b"\t\r\n\f")
READ_ERRORS = (OSError, pa.ArrowException, EOFError)

OnBad = Callable[[BadRecord], None]


def ignore(_: BadRecord) -> None:
    """For those who only look: whoever reads for good quarantines it."""


def opened(shard: Shard, on_bad: OnBad) -> Any:
    """The shard's file, at its beginning; an empty one, after one bad record, when it cannot be what it should be."""
    return opened_at(shard.url, format_of(shard.url) or "", on_bad)


def opened_at(url: str, format: str, on_bad: OnBad, row: int = 0) -> Any:
    """As `opened`, for a file that should be in `format`; a bad one is the physical record `row`."""
    file: Any = io.BytesIO()
    try:
        file = files.open_file(url)
        head = file.read(HEAD_BYTES)
        message = mistaken(head, format)
        if message is None:
            if file.seekable():
                file.seek(0)
                return file
            file.close()
            return files.open_file(url)
        file.close()
        on_bad(BadRecord(row, None, 1, "unreadable_file", message, head))
    except READ_ERRORS as error:
        file.close()
        on_bad(BadRecord(row, None, 1, "unreadable_file", str(error)))
    return io.BytesIO()


def mistaken(head: bytes, format: str) -> str | None:
    """What a file is that begins with these bytes, if it cannot be what its extension says, and the way out."""
    kind, _, packed = format.partition(".")
    wanted = {"gz": "gzip", "zst": "zstd"}.get(packed, _NAMES.get(kind, ""))
    if kind in ("parquet", "arrow") and not head:
        return f"the file is empty (0 bytes), where {wanted} has a schema at least; write it again"
    found = next((name for mark, name in MARKS if head.startswith(mark)), None)
    plain = kind not in ("parquet", "arrow", "warc") and not packed
    if found == wanted or (kind == "warc" and found in ("gzip", "zstd")) or (found == "WARC" and kind == "txt"):
        return None
    if found is not None:
        return f"this is {found}, not {wanted}: {_way_out(found, kind)}"
    looks_json = head.removeprefix(UTF8_MARK).lstrip().startswith(b"{")
    if looks_json and not plain and wanted != "JSON lines":
        return f"this looks like plain JSON lines, not {wanted}: rename it to .jsonl"
    if packed and head and all(byte in _PLAIN for byte in head):
        return f"this looks like plain text, not {wanted}: rename it to .{kind}"
    return None


def _way_out(found: str, kind: str) -> str:
    base = f".{kind}" if kind not in ("parquet", "arrow") else ".jsonl"
    ways = {
        "Parquet": "rename it to .parquet",
        "Arrow IPC": "rename it to .arrow",
        "gzip": f"rename it to {base}.gz",
        "zstd": f"rename it to {base}.zst",
        "WARC": "rename it to .warc",
        "UTF-16 text": "convert it to UTF-8 (iconv -f UTF-16 -t UTF-8)",
        "Feather version 1": "write it again as Feather version 2 or Parquet",
        "a ZIP archive": "unpack it, or export the workbook that it is as CSV",
    }
    return ways[found]
