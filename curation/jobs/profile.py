"""`reference build`: from human text to the profile that a mix is brought to."""

import sys
import tempfile
from typing import Any

from curation import diversity, io, progress, synthetic
from curation.config import Config, ConfigError
from curation.diversity import reference
from curation.jobs import annotate, ratio, resolve, stages
from curation.jobs.prepare import prepare
from curation.local import execute
from curation.plan import Context, Job, Progress, Shard, Step

LANGUAGE = "en"  # that of the shipped ruler and detector


def build_reference(config: Config, output: str, *, licences: list[str] | None = None, quiet: bool = False) -> int:
    """Build the profile of the inputs at `output` (any fsspec URL), taking them all as human text; returns 0.

    Tables are fixed, standardisation comes from one half of the documents and targets from the other, both chosen by
    hash of id. Raises ConfigError for inputs that cannot be read, and ProfileError for too little text.
    """
    if not config.inputs:
        raise ConfigError("no inputs: give --input GLOB or `inputs` in the configuration")
    with tempfile.TemporaryDirectory(prefix="curation-reference-") as folder:
        trusted = [item.model_copy(update={"trust": "human"}) for item in config.inputs]
        needed = {"signals": config.signals.model_copy(update={"features": True})}
        settings = {"inputs": trusted, "output": folder, "reference": None, **needed}
        job = prepare(config.model_copy(update=settings))
        observer = progress.observer(sum(shard.size for shard in job.shards), quiet=quiet)
        try:
            execute(_steps(list(licences or []), output), job, observer)
        finally:
            observer.close()
    if not quiet:
        print(f"wrote {output}", file=sys.stderr)
    return 0


def _steps(licences: list[str], output: str) -> list[Step]:
    def write(job: Job, merged: Any, context: Context) -> None:
        profile = reference.build(
            context["standard"]["state"],
            context["standard"]["frame"],
            merged,
            anchors=synthetic.to_arrays(context["anchors"]),
            statistics=diversity.dump(context["statistics"]),
            ruler=diversity.load_ruler().version,
            model=synthetic.load_model(job.config.detect.model).version if job.config.detect.enabled else "",
            licences=tuple(licences),
            ratio=context["ratio sample"],
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
    state = reference.first_empty()
    for batch in stages.read_signals(job, shard, _columns()):
        state = reference.first_merge(state, reference.first_update(batch, LANGUAGE))
    return state


def _frame(job: Job, merged: Any, context: Context) -> Any:
    return {"state": merged, "frame": reference.first_result(merged, LANGUAGE)}


def _second(job: Job, shard: Shard, context: Context, progress: Progress) -> Any:
    frame = context["standard"]["frame"]
    state = reference.second_empty(frame)
    for batch in stages.read_signals(job, shard, _columns()):
        state = reference.second_merge(state, reference.second_update(batch, frame))
    return state


def _columns() -> list[str]:
    return ["id", "tokens", "lang", "gate", "logit", "core", "words", "bins", "style"]
