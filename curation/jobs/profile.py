"""`reference build`: from human text to the profile that a mix is brought to."""

import sys
import tempfile
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation import diversity, io, progress, schema, synthetic
from curation.batch import dates
from curation.config import Config, ConfigError, Input
from curation.diversity import reference
from curation.diversity.human import human_of, scalars
from curation.diversity.reservoir import tokens_of
from curation.diversity.state import excerpts
from curation.jobs import annotate, ratio, resolve, stages
from curation.jobs.prepare import prepare
from curation.local import execute
from curation.plan import Context, Job, Progress, Shard, Step

LANGUAGE = "en"  # that of the shipped ruler and detector


BLOCKS = 12  # of 350 documents each: enough to tell how far blocks of human text stray


def build_reference(
    config: Config,
    output: str,
    *,
    licences: list[str] | None = None,
    sources: list[str] | None = None,
    name: str = "",
    overwrite: bool = False,
    quiet: bool = False,
) -> int:
    """Build the profile of the inputs at `output` (any fsspec URL), taking what is chosen as human text; returns 0.

    Chosen are all documents, or those of the named `sources` (of inputs, or values of columns.source), and of inputs
    with a date `before` those dated before it. name: what reports call the reference. Tables are fixed,
    standardisation comes from one half of the documents and targets from the other, both chosen by hash of id.
    Without a detector (detect.enabled: false) the profile holds nothing of single documents. Raises ConfigError for
    inputs that cannot be read and for an output that exists, unless `overwrite`, and ProfileError for too little text.
    """
    if not config.inputs:
        raise ConfigError("no inputs: give --input GLOB or `inputs` in the configuration", "no-input")
    if io.exists(output) and not overwrite:
        raise ConfigError(f"{output} exists: give another --output, or --overwrite to replace it")
    with tempfile.TemporaryDirectory(prefix="curation-reference-") as folder:
        trusted = [item.model_copy(update={"trust": "human", "before": None}) for item in config.inputs]
        if sources or any(item.before is not None for item in config.inputs):
            trusted = _chosen(config, set(sources or []), folder + "/chosen", quiet)
        needed = {"signals": config.signals.model_copy(update={"features": True})}
        settings = {"inputs": trusted, "output": folder + "/work", "reference": None, **needed}
        job = prepare(config.model_copy(update=settings))
        observer = progress.observer(sum(shard.size for shard in job.shards), quiet=quiet)
        try:
            execute(_steps(list(licences or []), output, name), job, observer)
        finally:
            observer.close()
    if not quiet:
        print(f"wrote {output}", file=sys.stderr)
    return 0


def _chosen(config: Config, sources: set[str], folder: str, quiet: bool) -> list[Input]:
    """Copies of the inputs that hold the chosen documents only. Raises ConfigError where none is chosen."""
    job = prepare(config.model_copy(update={"output": folder, "reference": None}))
    columns, chosen, read = config.columns, 0, 0
    for shard in job.shards:
        schema = io.final_schema(shard, text=columns.text)
        path = f"{folder}/{shard.index:05d}.parquet"
        with io.ShardWriter(path, "parquet", schema) as writer, io.Quarantine(path + ".quarantine") as quarantine:
            for batch, _ in io.read_shard(
                shard, text=columns.text, batch_bytes=int(config.run.batch_mb * 1e6), schema=schema, on_bad=quarantine
            ):
                rows = np.ones(batch.num_rows, bool)
                if shard.before is not None:
                    assert columns.date is not None  # `prepare` asks for it
                    earlier = pc.less(dates(batch.column(columns.date)), pa.scalar(shard.before, pa.date32()))
                    rows &= pc.fill_null(earlier, False).to_numpy(zero_copy_only=False)
                if sources and columns.source is not None:
                    named = pc.is_in(batch.column(columns.source).cast(pa.string()), pa.array(sorted(sources)))
                    rows &= named.to_numpy(zero_copy_only=False)
                elif sources:
                    rows &= shard.source in sources
                writer.write(batch.filter(pa.array(rows)))
                read, chosen = read + batch.num_rows, chosen + int(rows.sum())
    if not chosen:
        raise ConfigError(f"none of the {read:,} documents is of the sources and dates that were asked for")
    if not quiet:
        print(f"{chosen:,} of {read:,} documents chosen", file=sys.stderr)
    names = {shard.index: shard.source for shard in job.shards}
    return [Input(path=f"{folder}/{i:05d}.parquet", source=s, trust="human", before=None) for i, s in names.items()]


def _steps(licences: list[str], output: str, name: str) -> list[Step]:
    def write(job: Job, merged: Any, context: Context) -> None:
        ruler, scored, state = diversity.load_ruler(), job.config.detect.enabled, context["statistics"]
        human = human_of(scalars(tokens_of(excerpts(state)), ruler))
        blocks = diversity.at_block_size(state, ruler, BLOCKS, human)
        profile = reference.build(
            context["standard"]["state"],
            context["standard"]["frame"],
            merged,
            anchors=synthetic.to_arrays(context["anchors"]),
            statistics=diversity.dump(diversity.sealed(state)),
            blocks={"mean": blocks.mean, "spread": blocks.spread},
            human=human._asdict() if human is not None else None,
            name=name,
            ruler=ruler.version,
            model=synthetic.load_model(job.config.detect.model).version if scored else "",
            licences=tuple(licences),
            ratio=context["ratio sample"] if scored else None,
        )
        with io.atomic(output) as file:
            file.write(reference.save(profile))

    return [
        *annotate.steps(),
        Step("statistics", "profile", work=_state, merge=diversity.merge, finish=_merged),
        Step("anchors", "profile", work=resolve.anchors, merge=synthetic.merge, finish=_merged),
        *ratio.sampling(),
        Step("standard", "profile", work=_first, merge=reference.first_merge, finish=_frame),
        Step("targets", "profile", work=_second, merge=reference.second_merge, finish=write),
    ]


def _merged(job: Job, merged: Any, context: Context) -> Any:
    return merged


def _state(job: Job, shard: Shard, context: Context, progress: Progress) -> Any:
    with io.open_file(stages.state_path(job, shard)) as file:
        return diversity.load(file.read())


def _first(job: Job, shard: Shard, context: Context, progress: Progress) -> Any:
    columns = tuple(job.config.mix.columns.items())
    state = reference.first_empty(columns)
    for batch in stages.read_signals(job, shard, _columns(job)):
        state = reference.first_merge(state, reference.first_update(batch, LANGUAGE, columns))
    return state


def _frame(job: Job, merged: Any, context: Context) -> Any:
    return {"state": merged, "frame": reference.first_result(merged, LANGUAGE, tuple(job.config.mix.columns.items()))}


def _second(job: Job, shard: Shard, context: Context, progress: Progress) -> Any:
    frame = context["standard"]["frame"]
    state = reference.second_empty(frame)
    for batch in stages.read_signals(job, shard, _columns(job)):
        state = reference.second_merge(state, reference.second_update(batch, frame))
    return state


def _columns(job: Job) -> list[str]:
    numbers = (schema.COLUMN + name for name in job.config.mix.columns)
    return ["id", "tokens", "lang", "gate", "logit", "core", "words", "bins", "style", *numbers]
