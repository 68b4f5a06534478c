"""Scores of the models that `filters` names: columns in the signals and the output, and who leaves by them."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from curation import io, schema
from curation.config import Config, ConfigError
from curation.plan import Shard
from curation.synthetic import fasttext


def check(config: Config) -> None:
    """Raise ConfigError for a model that cannot be used, a label that it lacks, or one column for two scores."""
    taken = {column.name for column in (*schema.ADDED, *schema.OPTIONAL)}
    for index, item in enumerate(config.filters):
        if item.column in taken:
            raise ConfigError(f"filters.{index}.column: {item.column!r} is taken; name another column")
        taken.add(item.column)
        try:
            fasttext.check(item.model, item.label)
        except ValueError as error:
            raise ConfigError(f"filters.{index}: {error}") from None


def check_columns(config: Config, shards: Sequence[Shard]) -> None:
    """Raise ConfigError where the input has a column that a score would be written to."""
    names = {config.columns.prefix + item.column for item in config.filters}
    for shard in shards if names else ():
        found = io.peek(shard)
        clash = sorted(names & set(found.names)) if found is not None else []
        if clash:
            raise ConfigError(f"filters: {shard.url} has a column {clash[0]!r} already; name another column")


def checksums(config: Config) -> list[list[str]]:
    """What the scores depend on."""
    return [[item.column, item.label, io.checksum(item.model)] for item in config.filters]


def excluded(config: Config, batch: pa.RecordBatch) -> list[tuple[str, np.ndarray]]:
    """(reason, bool[documents]) of each filter with bounds; a document without a score stays."""
    found = []
    for item in config.filters:
        if item.min is None and item.max is None:
            continue
        name = schema.FILTER + item.column
        score = batch.column(name).to_numpy(zero_copy_only=False).astype(np.float32)
        low = -np.inf if item.min is None else np.float32(item.min)
        high = np.inf if item.max is None else np.float32(item.max)
        found.append((name, (score < low) | (score > high)))
    return found
