"""Ratio mode: fit the model that tells the reference from the crawl, before annotate scores every document with it.

Two passes over the input, because a sample of documents is large and a list of their keys is not: the first finds the
keys below which a sample lies, the second the documents that have them. The crawl is all that is weighed; the
reference is the profile's sample, or without a profile the documents that are trusted.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from curation import dedup, io, synthetic
from curation.annotate import public_ids
from curation.batch import dates
from curation.config import Config, ConfigError
from curation.jobs import resolve, stages
from curation.plan import Context, Job, Progress, Shard, Step
from curation.synthetic import ratio
from curation.text import tokenise


class Sides(NamedTuple):
    """Something about the reference and about the crawl."""

    reference: Any
    crawl: Any


def wanted(config: Config) -> bool:
    """Does the configuration need scores of ratio mode?"""
    return config.mix.mode == "ratio"


def steps(job: Job) -> list[Step]:
    """The passes and the fit; none where no ratio is asked for, or where a model stands that was made from all this."""
    if not wanted(job.config) or _standing(job) is not None:
        return []
    return [
        Step("ratio keys", "annotate", work=_keys, merge=_fewest, finish=_cuts),
        Step("ratio", "annotate", work=_samples, merge=_merge, finish=_fit),
    ]


def sampling() -> list[Step]:
    """The two passes over the documents of a reference; the value of `ratio sample` is their sample."""
    return [
        Step("ratio keys", "profile", work=_keys, merge=_fewest, finish=_cuts),
        Step("ratio sample", "profile", work=_samples, merge=_merge, finish=_of_reference),
    ]


def check(config: Config, shards: tuple[Shard, ...]) -> None:
    """Raise ConfigError where there is nothing to compare the crawl with."""
    if not wanted(config):
        return
    if config.reference is not None:
        if not stages.load_profile(config.reference).ratio:
            raise ConfigError(
                f"mix.mode ratio: {config.reference} holds no sample of its documents; build the reference again with "
                "`curation reference build`"
            )
        return
    if not any(shard.trust in ("human", "premium") or shard.before is not None for shard in shards):
        raise ConfigError(
            "mix.mode ratio compares the crawl with trusted text: give --reference PROFILE, or an input with trust: "
            "human or `before`"
        )


def load(job: Job) -> ratio.Ratio | None:
    """The model of the job, read once in a process; None without ratio mode."""
    return _load(_path(job), job.hashes["annotate"]) if wanted(job.config) else None


@lru_cache(maxsize=2)
def _load(url: str, stamp: str) -> ratio.Ratio:
    with io.open_file(url) as file:
        return ratio.load_ratio(file.read(), url)[0]


def _path(job: Job) -> str:
    return f"{job.config.output}/decisions/ratio.model"


def _standing(job: Job) -> ratio.Ratio | None:
    """The model in the output folder if it was made from these inputs and settings."""
    url = _path(job)
    if not io.exists(url):
        return None
    try:
        with io.open_file(url) as file:
            found, stamp = ratio.load_ratio(file.read(), url)
    except ValueError:
        return None
    return found if stamp == job.hashes["annotate"] else None


def _documents(job: Job, shard: Shard) -> Any:
    """(batch, keys, bool trusted) of each batch of a shard; records that cannot be read are left to annotate."""
    columns = job.config.columns
    schema = io.final_schema(shard, text=columns.text)
    name = columns.id or ("id" if "id" in schema.names else None)
    needed = [column for column in (name, columns.date) if column is not None]
    size = int(job.config.run.batch_mb * 1e6)
    for batch, _ in io.read_shard(
        shard, text=columns.text, batch_bytes=size, schema=schema, columns=needed, on_bad=lambda bad: None
    ):
        keys = ratio.ratio_keys(public_ids(batch, name, dedup.content_hashes(batch.column(columns.text))))
        date = pa.nulls(batch.num_rows, pa.date32()) if columns.date is None else dates(batch.column(columns.date))
        yield batch, keys, resolve.trusted(shard, date)


def _keys(job: Job, shard: Shard, context: Context, progress: Progress) -> Sides:
    """The smallest keys of a shard, of trusted documents and of all."""
    found = Sides(np.zeros(0, np.uint64), np.zeros(0, np.uint64))
    for _, keys, trusted in _documents(job, shard):
        found = _fewest(found, Sides(keys[trusted], keys))
    return found


def _fewest(a: Sides, b: Sides) -> Sides:
    return Sides(*(np.sort(np.concatenate(pair))[: ratio.SAMPLE] for pair in zip(a, b, strict=True)))


def _cuts(job: Job, merged: Sides | None, context: Context) -> Sides:
    """The largest key in the sample of each side; 0 for a side without documents."""
    sides = merged if merged is not None else Sides(np.zeros(0, np.uint64), np.zeros(0, np.uint64))
    return Sides(*(int(keys[-1]) if len(keys) else 0 for keys in sides))


def _samples(job: Job, shard: Shard, context: Context, progress: Progress) -> Sides:
    cuts, text = context["ratio keys"], job.config.columns.text
    found = Sides(ratio.empty_sample(), ratio.empty_sample())
    own = job.config.reference is None
    for batch, keys, trusted in _documents(job, shard):
        chosen = (trusted & own & (keys <= cuts.reference), keys <= cuts.crawl)
        rows = np.flatnonzero(chosen[0] | chosen[1])
        tokens = tokenise(batch.column(text).take(pa.array(rows)))
        masks = (ratio.long_enough(tokens) & mask[rows] for mask in chosen)
        found = _merge(found, Sides(*(ratio.sample(tokens, keys[rows], mask) for mask in masks)))
    return found


def _merge(a: Sides, b: Sides) -> Sides:
    return Sides(*(ratio.merge_samples(*pair) for pair in zip(a, b, strict=True)))


def _of_reference(job: Job, merged: Sides | None, context: Context) -> dict[str, np.ndarray]:
    sample = merged.reference if merged is not None else ratio.empty_sample()
    return ratio.pack_sample(ratio.merge_samples(sample, size=ratio.STORED))


def _fit(job: Job, merged: Sides | None, context: Context) -> dict[str, Any]:
    """Write the model to decisions/ratio.model; what it says of itself is the value of the step."""
    sides = merged if merged is not None else Sides(ratio.empty_sample(), ratio.empty_sample())
    reference = sides.reference
    if job.config.reference is not None:
        reference = ratio.unpack_sample(stages.load_profile(job.config.reference).ratio)
    try:
        detect = job.config.detect
        detector = synthetic.load_model(detect.model) if detect.enabled else None
        fitted = synthetic.fit_ratio(reference, sides.crawl, detector)
    except ValueError as error:
        raise ConfigError(f"mix.mode ratio: {error}; give more text, or mix.mode balance, soft or none") from None
    with io.atomic(_path(job)) as file:
        file.write(ratio.dump_ratio(fitted, job.hashes["annotate"]))
    return fitted.report
