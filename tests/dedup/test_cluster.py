"""Clustering: who leaves, who stays, and that neither order nor sharding has a say in it."""

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.dedup import DedupSettings, cluster, deduplicate, fixed_binary, job_rows
from curation.kernels.hashing import mix64_array

BANDS, ROWS = 14, 8
WIDTH = BANDS * ROWS


def candidates(
    minima, *, ids=None, norm=None, dates=None, trust=None, label=None, sizes=None, content=None
):
    """A candidates table from full minima uint64[n, 112]; norm: numbers of equal words, -1 for documents without."""
    minima = np.asarray(minima, np.uint64).reshape(-1, WIDTH)
    n = len(minima)
    bands = np.zeros((n, BANDS), np.uint64)
    for row in range(ROWS):
        bands = mix64_array(bands * np.uint64(31) + minima.reshape(n, BANDS, ROWS)[:, :, row] + np.uint64(1))
    norm = np.arange(n) if norm is None else np.asarray(norm)
    content = np.arange(n) if content is None else np.asarray(content)

    def digest(values, salt):
        words = mix64_array(
            np.stack([values, values], 1).astype(np.uint64) * np.uint64(2) + np.array([salt, salt + 1], np.uint64)
        )
        return words.view(np.uint8)

    table = pa.table({
        "job_row": job_rows(0, np.arange(n)),
        "id": pa.array([f"d{i:06d}" for i in range(n)] if ids is None else ids),
        "source": pa.array(["s"] * n, pa.string()),
        "trust": pa.array(["unknown"] * n if trust is None else trust, pa.string()),
        "label": pa.array(["undetermined"] * n if label is None else label, pa.string()),
        "bytes": pa.array([100] * n if sizes is None else sizes, pa.int64()),
        "date": pa.array([None] * n if dates is None else dates, pa.date32()),
        "content_hash": fixed_binary(digest(content, 10)),
        "row_hash": fixed_binary(digest(np.arange(n), 20)),
        "norm_hash": fixed_binary(digest(norm, 30), norm >= 0),
        "url_key": pa.nulls(n, pa.binary(16)),
        "bands": fixed_binary(bands.view(np.uint8)),
        "signature": fixed_binary(minima.astype("<u2").view(np.uint8)),
    })  # fmt: skip
    return table


def family(seed, changes, values=1 << 32):
    """Minima of a document and of copies in which `changes` of the 112 minima differ."""
    rng = np.random.default_rng(seed)
    rows = [rng.integers(0, values, WIDTH, dtype=np.uint64)]
    for count in changes:
        copy = rows[0].copy()
        copy[rng.choice(WIDTH, count, replace=False)] = rng.integers(0, values, count, dtype=np.uint64)
        rows.append(copy)
    return np.array(rows)


def as_dict(table, result):
    """Decisions by the candidate's own id (distinct in these tests)."""
    names = dict(zip(table["job_row"].to_pylist(), table["id"].to_pylist(), strict=True))
    keep = ("cluster_id", "cluster_size", "duplicate_of", "similarity", "reason")
    return {names[row["job_row"]]: tuple(row[k] for k in keep) for row in result.to_pylist()}


def survivors(table, result):
    gone = {row["job_row"] for row in result.to_pylist() if row["duplicate_of"] is not None}
    return table.filter(pa.array([r not in gone for r in table["job_row"].to_pylist()]))


def test_near_duplicates_leave_and_others_stay():
    table = candidates(np.concatenate([family(1, [5, 10]), family(2, [])]))
    result = as_dict(table, cluster(table, DedupSettings()))
    assert set(result) == {"d000000", "d000001", "d000002"}
    assert result["d000000"] == ("d000000", 3, None, None, None)
    assert result["d000001"][:3] == ("d000000", 3, "d000000") and result["d000001"][4] == "near_duplicate"
    assert result["d000001"][3] == pytest.approx(107 / 112, abs=1e-4)


def test_below_verify_nothing_merges_though_a_band_is_shared():
    minima = family(3, [0])
    minima[1, 24:] += np.uint64(1)  # three bands in common, similarity .21
    table = candidates(minima)
    assert cluster(table, DedupSettings()).num_rows == 0
    assert cluster(table, DedupSettings(verify=0.2)).num_rows == 2


def chain():
    """A ~ B ~ C, but A and C below the threshold."""
    a = family(4, [])[0]
    b, c = a.copy(), a.copy()
    b[:24] += np.uint64(7)
    c[:24] += np.uint64(7)
    c[24:48] += np.uint64(9)
    return np.array([a, b, c])


@pytest.mark.parametrize("content", [[0, 1, 2], [1, 0, 2], [2, 1, 0], [0, 2, 1]])
@pytest.mark.parametrize("best", [0, 1, 2])
def test_a_chain_removes_only_what_is_similar_to_its_survivor(best, content):
    sizes = [100] * 3
    sizes[best] = 200
    table = candidates(chain(), sizes=sizes, content=content)
    result = as_dict(table, cluster(table, DedupSettings()))
    removed = {name: row[2] for name, row in result.items() if row[2]}
    if best == 1:
        assert removed == {"d000000": "d000001", "d000002": "d000001"}
    else:  # the far end of the chain is no duplicate of the survivor and stays
        assert removed == {"d000001": f"d00000{best}"}


def test_ten_thousand_documents_with_one_template_stay():
    rng = np.random.default_rng(5)
    minima = rng.integers(0, 1 << 32, (10_000, WIDTH), dtype=np.uint64)
    minima[:, :40] = minima[0, :40]  # five bands and .36 of the minima in common
    table = candidates(minima)
    result = cluster(table, DedupSettings())
    assert result.num_rows == 0
    assert result.schema.metadata[b"split_buckets"] == b"5"


def test_oversized_buckets_still_find_their_duplicates():
    rng = np.random.default_rng(6)
    minima = rng.integers(0, 1 << 32, (3000, WIDTH), dtype=np.uint64)
    minima[:, :8] = minima[0, :8]
    minima[1::2] = minima[::2]  # every document twice, in a bucket of 3000
    minima[1::2, 100:] += np.uint64(1)
    result = cluster(candidates(minima), DedupSettings(max_bucket=10))
    assert sum(row["duplicate_of"] is not None for row in result.to_pylist()) == 1500


def test_exact_duplicates_need_no_signature_and_count_as_one():
    table = candidates(family(7, [0, 112]), norm=[5, 5, -1])
    result = as_dict(table, cluster(table, DedupSettings(near=False)))
    assert result["d000001"] == ("d000000", 2, "d000000", 1.0, "exact_duplicate") and "d000002" not in result


def test_url_duplicates():
    table = candidates(family(8, [112, 112]))
    url = fixed_binary(np.array([[1] * 16, [2] * 16, [1] * 16], np.uint8), np.array([True, True, True]))
    table = table.set_column(table.schema.get_field_index("url_key"), "url_key", url)
    assert cluster(table, DedupSettings()).num_rows == 0
    result = as_dict(table, cluster(table, DedupSettings(url=True)))
    assert result["d000002"][2] == "d000000" and result["d000002"][4] == "url_duplicate" and "d000001" not in result


def test_repeated_ids():
    table = candidates(family(9, [112, 112, 112]), ids=["x", "x", "x", "y"])
    twice = pa.concat_tables([table.slice(0, 3), table.slice(0, 3), table.slice(3)])
    twice = twice.set_column(0, "job_row", pa.array(range(7)))
    result = cluster(twice, DedupSettings(exact=False, near=False))
    hexes = sorted(h.hex() for h in table["row_hash"].to_pylist()[:3])
    assert sorted(row["id"] for row in result.to_pylist()) == sorted(
        [f"x#{hexes[0]}", f"x#{hexes[1]}", f"x#{hexes[1]}-2", f"x#{hexes[2]}", f"x#{hexes[2]}-2"]
    )
    assert result.schema.metadata[b"repeated_ids"] == b"5"
    by_row = {row["job_row"]: row for row in result.to_pylist()}
    hashes = [h.hex() for h in table["row_hash"].to_pylist()[:3]]
    assert hashes.index(hexes[0]) not in by_row  # the first row with the smallest row hash keeps the id
    assert all(row["cluster_id"] == row["id"] and row["cluster_size"] == 1 for row in by_row.values())


DAY = dt.date(2020, 1, 1)


@pytest.mark.parametrize(
    "columns, policy, survivor",
    [
        ({"trust": ["unknown", "human"]}, "human_first", 1),
        ({"trust": ["synthetic", "unknown"]}, "human_first", 1),
        ({"trust": ["human", "premium"], "sizes": [1, 2]}, "human_first", 1),
        ({"label": ["undetermined", "human"], "dates": [DAY, None]}, "human_first", 1),
        ({"label": ["synthetic", "undetermined"]}, "human_first", 1),
        ({"dates": [None, DAY]}, "human_first", 1),
        ({"dates": [DAY + dt.timedelta(1), DAY], "sizes": [200, 100]}, "human_first", 1),
        ({"sizes": [100, 200]}, "human_first", 1),
        ({}, "human_first", 0),
        ({"sizes": [100, 200], "trust": ["human", "unknown"]}, "longest", 1),
        ({"dates": [None, DAY], "trust": ["human", "unknown"]}, "earliest", 1),
        ({"ids": ["b", "a"], "sizes": [1, 2]}, "first", 0),
        ({"ids": ["b", "a"]}, "longest", 1),
    ],
)
def test_keep_policies(columns, policy, survivor):
    table = candidates(family(10, [4]), **columns)
    result = cluster(table, DedupSettings(keep=policy)).to_pylist()
    assert [row["job_row"] for row in result if row["duplicate_of"] is None] == [survivor]


def test_bad_values_name_the_way_out():
    table = candidates(family(11, [4]))
    with pytest.raises(ValueError, match="keep policy .best..*longest"):
        cluster(table, DedupSettings(keep="best"))
    with pytest.raises(ValueError, match="'trust' holds 'robot'"):
        cluster(candidates(family(11, [4]), trust=["robot", "human"]), DedupSettings())


documents = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=24
)


def random_table(drawn, seed):
    rng = np.random.default_rng(seed)
    base = rng.integers(0, 1 << 32, (4, WIDTH), dtype=np.uint64)
    edits = rng.integers(0, 1 << 32, (3, 4, WIDTH), dtype=np.uint64)
    minima = []
    for root, first, second, _ in drawn:
        row = base[root].copy()
        row[: 16 * first] = edits[0, root, : 16 * first]
        row[60 : 60 + 14 * second] = edits[1, root, 60 : 60 + 14 * second]
        minima.append(row)
    seen = {}
    norm = [seen.setdefault(item[:3], len(seen)) for item in drawn]
    return candidates(minima, norm=norm, sizes=[size for *_, size in drawn])


@given(documents, st.integers(0, 5), st.randoms(use_true_random=False), st.sampled_from([2, 3, 1000]))
@settings(max_examples=150, deadline=None)
def test_invariants(drawn, seed, random, max_bucket):
    table = random_table(drawn, seed)
    chosen = DedupSettings(max_bucket=max_bucket)
    result = cluster(table, chosen)
    decided = as_dict(table, result)
    # neither order nor sharding matters
    order = list(range(table.num_rows))
    random.shuffle(order)
    moved = table.take(pa.array(order)).set_column(0, "job_row", pa.array(job_rows(3, np.arange(len(order)))))
    assert as_dict(moved, cluster(moved, chosen)) == decided
    # every duplicate names a survivor, and is itself similar to it
    for cluster_id, size, duplicate_of, similarity, _ in decided.values():
        members = [name for name, row in decided.items() if row[0] == cluster_id]
        assert len(members) == size and min(members) == cluster_id
        if duplicate_of is not None:
            assert decided[duplicate_of][2] is None and decided[duplicate_of][0] == cluster_id
            assert similarity >= 0.7 - 1e-6
    # a second run over what is left drops nothing
    assert cluster(survivors(table, result), chosen).num_rows == 0


def test_nothing_to_decide():
    table = candidates(np.empty((0, WIDTH)))
    assert cluster(table, DedupSettings()).num_rows == 0


def text_batch(texts, **columns):
    return pa.RecordBatch.from_pydict({"text": pa.array(texts, pa.string()), **columns})


def test_deduplicate_batches_in_memory():
    words = [f"word{i}" for i in range(400)]
    original, edited = " ".join(words), " ".join([*words[:-2], "other"])
    batches = [
        text_batch([original, "short one", ""], id=[3, 1, 2]),
        text_batch([edited, "Short, ONE", None], id=[4, 5, 6]),
    ]
    out = [row for batch in deduplicate(batches, id="id") for row in batch.to_pylist()]
    reasons = [None, "exact_duplicate", "empty_text", "near_duplicate", None, "empty_text"]
    assert [row["filter_reason"] for row in out] == reasons
    assert [row["duplicate_of"] for row in out] == [None, "5", None, "3", None, None]  # the longer one survives
    assert [row["cluster_id"] for row in out] == ["3", "1", "2", "3", "1", "6"]
    again = list(deduplicate(deduplicate(batches, id="id"), id="id"))
    assert [row for batch in again for row in batch.to_pylist()] == out
    with pytest.raises(KeyError, match="body"):
        list(deduplicate(batches, text="body"))
    assert list(deduplicate([])) == []


def test_deduplicate_reads_dates_and_trust():
    batch = text_batch(["one two three"] * 3, id=["a", "b", "c"], day=["2021-05-01T10:00", "2020-01-02", "?"],
                       who=["unknown", "unknown", "human"])  # fmt: skip
    [out] = deduplicate([batch], id="id", date="day")
    assert out.column("duplicate_of").to_pylist() == ["b", None, "b"]
    [out] = deduplicate([batch], id="id", date="day", trust="who")
    assert out.column("duplicate_of").to_pylist() == ["c", "c", None]
