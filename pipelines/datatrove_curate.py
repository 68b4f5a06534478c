"""The whole job on datatrove: datatrove_curate.py --input 'crawl/*.parquet' --output out --logs logs [--tasks 100]"""

import argparse
import sys
from pathlib import Path

from datatrove.executor import LocalPipelineExecutor, RayPipelineExecutor, SlurmPipelineExecutor

from curation.config import ConfigError, load
from curation.datatrove import curate_executors


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", help="files, folder or glob; the inputs of --config where none is given")
    parser.add_argument("--output", required=True, help="folder to write to, which all nodes see")
    parser.add_argument("--config", help="YAML file with further settings")
    parser.add_argument("--logs", required=True, help="folder for datatrove's logs and completion marks")
    parser.add_argument("--tasks", type=int, default=1, help="ranks that share the files")
    parser.add_argument("--memory", type=int, default=2, help="GB for a rank on Slurm and Ray")
    parser.add_argument("--slurm", metavar="PARTITION", help="submit to this partition instead of running here")
    parser.add_argument("--ray", action="store_true", help="run on the Ray cluster that this machine belongs to")
    args = parser.parse_args(argv)
    executor, options = LocalPipelineExecutor, {}
    if args.slurm:
        same_python = f"export PATH={Path(sys.executable).parent}:$PATH"  # on every node
        options = {"partition": args.slurm, "time": "04:00:00", "qos": "", "env_command": same_python}
        executor, options = SlurmPipelineExecutor, {**options, "mem_per_cpu_gb": args.memory}
    if args.ray:
        try:
            import ray
        except ImportError as error:
            parser.exit(2, f"{parser.prog}: --ray: {error}; pip install 'curation[datatrove,ray]'\n")
        ray.init(address="auto", ignore_reinit_error=True)
        executor, options = RayPipelineExecutor, {"mem_per_cpu_gb": args.memory}
    inputs = {"inputs": [{"path": args.input}]} if args.input else {}
    try:
        config = load(args.config, {**inputs, "output": args.output})
        chain = curate_executors(config, logging_dir=args.logs, tasks=args.tasks, executor=executor, **options)
        chain[-1].run()
    except ConfigError as error:
        parser.exit(2, f"{parser.prog}: {error}\n")


if __name__ == "__main__":
    main()
