"""Gathering human text from this machine and mixing it with the LLM texts."""

import gzip
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from curation.demo import gather as gathering
from curation.demo import sources
from curation.demo.roff import plain
from curation.demo.sources import Document


@pytest.fixture(scope="module")
def found():
    return sources.documents()


@pytest.fixture
def quick(monkeypatch, found):
    """The machine is read once for all tests of this file."""
    monkeypatch.setattr(gathering, "documents", lambda: found)


def read(folder: Path) -> dict[str, list[dict]]:
    return {
        path.relative_to(folder).as_posix(): pq.read_table(path).to_pylist()
        for path in sorted(folder.glob("**/*.parquet"))
    }


def test_machine_offers_enough_human_text(found):
    assert sum(map(len, found.values())) >= 2000
    assert len(found["stdlib"]) > 1000
    places = [(document.source, document.place) for group in found.values() for document in group]
    assert len(set(places)) == len(places)
    assert all(len(document.text.split()) >= 40 for group in found.values() for document in group)
    assert all(len(document.text) <= sources.MOST_CHARACTERS for group in found.values() for document in group)


def test_gather_twice_writes_the_same_bytes(tmp_path, quick):
    first = gathering.gather(str(tmp_path / "a"), limit_mb=0.6)
    second = gathering.gather(str(tmp_path / "b"), limit_mb=0.6)
    assert first == second
    for path in sorted((tmp_path / "a").glob("**/*.parquet")):
        assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes()
    assert 0.5 < first["human_megabytes"] <= 0.6


def test_a_second_call_replaces_the_first(tmp_path, quick):
    gathering.gather(str(tmp_path), limit_mb=0.4)
    (tmp_path / "crawl" / "part-00009.parquet").write_bytes(b"left over")
    gathering.gather(str(tmp_path), limit_mb=0.2)
    assert len(list((tmp_path / "crawl").iterdir())) == gathering.SHARDS


def test_reference_and_crawl_share_nothing(tmp_path, quick):
    written = gathering.gather(str(tmp_path), limit_mb=2.0)
    files = read(tmp_path)
    reference = files["reference/part-00000.parquet"]
    crawl = [row for name, rows in files.items() if name.startswith("crawl/") for row in rows]
    assert {row["id"] for row in reference}.isdisjoint(row["id"] for row in crawl)
    assert {row["text"] for row in reference}.isdisjoint(row["text"] for row in crawl)
    assert len({row["id"] for row in crawl}) == len(crawl)
    assert 0.35 < len(reference) / (len(reference) + written["crawl"]["human"]) < 0.65


def test_crawl_gives_no_hint_and_truth_knows_all(tmp_path, quick):
    gathering.gather(str(tmp_path), limit_mb=2.0)
    files = read(tmp_path)
    truth = {row["id"]: row for row in files["truth.parquet"]}
    llm = {text["text"] for text in gathering.llm_texts()}
    crawl = {name.removeprefix("crawl/"): rows for name, rows in files.items() if name.startswith("crawl/")}
    assert sorted(truth) == sorted(row["id"] for rows in crawl.values() for row in rows)
    for name, rows in crawl.items():
        ids = [row["id"] for row in rows]
        assert ids == sorted(ids)  # order does not tell the origin
        for row in rows:
            assert set(row) == {"id", "text"}
            assert set(row["id"]) <= set("0123456789abcdef") and len(row["id"]) == 16
            assert truth[row["id"]]["shard"] == name
            assert (truth[row["id"]]["origin"] == "llm") == (row["text"] in llm)
    copies = [row for row in truth.values() if row["planted"]]
    assert len(copies) == 6 and all(row["duplicate_of"] in truth for row in copies)


def test_last_shard_is_heavy_with_llm_texts(tmp_path, quick):
    shards = gathering.gather(str(tmp_path), limit_mb=4.0)["shards"]
    *others, last = (count["llm"] / (count["llm"] + count["human"]) for count in shards.values())
    assert last > 2 * max(others)
    counts = [count["llm"] for count in shards.values()]
    assert counts[-1] == sum(counts) * gathering.HEAVY_PERCENT // 100


@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan")])
def test_limit_must_be_positive(tmp_path, limit):
    with pytest.raises(ValueError, match="limit_mb"):
        gathering.gather(str(tmp_path), limit_mb=limit)


def test_select_fills_what_a_source_leaves_unused():
    many = [Document("packages", "docstring", str(i), "x" * 100) for i in range(50)]
    few = [Document("stdlib", "docstring", str(i), "y" * 100) for i in range(2)]
    chosen = gathering.select({"stdlib": few, "packages": many}, 2000)
    assert sum(len(document.text) for document in chosen) == 2000
    assert set(few) <= set(chosen)


def test_docstrings_are_found_wherever_they_can_stand(tmp_path):
    words = " ".join(f"word{i}" for i in range(45))
    (tmp_path / "module.py").write_text(
        f'"""Module {words}"""\n'
        "if True:\n"
        "    class A:\n"
        f'        """Class {words}"""\n'
        "        async def f(self):\n"
        f'            """Function {words}"""\n'
        '            def short(): """too short"""\n'
        "try:\n    pass\nexcept Exception:\n"
        f'    def g():\n        """Handler {words}"""\n'
    )
    (tmp_path / "broken.py").write_text('def f(:\n    """' + words + '"""')
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_module.py").write_text(f'"""Test {words}"""')
    found = [document.text.split()[0] for document in sources.standard_library(tmp_path)]
    assert sorted(found) == ["Class", "Function", "Handler", "Module"]


def test_this_project_is_not_human_text(tmp_path):
    words = " ".join(f"word{i}" for i in range(45))
    for package in ("curation", "other"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text(f'"""{package} {words}"""')
    assert [d.place for d in sources.package_docstrings([tmp_path])] == ["other/__init__.py:0:"]


def test_roff_becomes_plain_text():
    page = (
        '.\\" a comment\n.TH LS 1\n.SH NAME\nls \\- list \\fIdirectory\\fR contents\n'
        '.de XX\nhidden\n..\n.PP\nUse\n.BR ls (1)\n.B "now and"\nthen.\n.TS\nhidden\n.TE\n'
    )
    assert plain(page) == "NAME\n\nls - list directory contents\n\nUse ls(1) now and then."
    assert plain(".so man1/ls.1\n") == ""


def test_manual_pages_of_one_family_are_limited(tmp_path):
    section = tmp_path / "man1"
    section.mkdir()
    body = ".SH NAME\n" + " ".join(f"word{i}" for i in range(45))
    for name in [f"cloud-{i}.1" for i in range(60)] + ["ls.1"]:
        (section / name).write_text(body)
    (section / "cat.1.gz").write_bytes(gzip.compress(body.encode()))
    (section / "damaged.1.gz").write_bytes(b"no gzip")
    places = [document.place for document in sources.manual_pages([tmp_path])]
    assert len(places) == sources.FAMILY_PAGES + 2
    assert {"man1/ls.1", "man1/cat.1.gz"} <= set(places)
