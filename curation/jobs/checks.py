"""Settings that cannot work with each other, the columns or the reference, found before work starts."""

from collections.abc import Iterator, Sequence

import pyarrow as pa

from curation import device, io
from curation.config import Config, ConfigError, nearest
from curation.dedup import column_of, order_kind
from curation.diversity.reference import Profile
from curation.jobs import benchmarks, earlier
from curation.layout import format_of
from curation.mixing.columns import chosen, is_numeric, is_vector
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
    if dedup.enabled and not (dedup.exact or dedup.near or dedup.url or dedup.lines.enabled or config.exclude_near):
        raise ConfigError(
            "dedup looks for nothing with dedup.exact, dedup.near and dedup.url all false: set one, or "
            "dedup.enabled to false"
        )
    if dedup.enabled and dedup.verify_by == "shingles":
        if not dedup.near:
            raise ConfigError("dedup.verify_by shingles needs dedup.near: without it no similarities are counted")
        if config.against:
            raise ConfigError(
                "dedup.verify_by shingles needs the text of every document, and against has only the signals of "
                "earlier runs: set dedup.verify_by to minhash, or give their inputs too with dedup.prefer"
            )
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
    for column, width in config.mix.columns.items() if config.signals.features else ():
        _check_numbers(column, width, shards)
    return earlier.runs(config, len(shards))


def reference_columns(config: Config, profile: Profile) -> None:
    """Raise ConfigError where features are balanced and the reference has no targets for a column of mix.columns."""
    if config.mix.mode not in ("auto", "balance", "ratio"):
        return
    try:
        chosen(profile.columns, config.mix.columns)
    except ValueError as error:
        raise ConfigError(
            f"reference: {config.reference} has no targets for all columns to balance: {error}; build one from text "
            "that has these columns with `curation reference build` and the same mix.columns",
            "bad-reference",
        ) from None


def _types(key: str, column: str, shards: Sequence[Shard]) -> Iterator[tuple[Shard, pa.DataType]]:
    """The type of a column in every shard where it has one. Raises ConfigError for a shard that lacks the column."""

    def look(shard: Shard) -> tuple[Shard, pa.Schema | None, bool]:
        found = io.peek(shard)
        if found is not None and column not in found.names and format_of(shard.url) != "parquet":
            found = io.final_schema(shard, text=column)
        return shard, found, found is not None and column in found.names and io.is_mixed(shard, column)

    for shard, found, is_mixed in io.each(look, shards):
        if found is None:
            continue
        if column not in found.names:
            raise ConfigError(
                f"{key}: {shard.url} has no column {column!r}{nearest(column, found.names)}",
                "missing-column",
            )
        if is_mixed:
            raise ConfigError(
                f"{key}: column {column!r} of {shard.url} holds values of several types, which cannot be compared; "
                "write it as one type",
                "wrong-column-type",
            )
        if not pa.types.is_null(found.field(column).type):
            yield shard, found.field(column).type


def _check_numbers(column: str, width: int, shards: Sequence[Shard]) -> None:
    for shard, kind in _types("mix.columns", column, shards):
        if width == 1 and is_numeric(kind):
            continue
        length = kind.list_size if pa.types.is_fixed_size_list(kind) else width
        if width > 1 and is_vector(kind) and is_numeric(kind.value_type) and length == width:
            continue
        asked = "a number" if width == 1 else f"lists of {width} numbers"
        way_out = f"; to balance vectors, say how long they are: mix.columns.{column}=LENGTH" if is_vector(kind) else ""
        raise ConfigError(
            f"mix.columns: column {column!r} of {shard.url} is {kind}, not {asked}{way_out}", "wrong-column-type"
        )


def _check_keep(column: str, shards: Sequence[Shard]) -> None:
    first: tuple[str, pa.DataType, Shard] | None = None
    for shard, kind in _types("dedup.keep", column, shards):
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
