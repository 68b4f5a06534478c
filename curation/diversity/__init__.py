"""Diversity of a corpus: style features, mergeable statistics and variance retention."""

from curation.diversity.blocks import Blocks, at_block_size
from curation.diversity.features import CORE_NAMES, STYLE_NAMES, Features, features
from curation.diversity.human import Human
from curation.diversity.measure import hash_ids, hash_texts, measure
from curation.diversity.registry import STATISTICS, Statistic, readings
from curation.diversity.ruler import Ruler, load_ruler
from curation.diversity.state import Counts, State, compact, empty, merge, sealed, update, without
from curation.diversity.state_file import dump, load
from curation.diversity.statistics import Measured, compare, core_moments, result, values
from curation.diversity.variance import Moments, effective_rank, floor, moments_of, variance_retention

__all__ = [
    "CORE_NAMES",
    "STATISTICS",
    "STYLE_NAMES",
    "Blocks",
    "Counts",
    "Features",
    "Human",
    "Measured",
    "Moments",
    "Ruler",
    "State",
    "Statistic",
    "at_block_size",
    "compact",
    "compare",
    "core_moments",
    "dump",
    "effective_rank",
    "empty",
    "features",
    "floor",
    "hash_ids",
    "hash_texts",
    "load",
    "load_ruler",
    "measure",
    "merge",
    "moments_of",
    "readings",
    "result",
    "sealed",
    "update",
    "values",
    "variance_retention",
    "without",
]
