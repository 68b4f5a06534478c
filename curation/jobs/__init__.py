"""The jobs: the four phases on any host, and what the command line does with them."""

import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from threadpoolctl import threadpool_limits

from curation import events, io, progress
from curation.config import Config, ConfigError
from curation.errors import Unreadable, code_of, exit_code
from curation.jobs import (
    annotate,
    duplicates,
    earlier_outputs,
    guarantees,
    hosts,
    lines,
    ratio,
    resolve,
    select,
    stages,
    summarise,
    tables,
    weigh,
)
from curation.jobs.prepare import configure, prepare
from curation.jobs.profile import build_reference
from curation.plan import Job, Step

__all__ = ["build_reference", "configure", "curate", "prepare", "rewrite_report", "run", "steps"]


def steps(job: Job) -> list[Step]:
    """The four phases as steps; a phase whose results stand from an earlier run has little to do."""
    if job.config.run.retry_quarantined:
        earlier_outputs.forget_quarantined(job)
    resolved = [*resolve.steps(job), *hosts.steps(job), *duplicates.steps(job), *lines.steps(job)]
    return [*ratio.steps(job), *annotate.steps(), *resolved, *weigh.steps(job), *select.steps(job)]


def curate(
    config: Config | str | None = None,
    *,
    options: Sequence[str] = (),
    quiet: bool = True,
    as_json: bool = False,
    **values: Any,
) -> dict[str, Any]:
    """Run the whole job and return the report (`curation.report.Report`).

    `config`, a configuration or the path of a YAML file, over which keys may be laid as keywords; or keys alone:
    `curate(inputs="crawl/*.parquet", output="out")`. `options` are those of a Beam runner. Finished files of an
    earlier, interrupted run are used. `as_json` prints events (`curation.events`), which a local output folder has in
    its run.log anyway. Raises ConfigError before work starts for what cannot be run, and ValueError
    when a record is unaccounted for.
    """
    if config is None or isinstance(config, str):
        config = configure("run", config, values, [])
    elif values:
        raise ConfigError(f"give a Config or keys, not both: {', '.join(values)}", "usage")
    job = prepare(config)
    host = _host(config)
    with io.lock(config.output):
        io.remove_abandoned(config.output)
        size = sum(shard.size for shard in job.shards)
        observer = progress.observer(size, quiet=quiet, as_json=as_json)
        if io.is_local(config.output):
            observer.sinks.append(events.to_log(io.local_path(config.output)))
        observer.tell("started", output=config.output, shards=len(job.shards), bytes=size, hashes=dict(job.hashes))
        try:
            try:
                # threads of the job use the cores; BLAS threads beside them only wait for each other
                with threadpool_limits(1, user_api="blas"):
                    host(steps(job), job, observer, options)
            finally:
                observer.close()
            report = summarise.summarise(job, observer.stages)
        except BaseException as error:
            for sink in observer.sinks[as_json:]:  # the command line prints it
                with suppress(OSError):
                    sink(events.event("error", code=code_of(error), message=str(error), exit=exit_code(error)))
            raise
        counts = {key: report["documents"][key] for key in ("read", "kept", "excluded", "quarantined")}
        observer.tell("done", output=config.output, report=f"{config.output}/report/report.json", documents=counts)
        return report


def _host(config: Config) -> Any:
    if config.run.runner == "local":
        from curation import local

        return lambda steps, job, observer, options: local.execute(steps, job, observer)
    try:
        from curation.beam import runner
    except ImportError as error:
        raise ConfigError(f"run.runner {config.run.runner!r}: {error}", "missing-package") from None
    runner.check(config.run.runner)
    return runner.execute


def run(
    config: Config, *, options: Sequence[str] = (), quiet: bool = False, as_json: bool = False, table: bool = False
) -> int:
    """`curate` for the command line: prints the summary, with a table of the shards' diversity where one is asked for,
    and returns the exit code."""
    report = curate(config, options=options, quiet=quiet, as_json=as_json)
    if not quiet and not as_json:
        if table:
            print(tables.text(report["diversity"]), end="\n\n")
            if compared := tables.variance_text(report["variance"]):
                print(compared, end="\n\n")
        _print(config.output, report)
    found = report["documents"]
    if found["read"] and found["quarantined"] == found["read"]:
        from curation import inspection

        first = next(inspection.quarantined(config.output), None)
        name = first[0].relative.removesuffix(".parquet") if first else ""
        why = f"; the first: {name}, record {first[1].row}: {first[1].message}" if first else ""
        raise Unreadable(f"not one of {found['read']:,} records could be read{why}")
    missed = guarantees.missed(config, report)
    failed = 1 if missed else 0
    warned = guarantees.below_floors(report) if config.select.on_floor == "warn" else []
    for item in (*warned, *missed):
        if as_json:
            line = events.event("error", code=item.code, message=item.message, exit=failed)
            events.to_stream(sys.stderr)(line)
        else:
            print(f"curation: {item.message} [{item.code}]", file=sys.stderr)
    return failed


def _print(output: str, report: dict[str, Any]) -> None:
    from curation.report import summary

    print(summary(report))
    print(f"\nreport  {output}/report/report.html\nkept    {output}/kept")


def rewrite_report(output: str) -> int:
    """Write report.html again from report.json, and print the summary; says first whether a later run did not finish.

    Raises ConfigError for a folder without a finished run, with what is known of one that was killed or failed.
    """
    report = stages.read_json(f"{output}/report/report.json")
    stopped = events.unfinished(io.local_path(output)) if io.is_local(output) else None
    if stopped and report is None:
        raise ConfigError(f"{output}: {stopped}; run the same command again to complete it", "no-finished-run")
    if stopped:
        print(f"curation: {stopped}; this report is of the run before", file=sys.stderr)
    if report is None:
        raise ConfigError(f"{output} holds no finished run: there is no report/report.json in it", "no-finished-run")
    summarise.write_html(output, report)
    _print(output, report)
    return 0
