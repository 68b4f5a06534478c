"""Mixes through the public job: what is promised is printed and holds, what is required and missed ends with 1."""

import json
import shutil
from pathlib import Path

import corpus
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from curation import curate, jobs
from curation.cli import app
from curation.config import ConfigError, load
from curation.diversity.reference import ProfileError


def build(folder, texts):
    rows = [{"id": f"r{i}", "text": text, "date": None, "n": i} for i, text in enumerate(texts)]
    target = str(folder / "reference.profile")
    config = load(None, {"inputs": [{"path": corpus.write(folder / "reference", rows, 1)}]})
    assert jobs.build_reference(config, target, quiet=True) == 0
    return target


@pytest.fixture(scope="module")
def profile(tmp_path_factory):
    return build(tmp_path_factory.mktemp("reference"), corpus.human()[260:])


@pytest.fixture(scope="module")
def finished(tmp_path_factory, profile):
    """A finished run, to mix again."""
    folder = tmp_path_factory.mktemp("mix")
    people, machines = corpus.human()[:180], corpus.llm()[:140]
    rows = [{"id": f"d{i}", "text": t, "date": None, "n": i} for i, t in enumerate(people + machines)]
    table = pa.Table.from_pylist(rows, schema=corpus.SCHEMA)
    table = table.append_column("who", pa.array(["person"] * len(people) + ["machine"] * len(machines)))
    table = table.append_column("size", pa.array([len(row["text"]) // 4 for row in rows]))
    (folder / "in").mkdir()
    for i in range(2):
        pq.write_table(table.slice(i * 160, 160), folder / "in" / f"{i}.parquet")
    config = {"inputs": [{"path": str(folder / "in" / "*.parquet"), "source": "web"}], "output": str(folder / "out")}
    report = curate(**config, reference=profile, columns={"group": "who", "tokens": "size"})
    return folder / "out", report


@pytest.fixture
def output(finished, tmp_path):
    """A copy of it: `mix` keeps what an earlier one was given."""
    return Path(shutil.copytree(finished[0], tmp_path / "out"))


def kept(output):
    return pa.concat_tables(pq.read_table(f) for f in sorted(Path(output, "kept").rglob("*.parquet")))


def mix(output, *sets):
    arguments = ["mix", "-o", str(output), *(part for item in sets for part in ("-s", item))]
    result = CliRunner().invoke(app, arguments)
    report = json.loads((Path(output) / "report" / "report.json").read_text())
    return result, report


def plain(report):
    """No number of a report is NaN or infinite."""
    return json.loads(json.dumps(report, allow_nan=False))


def test_everything_that_is_promised_is_printed_and_holds(finished):
    output, report = finished
    mixing = plain(report)["mixing"]
    assert mixing["status"] != "unchanged"
    assert (mixing["status"] != "converged") == bool(mixing["unreachable"])
    assert mixing["features"] > 300
    assert len(mixing["worst_features"]) == 10
    worst, lost = mixing["worst_features"][0], {f["name"] for f in mixing["unreachable"]}
    for feature in mixing["worst_features"]:
        off = abs(feature["attained"] - feature["target"]) / feature["tolerance"]
        assert off == pytest.approx(abs(feature["after"]) / mixing["tolerance"]["used"])
        assert off <= 3 or feature["name"] in lost
    assert abs(worst["after"]) == pytest.approx(mixing["tolerance"]["largest imbalance"])
    assert mixing["tolerance"]["largest imbalance before"] > mixing["tolerance"]["largest imbalance"]
    assert set(mixing["ess"]["by_group"]) == {"person", "machine"}
    assert mixing["retention_by_group"]["person"] > 1 > mixing["retention_by_group"]["machine"]
    assert mixing["retention"] == {"web": pytest.approx(1.0)}
    assert set(mixing["retention_by_language"]) <= {"en", "other", "und"}
    assert sum(cell["crawl"] for cell in mixing["cells"]) == pytest.approx(1)
    for table in ("balanced", "held_out"):
        assert "before" in report["variance"][table] and "after" in report["variance"][table]
    weights = kept(output)["weight"].to_numpy()
    assert weights.mean() == pytest.approx(1, abs=1e-6)
    assert weights.min() >= 0
    if mixing["coverage"] == 1:
        assert weights.max() <= mixing["weights"]["cap"] * (1 + 1e-9)
    assert mixing["ess"]["documents"] == pytest.approx(weights.sum() ** 2 / (weights**2).sum() / len(weights), rel=1e-3)


def test_a_second_score_is_printed_before_and_after_beside_that_of_human_text(finished):
    output, report = finished
    second = report["synthetic"]["second_score"]
    assert 0.03 < second["human"]["above"] <= 0.05
    assert second["before"]["mean"] > second["after"]["mean"] > second["human"]["mean"] - 1
    assert second["before"]["above"] > second["after"]["above"]
    assert "A second score, of n-gram buckets of its own" in (output / "report" / "report.html").read_text()


def test_text_labelled_synthetic_leaves_at_the_rate_of_false_positives_that_was_asked_for(tmp_path):
    people, machines = corpus.human()[:100], corpus.llm()[:120]
    anchors = build(tmp_path, corpus.human()[100:])  # a hundred of them are prose
    shares = {}
    for fpr in (0.1, 0.3):
        detect, folder = {"exclude": True, "fpr": fpr, "label_words": 50}, tmp_path / str(fpr)
        report = run(folder, people + machines, reference=anchors, detect=detect, dedup={"enabled": False})
        gone = pa.concat_tables(pq.read_table(f) for f in sorted((folder / "out" / "excluded").rglob("*.parquet")))
        stays = kept(folder / "out")
        assert set(gone["filter_reason"].to_pylist()) == set(gone["synthetic_label"].to_pylist()) == {"synthetic"}
        assert "synthetic" not in stays["synthetic_label"].to_pylist()
        assert report["documents"]["by_reason"] == {"synthetic": len(gone)}
        assert len(gone) + len(stays) == len(people) + len(machines)
        assert stays["weight"].to_numpy().mean() == pytest.approx(1, abs=1e-6)
        taken = set(gone["text"].to_pylist())
        shares[fpr] = [sum(text in taken for text in texts) / len(texts) for texts in (people, machines)]
    # of human text no more leaves than was allowed, with the sampling error of a hundred anchors
    assert shares[0.1][0] <= 0.1 + 0.08
    assert shares[0.3][0] <= 0.3 + 0.12
    assert shares[0.3][1] > max(0.2, shares[0.3][0], shares[0.1][1])


@pytest.mark.parametrize(
    ("key", "named"),
    [
        ("require.ess=0.999", "require.ess"),
        ("require.ess_group=0.9999", "require.ess_group"),
        ("require.tolerance=0.0001", "require.tolerance"),
        ("require.group={machine: 0.99}", "require.group.machine"),
        ("require.source={nowhere: 0.1}", "require.source.nowhere"),
        ("require.language={en: 5}", "require.language.en"),
    ],
)
def test_what_is_required_and_missed_ends_with_one_and_is_named(output, key, named):
    result, report = mix(output, key)
    assert result.exit_code == 1
    assert f"MISSED: {named}" in result.stderr
    assert [item["met"] for item in report["mixing"]["constraints"]] == [False]
    assert "Required and missed" in (output / "report" / "report.html").read_text()


def test_a_least_effective_share_is_reached_by_a_wider_tolerance(output):
    _, before = mix(output)
    least = round(before["mixing"]["ess"]["documents"] + 0.1, 2)
    result, report = mix(output, f"mix.min_ess={least}", f"require.ess={least - 0.02}")
    assert result.exit_code == 0
    found = report["mixing"]["tolerance"]
    assert found["used"] > found["asked"] == before["mixing"]["tolerance"]["used"]


def test_what_is_required_and_reached_ends_well(output):
    result, report = mix(
        output, "require={ess: 0.05, tolerance: 40, coverage: 0.01, group: {person: 0.5}, source: {web: 0.9}}"
    )
    assert result.exit_code == 0, result.stderr
    assert [item["met"] for item in report["mixing"]["constraints"]] == [True] * 5


def test_a_requirement_that_nothing_can_tell_is_missed(output):
    result, _ = mix(output, "mix.mode=none", "require.tolerance=2")
    assert result.exit_code == 1
    assert "reached: nothing" in result.stderr


def test_budgets_in_tokens_of_the_users_column_in_documents_and_as_a_rate(output):
    total = sum(kept(output)["size"].to_pylist())
    result, report = mix(output, f"select.tokens={total // 2}")
    table = kept(output)
    selected = int((table["size"].to_numpy() * table["copies"].to_numpy()).sum())
    assert result.exit_code == 0
    assert 0.97 * (total // 2) <= selected <= total // 2
    assert report["mixing"]["budget"]["selected_tokens"] == selected
    assert report["mixing"]["weights"]["cap"] == 3.0
    result, report = mix(output, "select.documents=90")
    assert result.exit_code == 0
    assert report["mixing"]["weights"]["cap"] == pytest.approx(320 / 90, rel=0.05)  # a few left as duplicates
    assert 88 <= int(kept(output)["copies"].to_numpy().sum()) <= 90
    result, report = mix(output, "select.rate=0.25")
    assert 78 <= report["documents"]["kept"] <= 80
    assert report["mixing"]["weights"]["cap"] == pytest.approx(4.0)  # what a quarter can express
    table = kept(output)
    # copies times weight has the expectation of the weight
    assert (table["copies"].to_numpy() * table["weight"].to_numpy()).sum() == pytest.approx(320, rel=0.2)


def test_a_budget_beyond_the_repeats_fails_unless_it_may(output):
    result, report = mix(output, "select.documents=5000", "select.max_repeats=2")
    assert result.exit_code == 1
    assert "MISSED: require.budget asks for 5,000" in result.stderr
    assert kept(output)["copies"].to_numpy().max() == 2
    assert report["mixing"]["budget"]["warnings"]
    result, _ = mix(output, "select.documents=5000", "select.max_repeats=2", "require.budget=false")
    assert result.exit_code == 0
    result, report = mix(output, "select.documents=400", "select.max_repeats=20")
    assert result.exit_code == 0
    assert report["mixing"]["budget"]["repeated"] > 0


def test_weights_alone_leave_every_document_once(output):
    result, _ = mix(output)
    assert result.exit_code == 0
    assert set(kept(output)["copies"].to_pylist()) == {1}


def run(folder, texts, **changes):
    rows = [{"id": f"d{i}", "text": t, "date": None, "n": i} for i, t in enumerate(texts)]
    path = corpus.write(folder / "in", rows, 2)
    return plain(curate(**{"inputs": [{"path": path}], "output": str(folder / "out"), **changes}))


def test_a_tiny_reference_gives_finite_weights(tmp_path):
    tiny = build(tmp_path, corpus.human()[300:312])
    report = run(tmp_path, corpus.human()[:80] + corpus.llm()[:80], reference=tiny)
    weights = kept(tmp_path / "out")["weight"].to_numpy()
    assert np.isfinite(weights).all() and weights.min() >= 0
    assert report["mixing"]["coverage"] is not None


def test_an_empty_reference_is_refused_with_the_way_out(tmp_path):
    with pytest.raises(ProfileError, match="give it more documents"):
        build(tmp_path, ["", "x"])


def test_a_reference_equal_to_the_crawl_changes_next_to_nothing(tmp_path):
    texts = corpus.human()[:240]
    report = run(tmp_path, texts, reference=build(tmp_path, texts), dedup={"enabled": False})
    assert report["mixing"]["ess"]["documents"] > 0.9


def test_a_crawl_without_a_score_is_balanced_by_its_features(tmp_path, profile):
    report = run(tmp_path, corpus.human()[:120] + corpus.llm()[:100], reference=profile, detect={"enabled": False})
    assert report["mixing"]["status"] in ("converged", "unreachable", "hopeless")
    assert report["mixing"]["features"] > 300
    assert np.isfinite(kept(tmp_path / "out")["weight"].to_numpy()).all()
    short = run(tmp_path / "short", ["a few words only, " + str(i) for i in range(60)], reference=profile)
    assert short["mixing"]["coverage"] == 0
    assert set(np.round(kept(tmp_path / "short" / "out")["weight"].to_numpy(), 6)) == {1.0}


def test_features_without_variance_take_no_part(tmp_path):
    text = "The quick brown fox jumps over the lazy dog near the old river bank. " * 9
    same = [text + str(i) for i in range(10, 100)]  # of as many digits, which is all that is read of a number
    report = run(tmp_path, same, reference=build(tmp_path, same[:60]), dedup={"enabled": False})
    assert np.isfinite(kept(tmp_path / "out")["weight"].to_numpy()).all()
    assert report["mixing"]["ess"]["documents"] > 0.9


def test_a_source_that_is_all_synthetic_keeps_its_documents(tmp_path, profile):
    rows = [{"id": f"d{i}", "text": t, "date": None, "n": i} for i, t in enumerate(corpus.human()[:150])]
    people = corpus.write(tmp_path / "people", rows, 1)
    rows = [{"id": f"m{i}", "text": t, "date": None, "n": i} for i, t in enumerate(corpus.llm()[:120])]
    machines = corpus.write(tmp_path / "machines", rows, 1)
    report = plain(
        curate(
            inputs=[
                {"path": people, "source": "people"},
                {"path": machines, "source": "machines", "trust": "synthetic"},
            ],
            output=str(tmp_path / "out"),
            reference=profile,
        )
    )
    retention = report["mixing"]["retention"]
    assert 0 < retention["machines"] < 1 < retention["people"]
    table = kept(tmp_path / "out")
    assert table.num_rows == 270 - report["documents"]["excluded"]
    assert table["weight"].to_numpy().min() >= 0


def test_targets_out_of_reach_keep_the_base_weights_and_say_so(tmp_path, profile):
    report = run(tmp_path, corpus.llm()[:120], reference=profile, mix={"gate": False, "slack": 0.01})
    mixing = report["mixing"]
    assert mixing["status"] in ("converged", "unreachable", "hopeless")
    if mixing["status"] != "converged":
        assert mixing["unreachable"] and mixing["warnings"]
    assert kept(tmp_path / "out")["weight"].to_numpy().min() >= 0


def test_a_share_that_cannot_be_required_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="require.ess"):
        load(None, {"require": {"ess": 2}})
    with pytest.raises(ConfigError, match="least weight of 'a'"):
        load(None, {"require": {"group": {"a": -1}}})
