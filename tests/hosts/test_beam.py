"""Beam transforms give what the functions of the same names give, whatever the batching."""

import pickle

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.display import DisplayData
from datatrove.pipeline.filters import RegexFilter

from curation import beam as curation_beam
from curation import deduplicate, detect_synthetic, measure, synthetic
from curation.annotate import Settings, annotate
from curation.beam.coder import RecordBatchCoder
from hosts.world import KEPT, batches, keep, rows, table, write


def collect(collection, name):
    """Put every element of a collection into KEPT[name]."""
    KEPT[name] = []
    return collection | f"Collect {name}" >> beam.Map(keep, name)


def pipeline():
    return beam.Pipeline(runner=FnApiRunner())


def source(p, size, label="Create"):
    return p | label >> beam.Create(batches(size), reshuffle=False)


def transformed(transform, size):
    with pipeline() as p:
        collect(source(p, size) | transform, "out")
    return KEPT["out"]


def test_the_coder_is_chosen_for_batches_and_sends_only_the_rows_of_a_slice():
    coder = beam.coders.registry.get_coder(pa.RecordBatch)
    assert isinstance(coder, RecordBatchCoder)
    [whole] = batches(1000)
    part = whole.slice(40, 3)
    data = coder.encode(part)
    assert len(data) < len(coder.encode(whole)) / 10
    assert coder.decode(data).equals(part)
    nothing = whole.slice(0, 0).replace_schema_metadata({"a": "b"})
    assert coder.decode(coder.encode(nothing)).schema.equals(nothing.schema, check_metadata=True)
    assert not coder.is_deterministic()


def test_what_comes_out_of_transforms_is_typed_so_that_the_coder_is_used():
    p = pipeline()
    given = source(p, 50)
    for transform in (curation_beam.DetectSynthetic, curation_beam.Deduplicate, curation_beam.Annotate):
        assert (given | transform()).element_type == pa.RecordBatch
        good, bad = given | f"{transform.__name__} with errors" >> transform(with_errors=True)
        assert good.element_type == pa.RecordBatch
        assert "RecordBatch" in str(bad.element_type)
        assert "RecordBatchCoder" in str(beam.coders.registry.get_coder(bad.element_type))


@pytest.mark.parametrize("size", [7, 1000])
def test_detect_synthetic_equals_the_function_for_any_batching(size):
    rng = np.random.default_rng(5)
    n = 300
    anchors = synthetic.anchor_state(
        *rng.normal(-2, 1, (2, n)).astype(np.float32), np.full(n, 200), np.full(n, "human"), np.ones(n, bool)
    )
    found = transformed(curation_beam.DetectSynthetic(source="trust", anchors=anchors), size)
    expected = detect_synthetic(table(), source="trust", anchors=anchors)
    assert rows(found) == rows(expected)
    assert found[0].schema.equals(expected.schema)
    assert len(set(expected.column("synthetic_label").to_pylist())) > 1


@pytest.mark.parametrize("size", [1, 20, 1000])
@pytest.mark.parametrize("keep", ["human_first", "longest"])
def test_deduplicate_equals_the_function_for_any_batching(size, keep):
    settings = {"id": "id", "date": "date", "trust": "trust", "keep": keep}
    found = transformed(curation_beam.Deduplicate(**settings, partitions=5), size)
    expected = list(deduplicate([table().combine_chunks().to_batches()[0]], **settings))
    assert rows(found) == rows(expected)
    assert found[0].schema.equals(expected[0].schema)
    reasons = [reason for batch in found for reason in batch.column("filter_reason").to_pylist()]
    assert {"exact_duplicate", "near_duplicate", "empty_text", None} == set(reasons)


def test_deduplicate_tells_equal_batches_apart_and_takes_empty_ones():
    batch = pa.RecordBatch.from_pydict({"text": ["one rose is a rose", "two roses are roses"]})
    given = [batch, batch, batch, batch.slice(0, 0), batch.slice(1)]
    with pipeline() as p:
        collect(p | beam.Create(given) | curation_beam.Deduplicate(), "out")
    assert rows(KEPT["out"]) == rows(deduplicate(given))
    with pipeline() as p:
        collect(p | beam.Create([batch.slice(0, 0)]) | curation_beam.Deduplicate(), "out")
    assert [b.num_rows for b in KEPT["out"]] == [0]


def test_deduplicate_tells_batches_of_one_name_apart(monkeypatch):
    monkeypatch.setattr("curation.beam.deduplicate._name", lambda digest: 7)
    found = transformed(curation_beam.Deduplicate(id="id"), 9)
    assert rows(found) == rows(deduplicate(batches(1000), id="id"))


@pytest.mark.parametrize("size", [11, 1000])
def test_measure_diversity_equals_the_function(size):
    expected = measure(table(), id="id")
    with pipeline() as p:
        assert_that(source(p, size) | curation_beam.MeasureDiversity(id="id"), equal_to([expected]))


def test_measure_diversity_by_key():
    [a, b] = batches(80)
    with pipeline() as p:
        found = p | beam.Create([("a", a), ("b", b)]) | beam.CombinePerKey(curation_beam.DiversityFn())
        assert_that(found, equal_to([("a", measure(a)), ("b", measure(b))]))


def test_annotate_gives_the_signals_of_every_document():
    found = transformed(curation_beam.Annotate(id="id", date="date"), 1000)
    settings = Settings(id="id", date="date", measure=False)
    [batch] = batches(1000)
    assert rows(found) == rows([annotate(batch, np.arange(batch.num_rows), "default", settings).signals])


def test_rows_that_fail_are_set_aside_one_by_one():
    texts = ["a good text", "another", "a third", "more"]
    given = pa.RecordBatch.from_pydict({"text": texts, "trust": ["human", "robot", None, "robot"], "id": list("abcd")})
    transform = curation_beam.Deduplicate(id="id", trust="trust", with_errors=True)
    with pipeline() as p:
        good, bad = p | beam.Create([given]) | transform
        collect(good, "good")
        collect(bad, "bad")
    metrics = p.result.metrics().query()["counters"]
    counts = {m.key.metric.name: m.committed for m in metrics if m.key.metric.namespace == "curation"}
    assert counts["deduplicate-errors"] == 2
    assert counts["deduplicate-documents"] == 2
    assert rows(KEPT["good"]) == rows(deduplicate([given.take(pa.array([0, 2]))], id="id", trust="trust"))
    assert sorted(row.column("id")[0].as_py() for row, _ in KEPT["bad"]) == ["b", "d"]
    assert all("'robot': use one of human" in error and row.num_rows == 1 for row, error in KEPT["bad"])
    with pytest.raises(Exception, match="robot"), pipeline() as p:
        _ = p | beam.Create([given]) | curation_beam.Deduplicate(id="id", trust="trust")


def test_a_missing_column_names_those_that_are_there():
    with pytest.raises(Exception, match="no column 'body'; .* id, text"):
        transformed(curation_beam.DetectSynthetic(text="body"), 100)


PEOPLE = pa.schema([("name", pa.string()), ("age", pa.int64()), ("tags", pa.list_(pa.string()))])


def test_rows_become_batches_and_rows_again():
    given = [{"name": f"n{i}", "age": i, "tags": ["x"] * (i % 3)} for i in range(25)]
    with pipeline() as p:
        batched = p | beam.Create(given) | curation_beam.FromRows(schema=PEOPLE, batch_rows=10)
        collect(batched, "batches")
        assert_that(batched | "Dicts" >> curation_beam.ToRows(), equal_to(given), label="dicts")
        typed = batched | "Rows" >> curation_beam.ToRows(schema=PEOPLE)
        assert "name" in str(typed.element_type)
        again = typed | "Again" >> curation_beam.FromRows(schema=PEOPLE)
        collect(again, "again")
    assert max(batch.num_rows for batch in KEPT["batches"]) <= 10
    assert rows(KEPT["again"]) == rows(KEPT["batches"])
    assert KEPT["again"][0].schema.equals(PEOPLE)


def test_rows_that_do_not_fit_are_set_aside_and_no_key_is_lost_silently():
    given = [{"name": "a"}, {"name": "b", "age": "old"}, {"name": "c", "shoe": 43}, {"name": "d", "age": 4}]
    with pipeline() as p:
        good, bad = p | beam.Create(given) | curation_beam.FromRows(schema=PEOPLE, with_errors=True)
        collect(good, "good")
        collect(bad, "bad")
    assert sorted(row["name"] for batch in KEPT["good"] for row in batch.to_pylist()) == ["a", "d"]
    found = {row["name"]: error for row, error in KEPT["bad"]}
    assert "column 'age' is int64" in found["b"]
    assert "'shoe'" in found["c"]
    with pytest.raises(Exception, match="shoe"), pipeline() as p:
        _ = p | beam.Create(given) | curation_beam.FromRows(schema=PEOPLE)


@pytest.mark.parametrize(
    ("build", "error"),
    [
        (lambda: curation_beam.DetectSynthetic(text=""), "text is empty"),
        (lambda: curation_beam.DetectSynthetic(text=3), "text must be the name of a column"),
        (lambda: curation_beam.DetectSynthetic(fpr=0.7), "fpr"),
        (lambda: curation_beam.DetectSynthetic(min_words=0), "min_words must be at least 1"),
        (lambda: curation_beam.DetectSynthetic(reference="no/such.profile"), "no/such.profile"),
        (lambda: curation_beam.DetectSynthetic(model="no/such.npz"), "no/such.npz"),
        (lambda: curation_beam.Deduplicate(keep="first"), "no first document"),
        (lambda: curation_beam.Deduplicate(keep="best"), "longest"),
        (lambda: curation_beam.Deduplicate(bands=0), "bands must be at least 1"),
        (lambda: curation_beam.Deduplicate(verify=70), "between 0 and 1"),
        (lambda: curation_beam.MeasureDiversity(id=""), "id is empty"),
        (lambda: curation_beam.Annotate(group=""), "group is empty"),
        (curation_beam.Mix, "mode balance needs a reference"),
        (lambda: curation_beam.Mix(mode="ratio"), "balance, soft, cluster, none"),
        (lambda: curation_beam.Mix(reference="no/such.profile"), "no/such.profile"),
        (lambda: curation_beam.Mix(mode="soft", cap=1), "cap must be above 1"),
        (lambda: curation_beam.Mix(mode="soft", multipliers={"web": 2.0}), "name its column with source="),
        (lambda: curation_beam.Mix(mode="soft", reservoir=3), "reservoir must be at least 100"),
        (curation_beam.Select, "one of tokens, documents and rate; none"),
        (lambda: curation_beam.Select(tokens=5, rate=0.5), "not tokens and rate"),
        (lambda: curation_beam.Select(documents=0), "documents must be at least 1"),
        (lambda: curation_beam.Select(rate=1.5), "at most 1"),
        (lambda: curation_beam.FromRows(schema={"a": "b"}), "pyarrow.Schema"),
        (lambda: curation_beam.ToRows(schema=pa.schema([("t", pa.timestamp("us"))])), "'t' is timestamp"),
        (lambda: curation_beam.WriteShards(output="x", format="csv"), "jsonl.gz"),
        (lambda: curation_beam.ReadShards(inputs="x", batch_mb=0), "batch_mb"),
        (lambda: curation_beam.Curate({"output": "x"}), "no inputs"),
        (lambda: curation_beam.Curate(inputs=[{"path": "x"}]), "no output"),
        (lambda: curation_beam.Curate(dedup={"band": 3}), "did you mean 'bands'"),
    ],
)
def test_what_cannot_work_is_told_at_construction(build, error):
    with pytest.raises((ValueError, TypeError, OSError), match=error):
        build()


TRANSFORMS = [
    curation_beam.Annotate(),
    curation_beam.AsBeam(step=RegexFilter("lorem")),
    curation_beam.Curate(inputs=[{"path": "x"}], output="y"),
    curation_beam.Deduplicate(),
    curation_beam.DetectSynthetic(),
    curation_beam.FromRows(schema=PEOPLE),
    curation_beam.MeasureDiversity(),
    curation_beam.Mix(mode="soft"),
    curation_beam.ReadShards(inputs="x"),
    curation_beam.Select(documents=10),
    curation_beam.ToRows(),
    curation_beam.WriteShards(output="x"),
]


@pytest.mark.parametrize("transform", TRANSFORMS, ids=lambda t: type(t).__name__)
def test_transforms_can_be_pickled_labelled_and_displayed(transform):
    again = pickle.loads(pickle.dumps(transform))
    assert again.label == transform.label == type(transform).__name__
    assert again.display_data() == transform.display_data()
    items = DisplayData.create_from(transform).items
    assert items or isinstance(transform, curation_beam.ToRows)
    tested = {type(t).__name__ for t in TRANSFORMS}
    assert tested | {"RecordBatchCoder", "DiversityFn"} == set(curation_beam.__all__)


def test_every_function_of_a_pipeline_can_be_pickled(tmp_path):
    p = pipeline()
    batched = p | curation_beam.ReadShards(inputs=write(tmp_path / "in", 1))
    decided = batched | curation_beam.DetectSynthetic() | curation_beam.Deduplicate()
    _ = batched | curation_beam.Annotate()
    _ = decided | curation_beam.Mix(mode="soft") | curation_beam.Select(rate=0.5)
    _ = decided | curation_beam.WriteShards(output=str(tmp_path / "out"))
    _ = batched | curation_beam.ToRows() | curation_beam.FromRows(schema=table().schema)
    found = set()

    class Visitor(beam.pipeline.PipelineVisitor):
        def visit_transform(self, node):
            fn = getattr(node.transform, "fn", None)
            if isinstance(fn, beam.DoFn) and type(fn).__module__.startswith("curation."):
                found.add(type(pickle.loads(pickle.dumps(fn))).__name__)

    p.visit(Visitor())
    assert found == {"PerBatch", "_Read", "_Pack"}
    fn = pickle.loads(pickle.dumps(curation_beam.DiversityFn(id="id")))
    coder = pickle.loads(pickle.dumps(fn.get_accumulator_coder()))
    state = fn.add_input(fn.create_accumulator(), batches(1000)[0])
    assert fn.extract_output(coder.decode(coder.encode(fn.compact(state)))) == measure(table(), id="id")
