"""Label and measure documents on Beam: beam_detect.py --input 'crawl/*.parquet' --output labelled [--runner ...]"""

import argparse

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from curation import beam as curation_beam
from curation.config import ConfigError


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", required=True, help="files, folder or glob; any fsspec URL")
    parser.add_argument("--output", required=True, help="an empty folder; any fsspec URL")
    parser.add_argument("--reference", help="reference profile whose human documents calibrate the labels")
    parser.add_argument("--files", type=int, default=16, help="files to write")
    parser.add_argument("--runner", default="FnApiRunner")
    args, beam_options = parser.parse_known_args(argv)
    options = PipelineOptions([f"--runner={args.runner}", *beam_options])
    try:
        with beam.Pipeline(options=options) as pipeline:
            batches = pipeline | curation_beam.ReadShards(inputs=args.input)
            labelled = batches | curation_beam.DetectSynthetic(reference=args.reference)
            labelled | curation_beam.WriteShards(output=args.output, files=args.files)
            batches | curation_beam.MeasureDiversity() | beam.Map(lambda found: print(found["distinct_2"]))
    except ConfigError as error:
        parser.exit(2, f"{parser.prog}: {error}\n")


if __name__ == "__main__":
    main()
