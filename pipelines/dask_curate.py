"""The whole job on Dask: dask_curate.py --input 'crawl/*.parquet' --output out [--scheduler tcp://HOST:8786]"""

import argparse

import curation
from curation.config import ConfigError


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", required=True, help="files, folder or glob; any fsspec URL that all workers see")
    parser.add_argument("--output", required=True, help="folder to write to, which all workers see")
    parser.add_argument("--scheduler", help="address of a running scheduler; processes on this machine without one")
    args = parser.parse_args(argv)
    options = [f"--dask_client_address={args.scheduler}"] if args.scheduler else []
    try:
        report = curation.curate(inputs=args.input, output=args.output, run={"runner": "DaskRunner"}, options=options)
    except ConfigError as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    print(report["documents"])


if __name__ == "__main__":
    main()
