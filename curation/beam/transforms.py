"""Annotate and DetectSynthetic: the functions of the same names on every batch of a PCollection."""

from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa

from curation import synthetic
from curation.annotate import Settings, annotate
from curation.beam.batches import check_columns, column_name, displayed, per_batch
from curation.jobs.calibrated import calibration

ADDED = ("p_synthetic", "synthetic_label", "synthetic_reason")


@dataclass(kw_only=True, eq=False)
class Annotate(beam.PTransform):
    """The signals of every document, a batch of them for each batch of documents: hashes, MinHash bands, scores,
    features (the columns of `curation.schema.signal_columns`). Text does not pass on.

    The arguments are those of `curation.annotate.Settings`: names of columns, and the settings of MinHash, detector
    and features. The column `row` numbers the documents of each batch.
    """

    text: str = "text"
    id: str | None = None
    date: str | None = None
    url: str | None = None
    tokens: str | None = None
    source: str | None = None
    group: str | None = None
    bands: int = 14
    rows: int = 8
    ngram: int = 5
    seed: int = 1
    model: str | None = "shipped"
    min_words: int = synthetic.MIN_WORDS
    features: bool = True
    with_errors: bool = False

    def __post_init__(self) -> None:
        super().__init__()
        column_name(self.text, "text")
        for name in ("id", "date", "url", "tokens", "source", "group"):
            column_name(getattr(self, name), name, optional=True)
        for name in ("bands", "rows", "ngram", "min_words"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.model is not None:
            synthetic.load_model(self.model)

    def expand(self, batches: beam.PCollection) -> Any:
        given = (self.text, self.id, self.date, self.url, self.tokens, self.source, self.group)
        check_columns(batches, "Annotate", given)
        names = Settings.__dataclass_fields__.keys() & self.__dataclass_fields__.keys()
        settings = Settings(**{name: getattr(self, name) for name in names}, measure=False)
        return per_batch(batches, _Signals(settings), name="annotate", with_errors=self.with_errors)

    def display_data(self) -> dict[str, Any]:
        return displayed(self, "text", "id", "source", "model", "bands", "rows", "ngram", "seed", "with_errors")


@dataclass(frozen=True)
class _Signals:
    settings: Settings

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        return annotate(batch, np.arange(batch.num_rows), "default", self.settings).signals


@dataclass(kw_only=True, eq=False)
class DetectSynthetic(beam.PTransform):
    """Every batch with `p_synthetic`, `synthetic_label` and `synthetic_reason` added, as `detect_synthetic` does.

    `text` and `source` (strata; None: one) name columns; `reference` is the path of a reference profile whose human
    anchors calibrate the labels, `anchors` are given as they are, and both together are merged. Without a hundred
    anchors labels use the model's own thresholds. The calibration is made when the pipeline is built, so a document's
    label never depends on the other documents of the pipeline.
    """

    text: str = "text"
    source: str | None = None
    reference: str | None = None
    anchors: synthetic.Anchors | None = None
    fpr: float = 0.01
    model: str = "shipped"
    min_words: int = synthetic.MIN_WORDS
    label_words: int = 150
    with_errors: bool = False

    def __post_init__(self) -> None:
        super().__init__()
        column_name(self.text, "text")
        column_name(self.source, "source", optional=True)
        for name in ("min_words", "label_words"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        self._calibration = calibration(
            reference=self.reference, anchors=self.anchors, model=self.model, fpr=self.fpr
        )

    def expand(self, batches: beam.PCollection) -> Any:
        check_columns(batches, "DetectSynthetic", (self.text, self.source))
        function = _Detect(
            self.text, self.source, self._calibration, self.model, self.min_words, self.label_words
        )
        return per_batch(batches, function, name="detect-synthetic", with_errors=self.with_errors, added=ADDED)

    def display_data(self) -> dict[str, Any]:
        names = ("text", "source", "reference", "fpr", "model", "min_words", "label_words", "with_errors")
        return displayed(self, *names)


@dataclass(frozen=True)
class _Detect:
    text: str
    source: str | None
    calibration: synthetic.Calibration
    model: str
    min_words: int
    label_words: int

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        table = synthetic.detect_synthetic(
            pa.Table.from_batches([batch]),
            text=self.text,
            source=self.source,
            calibration=self.calibration,
            model=self.model,
            min_words=self.min_words,
            label_words=self.label_words,
        )
        return pa.RecordBatch.from_arrays(
            [column.chunk(0) if column.num_chunks else pa.nulls(0, column.type) for column in table.columns],
            schema=table.schema,
        )
