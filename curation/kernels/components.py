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


@njit(nogil=True, cache=True)
def join_similar(parent, members, bounds, minima, least_equal):
    """As `join_groups`, but a member joins only where at least `least_equal` of its minima equal the first member's.

    minima uint16[n, permutations]. Pairs that are connected already are not compared: that changes no component.
    """
    permutations = minima.shape[1]
    for g in range(len(bounds) - 1):
        centre = members[bounds[g]]
        for k in range(bounds[g] + 1, bounds[g + 1]):
            member = members[k]
            a, b = _find(parent, centre), _find(parent, member)
            if a == b:
                continue
            equal = np.uint16(0)
            for p in range(permutations):
                equal += np.uint16(minima[centre, p] == minima[member, p])
            if equal >= least_equal:
                _join(parent, a, b)


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
