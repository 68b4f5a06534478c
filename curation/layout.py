"""Where everything stands in the output folder, and which file formats there are."""

from curation.plan import Shard

#: formats by extension, longest first; `run.format` names them by the same words
FORMATS = {
    ".parquet": "parquet",
    **{
        name + packing: "jsonl" + packing
        for packing in (".gz", ".zst", "")
        for name in (".jsonl", ".ndjson", ".json")
    },
}


def extension(relative: str) -> str:
    """The extension of a known format at the end of a name, as written there, or the empty string."""
    lower = relative.lower()
    for known in FORMATS:
        if lower.endswith(known) and len(lower.rpartition("/")[2]) > len(known):
            return relative[-len(known) :]
    return ""


def format_of(relative: str) -> str | None:
    """`parquet`, `jsonl`, `jsonl.gz` or `jsonl.zst` by the name of a file, or None."""
    return FORMATS.get(extension(relative).lower())


def path(output: str, folder: str, shard: Shard, suffix: str = ".parquet") -> str:
    """OUT/folder/source/path of the shard; the shard's own extension stays in the name so that names stay
    unique.
    """
    return f"{output.rstrip('/')}/{folder}/{shard.source}/{shard.relative}{suffix}"
