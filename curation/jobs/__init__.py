"""The jobs: the four phases on any host, and what the command line does with them."""

import sys
from collections.abc import Sequence
from typing import Any

from threadpoolctl import threadpool_limits

from curation import io, progress
from curation.config import Config, ConfigError
from curation.jobs import annotate, duplicates, earlier_outputs, lines, ratio, resolve, select, stages, summarise, weigh
from curation.jobs.prepare import configure, prepare
from curation.jobs.profile import build_reference
from curation.plan import Job, Step

__all__ = ["build_reference", "configure", "curate", "prepare", "rewrite_report", "run", "steps"]


def steps(job: Job) -> list[Step]:
    """The four phases as steps; a phase whose results stand from an earlier run has little to do."""
    if job.config.run.retry_quarantined:
        earlier_outputs.forget_quarantined(job)
    resolved = [*resolve.steps(job), *duplicates.steps(job), *lines.steps(job)]
    return [*ratio.steps(job), *annotate.steps(), *resolved, *weigh.steps(job), *select.steps(job)]


def curate(
    config: Config | str | None = None, *, options: Sequence[str] = (), quiet: bool = True, **values: Any
) -> dict[str, Any]:
    """Run the whole job and return the report (`curation.report.Report`).

    `config`, a configuration or the path of a YAML file, over which keys may be laid as keywords; or keys alone:
    `curate(inputs="crawl/*.parquet", output="out")`. `options` are those of a Beam runner. Finished files of an
    earlier, interrupted run are used. Raises ConfigError before work starts for what cannot be run, and ValueError
    when a record is unaccounted for.
    """
    if config is None or isinstance(config, str):
        config = configure("run", config, values, [])
    elif values:
        raise ConfigError(f"give a Config or keys, not both: {', '.join(values)}")
    job = prepare(config)
    host = _host(config)
    with io.lock(config.output):
        io.remove_abandoned(config.output)
        observer = progress.observer(sum(shard.size for shard in job.shards), quiet=quiet)
        try:
            # threads of the job use the cores; BLAS threads beside them only wait for each other
            with threadpool_limits(1, user_api="blas"):
                host(steps(job), job, observer, options)
        finally:
            observer.close()
        return summarise.summarise(job, observer.stages)


def _host(config: Config) -> Any:
    if config.run.runner == "local":
        from curation import local

        return lambda steps, job, observer, options: local.execute(steps, job, observer)
    try:
        from curation.beam import runner
    except ImportError as error:
        name = config.run.runner
        raise ConfigError(f"run.runner {name!r} needs Apache Beam ({error}): pip install 'curation[beam]'") from None
    runner.check(config.run.runner)
    return runner.execute


def run(config: Config, *, options: Sequence[str] = (), quiet: bool = False) -> int:
    """`curate` for the command line: prints the summary and returns the exit code."""
    report = curate(config, options=options, quiet=quiet)
    if not quiet:
        _print(config.output, report)
    missed = [source for source, floor in report["mixing"]["floors"].items() if not floor["met"]]
    for source in missed:
        floor = report["mixing"]["floors"][source]
        print(
            f"curation: FLOOR MISSED: {floor['kept']:.1%} of source {source!r} was kept, select.floors asks for "
            f"{floor['floor']:.1%}: {floor['missing']:,} documents too few"
            + "".join(f"; {count:,} left as {reason}" for reason, count in floor["by_reason"].items()),
            file=sys.stderr,
        )
    return 1 if missed and config.select.on_floor == "fail" else 0


def _print(output: str, report: dict[str, Any]) -> None:
    from curation.report import summary

    print(summary(report))
    print(f"\nreport  {output}/report/report.html\nkept    {output}/kept")


def rewrite_report(output: str) -> int:
    """Write report.html again from report.json, and print the summary."""
    report = stages.read_json(f"{output}/report/report.json")
    if report is None:
        raise ConfigError(f"{output} holds no finished run: there is no report/report.json in it")
    summarise.write_html(output, report)
    _print(output, report)
    return 0
