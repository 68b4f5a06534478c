"""deduplicate takes what Arrow gives: batches, one batch or a table."""

import pyarrow as pa

from curation import deduplicate


def test_a_table_a_batch_and_batches_are_alike():
    table = pa.table({"text": ["A rose is a rose.", "a rose is a ROSE", "A tulip", ""], "id": ["a", "b", "c", "d"]})
    [batch] = table.to_batches()
    expected = pa.Table.from_batches(deduplicate([batch], id="id"))
    assert expected.column("duplicate_of").to_pylist() == [None, "a", None, None]
    for given in (table, batch, iter(table.to_batches(max_chunksize=1))):
        assert pa.Table.from_batches(deduplicate(given, id="id")).combine_chunks().equals(expected)
    assert list(deduplicate(table.slice(0, 0))) == []
