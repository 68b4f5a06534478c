"""Benchmark text that documents are compared with, read from files of any known format."""

from functools import lru_cache

from curation import io
from curation.config import Columns, ConfigError, Input
from curation.config_dedup import Decontaminate
from curation.dedup import Benchmarks, index_benchmarks
from curation.plan import Shard


def shards(settings: Decontaminate) -> tuple[Shard, ...]:
    """The benchmark files. Raises ConfigError for a path that names nothing or a file without the text column."""
    try:
        found = io.expand([Input(path=path, source="benchmarks") for path in settings.paths])
    except ConfigError as error:
        raise ConfigError(f"decontaminate.paths: {error}", error.code) from None
    io.check_columns(found, Columns(text=settings.text, prefix="curation of benchmarks: "), "decontaminate")
    return found


def checksums(settings: Decontaminate) -> list[str]:
    """A checksum of each benchmark file."""
    return [io.shard_checksum(shard) for shard in shards(settings)]


def load(settings: Decontaminate) -> Benchmarks:
    """The index of the benchmark text, made once in a process. Raises ConfigError when nothing is long enough."""
    return _load(tuple(settings.paths), settings.text, settings.ngram)


@lru_cache(maxsize=2)
def _load(paths: tuple[str, ...], text: str, ngram: int) -> Benchmarks:
    documents = []
    unread: list[str] = []
    for shard in shards(Decontaminate(paths=list(paths), text=text)):

        def note(bad: io.BadRecord, url: str = shard.url) -> None:
            unread.append(f"{url}, record {bad.row}: {bad.message}")

        for batch, rows in io.read_shard(shard, text=text, batch_bytes=1 << 22, columns=[text], on_bad=note):
            values = batch.column(text).to_pylist()
            documents += [
                (f"{shard.relative}:{row}", value) for row, value in zip(rows.tolist(), values, strict=True) if value
            ]
    if not documents:
        why = f"; {unread[0]}" if unread else ""
        raise ConfigError(f"decontaminate.paths: {', '.join(paths)} holds no text in column {text!r}{why}")
    try:
        return index_benchmarks(documents, ngram)
    except ValueError as error:
        raise ConfigError(f"decontaminate: {error}; choose a smaller decontaminate.ngram or another column") from None
