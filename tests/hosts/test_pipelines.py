"""The scripts in pipelines/ and the examples of the hosts' pages run as they stand."""

import gzip
import json
import re
import runpy
import subprocess
import sys
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from datatrove.data import Document

from curation import beam as curation_beam
from curation import detect_synthetic, synthetic
from curation.config import load
from curation.datatrove import DetectSynthetic
from curation.diversity import reference
from curation.jobs import build_reference
from hosts.world import KEPT, batches, keep, llm, rows, table, write

PIPELINES = Path(__file__).parents[2] / "pipelines"


def main(name):
    return runpy.run_path(str(PIPELINES / name))["main"]


def kept(folder):
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*.parquet"))}


@pytest.mark.engines
def test_every_host_curates_alike(tmp_path, capsys):
    folder = write(tmp_path / "in", 2)
    main("local_curate.py")(["--input", folder, "--output", str(tmp_path / "local")])
    documents = capsys.readouterr().out.splitlines()[-1]
    main("beam_curate.py")(["--input", folder, "--output", str(tmp_path / "beam")])
    assert capsys.readouterr().out.splitlines()[-1] == documents
    arguments = ["--input", folder, "--output", str(tmp_path / "trove"), "--logs", str(tmp_path / "logs")]
    main("datatrove_curate.py")(arguments)
    main("dask_curate.py")(["--input", folder, "--output", str(tmp_path / "dask")])
    assert capsys.readouterr().out.splitlines()[-1] == documents
    expected = kept(tmp_path / "local/kept")
    assert len(expected) == 2
    for host in ("beam", "trove", "dask"):
        assert kept(tmp_path / host / "kept") == expected, host


def test_beam_detect(tmp_path, capsys):
    folder = write(tmp_path / "in", 2)
    main("beam_detect.py")(["--input", folder, "--output", str(tmp_path / "out"), "--files", "2"])
    found = pq.read_table(tmp_path / "out")
    assert found.num_rows == table().num_rows
    assert "synthetic_label" in found.column_names
    assert "'value'" in capsys.readouterr().out


def test_datatrove_detect(tmp_path):
    folder = write(tmp_path / "in", 2)
    main("datatrove_detect.py")(["--input", folder, "--output", str(tmp_path / "out"), "--tasks", "1"])
    written = sorted((tmp_path / "out/documents").iterdir())
    found = [json.loads(line) for file in written for line in gzip.decompress(file.read_bytes()).splitlines()]
    with_text = sum(bool(text) for text in table().column("text").to_pylist())
    assert len(found) == with_text
    assert all("synthetic_label" in document for document in found)
    measured = json.loads((tmp_path / "out/diversity.json").read_text())
    assert measured["documents"]["value"] == with_text


@pytest.mark.parametrize("name", ["beam_curate", "beam_detect", "dask_curate", "datatrove_curate", "local_curate"])
def test_scripts_tell_what_is_wrong_in_one_line(name, tmp_path, capsys):
    arguments = ["--input", str(tmp_path / "nothing"), "--output", str(tmp_path / "out")]
    logs = ["--logs", str(tmp_path / "logs")] if name == "datatrove_curate" else []
    with pytest.raises(SystemExit) as stopped:
        main(f"{name}.py")([*arguments, *logs])
    assert stopped.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "there is no file or folder" in line and "Traceback" not in line


@pytest.mark.engines
@pytest.mark.parametrize("script", sorted(PIPELINES.glob("*.py")), ids=lambda path: path.name)
def test_scripts_explain_themselves(script):
    shown = subprocess.run([sys.executable, script, "--help"], capture_output=True, text=True, check=True).stdout
    assert "--input" in shown and "--output" in shown


def examples(page):
    text = (PIPELINES.parent / "docs" / page).read_text("utf-8")
    return re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)


@pytest.fixture
def crawl(tmp_path, monkeypatch):
    """A working directory with crawl/, human.profile and curate.yaml, as the pages presume."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "crawl", 2)
    build_reference(load(None, {"inputs": [{"path": "crawl"}]}), "human.profile", quiet=True)
    (tmp_path / "curate.yaml").write_text("inputs: [{path: crawl}]\noutput: out\n")
    return tmp_path


def test_a_reference_calibrates_every_host_alike(crawl):
    # any prose calibrates; that of the reference manual is mostly mixed with code, which anchors nothing
    pq.write_table(pa.table({"text": llm()}), crawl / "prose.parquet")
    build_reference(load(None, {"inputs": [{"path": "prose.parquet"}]}), "prose.profile", quiet=True)
    profile = reference.load((crawl / "prose.profile").read_bytes(), "prose.profile")
    expected = detect_synthetic(table(), anchors=synthetic.from_arrays(profile.anchors))
    plain = detect_synthetic(table())
    assert not expected.column("p_synthetic").equals(plain.column("p_synthetic"))
    KEPT["out"] = []
    with beam.Pipeline(runner=FnApiRunner()) as p:
        labelled = p | beam.Create(batches(40)) | curation_beam.DetectSynthetic(reference="prose.profile")
        labelled | beam.Map(keep, "out")
    assert rows(KEPT["out"]) == rows(expected)
    given = [Document(text=text or "", id="") for text in table().column("text").to_pylist()]
    found = [document.metadata for document in DetectSynthetic(reference="prose.profile").run(iter(given))]
    assert found == expected.select(list(found[0])).to_pylist()
    other = profile._replace(model="another")
    (crawl / "other.profile").write_bytes(reference.save(other))
    for build in (curation_beam.DetectSynthetic, DetectSynthetic):
        with pytest.raises(ValueError, match="other.profile was scored by another detector"):
            build(reference="other.profile")


@pytest.mark.engines
def test_the_examples_of_the_beam_page_run(crawl, capsys):
    first, whole, weighed = examples("beam.md")
    exec(first, {})
    assert f"'documents': {{'value': {table().num_rows}.0" in capsys.readouterr().out
    decided = pq.read_table(crawl / "decided")
    assert {"filter_reason", "synthetic_label"} <= set(decided.column_names)
    assert decided.num_rows == table().num_rows
    names = {"beam": beam, "curation_beam": curation_beam, "options": PipelineOptions(["--runner=FnApiRunner"])}
    exec(whole.replace("gs://bucket/out", "out"), names)
    assert (crawl / "out/report/report.html").exists()
    capsys.readouterr()
    exec(weighed, names)
    assert capsys.readouterr().out.startswith(("converged", "unreachable", "hopeless", "unchanged"))
    selected = pq.read_table(crawl / "selected")
    assert selected.num_rows == table().num_rows
    assert "not_selected" in selected.column("filter_reason").to_pylist()


@pytest.mark.engines
def test_the_examples_of_the_datatrove_page_run(crawl):
    first, whole = examples("datatrove.md")
    exec(first.replace("tasks=8", "tasks=1"), {"__name__": "__main__"})
    measured = json.loads((crawl / "out/diversity.json").read_text())
    written = [gzip.decompress(file.read_bytes()) for file in (crawl / "out/documents").iterdir()]
    assert measured["documents"]["value"] == sum(len(lines.splitlines()) for lines in written) > 100
    exec(whole.replace("tasks=100", "tasks=1"), {"__name__": "__main__"})
    assert (crawl / "out/report/report.html").exists()
