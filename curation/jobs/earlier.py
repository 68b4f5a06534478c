"""Earlier runs as an index: their signals stand for their documents, whose text is not read again."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from curation import io
from curation.config import Config, ConfigError, columns_of, load
from curation.dedup.shuffle import ROW_BITS
from curation.jobs import stages
from curation.jobs.decisions import Decisions, Final
from curation.plan import Job, Shard
from curation.schema import SIGNALS_VERSION
from curation.text import TOKENISER

_NO_RUN = "no-finished-run"
_MANIFEST = {"config", "documents", "hashes", "inputs", "versions"}


@dataclass(frozen=True)
class Earlier:
    """A finished run: its own job, with shards numbered after those of the runs before it, and what select needs."""

    job: Job
    final: Final
    documents: int
    checksum: str


def runs(config: Config, first: int) -> tuple[Earlier, ...]:
    """The runs that `against` names; their shards are numbered from `first`.

    Raises ConfigError for a folder that holds no finished run, and for signals that cannot be compared with those of
    this configuration, naming the difference.
    """
    found: list[Earlier] = []
    for url in config.against:
        found.append(_run(config, url, first + sum(len(run.job.shards) for run in found)))
    return tuple(found)


def _run(config: Config, url: str, first: int) -> Earlier:
    output = url.rstrip("/")
    if output == config.output.rstrip("/"):
        raise ConfigError(f"against: {url} is the output folder of this run; name an earlier run")
    if not io.is_folder(output):
        raise ConfigError(f"against: {url} is not the output folder of a finished run: no such folder", _NO_RUN)
    manifest: Any = io.read_manifest(output)
    weights: Any = stages.read_json(f"{output}/decisions/weights.json")
    for name, found, keys in (("manifest.json", manifest, _MANIFEST), ("decisions/weights.json", weights, {"final"})):
        if found is None:
            raise ConfigError(f"against: {url} holds no finished run: there is no {name} in it", _NO_RUN)
        if not isinstance(found, dict) or not keys <= set(found):
            raise ConfigError(f"against: {url} holds no finished run: its {name} is not that of a run", _NO_RUN)
    _check_versions(manifest["versions"], url)
    try:
        theirs = load(None, manifest["config"]).model_copy(update={"output": output})
    except ConfigError as error:
        raise ConfigError(
            f"against: {url} was made with a configuration that this release does not know ({error}); run it again"
        ) from None
    _check_comparable(config, theirs, url)
    shards = tuple(
        Shard(first + number, entry["url"], entry["source"], entry["relative"], entry["trust"])
        for number, entry in enumerate(manifest["inputs"])
    )
    job = Job(theirs, shards, manifest["hashes"])
    for shard in shards:
        for what, path in (
            ("signals", stages.signals_path(job, shard)),
            ("clusters", stages.decisions_path(job, "clusters", shard)),
            ("weights", stages.decisions_path(job, "weights", shard)),
        ):
            if not io.exists(path):
                name = f"{shard.source}/{shard.relative}"
                raise ConfigError(f"against: {url} lacks the {what} of {name}; run it again", _NO_RUN)
    checksum = io.checksum(f"{output}/manifest.json")
    return Earlier(job, Final(**weights["final"]), int(manifest["documents"]["read"]), checksum)


def _differs(url: str, what: str, there: object, here: object) -> ConfigError:
    return ConfigError(
        f"against: the signals of {url} cannot be compared with those of this run: {what} is {there} there and "
        f"{here} here; run one of them again with the other's setting"
    )


def _check_versions(versions: dict[str, str], url: str) -> None:
    for name, here in (("signals", SIGNALS_VERSION), ("tokeniser", TOKENISER)):
        if versions.get(name) != here:
            raise _differs(url, f"the version of the {name}", versions.get(name), here)


def _check_comparable(config: Config, theirs: Config, url: str) -> None:
    if config.dedup.enabled and config.dedup.exact and theirs.dedup.identity != config.dedup.identity:
        raise _differs(url, "what exact compares (dedup.equal)", theirs.dedup.identity, config.dedup.identity)
    if config.dedup.near:
        if not (theirs.dedup.enabled and theirs.dedup.near):
            raise _differs(url, "dedup.near", "off", "on")
        for key in ("bands", "rows", "ngram", "seed"):
            if getattr(theirs.dedup, key) != getattr(config.dedup, key):
                raise _differs(url, f"dedup.{key}", getattr(theirs.dedup, key), getattr(config.dedup, key))
    if config.dedup.url and columns_of(theirs).url is None:
        raise _differs(url, "dedup.url", "without columns.url", "on")


def shards(job: Job) -> tuple[Shard, ...]:
    """The job's own shards, and after them those of the earlier runs, which are only read."""
    return (*job.shards, *(shard for run in job.earlier for shard in run.job.shards))


def is_earlier(job: Job, shard: Shard) -> bool:
    """Does the shard belong to an earlier run?"""
    return shard.index >= len(job.shards)


def first_row(job: Job) -> int:
    """The job row from which rows belong to earlier runs."""
    return len(job.shards) << ROW_BITS


def read(job: Job, shard: Shard, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """Signals of a shard of an earlier run with public ids: what the run kept, or everything with text."""
    run = next(run for run in job.earlier if run.job.shards[0].index <= shard.index <= run.job.shards[-1].index)
    decisions = Decisions(run.job, shard, run.final)
    for batch in stages.read_signals(run.job, shard, list(dict.fromkeys([*columns, "row", "id", "bytes"]))):
        decided = decisions.take(batch.column("row").to_numpy())
        if job.config.against_all:
            wanted = batch.column("bytes").to_numpy() > 0
        else:
            wanted = decided.columns["filter_reason"].is_null().to_numpy(zero_copy_only=False)
        ids = decided.ids.cast(pa.string())
        batch = batch.set_column(batch.schema.get_field_index("id"), "id", ids)
        yield batch.select(columns).filter(pa.array(np.asarray(wanted, bool)))
