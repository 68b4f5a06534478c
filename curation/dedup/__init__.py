"""Deduplication: identities, MinHash signatures, the shuffle that finds candidates, and the decisions.

`deduplicate` does it all for batches in memory; a host composes the other functions.
"""

from curation.dedup.anchors import EARLIER, EXCLUDED
from curation.dedup.cluster import RESULT_SCHEMA, DedupSettings, cluster
from curation.dedup.contamination import Benchmarks, index_benchmarks, overlaps
from curation.dedup.gathering import Gathered, fixed_binary
from curation.dedup.hashes import content_hashes, row_hashes, token_hashes
from curation.dedup.keep import column_of, order_keys, order_kind
from curation.dedup.lines import count_units, cut_spans, emit_units, find_units, is_repeated
from curation.dedup.measure import Shingles, shingles
from curation.dedup.memory import deduplicate
from curation.dedup.shuffle import Keys, distinct, emit, group, job_rows, packed, signal_keys
from curation.dedup.signatures import signatures, similarity

__all__ = [
    "EARLIER",
    "EXCLUDED",
    "RESULT_SCHEMA",
    "Benchmarks",
    "DedupSettings",
    "Gathered",
    "Keys",
    "Shingles",
    "cluster",
    "column_of",
    "content_hashes",
    "count_units",
    "cut_spans",
    "deduplicate",
    "distinct",
    "emit",
    "emit_units",
    "find_units",
    "fixed_binary",
    "group",
    "index_benchmarks",
    "is_repeated",
    "job_rows",
    "order_keys",
    "order_kind",
    "overlaps",
    "packed",
    "row_hashes",
    "shingles",
    "signal_keys",
    "signatures",
    "similarity",
    "token_hashes",
]
