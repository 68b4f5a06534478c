"""Candidates gathered batch by batch, and keys sent part by part."""

import numpy as np
import pyarrow as pa
import pytest

from curation.dedup import DedupSettings, Gathered, cluster, emit, fixed_binary, packed, signal_keys
from curation.dedup.memory import document_signals

TEXTS = ["one two three four five six seven eight nine ten", "a tulip", "the words of a longer text that stands alone"]


def signals(texts, number):
    columns = [pa.array(texts, pa.string()), pa.array([f"{number}-{n}" for n in range(len(texts))], pa.string())]
    batch = pa.RecordBatch.from_arrays(columns, ["text", "id"])
    return document_signals(batch, number, "text", "id", None, None, 14, 8, 5, 1)


def batches():
    more = [TEXTS[0].upper(), "One two three four five six seven eight nine ten, and eleven", *TEXTS[1:]]
    return [signals(TEXTS, 0), signals(more, 1), signals([], 2), signals(TEXTS[1:2], 3)]


def test_gathered_candidates_are_decided_on_as_a_plain_table_is():
    given = batches()
    gathered = Gathered(100)
    for batch in given:
        gathered.add(batch)
    table, plain = gathered.table(), pa.Table.from_batches(given)
    assert table.column("bands").num_chunks == table.column("signature").num_chunks == 1
    for name in plain.schema.names:
        assert table.column(name).to_pylist() == plain.column(name).to_pylist()
    assert plain.column("signature").null_count == 3
    for settings in (DedupSettings(), DedupSettings(near=False), DedupSettings(keep="longest", verify=0.5)):
        found, expected = cluster(table, settings), cluster(plain, settings)
        assert found.equals(expected) and found.num_rows >= 4


def test_nothing_gathered_is_no_table_and_too_much_is_refused():
    gathered = Gathered(2)
    assert gathered.table() is None
    with pytest.raises(ValueError, match="3 candidates where at most 2"):
        gathered.add(signals(TEXTS, 0))


def test_slices_without_any_signature_are_gathered():
    short = signals(["a b", "c d", "a b"], 0).slice(1)
    gathered = Gathered(2)
    gathered.add(short.set_column(short.schema.get_field_index("signature"), "signature", pa.nulls(2, pa.binary(224))))
    assert gathered.table().column("signature").to_pylist() == [None, None]


def test_keys_in_parts_are_the_keys_and_no_part_is_much_larger_than_asked():
    values = np.arange(24_000, dtype=np.uint8).reshape(1500, 16)
    documents = pa.record_batch({"id": [f"d{n}" for n in range(1500)], "norm_hash": fixed_binary(values)})

    def parts():
        for start in range(0, 1500, 100):
            batch = documents.slice(start, 100)
            yield emit(signal_keys(batch, near=False), np.arange(start, start + 100), 7)

    def bytes_of(found):
        out = {}
        for part in found:
            for number, chunk in part.items():
                out[number] = out.get(number, b"") + chunk.tobytes()
        return out

    found = list(packed(parts(), 10_000))
    sizes = [sum(chunk.nbytes for chunk in part.values()) for part in found]
    assert len(sizes) == 4 and max(sizes) == 12_800 and sum(sizes) == 1500 * 2 * 16
    assert bytes_of(found) == bytes_of(parts())
    assert list(packed([], 10)) == []
