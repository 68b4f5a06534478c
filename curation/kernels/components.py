"""Union-find and the comparison of bucket members with the centre of their bucket."""

import numpy as np
from numba import njit


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
    """Equal minima of two documents."""
    equal = np.uint16(0)
    for p in range(minima.shape[1]):
        equal += np.uint16(minima[a, p] == minima[b, p])
    return equal


@njit(nogil=True, cache=True)
def join_similar(parent, members, bounds, minima, least_equal):
    """As `join_groups`, but a member joins only where at least `least_equal` of its minima equal the first member's.

    minima uint16[n, permutations]. Pairs that are connected already are not compared: that changes no component.
    """
    for g in range(len(bounds) - 1):
        centre = members[bounds[g]]
        for k in range(bounds[g] + 1, bounds[g + 1]):
            member = members[k]
            a, b = _find(parent, centre), _find(parent, member)
            if a != b and _equal(minima, centre, member) >= least_equal:
                _join(parent, a, b)


@njit(nogil=True, cache=True)
def count_similar(members, bounds, centres, band, minima, counts):
    """Count pairs of centre and member by equal minima in counts int64[permutations + 1], each pair once.

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
                counts[_equal(minima, centre, member)] += 1


@njit(nogil=True, cache=True)
def nearest_anchor(members, bounds, anchors, minima, rank, least_equal, most, nearest, count):
    """The most similar anchor among those that share a group with a member, over all calls.

    anchors bool[n]; minima uint16[n, permutations]; rank[n], smaller wins a tie; at most the first `most` anchors of
    a group are compared. nearest int32[n] (-1: none with `least_equal` equal minima yet) and count int32[n], its
    equal minima, are updated for members that are no anchors.
    """
    held = np.empty(most, np.int32)
    for g in range(len(bounds) - 1):
        found = 0
        for k in range(bounds[g], bounds[g + 1]):
            if anchors[members[k]] and found < most:
                held[found] = members[k]
                found += 1
        if found == 0:
            continue
        for k in range(bounds[g], bounds[g + 1]):
            member = members[k]
            if anchors[member]:
                continue
            for anchor in held[:found]:
                if anchor == nearest[member]:
                    continue
                equal = np.int32(_equal(minima, anchor, member))
                if equal < least_equal or equal < count[member]:
                    continue
                if nearest[member] < 0 or equal > count[member] or rank[anchor] < rank[nearest[member]]:
                    nearest[member], count[member] = anchor, equal


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
