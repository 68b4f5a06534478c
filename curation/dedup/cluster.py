"""From documents that share a key to decisions: who is a duplicate of whom, and what everyone is called.

Every bucket is compared with one member, its centre, so work is linear in the candidates; a document leaves only if
it is itself similar to the document that stands for it, so chains and shared templates remove nothing; and the
comparison repeats on the survivors until nothing merges, so a second run over the output drops nothing.
"""

from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa

from curation.dedup.buckets import Buckets, equal_groups, near_buckets
from curation.dedup.identity import Identities, public_ids
from curation.dedup.keep import keep_ranks
from curation.dedup.shuffle import fixed_words
from curation.dedup.signatures import similarity
from curation.kernels.components import best_of, join_groups, join_similar, labels
from curation.kernels.minhash import equal_minima
from curation.schema import CLUSTERS_SCHEMA

EXACT, NEAR, URL = 1, 2, 3
REASONS = {EXACT: "exact_duplicate", NEAR: "near_duplicate", URL: "url_duplicate"}

#: what `cluster` returns: decisions/clusters with the job row in place of the shard's row
RESULT_SCHEMA = pa.schema([pa.field("job_row", pa.int64()), *list(CLUSTERS_SCHEMA)[1:]])


class Settings(Protocol):
    """What `cluster` needs to know; the `dedup` section of a configuration has it, and so has `DedupSettings`."""

    @property
    def exact(self) -> bool: ...
    @property
    def near(self) -> bool: ...
    @property
    def url(self) -> bool: ...
    @property
    def verify(self) -> float: ...
    @property
    def keep(self) -> str: ...
    @property
    def max_bucket(self) -> int: ...


class DedupSettings(NamedTuple):
    """Settings of `cluster` as plain values; the defaults are those of the configuration."""

    exact: bool = True
    near: bool = True
    url: bool = False
    verify: float = 0.70
    keep: str = "human_first"
    max_bucket: int = 1000


class _Documents(NamedTuple):
    """Candidates in intrinsic order; key columns are small integers, -1 where there is no key."""

    rank: np.ndarray
    norm: np.ndarray
    url: np.ndarray
    bands: np.ndarray
    minima: np.ndarray
    signed: np.ndarray


def cluster(candidates: pa.Table, settings: Settings) -> pa.Table:
    """Decide on all documents that share a key with another one.

    `candidates` has job_row int64, id string, source, trust (human, premium, unknown, synthetic), label (human,
    undetermined, synthetic), bytes int64, date date32, content_hash, row_hash, norm_hash and url_key (binary[16]),
    bands binary[8 x bands] and signature binary[2 x permutations]; the key columns and dates may be null, and those
    that the settings switch off may be missing. Returns a table of RESULT_SCHEMA, ordered by job row: every document
    in a cluster of two or more, and every document whose public id changed because its id is repeated. Its metadata
    holds `rounds`, `split_buckets` and `repeated_ids`.

    The result depends on job rows only as the last tie between rows that are equal in every column (and under the
    keep policy `first`, which means input order). Memory: about 600 bytes per candidate at 14 bands of 8, beside the
    table itself (about 460). Raises ValueError for an unknown keep policy, trust or label.
    """
    if candidates.num_rows == 0:
        return RESULT_SCHEMA.with_metadata({"rounds": "0", "split_buckets": "0", "repeated_ids": "0"}).empty_table()
    identities = public_ids(candidates)
    content = _words(candidates, "content_hash")
    order = np.lexsort((identities.rank, content[:, 1], content[:, 0]))
    rank = keep_ranks(candidates, identities.rank, settings.keep)[order]
    documents = _documents(candidates, order, rank, settings)
    decided, rounds, split = _rounds(documents, settings)
    survivor, reason = decided
    estimate = _similarities(documents, survivor, reason)
    metadata = {"rounds": rounds, "split_buckets": split, "repeated_ids": identities.repeated}
    return _result(candidates, identities, order, survivor, reason, estimate, metadata)


def _words(table: pa.Table, name: str) -> np.ndarray:
    column = table.column(name)
    parts = [fixed_words(chunk) for chunk in column.chunks]
    return np.concatenate(parts)


def _documents(table: pa.Table, order: np.ndarray, rank: np.ndarray, settings: Settings) -> _Documents:
    n = len(order)

    def numbered(name: str, wanted: bool) -> np.ndarray:
        """Equal keys as equal numbers: collisions of 128 bits apart, exactly the equality of the column."""
        if not wanted:
            return np.full(n, -1, np.int32)
        words, present = _words(table, name)[order], _present(table, name)[order]
        _, numbers = np.unique(words.view([("a", np.uint64), ("b", np.uint64)]).reshape(-1), return_inverse=True)
        return np.where(present, numbers.reshape(-1), -1).astype(np.int32)

    if settings.near:
        signed = (_present(table, "signature") & _present(table, "bands"))[order]
        bands = _words(table, "bands")[order]
        width = table.schema.field("signature").type.byte_width // 2
        parts = [_fixed_shorts(chunk, width) for chunk in table.column("signature").chunks]
        minima = np.concatenate(parts)[order]
    else:
        signed, bands, minima = np.zeros(n, bool), np.empty((n, 0), np.uint64), np.zeros((n, 1), np.uint16)
    return _Documents(
        rank, numbered("norm_hash", settings.exact), numbered("url_key", settings.url), bands, minima, signed
    )


def _present(table: pa.Table, name: str) -> np.ndarray:
    return np.asarray(table.column(name).is_valid()).astype(bool)


def _fixed_shorts(column: pa.Array, width: int) -> np.ndarray:
    if column.null_count:
        column = column.fill_null(b"\x00" * (2 * width))
    data = np.frombuffer(column.buffers()[1] or b"", "<u2")
    return data[column.offset * width : (column.offset + len(column)) * width].reshape(-1, width)


def _rounds(documents: _Documents, settings: Settings) -> tuple[tuple[np.ndarray, np.ndarray], int, int]:
    """((survivor int32[n], reason uint8[n]), rounds, buckets split): -1 and 0 for documents that survive."""
    n = len(documents.rank)
    survivor, reason = np.full(n, -1, np.int32), np.zeros(n, np.uint8)
    least_equal = least_equal_minima(settings.verify, documents.minima.shape[1])
    buckets = Buckets()
    rounds = split = 0
    # equal words first, so that one document stands for all its copies in the buckets
    near = False
    while True:
        alive = survivor < 0
        parent = np.arange(n, dtype=np.int32)
        for keys in (documents.norm, documents.url):
            join_groups(parent, *equal_groups(keys, alive))
        if near:
            cut = 0
            for members, bounds, large in near_buckets(
                buckets, documents.bands, alive & documents.signed, settings.max_bucket
            ):
                join_similar(parent, members, bounds, documents.minima, least_equal)
                cut += large
            split = max(split, cut)
        living = np.flatnonzero(alive).astype(np.int32)
        best = best_of(labels(parent), documents.rank, living)
        pairs = living[best[living] != living]
        if len(pairs) == 0 and near == settings.near:
            return (survivor, reason), rounds, split
        near = settings.near
        rounds += len(pairs) > 0
        relation = _relation(documents, pairs, best[pairs], least_equal)
        related = relation > 0
        survivor[pairs[related]] = best[pairs[related]]
        reason[pairs[related]] = relation[related]
        if _follow(documents, survivor, reason, least_equal):
            buckets = Buckets()


def least_equal_minima(verify: float, permutations: int) -> int:
    """The number of equal 16-bit minima from which the estimated similarity is at least `verify`."""
    counts = np.arange(permutations + 1)
    estimates = np.maximum(0.0, (counts / permutations - 2.0**-16) / (1 - 2.0**-16))
    return int(np.searchsorted(estimates, verify))


def _relation(documents: _Documents, left: np.ndarray, right: np.ndarray, least_equal: int) -> np.ndarray:
    """Why each `left` is a duplicate of its `right`: EXACT, NEAR, URL, or 0 when it is not; uint8[pairs]."""
    norm, url = documents.norm, documents.url
    found = np.where((url[left] >= 0) & (url[left] == url[right]), URL, 0).astype(np.uint8)
    both = np.flatnonzero(documents.signed[left] & documents.signed[right])
    equal = np.empty(len(both), np.uint16)
    equal_minima(documents.minima, left[both], right[both], equal)
    found[both[equal >= least_equal]] = NEAR
    found[(norm[left] >= 0) & (norm[left] == norm[right])] = EXACT
    return found


def _follow(documents: _Documents, survivor: np.ndarray, reason: np.ndarray, least_equal: int) -> bool:
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
        relation = _relation(documents, moved, target, least_equal)
        survivor[moved] = np.where(relation > 0, target, -1)
        reason[moved] = relation
        revived |= bool((relation == 0).any())


def _similarities(documents: _Documents, survivor: np.ndarray, reason: np.ndarray) -> np.ndarray:
    """Estimated similarity to the survivor, float64[n]: 1 for equal words, NaN (null outside) where unknown."""
    out = np.full(len(survivor), np.nan)
    known = np.flatnonzero(survivor >= 0)
    known = known[documents.signed[known] & documents.signed[survivor[known]]]
    out[known] = similarity(documents.minima, known, survivor[known])
    out[reason == EXACT] = 1.0
    return out


def _result(
    table: pa.Table, identities: Identities, order: np.ndarray, survivor: np.ndarray, reason: np.ndarray,
    estimate: np.ndarray, metadata: dict[str, int],
) -> pa.Table:  # fmt: skip
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
        pa.array(estimate[shown].astype(np.float32), mask=np.isnan(estimate[shown])),
        pa.array(["", *REASONS.values()]).take(pa.array(reason[shown].astype(np.int64), mask=reason[shown] == 0)),
    ]
    columns = [column.cast(field.type) for column, field in zip(columns, RESULT_SCHEMA, strict=True)]
    return pa.table(columns, schema=RESULT_SCHEMA.with_metadata({k: str(v) for k, v in metadata.items()}))
