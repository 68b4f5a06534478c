"""The README's commands and examples run, in the order in which they stand there."""

import re
import shlex
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from curation.cli import app
from curation.config import load
from curation.demo.gather import gather
from curation.layout import FORMATS

ROOT = Path(__file__).parents[2]
#: what a test cannot run inside itself; the scripts are what continuous integration runs
OUTSIDE = ("scripts/", "pip install", "python -m venv")


def blocks(language: str, page: str = "README.md") -> list[str]:
    """The fenced blocks of a page in one language."""
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / page).read_text("utf-8"), re.DOTALL)


def commands(page: str = "README.md") -> list[str]:
    """Every command of a page's shell blocks, without comments, continued lines joined."""
    lines = "\n".join(blocks("sh", page)).replace("\\\n", " ").splitlines()
    found = [line.partition("  #")[0].strip() for line in lines]
    return [line for line in found if line and not line.startswith(("#", *OUTSIDE))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder in which the quickstart has run on a small part of the demo, with data where the README has some."""
    here = tmp_path_factory.mktemp("readme")
    gather(str(here / "out" / "demo"), limit_mb=2)
    shutil.copytree(ROOT / "configs", here / "configs")
    for name in ("human", "crawl", "books"):
        (here / "data" / name).mkdir(parents=True)
    reference = pa.concat_tables([pq.read_table(f) for f in sorted((here / "out/demo/reference").glob("*.parquet"))])
    pq.write_table(reference, here / "data/human/human.parquet")
    shutil.copy(here / "out/demo/crawl/part-00000.parquet", here / "data/crawl/part.parquet")
    crawl = pa.concat_tables([pq.read_table(f) for f in sorted((here / "out/demo/crawl").glob("*.parquet"))])
    truth = pq.read_table(here / "out/demo/truth.parquet")
    origin = dict(zip(truth["id"].to_pylist(), truth["origin"].to_pylist(), strict=True))
    labels = [int(origin[id] == "llm") for id in crawl["id"].to_pylist()]
    (here / "data/labelled").mkdir()
    pq.write_table(crawl.append_column("label", pa.array(labels)), here / "data/labelled/part.parquet")
    return here


def run(line: str) -> None:
    words = shlex.split(line)
    assert words[0] == "curation", f"the README has a command that no test runs: {line}"
    result = CliRunner().invoke(app, words[1:])
    assert result.exit_code == 0, f"{line}\n{result.output}"


def test_commands_and_examples_run(folder, monkeypatch):
    monkeypatch.chdir(folder)
    quickstart = (ROOT / "scripts" / "quickstart").read_text("utf-8")
    steps = re.findall(r'^"\$venv/bin/curation" (.*)$', quickstart, re.MULTILINE)
    assert len(steps) == 2
    for line in steps:
        run(f"curation {line}")
    for line in [*commands(), *commands("docs/export.md")]:
        run(line)
    for code in blocks("python"):
        exec(compile(code, "README.md", "exec"), {"__name__": "readme"})


def test_formats_and_reasons_are_those_of_the_code():
    page = (ROOT / "docs/formats.md").read_text("utf-8")
    plain = {ending for ending in FORMATS if not ending.endswith((".gz", ".zst"))}
    assert {ending for ending in plain if f"`{ending}`" not in page} == set()
    sources = "".join(f.read_text("utf-8") for f in sorted((ROOT / "curation/io").glob("*.py")))
    raised = set(re.findall(r'(?:BadRecord|fail|code[^=\n]*=)[^"\n]*"([a-z0-9]+(?:_[a-z0-9]+)+)"', sources))
    assert {"invalid_csv", "truncated_record", "unreadable_file", "document_too_long"} <= raised
    listed = set(re.findall(r"`([a-z0-9_]+)`", page.partition("## What is quarantined")[2]))
    assert raised - listed == set()


def test_the_example_of_columns_is_a_configuration(tmp_path):
    (example,) = blocks("yaml", "docs/formats.md")
    path = tmp_path / "example.yaml"
    path.write_text(example)
    books = load(str(path)).inputs[1]
    assert (books.columns.text, books.columns.url) == ("body", "link")


def test_every_page_that_is_linked_exists():
    for target in re.findall(r"\]\(([^)#:]+)\)", (ROOT / "README.md").read_text("utf-8")):
        assert (ROOT / target).exists(), target


def test_embedding_examples_are_those_that_the_hosts_tests_run():
    pages = "".join((ROOT / "docs" / f"{name}.md").read_text("utf-8") for name in ("beam", "datatrove"))
    shown = re.findall(r"```py\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    assert len(shown) == 2
    for code in shown:
        assert code in pages
