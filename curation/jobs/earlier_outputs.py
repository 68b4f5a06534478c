"""What an earlier run left in the output folder: other inputs are refused, replaced files are cleared away."""

from collections.abc import Mapping, Sequence
from typing import Any

from curation import io
from curation.config import ConfigError
from curation.jobs import stages
from curation.plan import Job, Shard

_RECORD = "decisions/inputs.json"


def check(output: str, shards: Sequence[Shard]) -> None:
    """Raise ConfigError when the folder holds a run over shards that this one does not read.

    More shards than before are fine, since a crawl grows; fewer would leave documents of both runs side by side.
    """
    before = stages.read_json(f"{output}/{_RECORD}") or []
    now = {(shard.source, shard.relative) for shard in shards}
    gone = sorted(set(map(tuple, before)) - now)
    if gone:
        source, relative = gone[0]
        more = f" and {len(gone) - 1:,} more" if len(gone) > 1 else ""
        raise ConfigError(
            f"{output} holds a run that also read {relative} of source {source!r}{more}: give another --output, "
            "or delete that folder"
        )


def record(job: Job) -> None:
    """Keep the list of shards that the run reads."""
    stages.write_json(f"{job.config.output}/{_RECORD}", sorted([s.source, s.relative] for s in job.shards))


def clear(output: str, manifest: Mapping[str, Any]) -> None:
    """Delete what the manifest in the folder lists and the new one does not: of another format, or not asked for."""
    before = io.read_manifest(output)
    now = {entry["path"] for entry in manifest["outputs"]}
    for entry in (before or {}).get("outputs", []):
        if entry["path"] not in now:
            io.delete(io.safe_join(output, entry["path"]))
