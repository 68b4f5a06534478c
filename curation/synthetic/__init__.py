"""Detect synthetic text: score, calibrate on human anchors, label with abstention, and estimate shares."""

from curation.synthetic.calibration import REASONS, Calibration, apply, as_dict, calibrate
from curation.synthetic.detect import detect_synthetic
from curation.synthetic.doubts import doubts
from curation.synthetic.histogram import Anchors, anchor_state, empty_anchors, from_arrays, merge, to_arrays
from curation.synthetic.model import MIN_WORDS, MODEL_VERSION, Model, load_model, save_model, score
from curation.synthetic.prevalence import Passing, merge_passing, passing, prevalence, share_after, weighed
from curation.synthetic.ratio import Ratio, fit_ratio, ratio_keys, ratio_scores, score_ratio

__all__ = [
    "MIN_WORDS",
    "MODEL_VERSION",
    "REASONS",
    "Anchors",
    "Calibration",
    "Model",
    "Passing",
    "Ratio",
    "anchor_state",
    "apply",
    "as_dict",
    "calibrate",
    "detect_synthetic",
    "doubts",
    "empty_anchors",
    "fit_ratio",
    "from_arrays",
    "load_model",
    "merge",
    "merge_passing",
    "passing",
    "prevalence",
    "ratio_keys",
    "ratio_scores",
    "save_model",
    "score",
    "score_ratio",
    "share_after",
    "to_arrays",
    "weighed",
]
