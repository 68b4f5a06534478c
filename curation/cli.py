"""The command line. It imports the standard library and Typer only; everything else loads when a verb runs.

Exit codes: 0 done, 1 failed, 2 bad usage or configuration, 130 and 143 stopped by a signal; the reason, with its code
(`curation.errors`), is on standard error.
"""

import gc
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from curation.config import Config

app = typer.Typer(
    name="curation",
    help="Curate pretraining text so that the mix keeps human-data variance.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
reference_app = typer.Typer(help="Reference profiles of trusted human text.", no_args_is_help=True)
app.add_typer(reference_app, name="reference")


def _version(asked: bool) -> None:
    if asked:
        from curation import __version__

        print(f"curation {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="show the version and exit")
    ] = False,
) -> None:
    pass


VERBS = {
    "run": "Annotate, resolve duplicates, weigh and select: the whole job.",
    "dedup": "Remove duplicates only.",
    "detect": "Score every document for synthetic text; excludes nothing unless detect.exclude is set.",
    "measure": "Measure diversity by shard and source; excludes nothing.",
    "mix": "Weigh and select again, from the signals of an earlier run where there are any.",
}

Arguments = Annotated[
    list[str] | None,
    typer.Argument(metavar="[CONFIG.yaml] [RUNNER OPTIONS]", help="configuration; options of a Beam runner may follow"),
]
Inputs = Annotated[
    list[str] | None,
    typer.Option("--input", "-i", metavar="[SOURCE=]GLOB", help="what to read, once or more"),
]
Output = Annotated[str | None, typer.Option("--output", "-o", metavar="DIR", help="where to write")]
Reference = Annotated[str | None, typer.Option("--reference", metavar="PROFILE", help="a reference profile")]
Against = Annotated[
    list[str] | None,
    typer.Option("--against", metavar="OUT", help="output of an earlier run whose documents must not come again"),
]
Sets = Annotated[
    list[str] | None, typer.Option("--set", "-s", metavar="KEY.PATH=VALUE", help="any key of the configuration")
]
Runner = Annotated[
    str | None, typer.Option("--runner", metavar="NAME", help="local, or a Beam runner such as FnApiRunner")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="no progress and no summary")]
Json = Annotated[bool, typer.Option("--json", help="progress, results and errors as JSON lines")]


def _add_verb(verb: str, text: str) -> None:
    @app.command(verb, help=text, context_settings={"ignore_unknown_options": True})
    def command(
        arguments: Arguments = None,
        inputs: Inputs = None,
        output: Output = None,
        reference: Reference = None,
        against: Against = None,
        sets: Sets = None,
        runner: Runner = None,
        quiet: Quiet = False,
        json: Json = False,
    ) -> None:
        given = _values(inputs, output, reference, against)
        _do_verb(verb, arguments, given, sets, runner, quiet, json)


def _do_verb(
    verb: str,
    arguments: list[str] | None,
    values: dict[str, Any],
    sets: list[str] | None,
    runner: str | None,
    quiet: bool,
    json: bool,
) -> None:
    path, options = _split(arguments or [])
    if runner:
        values["run"] = {"runner": runner}

    def act() -> int:
        from curation import jobs

        if options and runner is None and path is None:
            _no_such_option(options[0])
        config = jobs.configure(verb, path, values, sets or [])
        _known_options(options, config)
        return jobs.run(config, options=options, quiet=quiet, as_json=json, table=verb == "measure")

    _act(act, json)


for _verb, _text in VERBS.items():
    if _verb != "measure":
        _add_verb(_verb, _text)


@app.command("measure", help=VERBS["measure"], context_settings={"ignore_unknown_options": True})
def measure(
    arguments: Arguments = None,
    inputs: Inputs = None,
    output: Output = None,
    reference: Reference = None,
    against: Against = None,
    sets: Sets = None,
    runner: Runner = None,
    quiet: Quiet = False,
    json: Json = False,
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option("--compare", metavar="A B", help="set two corpora or outputs of runs side by side instead"),
    ] = None,
) -> None:
    if compare is None:
        _do_verb("measure", arguments, _values(inputs, output, reference, against), sets, runner, quiet, json)
        return
    a, b = compare

    def act() -> int:
        from curation.config import ConfigError
        from curation.config import load as load_config
        from curation.jobs import comparison

        if inputs or against or arguments or runner:
            raise ConfigError("--compare A B takes --reference, --output, --set columns.text=NAME and nothing else")
        text = load_config(None, {}, sets or []).columns.text
        return comparison.run(a, b, output, text, reference or "default")

    _act(act, json)


@app.command()
def plan(
    config: Annotated[str | None, typer.Argument(metavar="[CONFIG.yaml]")] = None,
    inputs: Inputs = None,
    output: Output = None,
    reference: Reference = None,
    against: Against = None,
    sets: Sets = None,
    verb: Annotated[str, typer.Option("--verb", help="the verb to plan")] = "run",
    check: Annotated[bool, typer.Option("--check", help="fail when disk or memory would not do")] = False,
    json: Json = False,
) -> None:
    """Say what a run would read, write and take, and with which settings; measures a small sample, writes nothing."""
    values = _values(inputs, output, reference, against)

    def act() -> int:
        from curation import jobs
        from curation.config import ConfigError, nearest
        from curation.jobs import forecast

        if verb not in VERBS:
            raise ConfigError(f"--verb: there is no verb {verb!r}{nearest(verb, VERBS)}", "usage")
        return forecast.show(jobs.configure(verb, config, values, sets or []), as_json=json, check=check)

    _act(act, json, writes=False)


@app.command()
def export(
    run: Annotated[str, typer.Argument(metavar="OUT", help="the output folder of a finished run")],
    output: Annotated[str, typer.Option("--output", "-o", metavar="DIR", help="a new folder")],
    target_mb: Annotated[float, typer.Option("--target-mb", min=0.001, help="size of a shard on disk, about")] = 256,
    format: Annotated[str, typer.Option("--format", help="parquet, jsonl.zst or huggingface")] = "parquet",
    seed: Annotated[int, typer.Option("--seed", min=0, help="seed of the shuffle")] = 1,
    licence: Annotated[str | None, typer.Option("--licence", help="licence of the data, for its card")] = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Write what a run kept as a data set: copies expanded, shuffled, cut to size, with a card."""

    def act() -> int:
        from curation import export as work

        settings: dict[str, Any] = {"target_mb": target_mb, "format": format, "seed": seed, "licence": licence}
        found = work.export(run, output, **settings, quiet=quiet or json)
        if json:
            from curation.events import event, to_stream

            to_stream()(event("exported", output=output, rows=found["rows"], files=len(found["files"])))
        return 0

    _act(act, json)


@reference_app.command("build")
def reference_build(
    config: Annotated[str | None, typer.Argument(metavar="[CONFIG.yaml]")] = None,
    inputs: Inputs = None,
    output: Output = None,
    sets: Sets = None,
    licence: Annotated[list[str] | None, typer.Option("--licence", help="licence of the texts, kept in it")] = None,
    source: Annotated[
        list[str] | None, typer.Option("--source", metavar="NAME", help="take documents of this source only")
    ] = None,
    before: Annotated[
        str | None,
        typer.Option("--before", metavar="DATE", help="take documents dated before this day only; needs columns.date"),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace a profile that is there")] = False,
    quiet: Quiet = False,
) -> None:
    """Build a reference profile from human text: what the mix is to look like."""
    values: dict[str, Any] = {"inputs": [_input(item) for item in inputs]} if inputs else {}
    if before:
        values["inputs"] = [{**item, "before": before} for item in values.get("inputs", [])]

    def act() -> int:
        from curation import jobs
        from curation.config import ConfigError, load

        if not output:
            raise ConfigError("say where the profile goes with --output PROFILE", "no-output")
        return jobs.build_reference(
            load(config, values, sets or []), output, licences=licence or [], sources=source or [],
            overwrite=overwrite, quiet=quiet,
        )  # fmt: skip

    _act(act)


@app.command()
def inspect(
    output: Annotated[str, typer.Argument(metavar="OUT", help="the output folder of a run")],
    id: Annotated[str | None, typer.Option("--id", help="one document, wherever it is")] = None,
    reason: Annotated[str | None, typer.Option("--reason", help="excluded for this reason, or `quarantine`")] = None,
    shard: Annotated[str | None, typer.Option("--shard", help="of this shard, kept and excluded")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="most documents to show")] = 10,
) -> None:
    """Show documents of a finished run: kept, excluded or quarantined; beside a duplicate, its survivor."""

    def act() -> int:
        from curation import inspection

        return inspection.show(output, id=id, reason=reason, shard=shard, limit=limit)

    _act(act)


@app.command("train-detector")
def train_detector(
    data: Annotated[list[str], typer.Argument(metavar="DATA...", help="Parquet or JSON lines with text and label")],
    output: Annotated[str, typer.Option("--output", "-o", metavar="MODEL", help="the model file to write")],
    backend: Annotated[str, typer.Option("--backend", help="hashed (for detect.model) or fasttext")] = "hashed",
) -> None:
    """Train a synthetic-text detector on labelled documents and print how it does on sources it did not see."""

    def act() -> int:
        from curation.detector import train_detector as work

        work(data, output, backend)
        return 0

    _act(act)


@app.command()
def report(output: Annotated[str, typer.Argument(metavar="OUT", help="the output folder of a run")]) -> None:
    """Write report.html again from report.json and print the summary."""

    def act() -> int:
        from curation import jobs

        return jobs.rewrite_report(output)

    _act(act)


@app.command()
def init(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="one of the shipped configurations")] = None,
    output: Annotated[str | None, typer.Option("--output", "-o", help="file to write; NAME.yaml by default")] = None,
) -> None:
    """Write a documented configuration to start from; without a name, list them."""

    def act() -> int:
        from curation import configs

        return configs.write(name, output)

    _act(act)


def _split(arguments: list[str]) -> tuple[str | None, list[str]]:
    """The configuration, if the first argument is one, and what is left: options of a runner."""
    if arguments and not arguments[0].startswith("-"):
        return arguments[0], arguments[1:]
    return None, arguments


def _values(
    inputs: list[str] | None, output: str | None, reference: str | None, against: list[str] | None
) -> dict[str, Any]:
    """The keys of the configuration that options stand for."""
    given = {"output": output, "reference": reference, "against": against}
    values: dict[str, Any] = {key: value for key, value in given.items() if value}
    if inputs:
        values["inputs"] = [_input(item) for item in inputs]
    return values


def _input(item: str) -> dict[str, str]:
    source, equals, path = item.partition("=")
    if equals and source and not any(c in source for c in "/\\*?:."):
        return {"source": source, "path": path}
    return {"path": item}


def _known_options(options: list[str], config: "Config") -> None:
    if options and config.run.runner == "local":
        _no_such_option(options[0])


def _no_such_option(option: str) -> None:
    from curation.config import ConfigError, nearest

    ours = ["--input", "--output", "--reference", "--against", "--set", "--runner", "--quiet", "--json", "--help"]
    unknown = option.partition("=")[0]
    hint = nearest(unknown, ours)
    keys = "" if hint.startswith(":") else "; keys of the configuration go with --set, as --set select.tokens=1000000"
    raise ConfigError(f"unknown option or argument {unknown!r}{hint}{keys}", "usage")


def _act(action: Callable[[], int], as_json: bool = False, writes: bool = True) -> None:
    """Run a verb; give its exit code, and show messages rather than tracebacks. A verb that `writes` can go on."""
    from curation.errors import code_of, exit_code

    try:
        with _signals():
            code = action()
    except (KeyboardInterrupt, Exception) as error:
        code = exit_code(error)
        known = ValueError | OSError | RuntimeError | KeyboardInterrupt
        if not as_json and not isinstance(error, known):
            raise
        _tell(code_of(error), _message(error, writes), code, as_json)
    raise typer.Exit(code)


def _message(error: BaseException, writes: bool = True) -> str:
    from curation.errors import Terminated

    if isinstance(error, KeyboardInterrupt):
        by = "stopped by SIGTERM" if isinstance(error, Terminated) else "interrupted"
        if not writes:
            return f"{by}; nothing was written"
        return f"{by}; what was finished stands, and the same command goes on where this run stopped"
    return str(error) or type(error).__name__


def _tell(code: str, message: str, exit: int, as_json: bool) -> None:
    if as_json:
        from curation.events import event, to_stream

        to_stream(sys.stderr)(event("error", code=code, message=message, exit=exit))
    else:
        print(f"curation: {message} [{code}]", file=sys.stderr)


@contextmanager
def _signals() -> Iterator[None]:
    """SIGTERM ends a run like Ctrl-C: at the next batch, with nothing half written."""

    def terminate(*_: object) -> None:
        from curation.errors import Terminated

        raise Terminated

    try:
        before = signal.signal(signal.SIGTERM, terminate)
    except ValueError:  # not in the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def main() -> None:
    """Entry point of the `curation` command."""
    # what imports and compiled kernels make lives as long as the process; looking through it for garbage after every
    # 700 new objects takes about a sixth of the start-up
    gc.set_threshold(100_000, 20, 20)
    app()


if __name__ == "__main__":
    main()
