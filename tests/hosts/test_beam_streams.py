"""Streams: stages of single documents run on them, stages of whole collections want windows or an end."""

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.testing.test_stream import TestStream
from apache_beam.transforms.window import FixedWindows

from curation import beam as curation_beam
from curation import detect_synthetic, measure
from hosts.world import KEPT, batches, keep, rows, table


def stream(pipeline: beam.Pipeline) -> beam.PCollection:
    """Two batches in the first minute and the rest in the second."""
    parts = batches(50)
    source = TestStream(coder=curation_beam.RecordBatchCoder())
    source = source.advance_watermark_to(0).add_elements([beam.window.TimestampedValue(b, 10) for b in parts[:2]])
    source = source.advance_watermark_to(70).add_elements([beam.window.TimestampedValue(b, 80) for b in parts[2:]])
    return pipeline | source.advance_watermark_to_infinity()


def streaming() -> beam.Pipeline:
    options = PipelineOptions(runner="BundleBasedDirectRunner")  # the one here that knows TestStream
    options.view_as(StandardOptions).streaming = True
    return beam.Pipeline(options=options)


def test_documents_of_a_stream_are_labelled_as_in_a_table() -> None:
    KEPT["stream"] = []
    with streaming() as pipeline:
        _ = stream(pipeline) | curation_beam.DetectSynthetic() | beam.Map(keep, "stream")
    assert rows(KEPT["stream"]) == rows(detect_synthetic(table()))


def test_statistics_and_duplicates_are_found_window_by_window() -> None:
    KEPT["stream"], KEPT["duplicates"] = [], []
    with streaming() as pipeline:
        windows = stream(pipeline) | beam.WindowInto(FixedWindows(60))
        _ = windows | curation_beam.MeasureDiversity(id="id") | "Measured" >> beam.Map(keep, "stream")
        _ = windows | curation_beam.Deduplicate(id="id") | beam.Map(keep, "duplicates")
    expected = [measure(table().slice(0, 100), id="id"), measure(table().slice(100), id="id")]
    assert sorted(map(repr, KEPT["stream"])) == sorted(map(repr, expected))
    assert sum(batch.num_rows for batch in KEPT["duplicates"]) == table().num_rows


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        (curation_beam.Deduplicate(), "Deduplicate looks at all rows together .* windows first"),
        (curation_beam.MeasureDiversity(), "MeasureDiversity looks at all rows together .* windows first"),
        (curation_beam.Mix(mode="soft"), "Mix looks at all rows together .* windows first"),
        (curation_beam.Select(rate=0.5), "Select looks at all rows together .* windows first"),
        (curation_beam.WriteShards(output="out"), "WriteShards looks at all rows together .*: read a bounded input"),
    ],
)
def test_a_stream_without_windows_is_refused_when_the_pipeline_is_built(stage: beam.PTransform, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _ = stream(streaming()) | stage
