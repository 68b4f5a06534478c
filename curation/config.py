"""The configuration of a job: every key, its default and what it means. Used at the edge only; the core takes values.

A YAML file, keyword arguments of the Python API and `--set key.path=value` all become a `Config`. An unknown key is
an error that names the nearest valid one.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from curation.config_dedup import Decontaminate, Dedup, Section
from curation.config_errors import explain, nearest  # noqa: F401 - others take `nearest` from here
from curation.errors import ConfigError

Trust = Literal["human", "premium", "unknown", "synthetic"]


#: what a column can be to curation, as keys of `columns`
ROLES = ("text", "id", "date", "url", "tokens", "source", "group", "thread")


class OwnColumns(Section):
    text: str | None = Field(None, description="the input's own name of the document")
    id: str | None = Field(None, description="likewise of the id")
    date: str | None = Field(None, description="likewise of the date")
    url: str | None = Field(None, description="likewise of the URL")
    tokens: str | None = Field(None, description="likewise of the token count")
    source: str | None = Field(None, description="likewise of the source")
    group: str | None = Field(None, description="likewise of the group")
    thread: str | None = Field(None, description="likewise of the thread")


class Input(Section):
    path: str = Field(description="a file, a folder or a glob; any fsspec URL")
    source: str = Field("default", description="name of the source, used in reports, floors and output folders")
    trust: Trust = Field("unknown", description="what you declare about who wrote it")
    before: dt.date | None = Field(None, description="trust documents dated before this day as human")
    columns: OwnColumns = Field(
        default_factory=OwnColumns, description="columns that this input names otherwise than `columns` does"
    )

    @field_validator("source")
    @classmethod
    def _plain_name(cls, value: str) -> str:
        if not value or value in (".", "..") or any(c in value for c in "/\\\0"):
            raise ValueError(f"a source name is one folder name without slashes, not {value!r}")
        if len(value.encode("utf-8", "surrogateescape")) > 240 or not value.isprintable():
            raise ValueError(f"a source name has at most 240 bytes, all of them printable, not {value!r:.80}")
        return value


class Columns(Section):
    text: str = Field("text", description="the document")
    id: str | None = Field(None, description="public id; `id` when the input has such a column, else the content hash")
    date: str | None = Field(None, description="date or timestamp, or an ISO string")
    url: str | None = Field(None, description="URL, for URL deduplication and host averages")
    tokens: str | None = Field(None, description="token count of your tokeniser; ours counts words")
    source: str | None = Field(None, description="a column that names the source of each document")
    group: str | None = Field(None, description="writer group or domain, for retention tables")
    thread: str | None = Field(None, description="thread of the document, for contradiction within threads")
    prefix: str = Field("", description="prefix of the columns that curation adds")


def read_as(inputs: Iterable[Input], columns: Columns) -> Columns:
    """`columns` with what only inputs name added: such a column is read under the name of its role."""
    named = {role for item in inputs for role in ROLES if getattr(item.columns, role) is not None}
    return columns.model_copy(update={role: role for role in named if getattr(columns, role) is None})


def renames(item: Input, columns: Columns) -> tuple[tuple[str, str], ...]:
    """Pairs of an input's own column name and the name that it is read as, where these differ."""
    own = {role: getattr(item.columns, role) for role in ROLES}
    pairs = [(name, getattr(columns, role) or role) for role, name in own.items() if name is not None]
    return tuple(pair for pair in pairs if pair[0] != pair[1])


class Detect(Section):
    enabled: bool = Field(True, description="score every document")
    model: str = Field("shipped", description="`shipped`, or the path of a model from train-detector")
    fpr: float = Field(0.01, gt=0, lt=0.5, description="share of human text that may be labelled synthetic")
    min_words: int = Field(50, ge=1, description="words below which a document is not scored")
    label_words: int = Field(150, ge=1, description="words below which the label is undetermined")
    exclude: bool = Field(False, description="exclude documents labelled synthetic; the default only weighs")


class Filter(Section):
    type: Literal["fasttext", "datatrove"] = Field(
        "fasttext", description="a fastText model that scores, or a datatrove step that drops or rewrites"
    )
    model: str = Field("", description="fasttext: a .bin or .ftz file that every worker can read")
    label: str = Field("", description="fasttext: the label whose probability is the score, such as __label__hq")
    column: str = Field("", description="fasttext: name of the column that the score is added as")
    min: float | None = Field(None, description="fasttext: exclude documents that score less; none are by default")
    max: float | None = Field(None, description="fasttext: exclude documents that score more")
    step: str = Field("", description="datatrove: class of a filter or formatter, such as GopherQualityFilter")
    arguments: dict[str, Any] = Field(default_factory=dict, description="datatrove: keyword arguments of that class")

    @model_validator(mode="after")
    def _keys_of_one_type(self) -> "Filter":
        own = {"fasttext": ("model", "label", "column"), "datatrove": ("step",)}[self.type]
        missing = [name for name in own if not getattr(self, name)]
        if missing:
            raise ValueError(f"a filter of type {self.type} needs {' and '.join(missing)}")
        allowed = {"type", *own, *(("min", "max") if self.type == "fasttext" else ("arguments",))}
        strange = sorted(self.model_fields_set - allowed)
        if strange:
            raise ValueError(f"{strange[0]!r} does not belong to a filter of type {self.type}")
        return self


class Measure(Section):
    enabled: bool = Field(True, description="collect diversity statistics by shard and source")


#: in `mix.columns` together: the work of a pass grows with the square of the features
MOST_NUMBERS = 2048


class Mix(Section):
    mode: Literal["auto", "balance", "ratio", "soft", "cluster", "none"] = Field(
        "auto", description="how documents are weighed; auto balances when there is a reference, else weighs nothing"
    )
    slack: float = Field(1.0, ge=0, description="tolerance in standard errors of the reference")
    min_ess: float = Field(
        0.0, ge=0, lt=1, description="least effective share of the balanced documents; slack is widened until it is had"
    )
    kappa: float = Field(1.0, ge=0, description="exponent of the human factor 1 - p_synthetic")
    gamma: float = Field(0.0, ge=0, le=1, description="exponent of the cluster size on the survivor; 0 ignores it")
    cap: float = Field(20.0, gt=1, description="largest weight, in multiples of the mean; less with a budget")
    gate: bool = Field(True, description="reweight only where the reference covers the crawl")
    reservoir: int = Field(20_000, ge=100, description="documents on which the first solution is found")
    passes: int = Field(3, ge=1, le=10, description="exact passes over all documents after the reservoir")
    columns: dict[str, int] = Field(
        default_factory=dict,
        description="columns to balance too, and how many numbers each holds, as {quality: 1, embedding: 384}",
    )
    multipliers: dict[str, float] = Field(default_factory=dict, description="factor on the base weight by source")
    rehydration: dict[int, float] = Field(
        default_factory=dict, description="factor on a survivor by least size of its cluster, as {1: 1, 2: 2, 5: 3}"
    )

    @field_validator("columns")
    @classmethod
    def _few_numbers(cls, value: dict[str, int]) -> dict[str, int]:
        for name, width in value.items():
            if width < 1:
                raise ValueError(f"column {name!r} holds at least 1 number, not {width}")
        if (total := sum(value.values())) > MOST_NUMBERS:
            raise ValueError(f"at most {MOST_NUMBERS} numbers can be balanced, not {total}: give a shorter embedding")
        return value

    @model_validator(mode="after")
    def _one_use_of_clusters(self) -> "Mix":
        if self.rehydration and self.gamma:
            raise ValueError("rehydration and gamma both weigh by cluster size: give one of them")
        for size, factor in self.rehydration.items():
            if size < 1 or not 0 < factor <= 1000:
                raise ValueError(f"rehydration maps sizes from 1 to factors in (0, 1000], not {size}: {factor}")
        return self


class Select(Section):
    tokens: int | None = Field(None, ge=1, description="token budget of the mix")
    documents: int | None = Field(None, ge=1, description="document budget of the mix")
    rate: float | None = Field(None, gt=0, le=1, description="share of the kept documents to select")
    max_repeats: int = Field(1, ge=1, description="most copies of a document")
    floors: dict[str, float] = Field(default_factory=dict, description="least share of documents kept, by source")
    on_floor: Literal["warn", "fail"] = Field("warn", description="what a run below a floor does")

    @field_validator("floors")
    @classmethod
    def _can_be_met(cls, value: dict[str, float]) -> dict[str, float]:
        for source, floor in value.items():
            if not 0 <= floor <= 1:
                raise ValueError(f"the floor of source {source!r} is a share of its documents, 0 to 1, not {floor:g}")
        return value

    @field_validator("tokens", "documents", mode="before")
    @classmethod
    def _whole(cls, value: Any) -> Any:
        """1e9 is a string in YAML; as a budget it is a number."""
        try:
            number = float(value) if isinstance(value, str) else value
        except ValueError:
            return value
        return int(number) if isinstance(number, float) and number.is_integer() else number

    @model_validator(mode="after")
    def _one_budget(self) -> "Select":
        given = [k for k in ("tokens", "documents", "rate") if getattr(self, k) is not None]
        if len(given) > 1:
            raise ValueError(f"give one of select.tokens, select.documents and select.rate, not {' and '.join(given)}")
        return self


class Require(Section):
    """What a run must reach: one that misses something exits with 1 and says what."""

    budget: bool = Field(True, description="the selection fills the budget")
    ess: float | None = Field(None, ge=0, le=1, description="least effective share of the kept documents")
    ess_group: float | None = Field(None, ge=0, le=1, description="the same for every writer group")
    tolerance: float | None = Field(None, gt=0, description="most standard errors that a balanced feature stays off")
    coverage: float | None = Field(None, ge=0, le=1, description="least share of the crawl that the reference covers")
    source: dict[str, float] = Field(default_factory=dict, description="least weight by source, 1 being as before")
    language: dict[str, float] = Field(default_factory=dict, description="the same by language")
    group: dict[str, float] = Field(default_factory=dict, description="the same by writer group")

    @field_validator("source", "language", "group")
    @classmethod
    def _positive(cls, value: dict[str, float]) -> dict[str, float]:
        for name, least in value.items():
            if not least >= 0:
                raise ValueError(f"the least weight of {name!r} is a multiple of that before, 0 or more, not {least:g}")
        return value


class Signals(Section):
    features: bool = Field(True, description="store the columns that mixing needs")


class Limits(Section):
    document_mb: float = Field(
        256.0, gt=0, le=1900, description="text of a document, or a line of JSON, above which it is quarantined"
    )


class Run(Section):
    runner: str = Field("local", description="local, or the name of a Beam runner such as FnApiRunner")
    workers: int = Field(0, ge=0, description="threads; 0 takes one per core")
    batch_mb: float = Field(4.0, gt=0, le=1024, description="text in one batch")
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="where kernels run; auto takes a GPU where CuPy finds one; results are the same"
    )
    excluded: Literal["full", "ids", "none"] = Field("full", description="what is written about excluded documents")
    format: Literal["parquet", "jsonl", "jsonl.gz", "jsonl.zst", "same"] = Field(
        "parquet", description="format of the kept and excluded shards"
    )
    seed: int = Field(1, description="seed of sampling")
    retry_quarantined: bool = Field(
        False, description="read shards again of which something was quarantined, and decide anew"
    )


class Config(Section):
    """A whole job."""

    inputs: list[Input] = Field(default_factory=list, description="what to read")
    output: str = Field("", description="the folder to write to; any fsspec URL")
    columns: Columns = Field(default_factory=Columns, description="names of the input's columns")
    dedup: Dedup = Field(default_factory=Dedup)
    detect: Detect = Field(default_factory=Detect)
    filters: list[Filter] = Field(
        default_factory=list,
        description="fastText models: [{model, label, column, min, max}], datatrove steps: [{type: datatrove, step}]",
    )
    reference: str | None = Field(
        None, description="profile of `curation reference build`; `default` is the one that comes with the package"
    )
    measure: Measure = Field(default_factory=Measure)
    mix: Mix = Field(default_factory=Mix)
    select: Select = Field(default_factory=Select)
    require: Require = Field(default_factory=Require)
    signals: Signals = Field(default_factory=Signals)
    against: list[str] = Field(
        default_factory=list, description="output folders of earlier runs whose documents must not come again"
    )
    against_all: bool = Field(False, description="compare with all their documents, not only with what they kept")
    exclude_ids: str | None = Field(None, description="file of ids to exclude, one a line")
    exclude_near: bool = Field(False, description="exclude near-duplicates of the excluded ids too")
    decontaminate: Decontaminate = Field(default_factory=Decontaminate)
    limits: Limits = Field(default_factory=Limits)
    run: Run = Field(default_factory=Run)

    @property
    def models(self) -> list[Filter]:
        """The filters that are fastText models."""
        return [item for item in self.filters if item.type == "fasttext"]

    @property
    def steps(self) -> list[Filter]:
        """The filters that are datatrove steps, in the order in which documents meet them."""
        return [item for item in self.filters if item.type == "datatrove"]

    @field_validator("inputs", mode="before")
    @classmethod
    def _paths(cls, value: Any) -> Any:
        """A path stands for an input that is nothing but this path."""
        items = [value] if isinstance(value, str) else value
        if not isinstance(items, list):
            return value
        return [{"path": item} if isinstance(item, str) else item for item in items]


def columns_of(config: Config) -> Columns:
    """The names under which a job reads its columns, with those that only some inputs name."""
    return read_as(config.inputs, config.columns)


def load(path: str | None = None, values: Mapping[str, Any] | None = None, sets: Iterable[str] = ()) -> Config:
    """The configuration in a YAML file, with `values` laid over it and `sets` (`key.path=value`) over both.

    Raises ConfigError for a file that cannot be read, an unknown key (naming the nearest) or a bad value.
    """
    data: dict[str, Any] = {}
    if path is not None:
        try:
            loaded = yaml.safe_load(Path(path).read_text("utf-8"))
        except OSError as error:
            folder = f"; give an output folder with --output {path}" if Path(path).is_dir() else ""
            raise ConfigError(
                f"cannot read the configuration {path}: {error.strerror}{folder}", "bad-configuration"
            ) from None
        except UnicodeDecodeError:
            raise ConfigError(
                f"{path} is no configuration; give data with --input {path}",
                "bad-configuration",
            ) from None
        except yaml.YAMLError as error:
            raise ConfigError(f"{path} is not valid YAML: {error}", "bad-configuration") from None
        if loaded is not None and not isinstance(loaded, dict):
            kind = type(loaded).__name__
            raise ConfigError(
                f"{path} must hold a mapping of keys, not {kind}; give data with --input",
                "bad-configuration",
            )
        data = loaded or {}
    data = overlay(data, values or {})
    for item in sets:
        key, equals, value = item.partition("=")
        if not equals or not key:
            raise ConfigError(f"--set takes key.path=value, not {item!r}", "usage")
        try:
            nested: Any = yaml.safe_load(value) if value else None
        except yaml.YAMLError as error:
            raise ConfigError(f"--set {key}: the value is not valid YAML: {error}", "bad-configuration") from None
        for part in reversed(key.strip().split(".")):
            nested = {part: nested}
        data = overlay(data, nested)
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        where = f"{path}: " if path else ""
        raise ConfigError(where + "\n".join(explain(e, Config) for e in error.errors()), "bad-configuration") from None


def overlay(under: Mapping[Any, Any], over: Mapping[Any, Any]) -> dict[Any, Any]:
    """`under` with the keys of `over` laid over it, mapping by mapping; in a list, by the number of the item."""
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            merged[key] = overlay(below, value)
        elif isinstance(value, Mapping) and isinstance(below, list) and all(str(k).isdigit() for k in value):
            items = dict(enumerate(below))
            missing = [k for k in value if int(k) not in items]
            if missing:
                raise ConfigError(
                    f"{key}.{missing[0]}: there are {len(below)} items, numbered from 0",
                    "bad-configuration",
                )
            merged[key] = list(overlay(items, {int(k): v for k, v in value.items()}).values())
        else:
            merged[key] = value
    return merged
