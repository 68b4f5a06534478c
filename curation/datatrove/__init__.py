"""Curation's functions as datatrove steps, and the whole job as a chain of datatrove executors."""

try:
    import datatrove  # noqa: F401
except ImportError as missing:
    raise ImportError(
        f"curation.datatrove needs datatrove ({missing}): pip install 'curation[datatrove]', with its filters "
        "'curation[datatrove,filters]'"
    ) from None

from curation.datatrove.arrow import ArrowReader, ArrowWriter
from curation.datatrove.curate import curate_executors
from curation.datatrove.detect import DetectSynthetic
from curation.datatrove.measure import MeasureDiversity, MergeDiversity

__all__ = ["ArrowReader", "ArrowWriter", "DetectSynthetic", "MeasureDiversity", "MergeDiversity", "curate_executors"]
