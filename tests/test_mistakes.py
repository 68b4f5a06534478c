"""Common mistakes: a new user gets out by the message alone, which names what is wrong, where, and the way out."""

import json
import os
import sys
from pathlib import Path

import corpus_for_cli as corpus
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from curation.cli import app


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with data.parquet, in which commands run."""
    monkeypatch.chdir(tmp_path)
    corpus.write(tmp_path)
    return tmp_path


def curation(*arguments: str):
    return CliRunner().invoke(app, list(arguments))


def fails(arguments: str, code: str, *parts: str, exit: int = 2) -> str:
    """Run a command that fails before any work, and check its message."""
    result = curation(*arguments.split())
    said = result.stderr
    assert result.exit_code == exit, said
    assert f"[{code}]" in said and "Traceback" not in said, said
    for part in parts:
        assert part in said, said
    assert len(said) < 700, said
    return said


def test_a_wrong_path(here):
    fails("run -i dta.parquet -o out", "input-not-found", "there is no file or folder", "did you mean 'data.parquet'?")


def test_a_glob_without_match(here):
    fails("run -i *.jsonl -o out", "input-not-found", "*.jsonl matches no file", "data.parquet")


def test_a_misspelt_column(here):
    fails("run -i data.parquet -o out -s columns.text=txt", "missing-column", "columns.text", "did you mean 'text'?")
    fails("run -i data.parquet -o out -s columns.date=date", "missing-column", "columns.date", "it has id, text")


def test_a_misspelt_key(here):
    fails("run -i data.parquet -o out -s dedup.bnads=9", "bad-configuration", "'dedup.bnads': did you mean 'bands'?")
    Path("my.yaml").write_text("inputs: [data.parquet]\noutptu: out\n")
    fails("run my.yaml", "bad-configuration", "my.yaml", "did you mean 'output'?")


def test_a_value_of_the_wrong_type(here):
    fails("run -i data.parquet -o out -s dedup.bands=many", "bad-configuration", "dedup.bands", "integer", "'many'")


@pytest.mark.parametrize(
    "given, way_out",
    [
        ("select.tokens=10M", "a number without a unit: 10000000"),
        ("select.tokens=2B", "a number without a unit: 2000000000"),
        ("select.rate=50%", "a share is a number from 0 to 1: 0.5"),
        ("dedup.memory_mb=4GB", "a number of megabytes, without a unit: 4000"),
    ],
)
def test_a_number_with_a_unit(here, given, way_out):
    fails(f"run -i data.parquet -o out -s {given}", "bad-configuration", given.partition("=")[0], way_out)


def test_a_key_without_its_section_and_a_section_without_its_key(here):
    start = "run -i data.parquet -o out "
    fails(start + "-s tokens=1000", "bad-configuration", "unknown key 'tokens'", "'select.tokens'")
    fails(start + "--tokens=1000", "usage", "'--tokens'", "--set select.tokens=1000000")
    fails(start + "-s dedup=false", "bad-configuration", "dedup holds keys", "dedup.enabled", "got False")
    fails(start + "-s mix.columns=quality", "bad-configuration", "set mix.columns.NAME")


def test_mixing_what_holds_no_run(here):
    Path("folder").mkdir()
    fails("mix -o folder -s select.rate=.5", "no-finished-run", "folder holds no finished run")
    fails("mix -o data.parquet -s select.rate=.5", "no-finished-run", "data.parquet holds no finished run")
    fails("mix folder -s select.rate=.5", "bad-configuration", "give an output folder with --output folder")


def test_json_that_is_no_lines(here):
    rows = [{"text": "one"}, {"text": "two"}]
    for name, content, way_out in (
        ("a.json", json.dumps(rows), "jq -c '.[]' FILE"),
        ("b.json", json.dumps(rows, indent=2), "jq -c '.[]' FILE"),
        ("c.json", json.dumps(rows[0], indent=2), "jq -c . FILE"),
    ):
        Path(name).write_text(content)
        fails(f"dedup -i {name} -o {name}-out -q", "nothing-readable", name, "one record a line", way_out, exit=1)


def test_text_that_is_bytes(here):
    pq.write_table(pa.table({"text": pa.array([b"a", b"b"])}), "bytes.parquet")
    fails("run -i bytes.parquet -o out", "wrong-column-type", "'text'", "is binary", "UTF-8", "cast")


def test_a_missing_extra(here, monkeypatch):
    monkeypatch.setitem(sys.modules, "fastwarc", None)
    Path("a.warc.gz").write_bytes(b"\x1f\x8b")
    fails("run -i a.warc.gz -o out", "missing-package", "pip install 'curation[warc]'")


def test_the_output_folder_of_another_run(here):
    assert curation("dedup", "-i", "data.parquet", "-o", "out", "-q").exit_code == 0
    os.rename("data.parquet", "other.parquet")
    fails("dedup -i other.parquet -o out", "output-conflict", "data.parquet", "give another --output")
    fails("dedup -i out/kept -o out", "output-conflict", "give another --output")


def test_a_gz_file_that_is_not_gz(here):
    rows = [json.dumps({"text": f"text number {i}"}) for i in range(5)]
    Path("a.jsonl.gz").write_text("\n".join(rows))
    said = fails("dedup -i a.jsonl.gz -o out -q", "nothing-readable", "not gzip", "rename it to .jsonl", exit=1)
    assert "a.jsonl.gz" in said


def test_a_forgotten_reference(here):
    fails("run -i data.parquet -o out -s mix.mode=balance", "setting", "needs a reference", "--reference PROFILE")


def test_a_reference_that_is_no_reference(here):
    fails("run -i data.parquet -o out --reference data.parquet", "bad-reference", "curation reference build")


def test_data_given_as_the_configuration(here):
    fails("run data.parquet -o out", "bad-configuration", "give data with --input data.parquet")


def test_an_unknown_option_and_a_misspelt_verb(here):
    fails("run -i data.parquet -o out --ouput=x", "usage", "did you mean '--output'?")
    result = curation("dedupe", "-i", "data.parquet")
    assert result.exit_code == 2 and "dedup" in result.stderr


def test_a_file_where_the_folder_should_be(here):
    Path("out").write_text("x")
    fails("run -i data.parquet -o out", "output-unwritable", "is a file, not a folder")


def test_an_id_column_with_a_semicolon_csv_and_no_text(here):
    Path("a.csv").write_text("id;body\n1;hello\n")
    fails("run -i a.csv -o out", "missing-column", "columns.text", "it has id, body", "--set columns.text=NAME")


def test_two_budgets(here):
    both = "-s select.tokens=5 -s select.rate=.5"
    fails(f"run -i data.parquet -o out {both}", "bad-configuration", "give one of")


def test_inspecting_or_exporting_what_has_not_run(here):
    for verb in ("inspect nothing", "report nothing", "export nothing -o x"):
        fails(verb, "no-finished-run", "holds no finished run")


def test_inspecting_what_the_run_has_not(here):
    assert curation("dedup", "-i", "data.parquet", "-o", "out", "-q").exit_code == 0
    answers = {"--id nobody": "no document has the id 'nobody'", "--reason quarantine": "nothing was quarantined"}
    for asked, answer in answers.items():
        assert not curation("inspect", "out", *asked.split()).stdout
        fails(f"inspect out {asked}", "nothing-found", f"curation: {answer}", exit=1)
    fails("inspect out --reason near_duplicates", "nothing-found", "nothing was excluded as 'near_duplicates'", exit=1)


def test_a_quarantined_record_is_shown_readably(here):
    lines = [b'{"text":"fine"}', b'{"text":"\xff\xe2\x80\xae\tx"}', b'\x00\x01\x02\x03\x04{"']
    Path("a.jsonl").write_bytes(b"\n".join(lines))
    assert curation("dedup", "-i", "a.jsonl", "-o", "out", "-q").exit_code == 0
    shown = curation("inspect", "out", "--reason", "quarantine").stdout
    assert "a.jsonl, record 1, byte 16: one record, invalid_utf8" in shown
    assert r"\xff\u202e\tx" in shown and "00 01 02 03 04 7b 22" in shown
    assert all(c.isprintable() or c == "\n" for c in shown)
