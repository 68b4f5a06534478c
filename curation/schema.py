"""Every column that curation reads or writes: its name, type and meaning, once.

Signals stand beside the input, one row per record that could be read; added columns stand in the kept and excluded
shards. Widths of the feature columns are constants here, since signals, profiles and weights must agree on them.
"""

from typing import NamedTuple

import pyarrow as pa

#: version of the layout of signals; part of the hash that signals carry
SIGNALS_VERSION = "signals-2"

STYLE = 48  # raw counts of style markers
WORDS = 64  # counts of the commonest function words of the ruler
BINS_BALANCED = 128  # hashed n-gram bins that mixing may balance
BINS_HELD_OUT = 128  # hashed n-gram bins that are never balanced, to measure with
BINS = BINS_BALANCED + BINS_HELD_OUT
CORE = 16  # real-valued style scalars
FEATURE_TOKENS = 16_384  # features are counted on the first tokens of a document


class Column(NamedTuple):
    name: str
    type: pa.DataType
    meaning: str


#: what decontamination says of a document, in signals and in the output; null where it shares no run of words
CONTAMINATION = [
    Column("contaminated_share", pa.float32(), "largest share of a benchmark document's runs of words found here"),
    Column("contaminated_by", pa.string(), "that benchmark document, as file:record"),
    Column("contaminated_match", pa.string(), "the first run of words shared with it"),
]


#: before the name of a filter's column: in signals, and as the reason of what it excludes
FILTER = "filter:"

#: before the name of a column of `mix.columns` in signals
COLUMN = "column:"


#: what datatrove steps in `filters` said; in signals only
STEPS = [
    Column("steps:reason", pa.string(), "step, or step:reason, that dropped the document; null where it stays"),
    Column("steps:text", pa.large_string(), "the text as the steps left it; null where they changed nothing"),
]


def filter_columns(names: tuple[str, ...], prefix: str = "") -> list[Column]:
    """The columns of the scores of `filters`; in signals their names begin with FILTER."""
    return [Column(prefix + name, pa.float32(), "score of a model in `filters`; null without text") for name in names]


def signal_columns(
    permutations: int,
    bands: int,
    features: bool,
    keep: bool = False,
    benchmarks: bool = False,
    filters: tuple[str, ...] = (),
    ratio: bool = False,
    hosts: bool = False,
    numbers: tuple[tuple[str, int], ...] = (),
) -> list[Column]:
    """The columns of a signals file for a signature of `permutations` in `bands` (0 and 0 without MinHash).

    keep: documents are kept by a column; benchmarks: they are compared with benchmark text; filters: columns of scores;
    ratio: with scores of ratio mode; hosts: with the hosts of URLs; numbers: names and widths of `mix.columns`.
    """
    columns = [
        Column("row", pa.int64(), "physical record number in the shard"),
        Column("id", pa.string(), "the user's id as a string, else the content hash in hex"),
        Column("source", pa.string(), "declared source, or the value of the source column"),
        Column("bytes", pa.int64(), "UTF-8 bytes of the text"),
        Column("word_count", pa.int64(), "word tokens of the text; between spaces where nothing needs tokens"),
        Column("tokens", pa.int64(), "the user's token count, else the word count"),
        Column("date", pa.date32(), "date of the document, or null"),
        Column("url_key", pa.binary(16), "hash of the canonical URL, or null"),
        Column("content_hash", pa.binary(16), "128-bit xxh3 of the text"),
        Column("norm_hash", pa.binary(16), "128-bit hash of the words (of the text: dedup.equal); null without"),
        Column("row_hash", pa.binary(16), "128-bit hash of all input columns in name order"),
        Column("logit", pa.float32(), "score of the synthetic-text model, or null"),
        Column("logit_check", pa.float32(), "score of a second model that sees half of the n-gram buckets, or null"),
        Column("lang", pa.string(), "language: en, other or und; null where only duplicates are looked for"),
        Column("group", pa.string(), "the user's group column (writer group, domain), or null"),
        Column("gate", pa.string(), "prose, mixed, code, table, list, maths, boilerplate, short, empty; null likewise"),
    ]
    if bands:
        columns += [
            Column("bands", pa.binary(8 * bands), "one 64-bit hash per band, little-endian; null below a shingle"),
            Column("signature", pa.binary(2 * permutations), "low 16 bits of each minimum; null below a shingle"),
        ]
    if keep:
        columns += [Column("keep_key", pa.binary(), "sorts as the column that dedup.keep names; null for null")]
    if benchmarks:
        columns += CONTAMINATION
    columns += filter_columns(filters, FILTER)
    if hosts:
        columns += [Column("host", pa.string(), "host of the canonical URL, or null")]
    if ratio:
        columns += [Column("ratio_logit", pa.float32(), "log of p(text) in the reference over the crawl, or null")]
    for name, width in numbers:
        kind = pa.float64() if width == 1 else pa.binary(4 * width)
        columns += [Column(COLUMN + name, kind, "a column of mix.columns: a number or packed float32; or null")]
    if features:
        columns += [
            # fixed-width binary, little-endian: a third of the cost of lists to read, in every pass of a mix
            Column("style", pa.binary(2 * STYLE), "raw counts of style markers, uint16"),
            Column("words", pa.binary(2 * WORDS), "counts of function words, uint16"),
            Column("bins", pa.binary(2 * BINS), "hashed n-gram bins, uint16: first balanced, then never balanced"),
            Column("core", pa.binary(4 * CORE), "style scalars, float32"),
        ]
    return columns


def signal_schema(
    permutations: int,
    bands: int,
    features: bool,
    keep: bool = False,
    benchmarks: bool = False,
    filters: tuple[str, ...] = (),
    ratio: bool = False,
    hosts: bool = False,
    numbers: tuple[tuple[str, int], ...] = (),
) -> pa.Schema:
    """Arrow schema of a signals file; arguments as `signal_columns`."""
    columns = signal_columns(permutations, bands, features, keep, benchmarks, filters, ratio, hosts, numbers)
    return pa.schema([(c.name, c.type) for c in columns])


LABELS = ("human", "undetermined", "synthetic")

ADDED = [
    Column("content_hash", pa.binary(16), "128-bit xxh3 of the text"),
    Column("cluster_id", pa.string(), "smallest public id in the duplicate cluster; the own id when alone"),
    Column("cluster_size", pa.int64(), "documents in the cluster, 1 when alone"),
    Column("duplicate_of", pa.string(), "id of the survivor that stands for this document, or null"),
    Column("similarity", pa.float32(), "estimated Jaccard similarity to the survivor, or null"),
    Column("p_synthetic", pa.float32(), "calibrated probability that a machine wrote the text, or null"),
    Column("synthetic_label", pa.string(), "human, synthetic or undetermined"),
    Column("synthetic_reason", pa.string(), "why the label is undetermined, or null"),
    Column("weight", pa.float64(), "weight in the mix: mean 1 over kept documents without selection"),
    Column("copies", pa.int64(), "how often the mix repeats the document"),
    Column("filter_reason", pa.string(), "why the document was excluded, or null"),
]

#: columns that are added only where the configuration asks for what they hold
SPANS = Column("repeated_spans", pa.list_(pa.int64()), "repeated lines or paragraphs: start, end, ... in UTF-8 bytes")
OPTIONAL = [SPANS, *CONTAMINATION]


def added(spans: bool = False, benchmarks: bool = False) -> list[Column]:
    """The columns that a run adds: with spans of repeated units, with what decontamination found."""
    return [*ADDED, *([SPANS] if spans else []), *(CONTAMINATION if benchmarks else [])]


ADDED_SCHEMA = pa.schema([(c.name, c.type) for c in ADDED])

#: decisions/clusters/<source>/<path>: only documents in a cluster of two or more
CLUSTERS_SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("id", pa.string()),  # the public id where it differs from the signal's (a repeated id), else null
        ("cluster_id", pa.string()),
        ("cluster_size", pa.int64()),
        ("duplicate_of", pa.string()),
        ("similarity", pa.float32()),
        ("reason", pa.string()),  # exact_duplicate, near_duplicate, url_duplicate, exclude_near_duplicate; null: stays
    ]
)

#: decisions/lines/<source>/<path>: only documents with repeated lines or paragraphs
LINES_SCHEMA = pa.schema([("row", pa.int64()), ("emptied", pa.bool_()), ("spans", pa.list_(pa.int64()))])

#: decisions/weights/<source>/<path>: every signals row
WEIGHTS_SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("p_synthetic", pa.float32()),
        ("synthetic_label", pa.string()),
        ("synthetic_reason", pa.string()),
        ("weight", pa.float64()),
        ("balanced", pa.bool_()),  # inside the reference's coverage
        ("filter_reason", pa.string()),
    ]
)
