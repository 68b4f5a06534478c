"""Where everything stands in the output folder."""

from curation.plan import Shard

EXTENSIONS = (".parquet", ".jsonl", ".json", ".ndjson", ".gz", ".zst", ".csv", ".tsv", ".arrow")


def stem(relative: str) -> str:
    """`a/b.jsonl.gz` -> `a/b.jsonl.gz` without the extensions of formats: `a/b`."""
    changed = True
    while changed:
        changed = False
        for extension in EXTENSIONS:
            if relative.lower().endswith(extension) and len(relative) > len(extension):
                relative, changed = relative[: -len(extension)], True
    return relative


def path(output: str, folder: str, shard: Shard, suffix: str = ".parquet") -> str:
    """OUT/folder/source/path of the shard; the shard's own extension stays in the name so that names stay unique."""
    return f"{output.rstrip('/')}/{folder}/{shard.source}/{shard.relative}{suffix}"
