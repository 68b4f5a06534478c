"""Curate: the whole job over shards, as one transform of any pipeline."""

from collections.abc import Mapping
from typing import Any

import apache_beam as beam

from curation.beam.batches import displayed
from curation.beam.runner import add_steps
from curation.config import Config, ConfigError, load
from curation.jobs import prepare, steps
from curation.jobs.summarise import summarise
from curation.plan import Context, Job


class Curate(beam.PTransform):
    """`pipeline | Curate(config)` runs the whole job and gives a PCollection with its report, one dict.

    `config` is a Config, the path of a YAML file, a mapping of its keys, or those keys as keywords. `run.runner` and
    `run.workers` are those of the pipeline, not the configuration's. Kept shards and decisions are those of
    `curation.curate`; they go to `output` as files, while only hashes, sums and decisions pass through the pipeline.
    The inputs are listed and their columns checked when the pipeline is built. Nothing else may write to `output`
    while the pipeline runs. `accelerator` is Beam's resource hint for the steps that use a GPU (annotate, and passes
    that balance features), such as `type:nvidia-l4;count:1;install-nvidia-driver`: a runner that heeds hints, as
    Dataflow does, gives workers with a GPU to these steps only. Raises ConfigError for what cannot be used.
    """

    def __init__(
        self,
        config: Config | str | Mapping[str, Any] | None = None,
        *,
        accelerator: str | None = None,
        **values: Any,
    ) -> None:
        super().__init__()
        if accelerator is not None and not (isinstance(accelerator, str) and accelerator):
            raise ConfigError(f"accelerator must be a resource hint such as type:nvidia-l4, not {accelerator!r}")
        self.accelerator = accelerator
        if isinstance(config, Config):
            if values:
                raise ConfigError(f"give a Config or keys, not both: {', '.join(values)}", "usage")
            self.config = config
        elif isinstance(config, Mapping):
            self.config = load(None, {**config, **values})
        else:
            self.config = load(config, values)
        for key in ("inputs", "output"):
            if not getattr(self.config, key):
                raise ConfigError(f"the configuration has no {key}")

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection:
        job = prepare(self.config)
        context = add_steps(begin.pipeline, steps(job), job, accelerator=self.accelerator)
        return context | "Report" >> beam.Map(_report, job).with_output_types(dict[str, Any])

    def display_data(self) -> dict[str, Any]:
        inputs = ", ".join(f"{entry.source}={entry.path}" for entry in self.config.inputs)
        shown = {"inputs": inputs, "output": self.config.output, "mode": self.config.mix.mode}
        return {**shown, **displayed(self, "accelerator")}


def _report(_: Context, job: Job) -> dict[str, Any]:
    # stages are timed by the runner's own metrics here
    return summarise(job, {})
