"""AsBeam: a datatrove step as a Beam stage drops with reasons, rewrites text, adds columns, names what it refuses."""

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.testing.util import assert_that, equal_to
from datatrove.data import Document
from datatrove.pipeline.filters import RegexFilter
from datatrove.pipeline.filters.base_filter import BaseFilter
from datatrove.pipeline.formatters import PIIFormatter

from curation import beam as curation_beam
from hosts.world import KEPT, keep

BATCH = pa.RecordBatch.from_pydict(
    {
        "text": ["plain words", "lorem ipsum", None, "mail jane@example.com", "lorem left before"],
        "filter_reason": [None, None, None, None, "synthetic"],
    },
    schema=pa.schema([("text", pa.string()), ("filter_reason", pa.string())]),
)


class Marks(BaseFilter):
    """Drops what is longer than `most`, says why, and notes the length."""

    name = "marks"

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        if doc.text == "raise":
            raise RuntimeError("as asked")
        doc.metadata["length"] = len(doc.text)
        return True if len(doc.text) <= self.most else (False, "long")


def rows(transform: beam.PTransform, *batches: pa.RecordBatch) -> list[dict]:
    KEPT["rows"] = []
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        _ = pipeline | beam.Create(list(batches)) | transform | curation_beam.ToRows() | beam.Map(keep, "rows")
    return KEPT["rows"]


def test_a_filter_drops_with_a_reason_and_leaves_other_rows_alone() -> None:
    found = rows(curation_beam.AsBeam(step=RegexFilter("lorem")), BATCH)
    assert [row["filter_reason"] for row in found] == [None, "RegexFilter", None, None, "synthetic"]
    assert [row["text"] for row in found] == BATCH.column("text").to_pylist()
    kept = rows(curation_beam.AsBeam(step=RegexFilter("lorem"), drop=True), BATCH)
    assert [row["text"] for row in kept] == ["plain words", None, "mail jane@example.com"]


def test_a_formatter_rewrites_the_text_and_metadata_becomes_columns() -> None:
    found = rows(curation_beam.AsBeam(step=PIIFormatter()), BATCH)
    assert "jane" not in found[3]["text"] and found[0]["text"] == "plain words"
    found = rows(curation_beam.AsBeam(step=Marks(11), columns={"length": pa.int32()}), BATCH)
    assert [row["length"] for row in found] == [11, 11, None, 21, None]
    assert [row["filter_reason"] for row in found] == [None, None, None, "Marks:long", "synthetic"]


def test_rows_on_which_a_step_raises_go_to_the_errors_alone() -> None:
    batch = pa.RecordBatch.from_pydict({"text": ["a", "raise", "b"]})
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        good, bad = pipeline | beam.Create([batch]) | curation_beam.AsBeam(step=Marks(9), with_errors=True)
        assert_that(good | curation_beam.ToRows() | beam.Map(lambda row: row["text"]), equal_to(["a", "b"]))
        messages = bad | beam.Map(lambda error: (error[0].column("text")[0].as_py(), error[1]))
        assert_that(messages, equal_to([("raise", "RuntimeError: as asked")]), label="errors")


def test_what_cannot_run_is_refused_when_the_stage_is_made() -> None:
    with pytest.raises(TypeError, match="must be a datatrove step such as"):
        curation_beam.AsBeam(step="GopherQualityFilter")
    with pytest.raises(TypeError, match=r"columns\['length'\] must be a pyarrow.DataType"):
        curation_beam.AsBeam(step=Marks(3), columns={"length": int})
    step = Marks(3)
    step.left = (word for word in ())
    with pytest.raises(ValueError, match="Marks cannot be sent to workers .*make what it holds"):
        curation_beam.AsBeam(step=step)
