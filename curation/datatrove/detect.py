"""DetectSynthetic: the labels of `detect_synthetic` in the metadata of documents."""

import contextlib
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from datatrove.data import Document, DocumentsPipeline
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.writers.disk_base import DiskWriter
from datatrove.utils.typeshelper import StatHints

from curation import synthetic
from curation.datatrove.documents import check_batch, check_column, in_batches, texts
from curation.jobs.calibrated import calibration

ADDED = ("p_synthetic", "synthetic_label", "synthetic_reason")


class DetectSynthetic(PipelineStep):
    """Adds p_synthetic, synthetic_label and synthetic_reason to the metadata of every document, in order.

    Takes Documents, or RecordBatches as `ArrowReader` yields them, to which it adds columns; `text` names theirs.
    source: key of the metadata that names a document's stratum. reference: path of a reference profile whose human
    anchors calibrate the labels; without it they use the model's own thresholds. exclude: drop documents labelled
    synthetic (the default drops nothing); they go to `exclusion_writer` with filter_reason `synthetic`. The remaining
    arguments are those of `detect_synthetic`. Raises ValueError or OSError at once for a model, a reference or a rate
    that cannot be used.
    """

    name = "Detect synthetic text"
    type = "FILTER"

    def __init__(
        self,
        *,
        text: str = "text",
        source: str | None = None,
        reference: str | None = None,
        fpr: float = 0.01,
        model: str = "shipped",
        min_words: int = synthetic.MIN_WORDS,
        label_words: int = 150,
        exclude: bool = False,
        exclusion_writer: DiskWriter | None = None,
        batch_mb: float = 4.0,
    ) -> None:
        super().__init__()
        check_batch(batch_mb)
        check_column(text, "text")
        if source is not None:
            check_column(source, "source")
        for least, name in ((min_words, "min_words"), (label_words, "label_words")):
            if least < 1:
                raise ValueError(f"{name} must be at least 1, not {least}")
        if exclusion_writer is not None and not exclude:
            raise ValueError("an exclusion_writer gets nothing unless exclude=True")
        self.text = text
        self.source, self.reference, self.fpr, self.model = source, reference, fpr, model
        self.min_words, self.label_words = min_words, label_words
        self.exclude, self.exclusion_writer, self.batch_mb = exclude, exclusion_writer, batch_mb
        self._calibrate()

    def _calibrate(self) -> synthetic.Calibration:
        """Made anew in every task, so that only plain values are pickled."""
        return calibration(reference=self.reference, model=self.model, fpr=self.fpr)

    def run(self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        """Yield the documents with their labels, without those that are excluded."""
        made = self._calibrate()
        with self.exclusion_writer or contextlib.nullcontext() as writer:
            for documents in in_batches(data, self.batch_mb):
                if isinstance(documents, pa.RecordBatch):
                    with self.track_time("batch"):
                        yield self._pass(documents, made, writer, rank)
                    continue
                with self.track_time("batch"):
                    self._label(documents, made)
                for document in documents:
                    label = document.metadata["synthetic_label"]
                    self.stat_update(StatHints.total, f"label_{label}")
                    if self.exclude and label == "synthetic":
                        self.stat_update(StatHints.dropped, "dropped_synthetic")
                        if writer is not None:
                            document.metadata["filter_reason"] = "synthetic"
                            writer.write(document, rank)
                    else:
                        self.stat_update(StatHints.forwarded)
                        self.update_doc_stats(document)
                        yield document

    def _detect(self, table: pa.Table, text: str, source: str | None, made: synthetic.Calibration) -> pa.Table:
        return synthetic.detect_synthetic(
            table,
            text=text,
            source=source,
            calibration=made,
            model=self.model,
            min_words=self.min_words,
            label_words=self.label_words,
        )

    def _pass(self, batch: pa.RecordBatch, made: synthetic.Calibration, writer: Any, rank: int) -> pa.RecordBatch:
        """A batch with its labels, without the rows that are excluded."""
        found = self._detect(pa.Table.from_batches([batch]), self.text, self.source, made).combine_chunks()
        labelled = found.to_batches()[0] if found.num_rows else pa.RecordBatch.from_pylist([], found.schema)
        for entry in pc.value_counts(labelled.column("synthetic_label")).to_pylist():
            self.stat_update(f"label_{entry['values']}", value=entry["counts"], unit="batch")
        self.stat_update(StatHints.total, value=batch.num_rows, unit="batch")
        if not self.exclude:
            return labelled
        out = pc.equal(labelled.column("synthetic_label"), "synthetic")
        dropped = labelled.filter(out)
        self.stat_update(StatHints.dropped, "dropped_synthetic", value=dropped.num_rows, unit="batch")
        for number, row in enumerate(dropped.to_pylist() if writer is not None else ()):
            text, id = row.pop(self.text) or "", str(row.get("id", number))
            writer.write(Document(text, id, metadata={**row, "filter_reason": "synthetic"}), rank)
        return labelled.filter(pc.invert(out))

    def _label(self, documents: list[Document], made: synthetic.Calibration) -> None:
        columns = {"text": texts(documents)}
        if self.source is not None:
            names = [document.metadata.get(self.source) for document in documents]
            columns["source"] = pa.array([None if name is None else str(name) for name in names], pa.string())
        found = self._detect(pa.table(columns), "text", "source" if self.source is not None else None, made)
        for document, added in zip(documents, found.select(ADDED).to_pylist(), strict=True):
            document.metadata.update(added)
