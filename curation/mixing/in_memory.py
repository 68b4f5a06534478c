"""The whole mix in memory: the steps that a distributed host runs, over a list of batches of signals."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from curation.mixing.steps import run
from curation.mixing.weighing import Item, Weighing

if TYPE_CHECKING:
    from curation.diversity.reference import Profile


def mix(
    signals: Sequence[pa.RecordBatch],
    profile: "Profile | None",
    *,
    p: Sequence[pa.Array] | None = None,
    cluster_size: Sequence[np.ndarray] | None = None,
    mode: str = "balance",
    slack: float = 1.0,
    kappa: float = 1.0,
    gamma: float = 0.0,
    cap: float = 20.0,
    gated: bool = True,
    reservoir: int = 20_000,
    passes: int = 3,
    multipliers: Mapping[str, float] | None = None,
    seed: int = 1,
    ratio: Mapping[str, Any] | None = None,
    columns: Sequence[str] = (),
    min_ess: float = 0.0,
) -> tuple[list[np.ndarray], dict[str, Any]]:
    """Weights of mean 1 for every document of `signals`, and the report.

    p: per batch the calibrated probability of machine text, null without a verdict (None: no verdicts).
    cluster_size: per batch int64[docs], documents that one stands for, 0 where it is not kept (None: all 1).
    columns: names of more columns to balance, which the profile was built with.
    mode: `balance` (needs a profile), `ratio` (balance with the column `ratio_logit` of the signals in the base measure
    and among the features; needs a profile and `ratio`, the report of `synthetic.fit_ratio`), `soft` ((1 - p)^kappa),
    `cluster` (size^gamma) or `none` (weight 1, whatever else is set); the others are as in the `mix` section of the
    configuration. Returns one float64[docs] a batch, which do not depend on how documents are ordered or batched.
    Raises ValueError for an unknown mode, or one without what it needs.
    """
    weighing = Weighing(
        profile,
        mode,
        slack,
        kappa,
        gamma,
        cap,
        gated,
        reservoir,
        passes,
        multipliers,
        seed,
        ratio,
        columns,
        min_ess,
    )
    sizes = cluster_size if cluster_size is not None else [np.ones(b.num_rows, np.int64) for b in signals]
    verdicts = p if p is not None else [pa.nulls(b.num_rows, pa.float32()) for b in signals]
    items = [Item(b, v, s) for b, v, s in zip(signals, verdicts, sizes, strict=True)]
    context = run(weighing.steps(), items)
    return [weighing.weights(item, context) for item in items], context["report"]
