"""Diversity of a corpus: style features, mergeable statistics and variance retention."""

from curation.diversity.features import CORE_NAMES, STYLE_NAMES, Features, features
from curation.diversity.ruler import Ruler, load_ruler

__all__ = ["CORE_NAMES", "STYLE_NAMES", "Features", "Ruler", "features", "load_ruler"]
