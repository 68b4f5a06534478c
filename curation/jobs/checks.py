"""Settings of deduplication that cannot work, found before work starts."""

from collections.abc import Sequence

import pyarrow as pa

from curation import device, io
from curation.config import Config, ConfigError, nearest
from curation.dedup import column_of, order_kind
from curation.jobs import benchmarks, earlier
from curation.layout import format_of
from curation.plan import Shard


def settings(config: Config) -> None:
    """Raise ConfigError for settings that need another one."""
    dedup = config.dedup
    if config.exclude_near and config.exclude_ids is None:
        raise ConfigError("exclude_near needs exclude_ids: the file of ids whose near-duplicates are to go")
    for key, given in (
        ("exclude_near", config.exclude_near),
        ("against", bool(config.against)),
        ("dedup.lines", dedup.lines.enabled),
        ("dedup.action keep", dedup.action == "keep"),
        ("mix.rehydration", bool(config.mix.rehydration)),
    ):
        if given and not dedup.enabled:
            raise ConfigError(f"{key} needs duplicates to be looked for: set dedup.enabled to true")
    if config.against_all and not config.against:
        raise ConfigError("against_all needs against: the output folders of earlier runs")
    if config.decontaminate.paths:
        benchmarks.load(config.decontaminate)
    if config.run.device == "cuda" and config.run.runner == "local":  # workers of other runners have their own devices
        try:
            device.choose("cuda")
        except device.DeviceError as error:
            raise ConfigError(str(error)) from None


def after_expansion(config: Config, shards: Sequence[Shard]) -> tuple[earlier.Earlier, ...]:
    """The earlier runs. Raises ConfigError when one cannot serve, or the column to keep by is not in order."""
    by_column = column_of(config.dedup.keep) if config.dedup.enabled else None
    if by_column is not None:
        _check_keep(by_column[0], shards)
    return earlier.runs(config, len(shards))


def _check_keep(column: str, shards: Sequence[Shard]) -> None:
    first: tuple[str, pa.DataType, Shard] | None = None
    for shard in shards:
        found = io.peek(shard)
        if found is not None and column not in found.names and format_of(shard.url) != "parquet":
            found = io.final_schema(shard, text=column)
        if found is None:
            continue
        if column not in found.names:
            raise ConfigError(
                f"dedup.keep: {shard.url} has no column {column!r}{nearest(column, found.names)}",
                "missing-column",
            )
        kind = found.field(column).type
        if pa.types.is_null(kind):
            continue
        order = order_kind(kind)
        if order is None:
            raise ConfigError(
                f"dedup.keep: column {column!r} of {shard.url} is {kind}, which has no order",
                "wrong-column-type",
            )
        if first is not None and first[0] != order:
            raise ConfigError(
                f"dedup.keep: column {column!r} is {first[1]} in {first[2].url} and {kind} in {shard.url}, which "
                "cannot be compared; write it as one type",
                "wrong-column-type",
            )
        first = first or (order, kind, shard)
