"""From a configuration to a job: shards found, columns checked, and the hashes that say which files still hold."""

from typing import Any

import orjson
import xxhash

from curation import __version__, diversity, io, schema, synthetic
from curation.config import Config, ConfigError, columns_of, load, nearest, overlay
from curation.dedup import column_of
from curation.diversity.reference import DEFAULT
from curation.jobs import benchmarks, checks, earlier_outputs, filters, ratio, stages
from curation.plan import Job
from curation.synthetic.ratio import RATIO_VERSION
from curation.text import TOKENISER
from curation.text.gate import GATE_VERSION

#: what each verb fixes; everything else is the configuration's
VERBS: dict[str, dict[str, Any]] = {
    "run": {},
    "dedup": {
        "detect": {"enabled": False},
        "measure": {"enabled": False},
        "mix": {"mode": "none"},
        "signals": {"features": False},
    },
    "detect": {
        "dedup": {"enabled": False},
        "measure": {"enabled": False},
        "mix": {"mode": "none"},
        "signals": {"features": False},
    },
    "measure": {"dedup": {"enabled": False}, "detect": {"enabled": False}, "mix": {"mode": "none"}},
    "mix": {},
}


BUDGETS = ("tokens", "documents", "rate")


def configure(verb: str, path: str | None, values: dict[str, Any], sets: list[str]) -> Config:
    """The configuration of a verb: YAML file, values, `key.path=value` items, then what the verb fixes.

    `mix` without a file or inputs takes the configuration of the run that stands in the output folder.
    """
    config = load(path, values, sets)
    if verb == "mix" and path is None and not config.inputs and config.output:
        earlier = io.read_manifest(config.output)
        if earlier is None:
            raise ConfigError(
                f"{config.output} holds no finished run; give inputs or a configuration",
                "no-finished-run",
            )
        before = earlier["config"]
        if any(item.startswith(f"select.{key}=") for key in BUDGETS for item in sets):
            # another kind of budget replaces the earlier one
            before = overlay(before, {"select": dict.fromkeys(BUDGETS)})
        config = load(None, overlay(before, values), sets)
    if VERBS[verb]:
        fixed = [f"{section}.{key}={value}" for section, keys in VERBS[verb].items() for key, value in keys.items()]
        config = load(path, values, [*sets, *fixed])
    if not config.inputs:
        raise ConfigError("no inputs: give --input GLOB or `inputs` in the configuration", "no-input")
    if not config.output:
        raise ConfigError("no output: give --output DIR or `output` in the configuration", "no-output")
    return config


def prepare(config: Config) -> Job:
    """Find the shards, check files, columns and settings, and compute the hashes.

    Raises ConfigError, before any work, for whatever would stop the job later and can be known now.
    """
    _check_settings(config)
    _check_files(config)
    shards = io.expand(config.inputs, config.output, config.columns)
    io.check_columns(shards, config.columns)
    earlier_outputs.check(config.output, shards)
    filters.check_columns(config, shards)
    ratio.check(config, shards)
    sources = {shard.source for shard in shards}
    for key, named in (
        ("mix.multipliers", config.mix.multipliers),
        ("select.floors", config.select.floors),
        ("dedup.prefer", config.dedup.prefer),
    ):
        unknown = sorted(set(named) - sources)
        if unknown and columns_of(config).source is None:
            raise ConfigError(f"{key} names source {unknown[0]!r}{nearest(unknown[0], sources)}")
    against = checks.after_expansion(config, shards)
    return Job(config, shards, hashes(config, shards, against), against)


def _check_settings(config: Config) -> None:
    checks.settings(config)
    mode, detect, columns = config.mix.mode, config.detect, columns_of(config)
    if columns.date is None and any(item.before is not None for item in config.inputs):
        raise ConfigError("inputs.before needs columns.date: the name of the column that holds the date")
    if config.dedup.url and columns.url is None:
        raise ConfigError("dedup.url needs columns.url: the name of the column that holds the URL")
    if mode == "balance" and config.reference is None:
        raise ConfigError("mix.mode balance needs a reference: give --reference PROFILE, or mix.mode soft or none")
    if mode == "soft" and not detect.enabled:
        raise ConfigError("mix.mode soft weighs by p_synthetic: set detect.enabled to true")
    if detect.exclude and not detect.enabled:
        raise ConfigError("detect.exclude needs scores: set detect.enabled to true")
    if config.reference is not None and mode in ("auto", "balance", "ratio") and not config.signals.features:
        raise ConfigError("balancing toward the reference needs signals.features: true, or mix.mode none")


def _check_files(config: Config) -> None:
    filters.check(config)
    for key, url in (("reference", config.reference), ("exclude_ids", config.exclude_ids)):
        if url is not None and (key, url) != ("reference", DEFAULT) and not io.exists(url):
            own = "; `default` is the one that comes with the package" if key == "reference" else ""
            raise ConfigError(f"{key}: there is no file {url}{own}", "input-not-found")
    try:
        model = synthetic.load_model(config.detect.model) if config.detect.enabled else None
        profile = stages.load_profile(config.reference) if config.reference is not None else None
    except ValueError as error:  # both name the file and the way out
        raise ConfigError(str(error), getattr(error, "code", "bad-model")) from None
    except OSError as error:
        raise ConfigError(
            f"reference: cannot read {config.reference}: {error.strerror or error}",
            "bad-reference",
        ) from None
    if profile is None:
        return
    checks.reference_columns(config, profile)
    again = "build the reference again with `curation reference build`"
    if profile.ruler != diversity.load_ruler().version:
        raise ConfigError(
            f"reference: {config.reference} was measured on another ruler than this release's; {again}",
            "bad-reference",
        )
    if model is not None and profile.model not in ("", model.version):
        raise ConfigError(
            f"reference: the human text of {config.reference} was scored by another detector; {again}",
            "bad-reference",
        )


def hashes(config: Config, shards: Any, against: tuple[Any, ...] = ()) -> dict[str, str]:
    """By phase, the hash of everything that its files depend on; a phase's hash covers the phases before it."""
    dedup, lines = config.dedup, config.dedup.lines
    by_column = column_of(dedup.keep) if dedup.enabled else None
    benchmarked = config.decontaminate.paths
    model = synthetic.load_model(config.detect.model).version if config.detect.enabled else None
    ruler = diversity.load_ruler().version
    inputs = [[s.source, s.relative, s.trust, s.size, s.version, str(s.before), *s.columns] for s in shards]
    profile = stages.profile_checksum(config.reference) if config.reference else None
    # a ratio is fitted to all of the inputs and the reference, so every score changes with any of them
    fitted = {"ratio": [RATIO_VERSION, profile, inputs]} if ratio.wanted(config) else {}
    numbers = {"numbers": list(config.mix.columns.items())} if config.mix.columns and config.signals.features else {}
    annotate = _hash(
        version=schema.SIGNALS_VERSION,
        tokeniser=TOKENISER,
        gate=GATE_VERSION,
        columns=columns_of(config).model_dump(exclude={"prefix"}),
        minhash=[dedup.bands, dedup.rows, dedup.ngram, dedup.seed] if dedup.enabled and dedup.near else None,
        keep=by_column[0] if by_column else None,
        lines=[lines.unit, lines.min_chars] if dedup.enabled and lines.enabled else None,
        benchmarks=[config.decontaminate.ngram, benchmarks.checksums(config.decontaminate)] if benchmarked else None,
        filters=filters.checksums(config) if config.filters else None,
        model=model,
        min_words=config.detect.min_words if config.detect.enabled else None,
        features=config.signals.features,
        measure=config.measure.enabled,
        ruler=ruler,
        **fitted,
        **numbers,
        **({"identity": dedup.identity} if dedup.identity != "words" else {}),
    )
    excluded = io.checksum(config.exclude_ids) if config.exclude_ids else None
    resolve = _hash(
        annotate=annotate,
        limits=config.limits.model_dump(),
        inputs=inputs,
        dedup=dedup.model_dump(exclude={"memory_mb", "preset"}),
        against=[[run.checksum for run in against], config.against_all],
        decontaminate=config.decontaminate.model_dump(exclude={"paths"}),
        detect=config.detect.model_dump(),
        filters=[item.model_dump(exclude={"model"}) for item in config.models],
        reference=profile,
        exclude_ids=[excluded, config.exclude_near],
    )
    weigh = _hash(
        resolve=resolve,
        mix=config.mix.model_dump(mode="json"),
        select=config.select.model_dump(exclude={"floors", "on_floor"}),
        seed=config.run.seed,
    )
    select = _hash(
        weigh=weigh,
        prefix=config.columns.prefix,
        excluded=config.run.excluded,
        format=config.run.format,
        version=__version__,
    )
    return {"annotate": annotate, "resolve": resolve, "weigh": weigh, "select": select}


def _hash(**settings: Any) -> str:
    return xxhash.xxh3_128_hexdigest(orjson.dumps(settings, option=orjson.OPT_SORT_KEYS, default=str))
