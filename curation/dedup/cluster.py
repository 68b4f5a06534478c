"""From documents that share a key to decisions: who is a duplicate of whom, and what everyone is called.

Every bucket is compared with one member, its centre, so work is linear in the candidates; a document leaves only if
it is itself similar to the document that stands for it, so chains and shared templates remove nothing; and the
comparison repeats on the survivors until nothing merges, so a second run over the output drops nothing. Preferred
sources are settled first, and by themselves, so that a run over all of them equals one run after another.
"""

import json
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.dedup.anchors import EARLIER, EXCLUDED, nearest_anchors
from curation.dedup.buckets import Buckets, equal_groups, near_buckets
from curation.dedup.documents import (
    EXACT,
    NEAR,
    REASONS,
    TAKEN_DOWN,
    URL,
    Documents,
    Settings,
    column_words,
    read_documents,
)
from curation.dedup.identity import Identities, public_ids
from curation.dedup.keep import keep_ranks
from curation.dedup.measure import Measure, Shingles, by_minima, by_shingles
from curation.kernels.components import best_of, count_similar, join_groups, join_similar, labels
from curation.schema import CLUSTERS_SCHEMA

#: what `cluster` returns: decisions/clusters with the job row in place of the shard's row
RESULT_SCHEMA = pa.schema([pa.field("job_row", pa.int64()), *list(CLUSTERS_SCHEMA)[1:]])

VERIFY_BY = ("minhash", "shingles")


class DedupSettings(NamedTuple):
    """Settings of `cluster` as plain values; the defaults are those of the configuration."""

    exact: bool = True
    near: bool = True
    url: bool = False
    verify: float = 0.70
    keep: str = "human_first"
    max_bucket: int = 1000
    verify_by: str = "minhash"
    prefer: Sequence[str] = ()


def cluster(candidates: pa.Table, settings: Settings, shingles: Shingles | None = None) -> pa.Table:
    """Decide on all documents that share a key with another one.

    `candidates` has job_row int64, id string, source, trust (human, premium, unknown, synthetic), label (human,
    undetermined, synthetic), bytes int64, date date32, content_hash, row_hash, norm_hash and url_key (binary[16]),
    bands binary[8 x bands] and signature binary[2 x permutations]; the key columns and dates may be null, and those
    that the settings switch off may be missing. Returns a table of RESULT_SCHEMA, ordered by job row: every document
    in a cluster of two or more, and every document whose public id changed because its id is repeated. Its metadata
    holds `rounds`, `split_buckets`, `repeated_ids` and `candidate_pairs`, the distinct pairs of centre and member
    that were compared, as a JSON list by number of equal minima.

    An optional column `anchor` (uint8) marks documents that are given and never leave: EARLIER, of an earlier run,
    whose duplicates leave as duplicates of it, and EXCLUDED, to be taken down, whose near-duplicates leave as
    `exclude_near_duplicate`. `keep_key` (binary) holds the keys of a keep policy by column.

    With `verify_by` "shingles", two documents with signatures merge by the Jaccard similarity of their sets of
    `shingles` (row by row those of the candidates), and `similarity` is that number; the sets may lie in a mapped file.
    Sources in `prefer` are decided first, in this order and each by itself: a document of a later source that is like
    one that stayed of an earlier source leaves for it, just as one leaves for a document of an earlier run.

    The result depends on job rows only as the last tie between rows that are equal in every column (and under the
    keep policy `first`, which means input order). Memory: about 320 bytes per candidate at 14 bands of 8, beside the
    table itself (about 450); 340 more where bands and signatures are not in one piece, as `Gathered` makes them.
    Raises ValueError for an unknown keep policy, trust or label, and when shingles are to be compared and not given.
    """
    if candidates.num_rows == 0:
        none = {"rounds": "0", "split_buckets": "0", "repeated_ids": "0", "candidate_pairs": "[]"}
        return RESULT_SCHEMA.with_metadata(none).empty_table()
    tier = _tiers(candidates, settings.prefer)
    identities = public_ids(candidates, tier)
    content = column_words(candidates, "content_hash")
    order = np.lexsort((identities.rank, content[:, 1], content[:, 0]))
    rank = keep_ranks(candidates, identities.rank, settings.keep)[order]
    documents = read_documents(candidates, order, rank, settings)
    anchor = np.zeros(len(order), np.uint8)
    if "anchor" in candidates.schema.names:
        anchor = np.asarray(candidates.column("anchor")).astype(np.uint8)[order]
    measure = by_minima(documents, settings.verify)
    if settings.near and settings.verify_by == "shingles":
        if shingles is None or len(shingles.spans) != len(order):
            raise ValueError("verify_by shingles needs the shingles of every candidate: see curation.dedup.shingles")
        measure = by_shingles(shingles, order, settings.verify)
    decided = _decide(documents, anchor, tier[order], measure, settings)
    similarity = _similarities(documents, decided.survivor, measure)
    metadata = {
        "rounds": decided.rounds,
        "split_buckets": decided.split,
        "repeated_ids": identities.repeated,
        "candidate_pairs": json.dumps(decided.compared.tolist()),
    }
    return _result(candidates, identities, order, decided, similarity, metadata)


class _Decided(NamedTuple):
    """survivor int32[n] and reason uint8[n], -1 and 0 for documents that stay; pairs compared by equal minima."""

    survivor: np.ndarray
    reason: np.ndarray
    rounds: int
    split: int
    compared: np.ndarray


def _tiers(candidates: pa.Table, prefer: Sequence[str]) -> np.ndarray:
    """int64[n]: the place of each document's source among the preferred ones, which the others come after."""
    if not prefer:
        return np.zeros(candidates.num_rows, np.int64)
    place = pc.index_in(candidates.column("source").cast(pa.string()), value_set=pa.array(list(prefer), pa.string()))
    return np.asarray(place.fill_null(len(prefer))).astype(np.int64)


def _decide(
    documents: Documents, anchor: np.ndarray, tier: np.ndarray, measure: Measure, settings: Settings
) -> _Decided:
    """Settle tier after tier; what stayed of one is given to those that follow, as documents of earlier runs are."""
    n = len(documents.rank)
    decided = _Decided(
        np.full(n, -1, np.int32), np.zeros(n, np.uint8), 0, 0, np.zeros(documents.minima.shape[1] + 1, np.int64)
    )
    for current in np.unique(tier[anchor == 0]):
        stayed = (anchor == 0) & (tier < current) & (decided.survivor < 0)
        given = np.where(stayed, np.uint8(EARLIER), anchor)
        decided = _settle(documents, given, (anchor == 0) & (tier == current), measure, settings, decided)
    return decided


def _settle(
    documents: Documents, anchor: np.ndarray, mine: np.ndarray, measure: Measure, settings: Settings, before: _Decided
) -> _Decided:
    """Rounds until none of the documents bool[n] `mine` leaves: first for the anchors (kinds uint8[n]), then among
    the documents that are left. The arrays of `before` are filled in place."""
    n = len(documents.rank)
    survivor, reason, rounds, split, compared = before
    buckets = Buckets()
    near, counted = False, False
    split = max(split, _leave_for_anchors(documents, anchor, mine, survivor, reason, measure, settings.max_bucket))
    # equal words first, so that one document stands for all its copies in the buckets
    while True:
        alive = mine & (survivor < 0)
        parent = np.arange(n, dtype=np.int32)
        for keys in (documents.norm, documents.url):
            join_groups(parent, *equal_groups(keys, alive))
        if near:
            cut = 0
            centres = np.full((0 if counted else n, documents.bands.shape[1]), -1, np.int32)
            standing = alive & documents.signed
            groups = near_buckets(buckets, documents.bands, documents.place, standing, settings.max_bucket)
            for band, (members, bounds, large) in enumerate(groups):
                if not counted:
                    count_similar(members, bounds, centres, band, documents.minima, documents.place, compared)
                join_similar(parent, members, bounds, measure.values, measure.spans, measure.least)
                cut += large
            split, counted = max(split, cut), True
        living = np.flatnonzero(alive).astype(np.int32)
        best = best_of(labels(parent), documents.rank, living)
        pairs = living[best[living] != living]
        if len(pairs) == 0 and near == settings.near:
            # buckets are smaller now, so an anchor may be met that was beyond their bound before
            gone = int((survivor >= 0).sum())
            _leave_for_anchors(documents, anchor, mine, survivor, reason, measure, settings.max_bucket)
            if int((survivor >= 0).sum()) == gone:
                return _Decided(survivor, reason, rounds, split, compared)
        near = settings.near
        rounds += len(pairs) > 0
        relation = _relation(documents, pairs, best[pairs], measure)
        related = relation > 0
        survivor[pairs[related]] = best[pairs[related]]
        reason[pairs[related]] = relation[related]
        if _follow(documents, anchor, survivor, reason, measure):
            buckets = Buckets()


def _leave_for_anchors(
    documents: Documents, anchor: np.ndarray, mine: np.ndarray, survivor: np.ndarray, reason: np.ndarray,
    measure: Measure, most: int,
) -> int:  # fmt: skip
    """Fill survivor and reason of the documents that leave for an anchor; returns the buckets that were split."""
    split = 0
    for kind in (EXCLUDED, EARLIER):
        if not (anchor == kind).any():
            continue
        open_ = mine & (survivor < 0)
        target, code, cut = nearest_anchors(documents, anchor == kind, open_, measure, most)
        found = open_ & (target >= 0)
        survivor[found] = target[found]
        reason[found] = TAKEN_DOWN if kind == EXCLUDED else code[found]
        split = max(split, cut)
    return split


def _relation(documents: Documents, left: np.ndarray, right: np.ndarray, measure: Measure) -> np.ndarray:
    """Why each `left` is a duplicate of its `right`: EXACT, NEAR, URL, or 0 when it is not; uint8[pairs]."""
    norm, url = documents.norm, documents.url
    found = np.where((url[left] >= 0) & (url[left] == url[right]), URL, 0).astype(np.uint8)
    both = np.flatnonzero(documents.signed[left] & documents.signed[right])
    found[both[measure.alike(left[both], right[both]) >= measure.least]] = NEAR
    found[(norm[left] >= 0) & (norm[left] == norm[right])] = EXACT
    return found


def _follow(
    documents: Documents, anchor: np.ndarray, survivor: np.ndarray, reason: np.ndarray, measure: Measure
) -> bool:
    """Point duplicates of a document that has just been removed at its survivor; whoever is not similar to that one
    lives again. Returns whether any does. This ends: a document is only ever removed for one that the keep policy
    ranks higher, so by induction from the highest rank every document settles.
    """
    revived = False
    while True:
        removed = np.flatnonzero(survivor >= 0)
        moved = removed[survivor[survivor[removed]] >= 0]
        if len(moved) == 0:
            return revived
        target = survivor[survivor[moved]]
        while (survivor[target] >= 0).any():
            target = np.where(survivor[target] >= 0, survivor[target], target)
        relation = _relation(documents, moved, target, measure)
        survivor[moved] = np.where(relation > 0, target, -1)
        reason[moved] = np.where((relation > 0) & (anchor[target] == EXCLUDED), TAKEN_DOWN, relation)
        revived |= bool((relation == 0).any())


def _similarities(documents: Documents, survivor: np.ndarray, measure: Measure) -> np.ndarray:
    """Similarity to the survivor, float64[n]: 1 for equal words, NaN (null outside) where unknown."""
    out = np.full(len(survivor), np.nan)
    known = np.flatnonzero(survivor >= 0)
    equal = known[(documents.norm[known] >= 0) & (documents.norm[known] == documents.norm[survivor[known]])]
    known = known[documents.signed[known] & documents.signed[survivor[known]]]
    out[known] = measure.similarities(known, survivor[known])
    out[equal] = 1.0
    return out


def _result(
    table: pa.Table, identities: Identities, order: np.ndarray, decided: _Decided, similarity: np.ndarray,
    metadata: dict[str, object],
) -> pa.Table:  # fmt: skip
    survivor, reason = decided.survivor, decided.reason
    n = len(order)
    own = np.arange(n, dtype=np.int32)
    head = np.where(survivor < 0, own, survivor)
    size = np.bincount(head, minlength=n)[head]
    id_rank = identities.rank[order]
    smallest = np.full(n, n, np.int64)
    np.minimum.at(smallest, head, id_rank)
    by_rank = np.empty(n, np.int64)  # candidate (as given) whose public id has this rank
    by_rank[identities.rank] = np.arange(n)
    shown = np.flatnonzero((size > 1) | identities.changed[order])
    job_row = np.asarray(table.column("job_row")).astype(np.int64)[order]
    shown = shown[np.argsort(job_row[shown], kind="stable")]
    public = identities.ids
    changed = identities.changed[order][shown]
    columns = [
        pa.array(job_row[shown]),
        public.take(pa.array(np.where(changed, order[shown], 0), mask=~changed)),
        public.take(pa.array(by_rank[smallest[head[shown]]])),
        pa.array(size[shown].astype(np.int64)),
        public.take(pa.array(order[head[shown]], mask=survivor[shown] < 0)),
        pa.array(similarity[shown].astype(np.float32), mask=np.isnan(similarity[shown])),
        pa.array(["", *REASONS.values()]).take(pa.array(reason[shown].astype(np.int64), mask=reason[shown] == 0)),
    ]
    columns = [column.cast(field.type) for column, field in zip(columns, RESULT_SCHEMA, strict=True)]
    return pa.table(columns, schema=RESULT_SCHEMA.with_metadata({k: str(v) for k, v in metadata.items()}))
