"""What scores mean by the human text of a reference profile, for hosts that label documents outside of a job."""

from curation import synthetic
from curation.jobs import stages


def calibration(
    *, reference: str | None, anchors: synthetic.Anchors | None = None, model: str = "shipped", fpr: float = 0.01
) -> synthetic.Calibration:
    """The calibration of a model by the anchors in a reference profile (any fsspec URL), given ones, or both.

    Raises ValueError for a model, profile or rate that cannot be used, and for a profile that another model scored.
    """
    loaded = synthetic.load_model(model)
    known = anchors if anchors is not None else synthetic.empty_anchors()
    if reference is not None:
        profile = stages.load_profile(reference)
        if profile.model != loaded.version:
            raise ValueError(
                f"the human text of {reference} was {'scored by another' if profile.model else 'not scored by a'} "
                "detector: build the reference again with `curation reference build`"
            )
        known = synthetic.merge(known, synthetic.from_arrays(profile.anchors))
    return synthetic.calibrate(known, loaded, fpr)
