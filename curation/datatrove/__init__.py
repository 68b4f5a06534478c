"""Curation's functions as datatrove steps, and the whole job as a chain of datatrove executors."""

from curation.datatrove.arrow import ArrowReader, ArrowWriter
from curation.datatrove.curate import curate_executors
from curation.datatrove.detect import DetectSynthetic
from curation.datatrove.measure import MeasureDiversity, MergeDiversity

__all__ = ["ArrowReader", "ArrowWriter", "DetectSynthetic", "MeasureDiversity", "MergeDiversity", "curate_executors"]
