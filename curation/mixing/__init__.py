"""Mixing: weights that give a crawl the moments of human text, and a selection to a budget."""

from curation.mixing.features import FEATURE_NAMES, Standard, design_matrix, held_out_matrix
from curation.mixing.in_memory import mix

__all__ = ["FEATURE_NAMES", "Standard", "design_matrix", "held_out_matrix", "mix"]
