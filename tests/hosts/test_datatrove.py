"""datatrove steps give what the functions of the same names give, for any number of ranks."""

import json
import pickle
from pathlib import PurePath

import numpy as np
import pyarrow as pa
import pytest
from datatrove.data import Document
from datatrove.executor.local import LocalPipelineExecutor
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter

from curation import detect_synthetic, measure
from curation.datatrove import (
    ArrowReader,
    ArrowWriter,
    DetectSynthetic,
    MeasureDiversity,
    MergeDiversity,
    curate_executors,
)
from curation.io.codec import dumps, loads
from curation.synthetic import empty_anchors
from hosts.world import every_third_synthetic, llm, table

ADDED = ["p_synthetic", "synthetic_label", "synthetic_reason"]


def documents():
    return [
        Document(text=row["text"] or "", id=f"{row['id']}-{row['n']}", metadata={"trust": row["trust"], "n": row["n"]})
        for row in table().to_pylist()
    ]


@pytest.mark.parametrize("batch_mb", [0.003, 4.0])
def test_detect_synthetic_equals_the_function_and_keeps_what_documents_have(batch_mb):
    step = DetectSynthetic(source="trust", batch_mb=batch_mb)
    found = list(step.run(iter(documents())))
    given = documents()
    assert [d.id for d in found] == [d.id for d in given]
    assert [d.text for d in found] == [d.text for d in given]
    assert [{k: v for k, v in d.metadata.items() if k not in ADDED} for d in found] == [d.metadata for d in given]
    expected = detect_synthetic(table(), source="trust").select(ADDED).to_pylist()
    assert [{k: d.metadata[k] for k in ADDED} for d in found] == expected
    assert step.stats["total"].total == len(given)


def test_excluded_documents_go_to_the_exclusion_writer_with_their_reason(tmp_path, monkeypatch):
    every_third_synthetic(monkeypatch)
    given = [Document(text=text, id=str(i)) for i, text in enumerate(llm())] + documents()[:20]
    writer = JsonlWriter(str(tmp_path), output_filename="${rank}.jsonl", compression=None)
    step = DetectSynthetic(exclude=True, exclusion_writer=writer)
    kept = list(step.run(iter(given), rank=2))
    dropped = [json.loads(line) for line in (tmp_path / "00002.jsonl").read_text().splitlines()]
    assert dropped
    assert {d["metadata"]["filter_reason"] for d in dropped} == {"synthetic"}
    assert sorted([d.id for d in kept] + [d["id"] for d in dropped]) == sorted(d.id for d in given)
    assert step.stats["dropped_synthetic"].total == step.stats["dropped"].total == len(dropped)
    assert step.stats["forwarded"].total == len(kept)
    assert all("filter_reason" not in d.metadata for d in kept)


def test_text_that_is_no_unicode_is_scored_and_passes_unchanged():
    given = [Document(text="a lone \ud800 surrogate " * 60, id="x"), Document(text="fine", id="y")]
    found = list(DetectSynthetic().run(iter(given)))
    assert found[0].text == "a lone \ud800 surrogate " * 60
    assert found[0].metadata["synthetic_label"] in ("human", "undetermined", "synthetic")


@pytest.mark.parametrize("world", [1, 3])
def test_measure_diversity_equals_the_function_for_any_number_of_ranks(world, tmp_path):
    step = MeasureDiversity(str(tmp_path / "states"), batch_mb=0.05)
    given = documents()
    for rank in range(world):
        passed = list(step.run(iter(given[rank::world]), rank, world))
        assert passed == given[rank::world]
    merge = MergeDiversity(str(tmp_path / "states"), str(tmp_path))
    assert list(merge.run()) == []
    expected = measure(pa.table({"text": [d.text for d in given], "id": [d.id for d in given]}), id="id")
    assert json.loads((tmp_path / "diversity.json").read_text()) == json.loads(json.dumps(expected))


def test_states_that_are_missing_or_of_two_runs_are_not_merged(tmp_path):
    merge = MergeDiversity(str(tmp_path), str(tmp_path))
    with pytest.raises(ValueError, match="nowhere to be found: run MeasureDiversity"):
        list(merge.run())
    list(MeasureDiversity(str(tmp_path)).run(iter([]), 1, 2))
    with pytest.raises(ValueError, match="lacks 00000-of-00002.state: 1 of 2"):
        list(merge.run())
    list(MeasureDiversity(str(tmp_path)).run(iter([]), 0, 3))
    with pytest.raises(ValueError, match="2 and 3 tasks"):
        list(merge.run())
    with pytest.raises(ValueError, match="tasks=1"):
        list(merge.run(None, 0, 2))


def test_steps_run_between_datatrove_reader_and_writer(tmp_path):
    (tmp_path / "in").mkdir()
    for part in range(2):
        lines = [json.dumps({"text": d.text, "id": d.id, **d.metadata}) for d in documents()[part::2]]
        (tmp_path / "in" / f"{part}.jsonl").write_text("\n".join(lines))
    steps = [
        JsonlReader(str(tmp_path / "in")),
        DetectSynthetic(),
        MeasureDiversity(str(tmp_path / "states")),
        JsonlWriter(str(tmp_path / "out"), compression=None),
    ]
    first = LocalPipelineExecutor(steps, tasks=2, workers=1, logging_dir=str(tmp_path / "logs"))
    last = MergeDiversity(str(tmp_path / "states"), str(tmp_path))
    LocalPipelineExecutor([last], depends=first, logging_dir=str(tmp_path / "logs2")).run()
    written = [json.loads(line) for f in (tmp_path / "out").iterdir() for line in f.read_text().splitlines()]
    wanted = {d.id: d for d in DetectSynthetic().run(iter(d for d in documents() if d.text))}
    assert {d["id"]: d["metadata"]["p_synthetic"] for d in written} == {
        id: d.metadata["p_synthetic"] for id, d in wanted.items()
    }
    assert json.loads((tmp_path / "diversity.json").read_text())["documents"]["value"] == len(written) > 100


@pytest.mark.parametrize(
    ("build", "error"),
    [
        (lambda: DetectSynthetic(fpr=2), "fpr"),
        (lambda: DetectSynthetic(model="no/such.npz"), "no/such.npz"),
        (lambda: DetectSynthetic(reference="no/such.profile"), "no/such.profile"),
        (lambda: DetectSynthetic(batch_mb=0), "batch_mb"),
        (lambda: DetectSynthetic(text=""), "text must be the name of a column"),
        (lambda: DetectSynthetic(source=3), "source must be the name of a column, not 3"),
        (lambda: DetectSynthetic(label_words=0), "label_words must be at least 1"),
        (lambda: MeasureDiversity("unwritten", text=""), "text must be the name of a column"),
        (lambda: DetectSynthetic(exclusion_writer=JsonlWriter("unwritten")), "exclude=True"),
        (lambda: MeasureDiversity("unwritten", ruler="no/such.zip"), "no/such.zip"),
        (lambda: curate_executors({"inputs": [{"path": "no/such"}], "output": "o"}, logging_dir="l"), "no/such"),
        (lambda: curate_executors({"inputs": [{"path": "x"}]}, logging_dir="logs"), "no output"),
        (lambda: curate_executors({"output": "o"}, logging_dir="logs"), "there is no input"),
        (lambda: curate_executors({}, logging_dir="logs", tasks=0), "tasks must be at least 1"),
    ],
)
def test_what_cannot_work_is_told_at_construction(build, error, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((ValueError, OSError), match=error):
        build()


# names that no other test uses: fsspec keeps a relative folder as it was resolved first
@pytest.mark.parametrize(
    "step", [DetectSynthetic(), MeasureDiversity("states"), MergeDiversity("states", "merged"), ArrowWriter("arrow")]
)
def test_steps_are_pickled_small(step):
    data = pickle.dumps(step)
    assert len(data) < 4000
    assert str(pickle.loads(data)) == str(step)


class Breaks(PipelineStep):
    """Passes documents on and says in a file that its rank ran; rank 1 fails the first time."""

    def __init__(self, folder):
        super().__init__()
        self.folder = folder

    def run(self, data, rank=0, world_size=1):
        yield from data
        name = self.folder / f"rank-{rank}"
        before = name.exists()
        with name.open("a") as file:
            file.write(".")
        if rank == 1 and not before:
            raise RuntimeError("rank 1 fails once")


@pytest.mark.parametrize("kind", ["documents", "batches"])
def test_ranks_that_are_done_are_not_run_again_and_nothing_is_lost(kind, tmp_path):
    (tmp_path / "in").mkdir()
    given = [document for document in documents() if document.text]
    for part in range(3):
        lines = [json.dumps({"text": d.text, "id": d.id}) for d in given[part::3]]
        (tmp_path / "in" / f"{part}.jsonl").write_text("\n".join(lines))
    source = str(tmp_path / "in")
    reader = JsonlReader(source) if kind == "documents" else ArrowReader(source)

    def run():
        states, writer = MeasureDiversity(str(tmp_path / "states")), ArrowWriter(str(tmp_path / "out"), format="jsonl")
        steps = [reader, DetectSynthetic(), states, Breaks(tmp_path), writer]
        LocalPipelineExecutor(steps, tasks=3, workers=1, logging_dir=str(tmp_path / "logs")).run()

    with pytest.raises(RuntimeError, match="fails once"):
        run()
    run()
    run()
    assert [(tmp_path / f"rank-{rank}").read_text() for rank in range(3)] == [".", "..", "."]
    list(MergeDiversity(str(tmp_path / "states"), str(tmp_path)).run())
    assert json.loads((tmp_path / "diversity.json").read_text())["documents"]["value"] == len(given)
    written = [json.loads(line)["id"] for f in (tmp_path / "out").iterdir() for line in f.read_text().splitlines()]
    assert sorted(written) == sorted(document.id for document in given)


def test_results_are_stored_without_pickle():
    value = {"a": (1, None, [2.5, float("inf")]), 3: np.arange(4, dtype=np.uint64), "t": table(), "n": empty_anchors()}
    again = loads(dumps(value))
    assert again["a"] == value["a"] and again["t"].equals(value["t"])
    assert type(again["n"]) is type(value["n"])
    assert again[3].dtype == np.uint64 and again[3].tolist() == [0, 1, 2, 3]
    with pytest.raises(TypeError, match="pathlib"):
        dumps([PurePath("x")])
    with pytest.raises(TypeError, match="object"):
        dumps(np.array([object()]))
    with pytest.raises(ValueError, match="delete the file"):
        loads(b"nothing")
    forged = dumps({"x": empty_anchors()}).replace(b"curation.synthetic.histogram", b"curation.synthetic.detector_")
    with pytest.raises((ValueError, ImportError)):
        loads(forged)
