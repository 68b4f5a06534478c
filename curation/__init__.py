"""Curate pretraining text so that the mix keeps human-data variance.

Documents come in and the same documents go out with columns added (annotate, resolve, weigh), then the subset and the
weights that a pretraining mix should use (select). The names below load their modules when first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from curation.config import Config, ConfigError
    from curation.dedup import deduplicate
    from curation.diversity import measure
    from curation.jobs import curate
    from curation.mixing import mix
    from curation.synthetic import detect_synthetic

__version__ = "0.1.0"

_HOME = {
    "Config": "curation.config",
    "ConfigError": "curation.config",
    "curate": "curation.jobs",
    "deduplicate": "curation.dedup",
    "detect_synthetic": "curation.synthetic",
    "measure": "curation.diversity",
    "mix": "curation.mixing",
}

__all__ = ["Config", "ConfigError", "__version__", "curate", "deduplicate", "detect_synthetic", "measure", "mix"]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'curation' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
