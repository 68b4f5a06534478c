"""Where everything stands in the output folder, and which file formats there are."""

from curation.plan import Shard

PACKINGS = (".gz", ".zst", "")  # of formats that are compressed as a whole

#: formats by extension, longest first; `run.format` names the written ones by the same words
FORMATS = {
    ".parquet": "parquet",
    **{
        name + packing: format + packing
        for packing in PACKINGS
        for name, format in (
            (".jsonl", "jsonl"),
            (".ndjson", "jsonl"),
            (".json", "jsonl"),
            (".csv", "csv"),
            (".tsv", "tsv"),
            (".txt", "txt"),
        )
    },
    **{name + packing: "warc" for packing in PACKINGS for name in (".warc", ".wet")},
    **dict.fromkeys((".arrow", ".arrows", ".feather", ".ipc"), "arrow"),
}

#: what outputs are written in; an input of another format becomes Parquet
WRITTEN = ("parquet", "jsonl", "jsonl.gz", "jsonl.zst")


def extension(relative: str) -> str:
    """The extension of a known format at the end of a name, as written there, or the empty string."""
    lower = relative.lower()
    for known in FORMATS:
        if lower.endswith(known) and len(lower.rpartition("/")[2]) > len(known):
            return relative[-len(known) :]
    return ""


def format_of(relative: str) -> str | None:
    """The format by the name of a file (a value of FORMATS, such as `jsonl.gz`), or None."""
    return FORMATS.get(extension(relative).lower())


def family(relative: str) -> str:
    """The format without its compression: parquet, jsonl, csv, tsv, txt, warc or arrow; empty when none is known."""
    return (format_of(relative) or "").partition(".")[0]


def packing(relative: str) -> str:
    """`gz`, `zst` or empty: how a file of this name is compressed as a whole."""
    return (format_of(relative) or "").partition(".")[2]


def path(output: str, folder: str, shard: Shard, suffix: str = ".parquet") -> str:
    """OUT/folder/source/path of the shard; the shard's own extension stays in the name so that names stay
    unique.
    """
    return f"{output.rstrip('/')}/{folder}/{shard.source}/{shard.relative}{suffix}"
