"""Annotate: a shard in, its signals and its statistics out, stamped so that a later run knows them."""

import base64
from dataclasses import replace
from typing import Any

import pyarrow as pa

from curation import device, diversity, io, schema
from curation.annotate import Annotated, Settings, annotate
from curation.config import ROLES, Config, columns_of
from curation.dedup import column_of
from curation.jobs import benchmarks, earlier_outputs, filters, lines, ratio, stages
from curation.plan import Context, Job, Progress, Shard, Step


def steps() -> list[Step]:
    """One step; its value is the list of what `annotate_shard` says of each shard."""
    return [Step("annotate", "annotate", work=annotate_shard, finish=_listed, gpu=True)]


def _listed(job: Job, merged: list[dict[str, Any]], context: Context) -> list[dict[str, Any]]:
    """The shards' summaries as they are."""
    earlier_outputs.record(job)
    return merged


def settings(config: Config) -> Settings:
    """What the configuration says of signals."""
    dedup, columns = config.dedup, columns_of(config)
    near = dedup.enabled and dedup.near
    by_column = column_of(dedup.keep) if dedup.enabled else None
    return Settings(
        text=columns.text,
        id=columns.id,
        date=columns.date,
        url=columns.url,
        tokens=columns.tokens,
        source=columns.source,
        group=columns.group,
        thread=columns.thread,
        bands=dedup.bands if near else 0,
        rows=dedup.rows if near else 0,
        ngram=dedup.ngram,
        seed=dedup.seed,
        identity=dedup.identity,
        model=config.detect.model if config.detect.enabled else None,
        min_words=config.detect.min_words,
        features=config.signals.features,
        measure=config.measure.enabled,
        keep=by_column[0] if by_column else None,
        benchmarks=benchmarks.load(config.decontaminate) if config.decontaminate.paths else None,
        filters=tuple((item.column, item.model, item.label) for item in config.models),
        columns=tuple(config.mix.columns.items()) if config.signals.features else (),
        added=tuple(columns.prefix + column.name for column in (*schema.ADDED, *schema.OPTIONAL)),
    )


def annotate_shard(job: Job, shard: Shard, context: Context, progress: Progress) -> dict[str, Any]:
    """Write signals, statistics and quarantine of a shard unless they stand there; return what the stamp says.

    {"documents", "quarantined", "bytes", "words", "units"}: int, and "schema": the input's Arrow schema in base64.
    """
    config = job.config
    url = stages.signals_path(job, shard)
    key = [job.hashes["annotate"], shard.size, shard.version, shard.source, *map(list, shard.columns)]
    stamp = io.read_stamp(url)
    measured = not config.measure.enabled or io.exists(stages.state_path(job, shard))
    longest = stages.longest(config)
    cut = lines.wanted(config) is None or io.exists(lines.units_path(job, shard))
    if stamp is not None and stamp["key"] == key and measured and cut and _within(stamp, longest):
        return stamp
    wanted = replace(settings(config), ratio=ratio.load(job))
    input_schema = io.final_schema(shard, text=config.columns.text, longest_line=longest)
    if wanted.id is None and "id" in input_schema.names:
        wanted = replace(wanted, id="id")
    # a column that only other inputs name
    implied = [role for role in ROLES[1:] if getattr(config.columns, role) is None]
    absent: dict[str, Any] = dict.fromkeys(role for role in implied if getattr(wanted, role) not in input_schema.names)
    wanted = replace(wanted, **absent)
    state = diversity.empty(diversity.load_ruler()) if config.measure.enabled else None
    counts = {"documents": 0, "bytes": 0, "words": 0}
    steps = filters.Steps(config, wanted.id)
    written = pa.schema([*wanted.schema, *steps.fields])
    with io.ShardWriter(url, "parquet", written, {}, ["source", "group", "lang", "gate"]) as writer:
        with lines.Units(job, shard) as units, io.Quarantine(stages.quarantine_path(job, shard)) as quarantine:
            read = stages.read_shard(job, shard, input_schema, quarantine)
            items = ((*steps.run(batch, rows), rows) for batch, rows in read)
            card, column = device.choose(config.run.device), config.columns.text
            for (batch, said, rows), found in device.ahead(
                card, items, lambda item: item[0].column(column), wanted, state
            ):
                done = annotate(batch, rows, shard.source, wanted, found)
                writer.write(pa.RecordBatch.from_arrays([*done.signals.columns, *said], schema=written))
                units.write(batch.column(config.columns.text))
                if state is not None:
                    state = update(state, done)
                size = int(done.starts[-1] - done.starts[0])
                counts["documents"] += batch.num_rows
                counts["bytes"] += size
                counts["words"] += int(done.words.sum())
                progress(batch.num_rows, size)
        if state is not None:
            with io.atomic(stages.state_path(job, shard)) as file:
                file.write(diversity.dump(state))
        # the signals appear last: a stamp means that statistics and quarantine stand there too
        counts["units"] = units.count
        stamp = {"key": key, **counts, "quarantined": quarantine.count, "longest": longest}
        stamp["schema"] = pack_schema(input_schema)
        if steps.failures:
            stamp["failures"] = steps.failures
        writer.values = stamp
    return stamp


def _within(found: dict[str, Any], longest: int) -> bool:
    """Would another limit of the length of documents have found the same?"""
    before = found.get("longest")
    return before == longest or (before is not None and before < longest and not found["quarantined"])


def update(state: Any, done: Annotated) -> Any:
    """The statistics with the documents of a batch counted in."""
    return diversity.update(
        state,
        ruler=diversity.load_ruler(),
        tokens=done.tokens,
        data=done.data,
        starts=done.starts,
        ids_hash=diversity.hash_ids(done.signals.column("id")),
        features=done.features,
        counts=done.counts,
        threads=done.threads,
    )


def pack_schema(value: pa.Schema) -> str:
    """An Arrow schema as text."""
    return base64.b64encode(value.serialize().to_pybytes()).decode()


def unpack_schema(value: str) -> pa.Schema:
    """The schema that `pack_schema` made text of."""
    return pa.ipc.read_schema(pa.BufferReader(base64.b64decode(value)))
