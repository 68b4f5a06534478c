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
        io.check_columns(found, Columns(text=settings.text, prefix="curation of benchmarks: "))
    except ConfigError as error:
        raise ConfigError(f"decontaminate.paths: {error}") from None
    return found


def checksums(settings: Decontaminate) -> list[str]:
    """A checksum of each benchmark file."""
    return [io.checksum(shard.url) for shard in shards(settings)]


def load(settings: Decontaminate) -> Benchmarks:
    """The index of the benchmark text, made once in a process. Raises ConfigError when nothing is long enough."""
    return _load(tuple(settings.paths), settings.text, settings.ngram)


@lru_cache(maxsize=2)
def _load(paths: tuple[str, ...], text: str, ngram: int) -> Benchmarks:
    documents = []
    for shard in shards(Decontaminate(paths=list(paths), text=text)):
        for batch, rows in io.read_shard(shard, text=text, batch_bytes=1 << 22, columns=[text], on_bad=_skip):
            values = batch.column(text).to_pylist()
            documents += [
                (f"{shard.relative}:{row}", value) for row, value in zip(rows.tolist(), values, strict=True) if value
            ]
    try:
        return index_benchmarks(documents, ngram)
    except ValueError as error:
        raise ConfigError(f"decontaminate: {error}; choose a smaller decontaminate.ngram or another column") from None


def _skip(_: object) -> None:
    """A benchmark record that cannot be read has no text to look for."""
