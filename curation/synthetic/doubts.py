"""Human text that is trusted for its date, held against what other human text says of its scores."""

from collections.abc import Collection

import numpy as np

from curation.synthetic.calibration import BASES, calibrate
from curation.synthetic.histogram import GRID, Anchors
from curation.synthetic.model import Model

LEAST = 10  # documents that score as machine text, below which nothing is said
MUCH = 0.05  # of the anchors of a source, below which nothing is said
FACTOR = 5.0  # times the false-positive rate, as well


def doubts(anchors: Anchors, dated: Collection[str], model: Model, fpr: float) -> list[str]:
    """What to say of sources whose trusted documents score as machine text more often than human text does.

    anchors: all of them; dated: sources whose documents are trusted for their date. Their scores are held against the
    thresholds of `calibrate` at `fpr` of all other anchors, or of the model where these are few. Raises ValueError
    unless 0 < fpr < 0.5.
    """
    ours = np.isin(anchors.source, sorted(dated))
    others = calibrate(Anchors(*(part[~ours] for part in anchors)), model, fpr)
    threshold, basis = others.threshold[0][-1][:, 0], others.basis[0][-1]
    said = []
    for name in sorted(dated):
        mine = (anchors.kind == 0) & (anchors.source == name) & np.isfinite(threshold[anchors.length])
        over = mine & (anchors.value * GRID > threshold[anchors.length])
        total, above = int(anchors.number[mine].sum()), int(anchors.number[over].sum())
        if above < LEAST or above < max(MUCH, FACTOR * fpr) * total:
            continue
        own = (basis[np.unique(anchors.length[mine])] == BASES.index("model")).any()
        by = "the model's own thresholds (other known human text is too little)" if own else "other known human text"
        said.append(
            f"{above:,} of {total:,} documents ({above / total:.0%}) of source {name!r} that are trusted for their "
            f"date score as machine text, where {fpr:.1%} would by {by}: the dates are wrong or the source is far from "
            "that text. They raise the thresholds of all; read some, and set inputs.before earlier or take it away"
        )
    return said
