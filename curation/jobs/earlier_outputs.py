"""What an earlier run left in the output folder: other inputs are refused, replaced files are cleared away."""

from collections.abc import Mapping, Sequence
from typing import Any

from curation import io, layout
from curation.config import ConfigError
from curation.jobs import stages
from curation.plan import Job, Shard

_RECORD = "decisions/inputs.json"
_SUMMARIES = ("clusters", "lines", "weights", "select")  # under decisions/, by which a finished phase is known


def check(output: str, shards: Sequence[Shard]) -> None:
    """Raise ConfigError when the folder holds a run over shards that this one does not read.

    More shards than before are fine, since a crawl grows; fewer would leave documents of both runs side by side.
    A file that was deleted before its run was finished is no reason: what was made of it is deleted too.
    """
    before = stages.read_json(f"{output}/{_RECORD}") or []
    now = {(shard.source, shard.relative) for shard in shards}
    entries = [(*entry, "")[:3] for entry in before]  # older runs kept no URL
    gone = sorted(entry for entry in entries if entry[:2] not in now)
    if not gone:
        return
    finished = io.read_manifest(output) is not None
    for source, relative, url in gone:
        if finished or io.exists(url):
            more = f" and {len(gone) - 1:,} more" if len(gone) > 1 else ""
            raise ConfigError(
                f"{output} holds a run that also read {relative} of source {source!r}{more}: give another --output, "
                "or delete that folder",
                "output-conflict",
            )
    for source, relative, url in gone:
        _clear_shard(output, Shard(0, url, source, relative))


def _clear_shard(output: str, shard: Shard) -> None:
    """Delete what an unfinished run wrote of a shard."""
    for format in ("parquet", *dict.fromkeys(layout.FORMATS.values())):
        for folder in ("kept", "excluded"):
            io.delete(f"{output}/{folder}/{shard.source}/{io.output_relative(shard, format)}")
    io.delete(layout.path(output, "signals", shard))
    io.delete(layout.path(output, "quarantine", shard))


def record(job: Job) -> None:
    """Keep the list of shards that the run reads."""
    listed = sorted([s.source, s.relative, s.url] for s in job.shards)
    stages.write_json(f"{job.config.output}/{_RECORD}", listed)


def forget_quarantined(job: Job) -> None:
    """Delete the signals of shards of which something was quarantined, and what tells that decisions are made.

    So these shards alone are read again, and everything is decided anew.
    """
    again = False
    for shard in job.shards:
        found = io.read_stamp(stages.signals_path(job, shard))
        if found is not None and found["quarantined"]:
            io.delete(stages.signals_path(job, shard))
            again = True
    if again:
        for name in _SUMMARIES:
            io.delete(f"{job.config.output}/decisions/{name}.json")
        for shard in job.shards:
            io.delete(stages.selected_path(job, shard))


def clear(output: str, manifest: Mapping[str, Any]) -> None:
    """Delete what the manifest in the folder lists and the new one does not: of another format, or not asked for."""
    before = io.read_manifest(output)
    now = {entry["path"] for entry in manifest["outputs"]}
    for entry in (before or {}).get("outputs", []):
        if entry["path"] not in now:
            io.delete(io.safe_join(output, entry["path"]))
