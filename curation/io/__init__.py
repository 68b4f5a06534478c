"""Files in and out: any fsspec URL or local path, Parquet and JSON lines, quarantine and manifest."""

from curation.io.files import (
    atomic,
    delete,
    exists,
    is_folder,
    is_local,
    local_path,
    open_file,
    remove_abandoned,
    safe_join,
    size,
    version,
)
from curation.io.inputs import check_columns, expand, size_and_version
from curation.io.manifest import build as build_manifest
from curation.io.manifest import checksum, input_entry, lock, output_entry, shard_checksum, versions
from curation.io.manifest import read as read_manifest
from curation.io.manifest import write as write_manifest
from curation.io.opening_many import each
from curation.io.quarantine import BadRecord, Quarantine, read_quarantine
from curation.io.readers import final_schema, is_mixed, peek, read_shard
from curation.io.stamps import read_stamp
from curation.io.writers import ShardWriter, output_format, output_relative

__all__ = [
    "BadRecord",
    "Quarantine",
    "ShardWriter",
    "atomic",
    "build_manifest",
    "check_columns",
    "checksum",
    "delete",
    "each",
    "exists",
    "expand",
    "final_schema",
    "input_entry",
    "is_folder",
    "is_local",
    "is_mixed",
    "local_path",
    "lock",
    "open_file",
    "output_entry",
    "output_format",
    "output_relative",
    "peek",
    "read_manifest",
    "read_quarantine",
    "read_shard",
    "read_stamp",
    "remove_abandoned",
    "safe_join",
    "shard_checksum",
    "size",
    "size_and_version",
    "version",
    "versions",
    "write_manifest",
]
