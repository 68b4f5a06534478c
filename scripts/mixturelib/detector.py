"""Detectors that have not seen a collection: one model for each, trained on all others."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from curation.synthetic.model import load_model, save_model
from curation.synthetic.training import train

BASE = ("gpt-j-6b", "gpt-neo-2.7b", "gpt2-xl", "llama-7b", "flan-t5-xxl")  # completions read like their prompts


def without(table: pa.Table, source: str, target: Path, folds: int = 4) -> Path:
    """Train on all documents but those of `source`, write the model to `target` and return it.

    What it says of its own errors comes from leaving out the other collections, in `folds` groups. A model that stands
    at `target` is taken as it is.
    """
    if target.exists():
        load_model(str(target))
        return target
    names = np.array(table["source"].to_pylist())
    seen = table.filter(pa.array(names != source))
    kinds = zip(seen["domain"].to_pylist(), seen["generator"].to_pylist(), strict=True)
    variant = ["changed" if "|" in domain or generator in BASE else "" for domain, generator in kinds]
    rank = {name: str(i % folds) for i, name in enumerate(sorted(set(names.tolist()) - {source}))}
    fold = [rank[name] for name in seen["source"].to_pylist()]
    seen = seen.append_column("variant", pa.array(variant)).append_column("fold", pa.array(fold))
    model, _ = train(seen, [{"source": f"all but {source}"}])
    save_model(target, model)
    return target
