"""The local host: the steps of a job on a pool of threads."""

from curation.local.runner import execute

__all__ = ["execute"]
