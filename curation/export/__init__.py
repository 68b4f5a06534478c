"""`curation export`: what a run kept as a data set to train on, with copies expanded, shuffled and cut to size."""

from curation.export.write import FORMATS, export

__all__ = ["FORMATS", "export"]
