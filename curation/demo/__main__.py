"""`python -m curation.demo gather DIR` and `python -m curation.demo compare OUT TRUTH`."""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from curation.demo.gather import gather
from curation.demo.truth import compare


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line with `arguments` (default: those of the process); returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m curation.demo", description="The demo corpus and its truth.")
    commands = parser.add_subparsers(dest="command", required=True)
    gathering = commands.add_parser("gather", help="write a crawl, a reference and the truth about the crawl")
    gathering.add_argument("folder", help="folder to write to")
    gathering.add_argument("--limit-mb", type=float, default=12.0, help="most human text, in MB (default 12)")
    comparing = commands.add_parser("compare", help="hold a finished run against the truth")
    comparing.add_argument("output", help="output folder of the run")
    comparing.add_argument("truth", help="truth.parquet written by gather")
    options = parser.parse_args(arguments)
    try:
        if options.command == "gather":
            _print_summary(options.folder, gather(options.folder, limit_mb=options.limit_mb))
        else:
            print(compare(options.output, options.truth))
    except (ValueError, OSError) as error:
        print(f"curation.demo: {error}", file=sys.stderr)
        return 1
    return 0


def _print_summary(folder: str, written: dict[str, Any]) -> None:
    found = ", ".join(f"{count} {name}" for name, count in written["human_by_source"].items() if count)
    print(f"human text on this machine: {written['human_megabytes']} MB ({found})")
    print(f"{folder}/reference   {written['reference']} human documents")
    print(f"{folder}/crawl       {written['crawl']['human']} human documents and {written['crawl']['llm']} LLM texts")
    print(f"{folder}/truth.parquet says which is which; the pipeline does not read it")


if __name__ == "__main__":
    sys.exit(main())
