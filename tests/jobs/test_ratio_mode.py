"""Ratio mode in a job: the fit before annotate, its column, its weights, and when it is done again."""

from pathlib import Path

import corpus
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation import curate, jobs, synthetic
from curation.config import ConfigError, load
from curation.text import tokenise


@pytest.fixture(scope="module")
def profile(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reference")
    rows = [{"id": f"r{i}", "text": t, "date": None, "n": i} for i, t in enumerate(corpus.human()[260:])]
    target = str(folder / "reference.profile")
    config = load(None, {"inputs": [{"path": corpus.write(folder / "in", rows, 3)}]})
    assert jobs.build_reference(config, target, quiet=True) == 0
    return target


def run(folder, shards=2, rows=None, **changes):
    path = str(folder / f"in{shards}" / "*.parquet")
    if rows is not None or not (folder / f"in{shards}").exists():
        path = corpus.write(folder / f"in{shards}", rows or corpus.documents(), shards)
    values = {"inputs": [{"path": path}], "output": str(folder / "out"), "mix": {"mode": "ratio"}, **changes}
    return curate(**values)


def signals(folder):
    table = pa.concat_tables(pq.read_table(f) for f in sorted(Path(folder, "out", "signals").rglob("*.parquet")))
    return table.sort_by("id")


def test_the_column_is_what_the_core_says_and_weights_follow_it(tmp_path, profile):
    report = run(tmp_path, reference=profile)
    table = signals(tmp_path)
    rows = {row["id"]: row["text"] for row in corpus.documents()}
    reference = tokenise(pa.array(corpus.human()[260:]))
    crawl = tokenise(pa.array([rows[name] for name in table["id"].to_pylist()]))
    names = pa.array([f"r{i}" for i in range(len(reference.offsets) - 1)])
    _, expected = synthetic.ratio_scores(
        reference, crawl, names, table["id"].combine_chunks(), detector=synthetic.load_model()
    )
    found = table["ratio_logit"].to_numpy()
    np.testing.assert_array_equal(found, expected)
    machine = np.array([rows[name] in set(corpus.llm()) for name in table["id"].to_pylist()])
    known = np.isfinite(found)
    assert np.median(found[machine & known]) < -1 < np.median(found[~machine & known])
    mixing = report["mixing"]
    assert mixing["mode"] == "ratio"
    assert mixing["coverage"] is not None
    assert mixing["worst_features"]


def test_neither_sharding_nor_a_second_run_changes_anything(tmp_path, profile):
    run(tmp_path / "a", shards=1, reference=profile)
    run(tmp_path / "b", shards=5, reference=profile)
    one, five = signals(tmp_path / "a"), signals(tmp_path / "b")
    assert one["ratio_logit"].equals(five["ratio_logit"])
    model = tmp_path / "a" / "out" / "decisions" / "ratio.model"
    before, annotated = model.stat().st_mtime_ns, list((tmp_path / "a/out/signals").rglob("*.parquet"))
    times = [f.stat().st_mtime_ns for f in annotated]
    run(tmp_path / "a", shards=1, reference=profile)
    assert model.stat().st_mtime_ns == before
    assert [f.stat().st_mtime_ns for f in annotated] == times
    # another document in the crawl, another fit
    rows = [*corpus.documents(), {"id": "new", "text": corpus.human()[3] + " More.", "date": None, "n": 999}]
    run(tmp_path / "a", shards=1, rows=rows, reference=profile)
    assert model.stat().st_mtime_ns > before
    # a damaged model is made again
    model.write_bytes(model.read_bytes()[:1000])
    run(tmp_path / "a", shards=1, rows=rows, reference=profile)
    assert model.stat().st_size > 10_000


def test_trusted_inputs_are_the_reference_without_a_profile(tmp_path):
    rows = [{"id": f"h{i}", "text": t, "date": None, "n": i} for i, t in enumerate(corpus.human()[260:])]
    trusted = {"path": corpus.write(tmp_path / "human", rows, 2), "source": "human", "trust": "human"}
    crawl = {"path": corpus.write(tmp_path / "crawl", corpus.documents(), 2), "source": "crawl"}
    values = {"output": str(tmp_path / "out"), "mix": {"mode": "ratio"}}
    with pytest.raises(ConfigError, match="ratio compares the crawl with trusted text"):
        curate(inputs=[crawl], **values)
    curate(inputs=[trusted, crawl], **values)
    found = signals(tmp_path)
    logit, human = found["ratio_logit"].to_numpy(), np.array(found["source"].to_pylist()) == "human"
    assert np.nanmean(logit[human]) > np.nanmean(logit[~human]) + 0.5
    kept = pa.concat_tables(pq.read_table(f) for f in sorted((tmp_path / "out" / "kept").rglob("*.parquet")))
    score = dict(zip(found["id"].to_pylist(), logit.tolist(), strict=True))
    weights = zip(kept["id"].to_pylist(), kept["weight"].to_pylist(), strict=True)
    usual = [np.log(w) - score[i] for i, w in weights if -3 < score[i] < 3]
    assert np.std(usual) < 0.01


def test_too_little_text_says_how_much_is_needed(tmp_path, profile):
    with pytest.raises(ConfigError, match=r"mix.mode ratio: .*100 documents or more of the crawl"):
        run(tmp_path, rows=corpus.documents()[:30], reference=profile)


def test_a_profile_without_a_sample_is_refused(tmp_path, profile):
    from curation.diversity import reference

    old = reference.load(Path(profile).read_bytes())._replace(ratio={})
    (tmp_path / "old.profile").write_bytes(reference.save(old))
    with pytest.raises(ConfigError, match="holds no sample of its documents; build the reference again"):
        run(tmp_path, reference=str(tmp_path / "old.profile"))
