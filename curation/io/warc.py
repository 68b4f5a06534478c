"""Web archives: the text of pages in WARC files, and the extracted text in WET files (extra `warc`).

Records are parsed by FastWARC and text is taken out of HTML by Resiliparse (Bevendorff et al. 2018, 2021), with its
rules for the main content. Documents are the records `response`, `resource` and `conversion`; others (requests,
metadata, revisits) are none and take no number. A document without text, such as an image or a redirect, has null
text.
"""

import re
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from curation.config import ConfigError
from curation.io.opening import LONGEST, READ_ERRORS, opened
from curation.io.quarantine import RAW_BYTES, BadRecord
from curation.io.requests import Delivered, Request
from curation.io.strings import Record, gather, schema_of
from curation.plan import Shard

NAMES = ("id", "url", "date", "content_type", "http_status", "language")
LONGEST_PAGE = 16 << 20  # bytes of HTML; a tree of it takes some ten times as much memory
LONGEST_HEADER = 1 << 16
DEEPEST = 1_000  # open elements above which main content is not looked for, since that takes quadratic time
HTML = ("text/html", "application/xhtml+xml")
#: with what a record can begin: a gzip member, a zstd frame, or the line that begins it uncompressed
_BEGINS = re.compile(rb"\x1f\x8b\x08|\x28\xb5\x2f\xfd|(?<=\n)WARC/1\.")
_OVERRUN = b"\r\n\r\nWARC/1."
_BLOCKS = re.compile(r"<(/?)(?:div|section|article|main|span|form|table|center|blockquote|dl|figure)\b", re.IGNORECASE)
_WINDOW = 1 << 20


class _BadRecord(Exception):
    def __init__(self, code: str, message: str, raw: bytes = b"") -> None:
        super().__init__(message)
        self.code, self.raw = code, raw


def peek(shard: Shard, text: str) -> pa.Schema | None:
    """The columns of every archive. Raises ConfigError without the packages that read it."""
    _packages()
    return schema_of(_names(text))


def schema(shard: Shard, text: str, longest: int) -> pa.Schema:
    """The columns of every archive."""
    return schema_of(_names(text))


def read(shard: Shard, request: Request) -> Iterator[Delivered]:
    """Batches of documents. Behind damage, reading goes on with the next record that can be read; what lies between
    takes one record number."""
    with opened(shard, request.on_bad) as file:
        yield from gather(_records(file, request), _names(request.text), request)


def _names(text: str) -> list[str]:
    return [*(name for name in NAMES if name != text), text]


def _packages() -> Any:
    try:
        from fastwarc import warc
        from resiliparse.extract import html2text
        from resiliparse.parse import encoding
    except ImportError as error:
        raise ConfigError(
            f"reading WARC files needs {error.name}: pip install 'curation[warc]'",
            "missing-package",
        ) from None
    return warc, html2text, encoding


def _records(file: Any, request: Request) -> Iterator[Record]:
    row, start = 0, 0
    while start >= 0:
        last = start
        held: Record | None = None  # until the header behind it has been read, which tells whether it ran over
        overran = False
        number = 0  # of records read since `start`
        file.seek(start)
        try:
            for found in _iterate(file):
                number += 1
                if held is not None:
                    yield held
                    held, overran = None, False
                last = found.stream_pos
                if not _is_document(found):
                    continue
                try:
                    values, overran = _document(found, min(request.longest, LONGEST))
                    held = Record(row, values, sum(len(value or "") for value in values))
                except _BadRecord as bad:
                    request.on_bad(BadRecord(row, last, 1, bad.code, str(bad), bad.raw[:RAW_BYTES]))
                    if bad.code == "broken_http":  # breaks the iterator too
                        start = _next_record(file, last + 1)
                        row += 1
                        break
                row += 1
            else:
                if held is not None:
                    yield held
                return
        except READ_ERRORS as error:
            bad_at, message = last, "the record runs over the next one: its Content-Length is wrong"
            start = _next_record(file, last + 1)
            if held is not None and overran:
                row -= 1
            else:
                if held is not None:
                    yield held
                message = str(error)
                begin = _next_begin(file, last + 1) if number else last
                bad_at = begin if 0 <= begin != start else last
            file.seek(bad_at)
            request.on_bad(BadRecord(row, bad_at, 1, "broken_warc_record", message, file.read(RAW_BYTES)))
            row += 1


def _iterate(file: Any) -> Any:
    warc, _, _ = _packages()
    return warc.ArchiveIterator(file, parse_http=False, max_header_len=LONGEST_HEADER, fsspec_args=False)


def _next_begin(file: Any, position: int) -> int:
    """Where the next record may begin, at `position` or behind it; -1 for nowhere."""
    overlap = 8
    skipped = min(position, 1)
    position -= skipped  # for the newline before an uncompressed record
    while True:
        file.seek(position)
        window = file.read(_WINDOW)
        found = _BEGINS.search(window, skipped)
        if found is not None:
            return position + found.start()
        if len(window) < _WINDOW:
            return -1
        position += len(window) - overlap
        skipped = 1


def _next_record(file: Any, position: int) -> int:
    """Where the next record begins that can be read; -1 for nowhere."""
    while (position := _next_begin(file, position)) >= 0:
        file.seek(position)
        try:
            if next(iter(_iterate(file)), None) is not None:
                return position
        except READ_ERRORS:
            pass
        position += 1
    return -1


def _is_document(found: Any) -> bool:
    warc, _, _ = _packages()
    kinds = warc.WarcRecordType
    return found.record_type in (kinds.response, kinds.resource, kinds.conversion)


def _document(found: Any, longest: int) -> tuple[list[str | None], bool]:
    """The values of a document, and whether what looks like another record stands in it.

    Raises _BadRecord for one that is cut short, too long or undecodable, and READ_ERRORS where the file is damaged.
    """
    warc, _, _ = _packages()
    headers = found.headers
    declared, archive_type = found.content_length, found.record_type
    if declared > longest:
        message = f"the record has {declared} bytes, more than {longest} (limits.document_mb)"
        raise _BadRecord("document_too_long", message)
    found.freeze()
    raw = found.reader.read()
    overran = _OVERRUN in raw
    if found.content_length < declared:
        message = f"the record ends after {found.content_length} of {declared} bytes"
        raise _BadRecord("truncated_record", message, raw)
    content_type, charset, status = _plain_type(headers.get("Content-Type", "")), None, None
    body = raw
    if archive_type == warc.WarcRecordType.response and found.is_http:
        found.reader.seek(0)
        try:
            found.parse_http(auto_decode="all", max_header_len=LONGEST_HEADER)
            body = found.reader.read(longest + 1)
        except READ_ERRORS as error:
            raise _BadRecord("broken_http", f"the HTTP response cannot be read: {error}", raw) from None
        content_type, charset = (found.http_content_type or "").lower(), found.http_charset
        status = None if found.http_headers is None else found.http_headers.status_code
    text = None
    if status is None or 200 <= status < 300:
        text = _text(body, content_type, charset, longest)
    values = {
        "id": _bare(headers.get("WARC-Record-ID", "")).removeprefix("urn:uuid:") or None,
        "url": _bare(headers.get("WARC-Target-URI", "")) or None,
        "date": headers.get("WARC-Date", "") or None,
        "content_type": content_type or None,
        "http_status": None if status is None else str(status),
        "language": headers.get("WARC-Identified-Content-Language", "") or None,
    }
    return [*(_sane(value) for value in values.values()), text], overran


def _bare(value: str) -> str:
    return value.strip().removeprefix("<").removesuffix(">")


def _plain_type(value: str) -> str:
    return value.partition(";")[0].strip().lower()


def _sane(value: str | None) -> str | None:
    """Without lone surrogates, which no string column holds."""
    return None if value is None else value.encode("utf-8", "replace").decode()


def _text(body: bytes, content_type: str, charset: str | None, longest: int) -> str | None:
    _, html2text, encoding = _packages()
    is_html = content_type in HTML
    if not is_html and content_type != "text/plain":
        return None
    limit = min(longest, LONGEST_PAGE) if is_html else longest
    if len(body) > limit:
        raise _BadRecord("document_too_long", f"the page has more than {limit} bytes", body)
    try:
        name = charset or encoding.detect_encoding(body, from_html_meta=is_html)
        decoded = encoding.bytes_to_str(body, name or "utf-8", errors="replace")
        if not is_html:
            return _sane(decoded)
        main = _depth(decoded) <= DEEPEST
        return _sane(html2text.extract_plain_text(decoded, main_content=main, alt_texts=False))
    except (LookupError, UnicodeError, ValueError, RuntimeError) as error:
        raise _BadRecord("extraction_failed", f"no text can be taken out of the page: {error}", body) from None


def _depth(html: str) -> int:
    """Most block elements open at once, by their tags alone."""
    depth = deepest = 0
    for found in _BLOCKS.finditer(html):
        depth = max(depth - 1, 0) if found[1] else depth + 1
        deepest = max(deepest, depth)
    return deepest
