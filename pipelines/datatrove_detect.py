"""Label and measure documents on datatrove: datatrove_detect.py --input crawl/ --output labelled [--tasks 8]"""

import argparse

from datatrove.executor.local import LocalPipelineExecutor
from datatrove.pipeline.readers import JsonlReader, ParquetReader
from datatrove.pipeline.writers import JsonlWriter

from curation.datatrove import DetectSynthetic, MeasureDiversity, MergeDiversity


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", required=True, help="folder of Parquet or JSON lines files")
    parser.add_argument("--output", required=True, help="folder to write to")
    parser.add_argument("--jsonl", action="store_true", help="the input is JSON lines")
    parser.add_argument("--tasks", type=int, default=1, help="ranks that share the files")
    args = parser.parse_args(argv)
    read = (JsonlReader if args.jsonl else ParquetReader)(args.input)
    states, documents = f"{args.output}/states", JsonlWriter(f"{args.output}/documents", expand_metadata=True)
    steps = [read, DetectSynthetic(), MeasureDiversity(states), documents]
    labelled = LocalPipelineExecutor(steps, tasks=args.tasks, logging_dir=f"{args.output}/logs/detect")
    merge = [MergeDiversity(states, args.output)]
    LocalPipelineExecutor(merge, depends=labelled, logging_dir=f"{args.output}/logs/merge").run()


if __name__ == "__main__":
    main()
