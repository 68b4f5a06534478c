"""The whole job on this machine: local_curate.py --input 'crawl/*.parquet' --output out [--reference human.profile]"""

import argparse

import curation
from curation.config import ConfigError


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", required=True, help="files, folder or glob; any fsspec URL")
    parser.add_argument("--output", required=True, help="folder to write to; any fsspec URL")
    parser.add_argument("--reference", help="reference profile to which the mix is balanced")
    parser.add_argument("--documents", type=int, help="budget of the mix")
    args = parser.parse_args(argv)
    try:
        report = curation.curate(
            inputs=[{"path": args.input}],
            output=args.output,
            reference=args.reference,
            select={"documents": args.documents},
        )
    except ConfigError as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    print(report["documents"])


if __name__ == "__main__":
    main()
