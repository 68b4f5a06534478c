"""The stages on rows with a schema, as Beam YAML, Beam SQL and pipelines in other languages have them.

Each takes plain values only, gathers rows into batches, applies the transform of the same name of `curation.beam`, and
gives rows with the columns added. `providers.yaml` beside this file lists them for Beam YAML; from Java and Go they are
external transforms by their full name.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.typehints.arrow_type_compatibility import arrow_schema_from_beam_schema
from apache_beam.typehints.schemas import schema_from_element_type

from curation import beam as stages
from curation import schema
from curation.beam.deduplicate import ADDED as CLUSTERED
from curation.beam.rows import row_type
from curation.beam.transforms import ADDED as DETECTED

_SELECTED = ("weight", "copies", "filter_reason")
_FATES = ("read", "kept", "excluded", "quarantined")


def _arrow(rows: beam.PCollection, stage: str) -> pa.Schema:
    try:
        kind: Any = rows.element_type
        return arrow_schema_from_beam_schema(schema_from_element_type(kind))
    except (TypeError, ValueError) as error:
        raise TypeError(f"{stage} needs rows with a schema, not {rows.element_type} ({error})") from None


def _added(found: pa.Schema, names: Sequence[str]) -> pa.Schema:
    types = {column.name: column.type for column in schema.ADDED} | {"content_hash": pa.string()}
    plain = [field for field in found if field.name not in names]
    return pa.schema([*plain, *(pa.field(name, types[name]) for name in names)])


class _OnRows(beam.PTransform):
    """Rows through a transform of batches that adds columns."""

    names: tuple[str, ...] = ()

    def __init__(self, transform: beam.PTransform) -> None:
        super().__init__()
        self._transform = transform

    def expand(self, rows: beam.PCollection) -> beam.PCollection:
        given = _arrow(rows, type(self).__name__)
        wanted = _added(given, self.names)
        return (
            rows
            | "Batches" >> stages.FromRows(schema=given)
            | "Apply" >> self._transform
            | "Order" >> beam.Map(_as, wanted).with_output_types(pa.RecordBatch)
            | "Rows" >> stages.ToRows(schema=wanted)
        )


def _as(batch: pa.RecordBatch, wanted: pa.Schema) -> pa.RecordBatch:
    columns = []
    for field in wanted:
        column = batch.column(field.name)
        if field.name == "content_hash" and pa.types.is_fixed_size_binary(column.type):  # as text it fits into JSON
            column = pa.array([None if value is None else value.hex() for value in column.to_pylist()], pa.string())
        columns.append(column.cast(field.type))
    return pa.RecordBatch.from_arrays(columns, schema=wanted)


class DetectSynthetic(_OnRows):
    """Rows with `p_synthetic`, `synthetic_label` and `synthetic_reason`. Arguments as of `curation.beam`'s."""

    names = DETECTED

    def __init__(
        self,
        text: str = "text",
        source: str | None = None,
        reference: str | None = None,
        fpr: float = 0.01,
        model: str = "shipped",
    ) -> None:
        super().__init__(
            stages.DetectSynthetic(text=text, source=source, reference=reference, fpr=fpr, model=model)
        )


class Deduplicate(_OnRows):
    """Rows with `content_hash` (in hex), `cluster_id`, `cluster_size`, `duplicate_of`, `similarity`, `filter_reason`.

    Arguments as of `curation.beam`'s.
    """

    names = CLUSTERED

    def __init__(
        self,
        text: str = "text",
        id: str | None = None,
        date: str | None = None,
        trust: str | None = None,
        keep: str = "human_first",
        verify: float = 0.7,
        bands: int = 14,
        rows: int = 8,
        ngram: int = 5,
    ) -> None:
        super().__init__(
            stages.Deduplicate(
                text=text, id=id, date=date, trust=trust, keep=keep, verify=verify, bands=bands, rows=rows, ngram=ngram
            )
        )


class Mix(_OnRows):
    """Rows with `weight`. Arguments as of `curation.beam`'s; raises ValueError for rows that lack a column that the
    mode needs."""

    names = ("weight",)

    def __init__(
        self,
        reference: str | None = None,
        text: str = "text",
        id: str | None = None,
        source: str | None = None,
        mode: str = "balance",
        slack: float = 1.0,
        min_ess: float = 0.0,
        kappa: float = 1.0,
        gamma: float = 0.0,
        cap: float = 20.0,
        passes: int = 3,
        multipliers: Mapping[str, float] | None = None,
        columns: Mapping[str, int] | None = None,
        seed: int = 1,
    ) -> None:
        super().__init__(
            stages.Mix(
                reference=reference, text=text, id=id, source=source, mode=mode, slack=slack, min_ess=min_ess,
                kappa=kappa, gamma=gamma, cap=cap, passes=passes, multipliers=multipliers, columns=columns or {},
                seed=seed,
            )
        )  # fmt: skip


class Select(_OnRows):
    """Rows with `weight`, `copies` and `filter_reason`. Arguments as of `curation.beam`'s."""

    names = _SELECTED

    def __init__(
        self,
        tokens: int | None = None,
        documents: int | None = None,
        rate: float | None = None,
        max_repeats: int = 1,
        id: str | None = None,
        tokens_column: str | None = None,
        text: str = "text",
        seed: int = 1,
    ) -> None:
        super().__init__(
            stages.Select(
                tokens=tokens, documents=documents, rate=rate, max_repeats=max_repeats, id=id,
                tokens_column=tokens_column, text=text, seed=seed,
            )
        )  # fmt: skip


class DatatroveStep(_OnRows):
    """Rows with the text that a datatrove filter or formatter leaves, and `filter_reason` where it drops one.

    step: its class in datatrove, such as GopherQualityFilter; arguments: its keyword arguments.
    """

    names = ("filter_reason",)

    def __init__(
        self,
        step: str,
        arguments: Mapping[str, Any] | None = None,
        text: str = "text",
        url: str | None = None,
    ) -> None:
        from curation.datatrove import steps

        super().__init__(stages.AsBeam(step=steps.make(step, arguments or {}), text=text, url=url))


class MeasureDiversity(beam.PTransform):
    """One row a statistic: `statistic`, `value`, `error`, `n`, `below_sample` and `reason`."""

    def __init__(self, text: str = "text", id: str | None = None) -> None:
        super().__init__()
        self._transform = stages.MeasureDiversity(text=text, id=id)

    def expand(self, rows: beam.PCollection) -> beam.PCollection:
        given = _arrow(rows, "MeasureDiversity")
        return (
            rows
            | "Batches" >> stages.FromRows(schema=given)
            | "Apply" >> self._transform
            | "Rows" >> beam.FlatMap(_statistics).with_output_types(row_type(_STATISTIC))
        )


_STATISTIC = pa.schema(
    [
        ("statistic", pa.string()),
        ("value", pa.float64()),
        ("error", pa.float64()),
        ("n", pa.int64()),
        ("below_sample", pa.bool_()),
        ("reason", pa.string()),
    ]
)


def _statistics(found: dict[str, Any]) -> list[beam.Row]:
    return [
        beam.Row(
            statistic=name,
            value=None if entry["value"] is None else float(entry["value"]),
            error=None if entry["error"] is None else float(entry["error"]),
            n=None if entry["n"] is None else int(entry["n"]),
            below_sample=entry["below_sample"],
            reason=entry["reason"],
        )
        for name, entry in sorted(found.items())
    ]


class Curate(beam.PTransform):
    """The whole job, files to files: a transform without input that gives one row with counts and the report's path.

    config: path of a YAML configuration; values: keys laid over it.
    """

    def __init__(self, config: str | None = None, values: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self._transform = stages.Curate(config, **(values or {}))

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection:
        return begin | self._transform | "Row" >> beam.Map(_counts).with_output_types(row_type(_COUNTS))


_COUNTS = pa.schema([("output", pa.string()), *((name, pa.int64()) for name in _FATES)])


def _counts(report: dict[str, Any]) -> beam.Row:
    counts = {name: int(report["documents"][name]) for name in _FATES}
    return beam.Row(output=report["run"]["output"], **counts)
