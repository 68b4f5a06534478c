"""The whole job on datatrove: datatrove_curate.py --input 'crawl/*.parquet' --output out --logs logs [--tasks 100]"""

import argparse

from datatrove.executor import LocalPipelineExecutor, SlurmPipelineExecutor

from curation.config import ConfigError
from curation.datatrove import curate_executors


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", required=True, help="files, folder or glob")
    parser.add_argument("--output", required=True, help="folder to write to, which all nodes see")
    parser.add_argument("--logs", required=True, help="folder for datatrove's logs and completion marks")
    parser.add_argument("--tasks", type=int, default=1, help="ranks that share the files")
    parser.add_argument("--slurm", metavar="PARTITION", help="submit to this partition instead of running here")
    parser.add_argument("--ray", action="store_true", help="run on the Ray cluster that this machine belongs to")
    args = parser.parse_args(argv)
    executor, options = LocalPipelineExecutor, {}
    if args.slurm:
        executor, options = SlurmPipelineExecutor, {"partition": args.slurm, "time": "04:00:00"}
    if args.ray:
        from datatrove.executor import RayPipelineExecutor

        executor, options = RayPipelineExecutor, {}
    config = {"inputs": [{"path": args.input}], "output": args.output}
    try:
        chain = curate_executors(config, logging_dir=args.logs, tasks=args.tasks, executor=executor, **options)
        chain[-1].run()
    except ConfigError as error:
        parser.exit(2, f"{parser.prog}: {error}\n")


if __name__ == "__main__":
    main()
