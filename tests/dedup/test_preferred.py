"""Preferred sources: deciding on A and B together, A first, equals deciding on B against what a run over A kept."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_cluster import as_dict, candidates, documents, family, random_table, survivors
from test_shingles import WIDE, corpora

from curation.dedup import EARLIER, DedupSettings, cluster, deduplicate, fixed_binary

SOURCES = "abc"


def of_sources(table, sources):
    return table.set_column(table.schema.get_field_index("source"), "source", pa.array(sources, pa.string()))


def with_urls(table, urls):
    digests = fixed_binary(np.repeat(np.array(urls, np.uint8)[:, None], 16, axis=1), np.array(urls) > 0)
    return table.set_column(table.schema.get_field_index("url_key"), "url_key", digests)


def against(given_rows, table, chosen):
    """The decisions on `table` (by id) where the documents of `given_rows` are given."""
    both = pa.concat_tables([
        given_rows.append_column("anchor", pa.array([EARLIER] * given_rows.num_rows, pa.uint8())),
        table.append_column("anchor", pa.array([0] * table.num_rows, pa.uint8())),
    ])  # fmt: skip
    # an earlier run's labels, dates to trust and keys are not known, and cannot have a say
    labels = pa.array(["human"] * given_rows.num_rows + table["label"].to_pylist(), pa.string())
    sizes = pa.array([7] * given_rows.num_rows + table["bytes"].to_pylist(), pa.int64())
    for name, values in (("label", labels), ("bytes", sizes)):
        both = both.set_column(both.schema.get_field_index(name), name, values)
    return as_dict(both, cluster(both, chosen))


def said(decided, name):
    """duplicate_of, similarity and reason; the size of a cluster counts what an earlier run removed only together."""
    return decided.get(name, (None,) * 5)[2:]


@given(
    documents,
    st.lists(st.sampled_from(SOURCES), min_size=24, max_size=24),
    st.lists(st.integers(0, 3), min_size=24, max_size=24),
    st.integers(0, 5),
    st.sampled_from([2, 3, 1000]),
    st.sampled_from(["human_first", "longest", "first"]),
)
@settings(max_examples=150, deadline=None)
def test_one_run_that_prefers_a_source_equals_a_run_against_it(drawn, sources, urls, seed, max_bucket, keep):
    n = len(drawn)
    table = with_urls(of_sources(random_table(drawn, seed), sources[:n]), urls[:n])
    chosen = DedupSettings(max_bucket=max_bucket, keep=keep, url=True)
    together = as_dict(table, cluster(table, chosen._replace(prefer=["a", "b"])))
    kept = table.slice(0, 0)
    for source in SOURCES:
        mine = table.filter(pa.array([s == source for s in sources[:n]]))
        if mine.num_rows == 0:
            continue
        alone = against(kept, mine, chosen)
        for name in mine["id"].to_pylist():
            assert said(together, name) == said(alone, name)
        gone = [said(alone, name)[0] is not None for name in mine["id"].to_pylist()]
        kept = pa.concat_tables([kept, mine.filter(pa.array([not g for g in gone]))])
    # nothing more leaves of what stayed
    left = survivors(table, cluster(table, chosen._replace(prefer=["a", "b"])))
    assert not [row for row in cluster(left, chosen._replace(prefer=["a", "b"])).to_pylist() if row["duplicate_of"]]


def test_a_preferred_document_stays_however_short_or_suspect():
    table = candidates(family(1, [4]), sizes=[900, 1], label=["human", "synthetic"], trust=["human", "unknown"])
    table = of_sources(table, ["crawl", "books"])
    result = as_dict(table, cluster(table, DedupSettings(prefer=["books"])))
    assert result["d000000"][2] == "d000001" and result["d000001"][2] is None
    assert as_dict(table, cluster(table, DedupSettings()))["d000001"][2] == "d000000"


def test_a_preferred_source_is_deduplicated_by_itself():
    """The last one would stand for both others, but its source comes later: the first two settle between them."""
    base = family(2, [])[0]
    left, right = base.copy(), base.copy()
    left[:20] += np.uint64(1)
    right[20:40] += np.uint64(2)
    table = of_sources(candidates([left, right, base], sizes=[1, 1, 9]), ["a", "a", "b"])
    result = as_dict(table, cluster(table, DedupSettings(prefer=["a"])))
    assert {name for name, row in result.items() if row[2]} == {"d000002"}
    plain = as_dict(table, cluster(table, DedupSettings()))
    assert {name for name, row in plain.items() if row[2]} == {"d000000", "d000001"}


def test_ids_of_preferred_sources_come_first():
    table = candidates(family(3, [112, 112]), ids=["x", "x", "x"])
    table = of_sources(table, ["b", "a", "c"])
    renamed = cluster(table, DedupSettings(prefer=["a", "b"])).to_pylist()
    assert [row["job_row"] for row in renamed] == [0, 2] and all(row["id"].startswith("x#") for row in renamed)


@given(corpora, st.lists(st.sampled_from(SOURCES), min_size=14, max_size=14), st.sampled_from(["minhash", "shingles"]))
@settings(max_examples=50, deadline=None)
def test_preferred_sources_in_memory_decide_as_if_alone(drawn, sources, verify_by):
    n = len(drawn)
    table = pa.table({"id": [f"{i:02}" for i in range(n)], "text": drawn, "origin": sources[:n]})

    def found(part):
        rows = pa.Table.from_batches(
            deduplicate(part, id="id", source="origin", prefer=["a"], verify_by=verify_by, verify=0.6, **WIDE)
        ).to_pylist()
        return {row["id"]: (row["duplicate_of"], row["similarity"], row["filter_reason"]) for row in rows}

    together = found(table)
    alone = table.filter(pa.array([s == "a" for s in sources[:n]]))
    if alone.num_rows:
        mine = found(alone)
        assert {name: together[name] for name in mine} == mine


@pytest.mark.parametrize("prefer", [[], ["none"]])
def test_sources_that_are_not_there_prefer_nothing(prefer):
    table = of_sources(candidates(family(4, [3, 5])), ["a", "b", "c"])
    assert cluster(table, DedupSettings(prefer=prefer)).equals(cluster(table, DedupSettings()))
