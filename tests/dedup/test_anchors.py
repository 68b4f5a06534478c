"""Documents that are given, keep policies by column, and what row hashes and ids must survive."""

import datetime as dt
import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_cluster import BANDS, ROWS, WIDTH, as_dict, candidates, documents, family, random_table

from curation.config import ConfigError, load
from curation.config_dedup import PRESETS, candidate_probability
from curation.dedup import (
    EARLIER,
    EXCLUDED,
    DedupSettings,
    cluster,
    deduplicate,
    emit,
    group,
    job_rows,
    order_keys,
    row_hashes,
)
from curation.dedup.shuffle import Keys


def anchored(table, kinds):
    return table.append_column("anchor", pa.array(kinds, pa.uint8()))


def test_a_document_is_compared_with_every_anchor_of_its_buckets():
    base = family(1, [])[0]
    minima = np.array([base] * 4)
    minima[0, 8:] += np.uint64(1)  # shares a band with all, similar to none
    minima[2, 80:] += np.uint64(2)  # .71 of the new document
    minima[3, 100:] += np.uint64(3)  # .89 of it
    table = anchored(candidates(minima), [EARLIER, 0, EARLIER, EARLIER])
    result = as_dict(table, cluster(table, DedupSettings()))
    assert result["d000001"][2] == "d000003" and result["d000001"][4] == "near_duplicate"
    assert result["d000003"] == ("d000001", 2, None, None, None)
    assert set(result) == {"d000001", "d000003"}


@pytest.mark.parametrize("keep", ["human_first", "longest", "earliest", "first"])
def test_anchors_never_leave_and_never_merge(keep):
    table = candidates(family(2, [1, 2, 3]), sizes=[1, 2, 3, 4], norm=[0, 0, 1, 1])
    table = anchored(table, [EARLIER] * 3 + [0])
    result = as_dict(table, cluster(table, DedupSettings(keep=keep)))
    assert {name: row[2] for name, row in result.items()} == {"d000002": None, "d000003": "d000002"}


def test_what_is_like_a_take_down_goes_before_anything_else():
    table = anchored(candidates(family(3, [0, 10, 112]), norm=[0, 0, 1, 0]), [EXCLUDED, EARLIER, 0, 0])
    result = as_dict(table, cluster(table, DedupSettings()))
    assert result["d000002"][2:] == ("d000000", pytest.approx(102 / 112, abs=1e-4), "exclude_near_duplicate")
    assert result["d000003"][2:] == ("d000000", 1.0, "exclude_near_duplicate")  # equal words, though no minima
    assert "d000001" not in result


@given(documents, st.lists(st.integers(0, 2), min_size=24, max_size=24), st.integers(0, 3), st.sampled_from([2, 1000]))
@settings(max_examples=150, deadline=None)
def test_invariants_with_anchors(drawn, kinds, seed, max_bucket):
    table = anchored(random_table(drawn, seed), kinds[: len(drawn)])
    chosen = DedupSettings(max_bucket=max_bucket)
    decided = as_dict(table, cluster(table, chosen))
    kind = dict(zip(table["id"].to_pylist(), table["anchor"].to_pylist(), strict=True))
    order = list(range(table.num_rows))[::-1]
    moved = table.take(pa.array(order)).set_column(0, "job_row", pa.array(job_rows(2, np.arange(len(order)))))
    assert as_dict(moved, cluster(moved, chosen)) == decided
    for name, (_, _, of, similarity, reason) in decided.items():
        if kind[name]:
            assert of is None and reason is None
        if of is not None:
            assert (kind[of] == EXCLUDED) == (reason == "exclude_near_duplicate")
            assert decided[of][2] is None and similarity >= 0.7 - 1e-6
    # what stays has nothing left to leave for
    gone = {name for name, row in decided.items() if row[2] is not None}
    left = table.filter(pa.array([name not in gone for name in table["id"].to_pylist()]))
    assert all(row[2] is None for row in as_dict(left, cluster(left, chosen)).values())


def test_rows_that_only_earlier_runs_share_are_no_candidates():
    values = np.array([1, 1, 2, 2, 3, 4], np.uint64)
    rows = np.array([10, 11, 1, 12, 2, 3], np.int64)
    chunks = list(emit({"x": Keys(values, np.ones(6, bool))}, rows, 1).values())
    assert group(chunks).tolist() == [1, 10, 11, 12]
    assert group(chunks, below=10).tolist() == [1, 12]


def test_candidate_pairs_are_counted_once_by_equal_minima():
    minima = np.concatenate([family(4, [4]), family(5, [])])
    minima = np.concatenate([minima, minima[:1]])
    minima[3, 8:] += np.uint64(5)  # one band in common with the first
    counts = json.loads(cluster(candidates(minima), DedupSettings()).schema.metadata[b"candidate_pairs"])
    # in the band that three share, two pairs meet the centre; where the centre is in no pair, the third is met later
    assert len(counts) == WIDTH + 1 and sum(counts) in (2, 3)
    assert counts[WIDTH - 4] == 1 and sum(counts[: WIDTH - 4]) >= 1


ordered = st.one_of(
    st.lists(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)), max_size=8).map(lambda v: pa.array(v, pa.int64())),
    st.lists(st.one_of(st.none(), st.floats(allow_nan=False)), max_size=8).map(lambda v: pa.array(v, pa.float64())),
    st.lists(st.one_of(st.none(), st.text(max_size=3)), max_size=8).map(lambda v: pa.array(v, pa.string())),
    st.lists(st.one_of(st.none(), st.dates()), max_size=8).map(lambda v: pa.array(v, pa.date32())),
    st.lists(st.integers(-(2**62), 2**62), max_size=8).map(lambda v: pa.array(v, pa.timestamp("ns"))),
)


@given(ordered)
def test_keys_sort_as_values_do(column):
    keys = order_keys(column).to_pylist()
    values = column.cast(pa.int64()).to_pylist() if pa.types.is_timestamp(column.type) else column.to_pylist()
    if pa.types.is_string(column.type):
        values = [None if value is None else value.encode() for value in values]
    for a, x in zip(keys, values, strict=True):
        assert (a is None) == (x is None)
        for b, y in zip(keys, values, strict=True):
            if a is not None and b is not None:
                assert (a < b) == (x < y) and (a == b) == (x == y)


def test_keys_of_integers_floats_dates_and_instants_compare():
    assert order_keys(pa.array([2**53 + 1]))[0].as_py() > order_keys(pa.array([2.0**53]))[0].as_py()
    assert order_keys(pa.array([3])) == order_keys(pa.array([3.0])) == order_keys(pa.array([3], pa.uint64()))
    day = order_keys(pa.array([dt.date(2020, 1, 2)]))
    assert day == order_keys(pa.array([dt.datetime(2020, 1, 2)], pa.timestamp("ms")))
    assert order_keys(pa.array([float("nan")])).null_count == 1
    with pytest.raises(ValueError, match="no order"):
        order_keys(pa.array([[1]]))


@pytest.mark.parametrize(("policy", "survivor"), [("column:score:desc", 1), ("column:score:asc", 2)])
def test_documents_are_kept_by_column_with_nulls_last(policy, survivor):
    table = candidates(family(6, [2, 2, 2]))
    table = table.append_column("keep_key", order_keys(pa.array([None, 9.5, -2.0, None])))
    result = cluster(table, DedupSettings(keep=policy)).to_pylist()
    assert [row["job_row"] for row in result if row["duplicate_of"] is None] == [survivor]


def test_a_new_id_never_equals_one_that_is_there():
    table = candidates(family(7, [112, 112, 112]), ids=["x", "x", "y", "z"])
    taken = f"x#{max(table['row_hash'].to_pylist()[:2], key=lambda h: h.hex()).hex()}"
    renamed = table.set_column(1, "id", pa.array(["x", "x", taken, "z"]))
    result = cluster(renamed, DedupSettings(exact=False, near=False)).to_pylist()
    assert [row["id"] for row in result] == [f"{taken}-2"]


@pytest.mark.parametrize("kind", [pa.timestamp("ns"), pa.time64("ns"), pa.duration("ns")])
def test_nested_times_of_a_nanosecond_are_hashed(kind):
    def hashed(values, inner):
        column = pa.array([[value] for value in values], pa.list_(pa.struct([("t", pa.int64())])))
        typed = pa.ListArray.from_arrays(
            column.offsets, pa.StructArray.from_arrays([column.values.field("t").cast(inner)], ["t"])
        )
        return [row.tobytes() for row in row_hashes(pa.RecordBatch.from_pydict({"a": typed}))]

    rows = [{"t": 1}, {"t": 2}, {"t": 1}, {"t": 1001}, {"t": None}]
    found = hashed(rows, kind)
    assert found[0] == found[2] and len(set(found)) == 4
    micro = {pa.timestamp("ns"): pa.timestamp("us"), pa.time64("ns"): pa.time64("us")}.get(kind, pa.duration("us"))
    assert hashed([{"t": 5}], micro) == hashed([{"t": 5000}], kind)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_reach_their_threshold(name):
    config = load(sets=[f"dedup.preset={name}"]).dedup
    assert {key: getattr(config, key) for key in PRESETS[name]} == PRESETS[name]
    assert candidate_probability(config.verify, config.bands, config.rows) > 0.5


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        (["dedup.verify=0.5"], "14 bands of 8 rows compare only 5.3% of the pairs at verify 0.5"),
        (["dedup.verify=0.5"], "bands=28 rows=4 compare 84% with as many permutations; the nearest preset is default"),
        (["dedup.rows=30", "dedup.verify=0.9"], "the nearest preset is strict (verify 0.9)"),
        (["dedup.preset=nemo", "dedup.bands=3"], "preset nemo means bands 20, but bands is 3"),
        (["dedup.preset=nem"], "dedup.preset"),
        (["dedup.keep=column:score"], "column:NAME:desc"),
        (["mix.rehydration={0: 2}"], "sizes from 1"),
        (["select.floors={a: 1.5}"], "the floor of source 'a' is a share"),
    ],
)
def test_settings_that_cannot_work_are_refused_with_numbers(sets, message):
    with pytest.raises(ConfigError) as error:
        load(sets=sets)
    assert message in str(error.value)


def test_bands_that_are_not_used_are_not_judged():
    assert load(sets=["dedup.near=false", "dedup.verify=0.1"]).dedup.verify == 0.1
    assert (load().dedup.bands, load().dedup.rows) == (BANDS, ROWS)


def test_batches_in_memory_are_kept_by_column():
    batch = pa.RecordBatch.from_pydict({"text": ["one two three"] * 3, "id": ["a", "b", "c"], "score": [1, 7, 3]})
    [out] = deduplicate([batch], id="id", keep="column:score:desc")
    assert out.column("duplicate_of").to_pylist() == ["b", None, "b"]
    with pytest.raises(KeyError, match="there is no column 'rank'"):
        list(deduplicate([batch], id="id", keep="column:rank:desc"))
    other = batch.set_column(2, "score", pa.array(["x", "y", "z"]))
    with pytest.raises(ValueError, match="cannot be compared: number, text"):
        list(deduplicate([batch, other], keep="column:score:asc"))
