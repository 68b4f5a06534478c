"""The whole job on Beam: beam_curate.py --input 'crawl/*.parquet' --output out [--runner DataflowRunner ...]"""

import argparse

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from curation import beam as curation_beam
from curation.config import ConfigError


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", required=True, help="files, folder or glob; any fsspec URL")
    parser.add_argument("--output", required=True, help="folder to write to; any fsspec URL")
    parser.add_argument("--config", help="YAML file with further settings")
    parser.add_argument("--accelerator", metavar="HINT", help="GPU for the steps that use one")
    parser.add_argument("--runner", default="FnApiRunner")
    args, beam_options = parser.parse_known_args(argv)
    options = PipelineOptions([f"--runner={args.runner}", *beam_options])
    try:
        with beam.Pipeline(options=options) as pipeline:
            values = {"inputs": [{"path": args.input}], "output": args.output}
            report = pipeline | curation_beam.Curate(args.config, accelerator=args.accelerator, **values)
            report | beam.Map(lambda report: print(report["documents"]))
    except ConfigError as error:
        parser.exit(2, f"{parser.prog}: {error}\n")


if __name__ == "__main__":
    main()
