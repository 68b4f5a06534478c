"""The commands of scripts/bench, from input to table."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from benchlib import jobs, peers, planted
from benchlib.main import main

WORDS = ["the", "of", "and", "to", "in", "is", "that", "it", "was", "for", "on", "are", "with", "as", "his", "they"]


def texts(count):
    def word(i, k):
        # letters only: one of the peers takes all digits for the same
        return WORDS[(i * 7 + k * k + k // 5 * i) % len(WORDS)] + chr(97 + i * k % 23) + chr(97 + (i + k) % 26)

    return [" ".join(word(i, k) for k in range(90)) for i in range(count)]


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "in.parquet"
    pq.write_table(pa.table({"body": texts(300)}), file)
    return str(file)


def run(seconds, megabytes, stages):
    return jobs.Run(int(megabytes * 1000), megabytes, seconds, seconds, int(50e6 + 3e6 * megabytes), stages)


def test_stages_of_a_report_add_up_to_the_process():
    report = {"annotate": {"cpu_seconds": 2.0}, "select": {"cpu_seconds": 1.0}}
    assert jobs.stage_seconds(report, 4.5) == {"annotate": 2.0, "select": 1.0, jobs.BEFORE_AND_AFTER: 1.5}


def test_what_a_runner_adds_is_told_apart():
    report = {"annotate": {"cpu_seconds": 2.0}, "pipeline": {"cpu_seconds": 5.0}}
    found = jobs.stage_seconds(report, 7.0)
    assert found == {"annotate": 2.0, jobs.RUNNER_ITSELF: 3.0, jobs.BEFORE_AND_AFTER: 2.0}


def test_marginal_stages_memory_and_ratio():
    def sizes(factor):
        return [[run(2 + factor * mb, mb, {"annotate": factor * mb, "fixed": 2.0})] for mb in (5.0, 10.0, 20.0)]

    found = {("local", "run"): sizes(0.1), ("FnApiRunner", "run"): sizes(0.2)}
    by_name = {stage.name: stage for stage in jobs.stages(found["local", "run"])}
    assert by_name["annotate"].line.slope == pytest.approx(0.1)
    assert by_name["fixed"].line.slope == pytest.approx(0.0)
    assert by_name["total"].line.fixed == pytest.approx(2.0)
    used = jobs.memory(found["local", "run"])
    assert (used.fixed, used.per_megabyte, used.per_document) == pytest.approx((50.0, 3.0, 3000.0))
    text = jobs.markdown(found, 1)
    assert "| run, FnApiRunner | 5.00 | 2.00 | 2.00 |" in text
    assert "| annotate | 10.0 | 100 | 2.00 |" in text
    assert "| fixed | – |" in text


def test_kernels_fill_their_section(path, tmp_path, capsys):
    page, numbers = tmp_path / "page.md", tmp_path / "numbers.json"
    page.write_text("top\n<!-- bench:here -->\n<!-- /bench:here -->\n")
    options = ["--input", path, "--column", "body", "--repeats", "1", "--markdown", str(page), "--section", "here"]
    assert main(["kernels", *options, "--json", str(numbers)]) == 0
    for name in ("tokenise", "signatures 14 x 8", "statistics update", "Newton pass"):
        assert f"| {name} |" in page.read_text()
    assert {"machine", "kernels"} == set(json.loads(numbers.read_text()))
    assert main(["kernels", "--input", path, "--markdown", str(page), "--section", "gone"]) == 1
    assert "here" in capsys.readouterr().err


def test_curation_finds_exact_copies_and_nothing_else_here():
    made = planted.plant(texts(120), share=0.5)
    near, exact = peers.measure(made, [], repeats=1)[0]
    assert near.quality.merged[-1] == near.quality.candidates[-1] == 1.0
    assert exact.quality.merged[-1] == exact.quality.planted == 1.0
    assert near.quality.similar == 1.0
    assert near.signatures > 0 and near.decisions > 0


@pytest.mark.parametrize("name", sorted(peers.PEERS))
def test_peers_find_exact_copies(name):
    made = planted.plant(texts(60), share=0.5)
    results, missing = peers.measure(made, [name], repeats=1)
    if missing:
        pytest.skip(missing[0])
    for result in results[2:]:
        assert result.quality.merged[-1] == 1.0
        assert result.quality.similar > 0.9
    assert all(f"| {r.name} |" in peers.markdown(results, missing, made, 1) for r in results)


def test_a_peer_that_is_not_here_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "rensa", None)
    results, missing = peers.measure(planted.plant(texts(40)), ["rensa"], repeats=1)
    assert len(results) == 2 and missing[0].startswith("rensa skipped")


@pytest.mark.parametrize(
    "wrong", [["dedup", "--peers", "nobody"], ["job", "--jobs", "walk"], ["kernels", "--input", "/no/such.parquet"]]
)
def test_wrong_arguments_are_refused(wrong, capsys):
    assert main(wrong) == 1
    assert "scripts/bench: " in capsys.readouterr().err


@pytest.mark.parametrize("sizes", ["1", "0.5,0.5", "0,1", "0.5,2"])
def test_one_size_is_refused(sizes):
    with pytest.raises(SystemExit):
        main(["job", "--sizes", sizes])


@pytest.mark.slow
def test_the_whole_job(path, tmp_path):
    numbers = tmp_path / "numbers.json"
    script = Path(__file__).resolve().parents[2] / "scripts" / "bench"
    command = [sys.executable, str(script), "job", "--input", path, "--column", "body", "--sizes", "0.5,1"]
    options = ["--jobs", "run", "--json", str(numbers), "--scratch", str(tmp_path)]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "| annotate |" in done.stdout and "start-up" in done.stdout
    (found,) = json.loads(numbers.read_text())["job"]
    first, last = (size[0] for size in found["runs"])
    assert last["documents"] == pytest.approx(2 * first["documents"], rel=0.4)
    assert sum(last["stages"].values()) == pytest.approx(last["cpu_seconds"])
    assert not list(tmp_path.glob("bench-*"))


def test_mixing_is_measured_step_by_step(tmp_path, capsys):
    assert main(["mixing", "--documents", "2000,4e3", "--repeats", "1", "--json", str(tmp_path / "n.json")]) == 0
    small, large = json.loads((tmp_path / "n.json").read_text())["mixing"]
    assert (small["documents"], large["documents"]) == (2000, 4000)
    assert small["status"] == large["status"] == "converged"
    assert large["human"] > 0.6
    assert list(large["steps"]) == ["base", "coverage", "solve", "pass 1", "pass 2", "weights", "weigh"]
    assert "CPU s by 100,000 documents" in capsys.readouterr().out
