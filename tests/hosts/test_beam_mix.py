"""Mix and Select in a pipeline give what mixing and sampling in memory give, whatever the batching."""

from pathlib import Path

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.transforms.window import FixedWindows, TimestampedValue

from curation import beam as curation_beam
from curation import curate
from curation.annotate import Settings, annotate
from curation.config import load
from curation.jobs import build_reference, stages
from curation.mixing import mix, sampling
from curation.mixing.features import FEATURES
from hosts.world import KEPT, keep, table, write


def decided(seed: int = 3) -> pa.Table:
    """The table with what the stages before Mix add."""
    rng = np.random.default_rng(seed)
    n = table().num_rows
    reason = np.where(rng.random(n) < 0.1, "near_duplicate", None).tolist()
    p = pa.array(rng.random(n), pa.float32(), mask=rng.random(n) < 0.2)
    found = table().append_column("filter_reason", pa.array(reason, pa.string()))
    return found.append_column("p_synthetic", p).append_column("cluster_size", pa.array(rng.integers(1, 4, n)))


def cut(found: pa.Table, size: int) -> list[pa.RecordBatch]:
    return found.combine_chunks().to_batches(max_chunksize=size)


def through(transform: beam.PTransform, found: pa.Table, size: int) -> pa.Table:
    """The table that comes out, in the order of the rows that went in (their batches by `n`)."""
    KEPT["mix"] = []
    with beam.Pipeline(runner="FnApiRunner") as p:
        given = p | beam.Create(cut(found, size), reshuffle=False)
        _ = given | transform | "Keep" >> beam.Map(keep, "mix")
    first = {repr(batch.to_pydict()["n"]): i for i, batch in enumerate(cut(found, size))}
    return pa.Table.from_batches(sorted(KEPT["mix"], key=lambda batch: first[repr(batch.to_pydict()["n"])]))


def in_memory(found: pa.Table, profile, source: str | None = None, columns=None, **settings) -> tuple[np.ndarray, dict]:
    [batch] = cut(found, 1000)
    read = Settings(id="id", source=source, columns=tuple((columns or {}).items()))
    signals = annotate(batch, np.arange(batch.num_rows), "default", read).signals
    size = np.where(batch.column("filter_reason").is_null(), batch.column("cluster_size"), 0).astype(np.int64)
    settings["columns"] = tuple(columns or ())
    weights, report = mix([signals], profile, p=[batch.column("p_synthetic")], cluster_size=[size], **settings)
    return weights[0], report


@pytest.fixture(scope="module")
def reference(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("reference")
    path = str(folder / "docs.profile")
    config = load(None, {"inputs": [{"path": write(folder / "in", 1), "trust": "human"}], "mix": {"columns": {"n": 1}}})
    build_reference(config, path, quiet=True)
    return path


@pytest.mark.parametrize("size", [17, 1000])
def test_a_balanced_mix_equals_that_in_memory_for_any_batching(reference: str, size: int) -> None:
    settings = {"kappa": 2.0, "gamma": 0.5, "reservoir": 100, "columns": {"n": 1}}
    expected, report = in_memory(decided(), stages.load_profile(reference), **settings)
    assert report["status"] in ("converged", "unreachable")
    assert len(np.unique(expected)) > 50
    assert len(report["tolerance"]["features"]) == FEATURES + 2
    found = through(curation_beam.Mix(reference=reference, id="id", **settings), decided(), size)
    assert np.array_equal(found.column("weight"), expected)
    assert found.drop_columns("weight").equals(decided())


@pytest.mark.parametrize("mode", ["soft", "cluster", "none"])
def test_weights_without_a_reference_equal_those_in_memory(mode: str) -> None:
    settings = {"mode": mode, "gamma": 0.7, "multipliers": {"human": 3.0}}
    expected, _ = in_memory(decided(), None, source="trust", **settings)
    found = through(curation_beam.Mix(id="id", source="trust", **settings), decided(), 40)
    assert np.array_equal(found.column("weight"), expected)


def test_the_report_is_that_of_the_mix_in_memory(reference: str) -> None:
    KEPT["report"] = []
    transform = curation_beam.Mix(reference=reference, id="id", passes=1, with_report=True)
    with beam.Pipeline(runner="FnApiRunner") as p:
        _, report = p | beam.Create(cut(decided(), 50)) | transform
        _ = report | beam.Map(keep, "report")
    assert KEPT["report"] == [in_memory(decided(), stages.load_profile(reference), passes=1)[1]]


def test_the_stage_that_is_missing_is_named() -> None:
    with pytest.raises(Exception, match="apply DetectSynthetic before Mix"):
        through(curation_beam.Mix(mode="soft"), table(), 1000)
    with pytest.raises(Exception, match="apply Deduplicate before Mix"):
        through(curation_beam.Mix(mode="cluster", gamma=0.5), table(), 1000)


def test_a_column_that_the_reference_does_not_know_is_named_at_construction(reference: str) -> None:
    with pytest.raises(ValueError, match="docs.profile: it was built without mix.columns 'quality'; build the ref"):
        curation_beam.Mix(reference=reference, columns={"quality": 1})
    with pytest.raises(ValueError, match="in mode balance only, not in soft"):
        curation_beam.Mix(mode="soft", columns={"quality": 1})


def test_nothing_and_empty_batches_pass() -> None:
    mixed, selected = curation_beam.Mix(mode="cluster"), curation_beam.Select(rate=0.5)
    for given in ([], [cut(table(), 1000)[0].slice(0, 0)]):
        KEPT["mix"] = []
        with beam.Pipeline(runner="FnApiRunner") as p:
            _ = p | beam.Create(given) | mixed | selected | "Keep" >> beam.Map(keep, "mix")
        assert [batch.num_rows for batch in KEPT["mix"]] == [0] * len(given)


def weighed(seed: int = 5) -> pa.Table:
    rng = np.random.default_rng(seed)
    n = table().num_rows
    found = decided().append_column("weight", pa.array(np.rint(rng.exponential(1, n) * 2**16) / 2**16))
    return found.append_column("size", pa.array(rng.integers(1, 900, n), pa.int64()))


@pytest.mark.parametrize("size", [23, 1000])
@pytest.mark.parametrize("budget", [{"tokens": 35000}, {"documents": 80}, {"rate": 0.8}])
def test_select_equals_the_search_in_memory(budget: dict, size: int) -> None:
    given = weighed()
    kept = np.asarray(given.column("filter_reason").is_null())
    weights = np.where(kept, np.asarray(given.column("weight")), 0.0)
    u = sampling.uniforms(given.column("id").combine_chunks(), 4)
    units = np.asarray(given.column("size")) if "tokens" in budget else np.ones(len(u), np.int64)
    search = sampling.begin(round(0.8 * kept.sum()) if "rate" in budget else next(iter(budget.values())))
    while search.grid:
        search = sampling.narrow(search, sampling.grid_sums(weights, u, units, search.grid, 3))
    copies = sampling.copies(weights, u, search.low, 3)
    transform = curation_beam.Select(**budget, max_repeats=3, id="id", tokens_column="size", seed=4)
    found = through(transform, given, size)
    assert found.column("copies").to_pylist() == copies.tolist()
    assert (copies > 1).any()
    assert np.array_equal(found.column("weight"), sampling.select_weights(weights, search.low, 3))
    before = given.column("filter_reason").to_pylist()
    reasons = [r or (None if c else "not_selected") for r, c in zip(before, copies.tolist(), strict=True)]
    assert found.column("filter_reason").to_pylist() == reasons
    assert 0.9 * search.budget <= (copies * units).sum() <= search.budget


def test_select_decides_what_the_job_decides(tmp_path: Path) -> None:
    inputs = [{"path": write(tmp_path / "in", 2)}]
    select = {"tokens": 4000, "max_repeats": 2}
    curate(
        inputs=inputs, output=str(tmp_path / "out"), columns={"id": "id"}, select=select, detect={"enabled": False},
        measure={"enabled": False}, mix={"mode": "none"}, quiet=True,
    )  # fmt: skip
    job = [row for folder in ("kept", "excluded") for row in rows_of(tmp_path / "out" / folder)]
    assert {row["filter_reason"] for row in job} > {None, "not_selected"}
    reasons = [None if row["filter_reason"] == "not_selected" else row["filter_reason"] for row in job]
    given = pa.table({name: [row[name] for row in job] for name in ("id", "text", "n")} | {"filter_reason": reasons})
    found = through(curation_beam.Select(**select, id="id"), given, 30)
    for name in ("copies", "filter_reason"):
        assert found.column(name).to_pylist() == [row[name] for row in job]


def rows_of(folder: Path) -> list[dict]:
    return [row for path in sorted(folder.rglob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def test_words_are_counted_and_ids_hashed_where_no_column_has_them() -> None:
    found = through(curation_beam.Select(tokens=3000), table(), 1000)
    counts = np.array([len(str(text or "").split()) for text in table().column("text").to_pylist()])
    total = (np.asarray(found.column("copies")) * counts).sum()
    assert 2000 < total < 4000
    by_text = {}
    for row in found.to_pylist():
        assert by_text.setdefault(row["text"], row["copies"]) == row["copies"]


def test_every_window_has_its_own_mix_and_budget() -> None:
    KEPT["mix"] = []
    parts = cut(decided(), 70)
    with beam.Pipeline(runner="FnApiRunner") as p:
        given = p | beam.Create(list(enumerate(parts)), reshuffle=False)
        timed = given | "Times" >> beam.Map(lambda pair: TimestampedValue(pair[1], 60 * pair[0]))
        windows = timed | beam.WindowInto(FixedWindows(60))
        mixed = windows | curation_beam.Mix(mode="soft", id="id") | curation_beam.Select(documents=20, id="id")
        _ = mixed | "Keep" >> beam.Map(keep, "mix")
    assert len(KEPT["mix"]) == 2
    for batch in KEPT["mix"]:
        assert 15 <= np.asarray(batch.column("copies")).sum() <= 20
