"""Comparison with documents that are given and never leave: those of earlier runs, those of preferred sources that
stay, and those to be taken down.

Every document is compared with all anchors that share a key with it, not with one centre per bucket, so whether it
leaves does not depend on what else there is.
"""

import numpy as np

from curation.dedup.buckets import Buckets, near_buckets
from curation.dedup.documents import EXACT, NEAR, URL, Documents
from curation.dedup.measure import Measure
from curation.kernels.components import nearest_anchor

EARLIER, EXCLUDED = 1, 2  # kinds of anchor, as the column `anchor` of candidates holds them (0: none)


def nearest_anchors(
    documents: Documents, anchors: np.ndarray, others: np.ndarray, measure: Measure, max_bucket: int
) -> tuple[np.ndarray, np.ndarray, int]:
    """(anchor int32[n] or -1, EXACT, NEAR or URL uint8[n], buckets split) for the documents bool[n] `others`.

    The anchor (bool[n] `anchors`) with equal words comes first, else the most similar one that shares a band and is
    as alike as the measure asks for, else one of equal URL; ties go to the first in order, not by the keep policy,
    since what it goes by (a label, a date to trust) may not be known of an earlier run. In a bucket that the hashes
    of all bands leave larger than `max_bucket`, only its first `max_bucket` anchors are compared.
    """
    n = len(documents.rank)
    target, reason = np.full(n, -1, np.int32), np.zeros(n, np.uint8)

    def equal(numbers: np.ndarray, code: int) -> None:
        keyed = np.flatnonzero(anchors & (numbers >= 0))
        if len(keyed) == 0:
            return
        best = np.full(int(numbers.max()) + 1, n, np.int64)
        np.minimum.at(best, numbers[keyed], keyed)
        met = np.flatnonzero(others & (numbers >= 0))
        met = met[best[numbers[met]] < n]
        target[met], reason[met] = best[numbers[met]], code

    equal(documents.url, URL)
    split = 0
    near, found = np.full(n, -1, np.int32), np.zeros(n, np.float64 if measure.counted else np.int64)
    standing = (anchors | others) & documents.signed
    for members, bounds, cut in near_buckets(Buckets(), documents.bands, documents.place, standing, max_bucket):
        nearest_anchor(
            members, bounds, anchors, measure.values, measure.spans, measure.least, max_bucket, near, found
        )
        split = max(split, cut)
    target = np.where(near >= 0, near, target)
    reason[near >= 0] = NEAR
    equal(documents.norm, EXACT)
    return target, reason, split
