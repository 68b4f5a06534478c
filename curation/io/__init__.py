"""Files in and out: any fsspec URL or local path, Parquet and JSON lines, quarantine and manifest."""

from curation.io.inputs import check_columns, expand
from curation.io.quarantine import BadRecord, Quarantine
from curation.io.readers import final_schema, peek, read_shard
from curation.io.writers import ShardWriter, output_relative

__all__ = [
    "BadRecord",
    "Quarantine",
    "ShardWriter",
    "check_columns",
    "expand",
    "final_schema",
    "output_relative",
    "peek",
    "read_shard",
]
