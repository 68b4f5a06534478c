"""Curation's functions as Beam transforms of PCollections of `pyarrow.RecordBatch`.

Each transform is a thin shell over the function of the same name and gives the same columns. Importing this module
registers the coder by which batches travel.
"""

try:
    import apache_beam  # noqa: F401
except ImportError as missing:
    raise ImportError(f"curation.beam needs Apache Beam ({missing}): pip install 'curation[beam]'") from None

from curation.beam.coder import RecordBatchCoder
from curation.beam.curate import Curate
from curation.beam.deduplicate import Deduplicate
from curation.beam.measure import DiversityFn, MeasureDiversity
from curation.beam.mix import Mix
from curation.beam.rows import FromRows, ToRows
from curation.beam.select import Select
from curation.beam.shards import ReadShards, WriteShards
from curation.beam.steps import AsBeam
from curation.beam.transforms import Annotate, DetectSynthetic

__all__ = [
    "Annotate",
    "AsBeam",
    "Curate",
    "Deduplicate",
    "DetectSynthetic",
    "DiversityFn",
    "FromRows",
    "MeasureDiversity",
    "Mix",
    "ReadShards",
    "RecordBatchCoder",
    "Select",
    "ToRows",
    "WriteShards",
]
