"""What `filters` names: fastText models add columns of scores, datatrove steps drop documents or rewrite their text.

Both run once, in annotate. A step's verdict and the text that it changed are kept in the signals, so select gives the
same result without running the step again.
"""

import threading
from collections.abc import Sequence
from importlib import metadata
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from curation import io, schema
from curation.batch import plain_text, with_text
from curation.config import Config, ConfigError
from curation.plan import Shard
from curation.synthetic import fasttext

#: documents to try steps on before work starts
_PLAIN = "The committee met in the old library on Tuesday. It talked about the bridge, and agreed on nothing at all."
_URL = "https://example.org/minutes"
_built = threading.local()


def check(config: Config) -> None:
    """Raise ConfigError for a model or step that cannot be used, a missing label, or one column for two scores."""
    taken = {column.name for column in (*schema.ADDED, *schema.OPTIONAL)}
    for index, item in enumerate(config.filters):
        if item.type == "datatrove":
            _make(index, item.step, item.arguments)
            continue
        if item.column in taken:
            raise ConfigError(f"filters.{index}.column: {item.column!r} is taken; name another column")
        taken.add(item.column)
        try:
            fasttext.check(item.model, item.label)
        except ValueError as error:
            raise ConfigError(f"filters.{index}: {error}") from None


def _make(index: int, name: str, arguments: dict[str, Any]) -> Any:
    try:
        from curation.datatrove import steps
    except ImportError:
        raise ConfigError(
            f"filters.{index}: steps of datatrove need it: pip install 'curation[datatrove,filters]'",
            "missing-package",
        ) from None
    if name == "SamplerFilter":
        raise ConfigError(
            f"filters.{index}: SamplerFilter draws in the order of the documents, so no two runs agree; use select.rate"
        )
    try:
        return steps.make(name, arguments)
    except ValueError as error:
        raise ConfigError(f"filters.{index}: {error}") from None


def check_columns(config: Config, shards: Sequence[Shard]) -> None:
    """Raise ConfigError where the input has a column that a score would be written to, or where a step fails on a
    plain document with the input's columns."""
    names = {config.columns.prefix + item.column for item in config.models}
    tried = set()
    looked = shards if config.filters else ()
    for shard, found in zip(looked, io.each(io.peek, looked), strict=True):
        if found is None:
            continue
        clash = sorted(names & set(found.names))
        if clash:
            raise ConfigError(
                f"filters: {shard.url} has a column {clash[0]!r} already; name another column",
                "column-taken",
            )
        columns = tuple(found.names)
        if config.steps and columns not in tried:
            tried.add(columns)
            _try(config, found)


def _try(config: Config, found: pa.Schema) -> None:
    row = pa.RecordBatch.from_pylist([{config.columns.text: _PLAIN}], pa.schema([(config.columns.text, pa.string())]))
    for field in found:
        if field.name == config.columns.url:
            row = row.append_column(field.name, pa.array([_URL]))
        elif field.name != config.columns.text:
            row = row.append_column(field, pa.nulls(1, field.type))
    from curation.datatrove import steps

    for item, step in zip(config.steps, _steps(config), strict=True):
        documents = steps.documents(row, config.columns.text, ["0"], config.columns.url)
        try:
            steps.apply([step], documents)
        except Exception as error:
            raise ConfigError(
                f"filters.{config.filters.index(item)}: {item.step} fails on a plain sentence with the columns of the "
                f"input (columns.url names the one that is its url): {type(error).__name__}: {error}"
            ) from None


def checksums(config: Config) -> list[Any]:
    """What the scores and the steps' verdicts depend on."""
    models = [[item.column, item.label, io.checksum(item.model)] for item in config.models]
    steps = [[item.step, item.arguments, metadata.version("datatrove")] for item in config.steps]
    return [*models, *steps]


class Steps:
    """The datatrove steps of a configuration, on the batches of one shard."""

    def __init__(self, config: Config, ids: str | None) -> None:
        self._config, self._ids = config, ids
        #: by step, how many documents it failed on and what it said first
        self.failures: dict[str, dict[str, Any]] = {}

    @property
    def fields(self) -> list[pa.Field]:
        """The columns that they add to the signals."""
        return [pa.field(column.name, column.type) for column in schema.STEPS] if self._config.steps else []

    def run(self, batch: pa.RecordBatch, rows: np.ndarray) -> tuple[pa.RecordBatch, list[pa.Array]]:
        """The batch with the texts that the steps have left, and the columns for the signals.

        A document that is dropped keeps the text it had; one on which a step raises stays, and is counted.
        """
        config = self._config
        if not config.steps:
            return batch, []
        from curation.datatrove import steps

        ids = rows.tolist() if self._ids is None else batch.column(self._ids).to_pylist()
        documents = steps.documents(batch, config.columns.text, ids, config.columns.url)
        done = steps.apply(_steps(config), documents, forgiving=True)
        for name, messages in done.failures.items():
            entry = self.failures.setdefault(name, {"documents": 0, "first": messages[0]})
            entry["documents"] += len(messages)
        before = pc.fill_null(plain_text(batch.column(config.columns.text)), "")
        differs = pc.and_(done.reason.is_null(), pc.not_equal(before, done.text))
        changed = pc.if_else(differs, done.text, pa.scalar(None, pa.large_string()))
        return with_text(batch, config.columns.text, changed), [done.reason, changed]


def _steps(config: Config) -> list[Any]:
    """The steps, made once in a thread: what they load may not be safe to share."""
    key = orjson.dumps([[item.step, item.arguments] for item in config.steps])
    if getattr(_built, "key", None) != key:
        _built.steps = [_make(index, item.step, item.arguments) for index, item in enumerate(config.steps)]
        _built.key = key
    return _built.steps


def excluded(config: Config, batch: pa.RecordBatch) -> pa.Array:
    """Why filters exclude each document of a batch of signals, or null: filter:COLUMN for a score outside its bounds,
    filter:STEP or filter:STEP:REASON for a datatrove step. A document without a score stays."""
    reason = pa.nulls(batch.num_rows, pa.string())
    for item in config.models:
        if item.min is None and item.max is None:
            continue
        name = schema.FILTER + item.column
        score = batch.column(name).to_numpy(zero_copy_only=False).astype(np.float32)
        low = -np.inf if item.min is None else np.float32(item.min)
        high = np.inf if item.max is None else np.float32(item.max)
        outside = pa.array((score < low) | (score > high))
        reason = pc.coalesce(reason, pc.if_else(outside, name, pa.scalar(None, pa.string())))
    if config.steps:
        dropped = batch.column(schema.STEPS[0].name)
        reason = pc.coalesce(reason, pc.binary_join_element_wise(schema.FILTER, dropped, ""))
    return reason


def columns(config: Config) -> list[str]:
    """The columns of signals that `excluded` reads."""
    return [schema.FILTER + item.column for item in config.models] + [
        column.name for column in schema.STEPS[:1] if config.steps
    ]
