"""Deduplication: identities, MinHash signatures, the shuffle that finds candidates, and the decisions.

`deduplicate` does it all for batches in memory; a host composes the other functions.
"""

from curation.dedup.anchors import EARLIER, EXCLUDED
from curation.dedup.cluster import RESULT_SCHEMA, DedupSettings, cluster
from curation.dedup.hashes import content_hashes, row_hashes, token_hashes
from curation.dedup.memory import deduplicate, fixed_binary
from curation.dedup.shuffle import Keys, digest_keys, emit, group, job_rows, signal_keys
from curation.dedup.signatures import signatures, similarity

__all__ = [
    "EARLIER",
    "EXCLUDED",
    "RESULT_SCHEMA",
    "DedupSettings",
    "Keys",
    "cluster",
    "content_hashes",
    "deduplicate",
    "digest_keys",
    "emit",
    "fixed_binary",
    "group",
    "job_rows",
    "row_hashes",
    "signal_keys",
    "signatures",
    "similarity",
    "token_hashes",
]
