"""CSV and TSV as in RFC 4180: one header, every column a string, quoted values over any number of lines.

Nothing is guessed from values: `007` stays `007` and an empty value an empty string. A record that does not parse or
does not have as many values as the header is quarantined, and reading goes on behind it.
"""

import csv
import re
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from curation.config import ConfigError
from curation.io import lines
from curation.io.opening import LONGEST, READ_ERRORS, UTF8_MARK, OnBad, ignore, opened
from curation.io.quarantine import RAW_BYTES, BadRecord
from curation.io.requests import Delivered, Request
from curation.io.strings import Record, gather, schema_of
from curation.layout import family, packing
from curation.plan import Shard

#: of a .csv file the one that its header line has most of; a .tsv file has tabs
DELIMITERS = ",;\t|"


def peek(shard: Shard, text: str) -> pa.Schema | None:
    """The header's columns, all strings; None for a file without one that can be read. Raises ConfigError for a
    header that names a column twice."""
    try:
        with opened(shard, ignore) as file:
            header = _Table(file, shard, LONGEST, ignore).names
    except _RepeatedName as error:
        raise ConfigError(f"{shard.url}: {error}", "wrong-column-type") from None
    except (_BadHeader, *READ_ERRORS):
        return None
    return schema_of(header) if header else None


def schema(shard: Shard, text: str, longest: int) -> pa.Schema:
    """The header's columns; the text column alone when there is no header that can be read."""
    try:
        return peek(shard, text) or schema_of([text])
    except ConfigError:
        return schema_of([text])


def read(shard: Shard, request: Request) -> Iterator[Delivered]:
    """Batches of the records behind the header. Raises ConfigError for a header without the text column."""
    with opened(shard, request.on_bad) as file:
        try:
            table = _Table(file, shard, request.longest, request.on_bad)
        except _BadHeader as error:
            request.on_bad(BadRecord(0, 0, 1, "unreadable_file", str(error), error.raw))
            return
        if table.names and request.text not in table.names:
            raise ConfigError(f"columns.text: {shard.url} has no string column {request.text!r}", "wrong-column-type")
        yield from gather(table.records(), table.names, request)


class _BadHeader(Exception):
    def __init__(self, message: str, raw: bytes = b"") -> None:
        super().__init__(message)
        self.raw = raw


class _RepeatedName(_BadHeader):
    pass


class _TooLong(Exception):
    pass


class _Feed:
    """Lines for csv.reader, which asks for as many as a record has; `taken` are those of the current record."""

    def __init__(self, found: Iterator[lines.Line | lines.Broken], longest: int) -> None:
        self._found, self.longest = found, longest
        self.waiting: list[lines.Line] = []
        self.taken: list[lines.Line] = []
        self.broken: lines.Broken | None = None
        self.invalid: UnicodeDecodeError | None = None
        self.size = 0

    def begin(self) -> None:
        """A new record begins with the next line."""
        self.taken, self.size, self.invalid = [], 0, None

    def __iter__(self) -> "_Feed":
        return self

    def __next__(self) -> str:
        line = self.waiting.pop() if self.waiting else next(self._found, None)
        if isinstance(line, lines.Broken):
            self.broken, line = line, None
        if line is None:
            raise StopIteration
        self.taken.append(line)
        self.size += line.size
        if self.size > self.longest:
            raise _TooLong(f"a record has more than {self.longest} bytes (limits.document_mb)")
        data = line.data
        if line.offset == 0:
            data = data.removeprefix(UTF8_MARK)
        try:
            return data.decode() + "\n"
        except UnicodeDecodeError as error:
            self.invalid = self.invalid or error
            return data.decode("utf-8", "surrogateescape") + "\n"


class _Table:
    """A file's header, read at once (no names when the file is empty), and then its records."""

    def __init__(self, file: Any, shard: Shard, longest: int, on_bad: OnBad) -> None:
        # the limit is the process's own; what bounds a value here is `longest`
        csv.field_size_limit(max(csv.field_size_limit(), longest))
        self._feed = _Feed(lines.read_lines(file, packing(shard.url), longest, blank=True), longest)
        self._literal = family(shard.url) == "tsv"
        self._on_bad = on_bad
        self.delimiter = "\t"
        self.names = self._header()

    def _reader(self) -> Any:
        return csv.reader(self._feed, delimiter=self.delimiter, strict=True)

    def _header(self) -> list[str]:
        first = next(self._feed, None)
        while first is not None and not first.strip():
            self._feed.begin()
            first = next(self._feed, None)
        if first is None:
            if self._feed.broken is not None:
                raise _BadHeader(self._feed.broken.message, self._feed.broken.data)
            return []
        raw = self._feed.taken[0].data[:RAW_BYTES]
        if self._feed.invalid is not None:
            raise _BadHeader(f"the header is not valid UTF-8: {self._feed.invalid}", raw)
        if not self._literal:
            outside = re.sub(r'"[^"]*"', "", first)
            self.delimiter = max(DELIMITERS, key=lambda mark: (outside.count(mark), mark == ","))
        self._feed.waiting = [self._feed.taken[0]]
        try:
            names = next(self._reader())
        except (csv.Error, _TooLong) as error:
            raise _BadHeader(f"the header cannot be read: {error}", raw) from None
        names = [name.strip() or f"column_{place}" for place, name in enumerate(names, 1)]
        repeated = [name for place, name in enumerate(names) if name in names[:place]]
        if repeated:
            raise _RepeatedName(f"the header names column {repeated[0]!r} twice; rename one of them", raw)
        return names

    def records(self) -> Iterator[Record]:
        """Good records, numbered with the bad ones; blank lines between records are none."""
        feed, row, reader = self._feed, 0, self._reader()
        while True:
            feed.begin()
            code = problem = ""
            try:
                values = next(reader, None)
            except csv.Error as error:
                values, code, problem, reader = [], "invalid_csv", str(error), self._reader()
            except _TooLong as error:
                values, code, problem, reader = [], "document_too_long", str(error), self._reader()
            if feed.broken is not None:
                start = feed.taken[0].offset if feed.taken else feed.broken.offset
                data = b"\n".join([*(line.data for line in feed.taken), feed.broken.data])[:RAW_BYTES]
                self._on_bad(BadRecord(row, start, 1, "broken_compression", feed.broken.message, data))
                return
            if values is None:
                return
            if problem:
                values, problem = self._recover(problem)
            elif not values:
                continue
            if not problem and feed.invalid is not None:
                code, problem = "invalid_utf8", str(feed.invalid)
            elif not problem and len(values) != len(self.names):
                code = "wrong_number_of_values"
                problem = f"the record has {len(values)} values where the header has {len(self.names)}"
            if problem:
                data = b"\n".join(line.data for line in feed.taken)[:RAW_BYTES]
                self._on_bad(BadRecord(row, feed.taken[0].offset, 1, code, problem, data))
            else:
                yield Record(row, values, sum(line.size for line in feed.taken))
            row += 1

    def _recover(self, problem: str) -> tuple[list[str], str]:
        """Values and what is wrong with them, after a record that did not parse.

        A TSV line whose quotes are no quotes is taken literally, as IANA's text/tab-separated-values has it. A quote
        that is never closed costs its own line only: those swallowed after it are read again.
        """
        feed = self._feed
        first = feed.taken[0]
        if self._literal and feed.invalid is None:
            values = first.data.decode("utf-8", "surrogateescape").rstrip("\r").split("\t")
            if len(values) == len(self.names):
                feed.waiting = [*feed.waiting, *reversed(feed.taken[1:])]
                feed.taken = feed.taken[:1]
                return values, ""
        unclosed = problem.startswith("unexpected end of data") or feed.size > feed.longest
        if unclosed and len(feed.taken) > 1:
            feed.waiting = [*feed.waiting, *reversed(feed.taken[1:])]
            feed.taken = feed.taken[:1]
            problem = "a quote is opened and never closed"
        return [], problem
