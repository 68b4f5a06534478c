"""The coverage gate: documents are reweighted only where the reference has something to say about them.

A reference without stories would otherwise teach the mix to drop stories. Documents fall into cells: prose by the
nearest of up to ten centroids of the reference's style scalars, prose further from all of them than nearly all of the
reference, every other gate class, and other languages. A cell is covered
when the reference's share of it is at least a tenth of the crawl's share of base weight (base weight, so that a cell
that is full of suspected machine text is not mistaken for a missing genre). Outside the covered cells documents keep
their base weight without the human factor.

Inside, the shares of cells move from the crawl's to the reference's only as far as the reference is complete: with
coverage c, the target share of a cell is proportional to crawl^(1-c) * reference^c. A complete reference balances
freely; one that knows a fifth of the crawl hardly moves the shares of the cells, only what is inside them.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from curation.kernels import moments
from curation.kernels.hashing import mix64_array

CENTROIDS = 10
PER_CENTROID = 12  # documents of one half of a reference, so that most cells hold LEAST_DOCUMENTS of the other half
CLASSES = ("code", "table", "list", "maths", "boilerplate", "short", "empty")  # gate classes besides prose
PROSE = ("prose", "mixed")  # what has a probability
LEAST_SHARE = 0.1  # machine text fills a cell up to its share of the crawl; a missing genre is not there at all
LEAST_DOCUMENTS = 8  # fewer documents of a reference in a cell say nothing about it
_BITS = 20
_WITHIN = 0.98
_CLIP = 3.0  # one wild scalar should not decide a cell


class CellSums(NamedTuple):
    """What the crawl has in every cell; every array merges by addition."""

    documents: np.ndarray  # int64[cells], documents with a base weight
    base: np.ndarray  # int64[cells], base measure, 2^-20
    plain: np.ndarray  # int64[cells], the same without the human factor, 2^-20


class Coverage(NamedTuple):
    """What of a crawl a reference covers."""

    covered: np.ndarray  # bool[cells]
    target: np.ndarray  # float64[cells], shares of the cells to aim at; 0 outside
    crawl: np.ndarray  # float64[cells], share of base weight
    reference: np.ndarray  # float64[cells], share of the reference
    share: float  # of the crawl's documents that stand in covered cells
    inside: float  # mean weight of covered documents before the final weight is brought to mean 1
    mean: float  # mean of the same over all documents


def centroids(scalars: np.ndarray, count: int | None = None, seed: int = 1) -> np.ndarray:
    """float64[at most count, 16 + 1]: k-means centroids of float64[docs, 16] standardised scalars, in a fixed order.

    count: by default one for every 12 documents, and no more than ten. More cells than a small reference can fill would
    leave most of them uncovered, whatever the reference knows.

    The last column is the squared distance to the nearest centroid that 98 % of the documents stay within.

    k-means++ seeding (Arthur and Vassilvitskii 2007) with hashes for random numbers, then Lloyd's iterations. The
    result depends on the order of `scalars`: give them in order of a hash. Fewer documents give fewer centroids.
    """
    points = np.ascontiguousarray(np.clip(scalars, -_CLIP, _CLIP))
    count = min(CENTROIDS, max(1, len(points) // PER_CENTROID)) if count is None else count
    points = np.unique(points, axis=0) if len(points) < count else points
    if len(points) == 0:
        return np.zeros((1, scalars.shape[1] + 1))
    draws = mix64_array(np.arange(count, dtype=np.uint64) + np.uint64(seed << 8)).astype(np.float64) * 2.0**-64
    chosen = points[int(draws[0] * len(points)) :][:1]
    for draw in draws[1:]:
        gaps = np.min([_distances(points, c) for c in chosen], axis=0)
        fixed = np.cumsum(np.rint(gaps * (1 << _BITS)).astype(np.int64))
        if fixed[-1] == 0:
            break
        chosen = np.vstack([chosen, points[np.searchsorted(fixed, int(draw * fixed[-1]), side="right")]])
    assigned = np.zeros(len(points), np.int64)
    whole = np.rint(points * (1 << _BITS)).astype(np.int64)
    for _ in range(30):
        moments.nearest(points, chosen, assigned)
        sums = np.zeros(chosen.shape, np.int64)
        np.add.at(sums, assigned, whole)
        counts = np.bincount(assigned, minlength=len(chosen))
        moved = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None] / (1 << _BITS), chosen)
        if np.array_equal(moved, chosen):
            break
        chosen = moved
    moments.nearest(points, chosen, assigned)
    gaps = np.sort(_distances(points, chosen[assigned]))
    return np.column_stack([chosen, np.full(len(chosen), gaps[int(_WITHIN * (len(gaps) - 1))])])


def cell_count(centers: np.ndarray) -> int:
    """Number of cells with these centroids: one each, far prose, each other gate class, everything else."""
    return len(centers) + 1 + len(CLASSES) + 1


def cell_names(centers: np.ndarray) -> tuple[str, ...]:
    """Names of the cells in order."""
    return (*(f"prose {i}" for i in range(len(centers))), "prose far from the reference", *CLASSES, "other language")


def cells(signals: pa.RecordBatch, scalars: np.ndarray, centers: np.ndarray, language: str) -> np.ndarray:
    """int64[docs]: the cell of every document; scalars float64[docs, 16], the first columns of the design matrix.

    Reads `gate` and `lang`. A document in another language than the reference's, or of a gate class that this version
    does not know, stands in the last cell, which nothing covers.
    """
    assigned = np.zeros(signals.num_rows, np.int64)
    points = np.ascontiguousarray(np.clip(scalars, -_CLIP, _CLIP))
    middle = np.ascontiguousarray(centers[:, :-1])
    moments.nearest(points, middle, assigned)
    far = _distances(points, middle[assigned]) > centers[0, -1]
    assigned[far] = len(centers)
    last = cell_count(centers) - 1
    classes = {name: len(centers) + 1 + i for i, name in enumerate(CLASSES)}
    other = _mapped(signals.column("gate"), lambda g: -1 if g in PROSE else classes.get(g or "", last))
    assigned = np.where(other >= 0, other, assigned)
    foreign = _mapped(signals.column("lang"), lambda lang: int(lang not in (language, "und", None)))
    return np.where(foreign == 1, last, assigned)


def _mapped(column: Any, value: Callable[[str | None], int]) -> np.ndarray:
    """int64[docs]: value(string) of a column of few distinct strings."""
    coded = column.dictionary_encode("encode")
    of_distinct = np.array([value(name) for name in coded.dictionary.to_pylist()], np.int64)
    return of_distinct[coded.indices.to_numpy(zero_copy_only=False)]


def cell_sums(cell: np.ndarray, q: np.ndarray, plain: np.ndarray, count: int) -> CellSums:
    """The crawl's sums of one batch: cell int64[docs], q and plain float64[docs] base weights, count of cells."""
    rows = plain > 0
    sums = [np.zeros(count, np.int64) for _ in range(3)]
    np.add.at(sums[0], cell[rows], 1)
    np.add.at(sums[1], cell[rows], np.rint(q[rows] * (1 << _BITS)).astype(np.int64))
    np.add.at(sums[2], cell[rows], np.rint(plain[rows] * (1 << _BITS)).astype(np.int64))
    return CellSums(*sums)


def cell_merge(a: CellSums, b: CellSums) -> CellSums:
    """The sums over the documents of both."""
    return CellSums(*(x + y for x, y in zip(a, b, strict=True)))


def coverage(crawl: CellSums, reference: np.ndarray, gate: bool = True) -> Coverage:
    """What a reference with int64[cells] documents covers of the crawl, and the shares to aim at.

    Without the gate every document is reweighted and the shares are the reference's.
    """
    held = np.asarray(reference, np.int64).copy()
    documents, base = int(crawl.documents.sum()), int(crawl.base.sum())
    ours = crawl.base / max(base, 1)
    theirs = held / max(int(held.sum()), 1)
    if gate:
        covered = (held >= LEAST_DOCUMENTS) & (crawl.documents > 0) & (theirs >= LEAST_SHARE * ours)
        covered[-1] = False
        covered[len(covered) - 2] = False  # an empty document has no style
    else:
        covered = np.full(len(held), held.sum() > 0)
    inside = int(crawl.documents[covered].sum())
    share = inside / documents if documents else 0.0
    if gate:
        known = ours[covered].sum()
        target = np.zeros(len(held))
        target[covered] = ours[covered] ** (1.0 - known) * theirs[covered] ** known
    else:
        target = np.where(held > 0, theirs, 0.0)
    total = target.sum()
    one = 1 << _BITS
    return Coverage(
        covered, target / total if total > 0 else target, ours, theirs, share,
        int(crawl.plain[covered].sum()) / one / inside if inside else 0.0,
        int(crawl.plain.sum()) / one / documents if documents else 1.0,
    )  # fmt: skip


def cell_targets(
    cover: Coverage, counts: np.ndarray, means: np.ndarray, squares: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """float64[d] targets and standard errors from the reference's cells, at the target shares of the cells.

    counts int64[cells], means and squares float64[cells, d]: documents, means of features and of their squares by cell.
    Every cell's variance is taken with one more document of unit variance, so that a feature that a small reference
    never shows is not demanded to be absent (a rule of one).
    """
    n = counts[:, None].astype(np.float64)
    variance = (np.maximum(squares - means**2, 0.0) * n + 1.0) / (n + 1.0)
    share = cover.target[:, None]
    targets = (share * means).sum(0)
    centre = np.where(share > 0, means - targets, 0.0)
    within = np.divide(variance, n, out=np.zeros_like(variance), where=n > 0)
    # the shares of cells are estimated from the reference too and add their own error
    between = (share * centre**2).sum(0) / max(int(counts.sum()), 1)
    return targets, np.sqrt((share**2 * within).sum(0) + between)


def blend(tilted: np.ndarray, plain: np.ndarray, inside: np.ndarray, cover: Coverage) -> np.ndarray:
    """float64[docs]: final weights of mean 1: `tilted` (mean 1) where bool[docs] `inside` holds, `plain` elsewhere."""
    return np.where(inside, tilted * (cover.inside / cover.mean), plain / cover.mean) if cover.mean > 0 else plain * 0.0


def _distances(points: np.ndarray, center: np.ndarray) -> np.ndarray:
    # squared, to one point or row by row
    gaps = points - center
    total = np.zeros(len(points))
    for j in range(points.shape[1]):  # one fixed order of additions
        total += gaps[:, j] * gaps[:, j]
    return total
