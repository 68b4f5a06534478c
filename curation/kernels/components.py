"""Union-find and the comparison of bucket members with the centre of their bucket.

Documents are compared by `values` and `spans`: minima uint16[n, permutations], of which equal ones are counted, and
the row int64[n, 1] of each document's; or sorted shingle hashes uint64[total] and the places int64[n, 2] of each
document's. `least` is in the same measure, equal minima or a Jaccard similarity. Numba compiles a body for each.
"""

import numpy as np
from numba import njit

from curation.kernels.shingles import jaccard


@njit(inline="always")
def _find(parent, i):
    while parent[i] != i:
        parent[i] = parent[parent[i]]  # path halving (Tarjan & van Leeuwen 1984)
        i = parent[i]
    return i


@njit(inline="always")
def _join(parent, a, b):
    """The smaller root wins, so the label of a component is its smallest member whatever the order of joins."""
    if a < b:
        parent[b] = a
    else:
        parent[a] = b


@njit(nogil=True, cache=True)
def join_groups(parent, members, bounds):
    """Join the members int32[m] of each group members[bounds[g]:bounds[g + 1]] in parent int32[n]."""
    for g in range(len(bounds) - 1):
        for k in range(bounds[g] + 1, bounds[g + 1]):
            a, b = _find(parent, members[bounds[g]]), _find(parent, members[k])
            if a != b:
                _join(parent, a, b)


@njit(inline="always")
def _equal(minima, a, b):
    """Equal minima in two rows."""
    equal = np.uint16(0)
    for p in range(minima.shape[1]):
        equal += np.uint16(minima[a, p] == minima[b, p])
    return equal


@njit(nogil=True, cache=True)
def _alike(values, spans, a, b):
    """How alike two documents are: equal minima (int64), or the Jaccard similarity of their shingles (float64)."""
    if values.ndim == 2:  # known when it is compiled, so only one branch is
        return np.int64(_equal(values, spans[a, 0], spans[b, 0]))
    else:
        return jaccard(values, spans, a, b)


@njit(nogil=True, cache=True)
def measure_pairs(values, spans, left, right, out):
    """out[i] = how alike left[i] and right[i] are: int64[pairs] for minima, float64[pairs] for shingles."""
    for i in range(len(left)):
        out[i] = _alike(values, spans, left[i], right[i])


@njit(nogil=True, cache=True)
def join_similar(parent, members, bounds, values, spans, least):
    """As `join_groups`, but a member joins only where it is at least `least` alike to the first member.

    Pairs that are connected already are not compared: that changes no component.
    """
    for g in range(len(bounds) - 1):
        centre = members[bounds[g]]
        for k in range(bounds[g] + 1, bounds[g + 1]):
            member = members[k]
            a, b = _find(parent, centre), _find(parent, member)
            if a != b and _alike(values, spans, centre, member) >= least:
                _join(parent, a, b)


@njit(nogil=True, cache=True)
def count_similar(members, bounds, centres, band, minima, place, counts):
    """Count pairs of centre and member by equal minima in counts int64[permutations + 1], each pair once; the minima
    of document i are in row place[i] (int64[n]).

    centres int32[n, bands], -1 at first, holds the centre that each member had in the bands before number `band`.
    """
    for g in range(len(bounds) - 1):
        centre = members[bounds[g]]
        for k in range(bounds[g] + 1, bounds[g + 1]):
            member = members[k]
            seen = False
            for earlier in range(band):
                seen |= centres[member, earlier] == centre or centres[centre, earlier] == member
            centres[member, band] = centre
            if not seen:
                counts[_equal(minima, place[centre], place[member])] += 1


@njit(nogil=True, cache=True)
def nearest_anchor(members, bounds, anchors, values, spans, least, most, nearest, found):
    """The most similar anchor among those that share a group with a member, over all calls.

    anchors bool[n]; of equally similar ones the first in order; at most the first `most` anchors of a group are
    compared. nearest int32[n] (-1: none that is `least` alike yet) and found[n], how alike that one is (int64 for
    minima, float64 for shingles), are updated for members that are no anchors.
    """
    held = np.empty(most, np.int32)
    for g in range(len(bounds) - 1):
        count = 0
        for k in range(bounds[g], bounds[g + 1]):
            if anchors[members[k]] and count < most:
                held[count] = members[k]
                count += 1
        if count == 0:
            continue
        for k in range(bounds[g], bounds[g + 1]):
            member = members[k]
            if anchors[member]:
                continue
            for anchor in held[:count]:
                if anchor == nearest[member]:
                    continue
                alike = _alike(values, spans, anchor, member)
                if alike < least or alike < found[member]:
                    continue
                if nearest[member] < 0 or alike > found[member] or anchor < nearest[member]:
                    nearest[member], found[member] = anchor, alike


@njit(nogil=True, cache=True)
def labels(parent):
    """The smallest member of every element's component, int32[n]."""
    out = np.empty_like(parent)
    for i in range(len(parent)):
        out[i] = _find(parent, i)
    return out


@njit(nogil=True, cache=True)
def best_of(component, rank, members):
    """out[i] = the member with the least rank in the component of i, for i among `members` int32[m]; -1 elsewhere."""
    best = np.full(len(component), -1, np.int32)
    for i in members:
        c = component[i]
        if best[c] < 0 or rank[i] < rank[best[c]]:
            best[c] = i
    out = np.full(len(component), -1, np.int32)
    for i in members:
        out[i] = best[component[i]]
    return out
