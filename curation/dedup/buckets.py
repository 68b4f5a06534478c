"""LSH buckets among the documents that are still there, band by band."""

from collections.abc import Iterator

import numpy as np

from curation.kernels.hashing import mix64_array

Groups = tuple[np.ndarray, np.ndarray]


class Buckets(dict[int, np.ndarray]):
    """By band, the documents that shared its hash in the last round, sorted by hash: a smaller place to look in."""


def equal_groups(numbers: np.ndarray, alive: np.ndarray) -> Groups:
    """(members int32[m], bounds int64[groups + 1]) of living documents with equal numbers (negative: no number).

    Only groups of two or more; members of a group are in ascending order.
    """
    keyed = np.flatnonzero(alive & (numbers >= 0)).astype(np.int32)
    return _groups(numbers[keyed], keyed)


def _groups(keys: np.ndarray, members: np.ndarray) -> Groups:
    order = np.argsort(keys, kind="stable")
    return _runs(keys[order], members[order])


def _runs(keys: np.ndarray, members: np.ndarray) -> Groups:
    """Groups of two or more equal neighbours in sorted keys."""
    if len(keys) == 0:
        return members, np.zeros(1, np.int64)
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    sizes = np.diff(np.append(starts, len(keys)))
    kept = sizes > 1
    bounds = np.concatenate([[0], np.cumsum(sizes[kept])])
    return members[np.repeat(kept, sizes)], bounds


def near_buckets(
    cache: Buckets, bands: np.ndarray, place: np.ndarray, standing: np.ndarray, max_bucket: int
) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    """(members, bounds, buckets split) for each band of bands uint64[n, bands], among the documents `standing`; the
    hashes of document i are in row place[i] (int64[n]).

    A bucket with more than `max_bucket` members is split by the hash of the next band, and so on round the bands, so
    that its members meet a centre that is nearer to them; what all bands leave together stays together.
    """
    count = bands.shape[1]
    for band in range(count):
        members = cache.get(band)
        if members is None:
            members = np.flatnonzero(standing).astype(np.int32)
            members = members[np.argsort(bands[place[members], band], kind="stable")]
        else:
            members = members[standing[members]]
        members, bounds = _runs(bands[place[members], band], members)
        cache[band] = members
        yield _split(bands, place, band, members, bounds, max_bucket)


def _split(
    bands: np.ndarray, place: np.ndarray, band: int, members: np.ndarray, bounds: np.ndarray, max_bucket: int
) -> tuple[np.ndarray, np.ndarray, int]:
    sizes = np.diff(bounds)
    large = sizes > max_bucket
    cut = int(large.sum())
    if cut == 0:
        return members, bounds, 0
    inside = np.repeat(large, sizes)
    parts = [(members[~inside], sizes[~large])]
    rest, key = members[inside], np.repeat(np.flatnonzero(large), sizes[large]).astype(np.uint64)
    for step in range(1, bands.shape[1]):
        key = mix64_array(key) ^ bands[place[rest], (band + step) % bands.shape[1]]
        order = np.argsort(key, kind="stable")
        rest, key = rest[order], key[order]
        rest, inner = _runs(key, rest)
        inner_sizes = np.diff(inner)
        too_large = np.repeat(inner_sizes > max_bucket, inner_sizes)
        parts.append((rest[~too_large], inner_sizes[inner_sizes <= max_bucket]))
        groups = np.repeat(np.arange(len(inner_sizes)), inner_sizes)
        rest, key = rest[too_large], groups[too_large].astype(np.uint64)
        if len(rest) == 0:
            break
    if len(rest):
        parts.append((rest, np.unique(key, return_counts=True)[1]))
    members = np.concatenate([part for part, _ in parts])
    sizes = np.concatenate([part for _, part in parts])
    return members, np.concatenate([[0], np.cumsum(sizes)]), cut
