"""`curation measure`: what it says of bad shards, its table and files, and two corpora side by side."""

import itertools
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from corpus import human
from typer.testing import CliRunner

from curation.cli import app
from curation.config import load
from curation.diversity import STATISTICS
from curation.jobs import comparison, curate
from curation.jobs.tables import text as table_text
from curation.jobs.tables import variance_text
from curation.report import standalone_drawings
from curation.report.findings import findings
from curation.report.look import to_look_at

THINGS = [
    "tables", "rivers", "engines", "novels", "gardens", "bridges", "recipes", "planets", "markets", "poems", "forests",
    "schools",
]  # fmt: skip


def templated(i):
    a, b = THINGS[i % 12], THINGS[(i * 7 + 3) % 12]
    return (
        f"In this article, we will explore {a} and why they matter. When it comes to {a}, it is vital to know "
        f"the role of {b} in the history of {a}. One of the best things about {a} is how they connect with {b}. "
        f"In conclusion, {a} are a part of our lives, and they will continue to shape the future of {b} for {i}."
    )


def boilerplate(i):
    lines = ["Home | About | Log in", "Accept all cookies", "Privacy policy", f"Share ({i})", "Back to top"]
    return "\n".join(lines * 2 + [f"Page {i} of 400 | Next", "Copyright 2019 All rights reserved", "Sign up", "Menu"])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("measure")
    prose = human()
    shards = {f"good-{k}": [prose[(i * 5 + k) % len(prose)] for i in range(360)] for k in range(5)}
    shards["templated"] = [templated(i) for i in range(360)]
    shards["boilerplate"] = [boilerplate(i) for i in range(360)]
    shards["danish"] = [f"Det er ikke nogen god dag for {w} og de andre, som vi så i {i}. Han var her, men hun er ude."
                        for i, w in enumerate(THINGS * 30)]  # fmt: skip
    shards["few"] = prose[:20]
    for name, texts in shards.items():
        rows = {"text": texts, "thread": [f"t{i // 4}" for i in range(len(texts))]}
        pq.write_table(pa.table(rows), folder / f"{name}.parquet")
    report = curate(
        inputs=str(folder / "*.parquet"), output=str(folder / "out"), reference="default", dedup={"enabled": False},
        detect={"enabled": False}, mix={"mode": "none"}, columns={"thread": "thread"},
    )  # fmt: skip
    return folder, report


def test_what_is_wrong_with_a_shard_is_said_in_words(run):
    _, report = run
    looks = to_look_at(report)
    says = {look.shard.removeprefix("default/").removesuffix(".parquet"): " ".join(look.says) for look in looks}
    # twelve topics make most runs of words common to many of its documents: more than sharing frames
    assert "over and over" in says["templated"]
    assert "boilerplate" in says["boilerplate"] and "not English" in says["danish"]
    driving = report["diversity"]["driving"]["default/templated.parquet"]
    assert any("in conclusion" in row["text"] for row in driving["openers"])


def test_a_shard_that_is_too_small_says_so(run):
    _, report = run
    before = report["diversity"]["before"]
    assert "350" in before["shard_reasons"]["default/few.parquet"]
    assert before["shards"]["default/few.parquet"]["entropy"] is None
    assert before["shards"]["default/good-1.parquet"]["thread_disagreement"] is not None


def test_the_table_and_the_file_agree_with_the_report(run):
    folder, report = run
    printed = table_text(report["diversity"])
    lines = printed.splitlines()
    assert lines[1].startswith("* default/") and "good" not in lines[1]
    assert "a comparison takes 350" in printed
    rows = pq.read_table(folder / "out/report/statistics.parquet").to_pylist()
    shards = report["diversity"]["before"]["shards"]
    mine = [r for r in rows if (r["side"], r["level"], r["statistic"]) == ("before", "shard", "entropy")]
    assert {r["name"]: r["value"] for r in mine} == {name: values["entropy"] for name, values in shards.items()}
    assert all((r["value"] is None) == (r["reason"] is not None) for r in rows)
    drawn = standalone_drawings(report)
    assert {"space", "ranks", "shards", "statistics"} <= set(drawn)
    assert all("var(--" not in svg and 'xmlns="http' in svg for svg in drawn.values())


def test_the_default_reference_is_named_as_a_general_one(run):
    folder, report = run
    assert "general" in report["diversity"]["reference_name"]
    assert "general-purpose reference" in (folder / "out/report/report.html").read_text("utf-8")
    assert load(None, {"reference": "default"}).reference == "default"


def test_two_corpora_side_by_side(run):
    folder, _ = run
    a, b = (comparison.state_of(str(folder / name)) for name in ("good-*.parquet", "templated.parquet"))
    rows = {row.statistic: row for row in comparison.compare(a, b)}
    assert rows["skeleton_templates"].difference > 0.5 and rows["novelty"].a == 1.0
    assert rows["entropy"].beyond_noise is None and "700 documents" in rows["entropy"].reason
    same = comparison.compare(a, a)
    assert not any(row.beyond_noise for row in same)
    done = CliRunner().invoke(app, ["measure", "--compare", str(folder / "out"), str(folder / "good-*.parquet")])
    assert done.exit_code == 0, done.output
    assert "*" in done.output and "Template share" in done.output


def test_a_run_without_statistics_is_not_compared_and_says_how_to_have_them(run, tmp_path):
    folder, _ = run
    crawl, out = str(folder / "good-*.parquet"), str(tmp_path / "out")
    assert CliRunner().invoke(app, ["dedup", "-i", crawl, "-o", out, "-q"]).exit_code == 0
    done = CliRunner().invoke(app, ["measure", "--compare", out, crawl])
    assert done.exit_code == 2 and "collected no statistics" in done.stderr
    assert CliRunner().invoke(app, ["measure", "--compare", f"{out}/kept", crawl]).exit_code == 0


def test_variance_is_compared_where_nothing_was_balanced(run):
    _, report = run
    for features in ("balanced", "held_out"):
        table = report["variance"][features]
        assert table["reason"] is None and set(table["before"]) == {"vr_min", "vr_ld", "vr_max", "shift", "ffd"}
        # nothing left and all weigh the same, so nothing moved; templates and another language are no human variance
        assert table["after"] == pytest.approx(table["before"], rel=1e-3)
        assert table["before"]["vr_min"] < table["floor"]["vr_min"] <= 1 <= table["floor"]["vr_max"]
        assert table["before"]["ffd"] > table["floor"]["ffd"] and table["before"]["shift"] > table["floor"]["shift"]
    lines = variance_text(report["variance"]).splitlines()
    assert "VR min" in lines[1] and sum("human against human" in line for line in lines) == 2


def test_without_a_reference_the_variance_says_what_is_missing(tmp_path):
    pq.write_table(pa.table({"text": human()[:5]}), tmp_path / "a.parquet")
    report = curate(inputs=str(tmp_path / "a.parquet"), output=str(tmp_path / "out"), detect={"enabled": False})
    assert "none was given" in report["variance"]["reason"] and variance_text(report["variance"]) == ""


def test_a_reference_of_another_language_is_no_measure(tmp_path, run):
    folder, mixed = run
    assert mixed["diversity"]["reference_reason"] is None  # a ninth of it is Danish
    report = curate(
        inputs=str(folder / "danish.parquet"), output=str(tmp_path / "out"), reference="default",
        dedup={"enabled": False}, detect={"enabled": False}, mix={"mode": "none"},
    )  # fmt: skip
    why = report["diversity"]["reference_reason"]
    assert "'en'" in why and "360 of 360" in why
    assert why in report["variance"]["reason"] and "balanced" not in report["variance"]
    assert why in table_text(report["diversity"])
    assert any(f.title == "The reference is of another language" and "360 of 360" in f.text for f in findings(report))


def test_what_stands_for_one_concern_stands_together_in_the_report(run):
    folder, _ = run
    stored = json.loads((folder / "out/report/report.json").read_text("utf-8"))["diversity"]
    assert list(stored["statistics"]) == [name for name in STATISTICS if name not in ("documents", "words")]
    phrases = [entry["phrase"] for entry in stored["statistics"].values()]
    assert len(list(itertools.groupby(phrases))) == len(set(phrases)) > 5
    assert list(stored["before"]["total"]) == [n for n in STATISTICS if n in stored["before"]["total"]]
    page = (folder / "out/report/report.html").read_text("utf-8")
    assert page.count("Weird edge cases") == 1
