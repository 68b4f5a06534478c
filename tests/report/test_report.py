import copy
import html
import json
import math
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from sample import sample

from curation.report import render, schema, summary
from curation.report import words as w
from curation.report.findings import findings
from curation.report.unusual import unusual

SECTIONS = ("documents", "duplicates", "synthetic", "diversity", "variance", "mixing", "run")
VOID = {"meta", "br", "path", "use", "img", "link", "hr"}


class Page(HTMLParser):
    """Checks that tags nest and collects tags, attributes, ids and visible text (also of drawings)."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.prose: list[str] = []
        self.drawn: list[str] = []
        self.feed(page)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open and self.open[-1] == tag, (tag, self.open[-3:])
            self.open.pop()

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            (self.drawn if "svg" in self.open else self.prose).append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.prose).split())


@pytest.fixture(scope="module")
def page() -> str:
    return render(sample())


def test_the_page_needs_nothing_from_outside(page: str) -> None:
    parsed = Page(page)
    assert not {tag for tag, _ in parsed.tags} & {
        "script",
        "link",
        "iframe",
        "img",
        "object",
        "form",
        "foreignobject",
    }
    for _, attributes in parsed.tags:
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in ("href", "src", "xlink:href"):
                assert (value or "").startswith("#")
    assert "@import" not in page and not re.search(r"url\((?!#)", page)
    assert len(page.encode()) < 1_500_000


def test_ids_are_unique_and_every_reference_has_its_target(page: str) -> None:
    ids = [a["id"] for _, a in Page(page).tags if a.get("id")]
    assert len(ids) == len(set(ids))
    used = {a["href"][1:] for _, a in Page(page).tags if (a.get("href") or "").startswith("#")}
    assert used | set(re.findall(r"url\(#([^)]+)\)", page)) <= set(ids)


def test_drawings_follow_the_theme_and_carry_a_description(page: str) -> None:
    assert "#0102" not in page and "font-family: 'DejaVu" not in page
    assert "prefers-color-scheme:dark" in page and "@media print" in page
    plots = [a for t, a in Page(page).tags if a.get("class") == "plot"]
    assert len(plots) == 13 and all(len(a["aria-label"] or "") > 20 for a in plots)
    assert page.count("<figcaption>") == 13
    defined = set(re.findall(r"--([a-z-]+):", page))
    assert set(re.findall(r"var\(--([a-z-]+)\)", page)) <= defined


def test_bytes_do_not_change_between_runs_and_do_not_hear_a_style_file(page: str) -> None:
    import matplotlib

    with matplotlib.rc_context({"axes.facecolor": "red", "font.size": 30}):
        assert render(sample()) == page
    code = "import sys; sys.path.insert(0, sys.argv[1]); from sample import sample; import hashlib; "
    code += "from curation.report import render; print(hashlib.sha256(render(sample()).encode()).hexdigest())"
    import hashlib

    out = subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__).parent)],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert out.stdout.strip() == hashlib.sha256(page.encode()).hexdigest()


def test_matplotlib_and_jinja_wait_until_something_is_rendered() -> None:
    code = "import sys, curation.report as r; r.summary({}); "
    code += "print(sorted({'matplotlib', 'jinja2'} & set(sys.modules)))"
    out = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert out.stdout.strip() == "[]"


def leaves(found: Any) -> Any:
    if isinstance(found, dict):
        for key, value in found.items():
            yield str(key)
            yield from leaves(value)
    elif isinstance(found, list):
        for value in found:
            yield from leaves(value)
    elif found is not None:
        yield found


def levels(found: Any) -> Any:
    """Every mapping and list of the report."""
    if isinstance(found, dict | list):
        yield found
        for value in found.values() if isinstance(found, dict) else found:
            yield from levels(value)


NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?(?:e-?\d+)?%?")


def forms(number: float) -> set[str]:
    texts = (w.count(number), w.share(number), w.value(number), w.size(number))
    return {token for text in texts for token in NUMBER.findall(text)}


def test_every_number_on_the_page_and_in_the_summary_comes_from_the_report(page: str) -> None:
    report = sample()
    allowed: set[str] = set()
    for leaf in leaves(report):
        allowed |= set(NUMBER.findall(w.clean(leaf, 10_000))) if isinstance(leaf, str) else forms(leaf)
    for level in levels(report):
        allowed |= forms(len(level)) | forms(
            len(level) - 40
        )  # how many there are, and how many are not drawn
        flat = {k: v for k, v in level.items() if w.number(v) is not None} if isinstance(level, dict) else {}
        for part, whole in (("kept", "read"), ("megabytes", "cpu_seconds")):
            if part in flat and whole in flat:
                allowed |= forms(flat[part] / flat[whole])
    documents, stages = report["documents"], report["run"]["stages"].values()
    allowed |= forms(sum(s["bytes"] for s in documents["by_source"].values()))
    allowed |= forms(sum(s["cpu_seconds"] for s in stages)) | forms(sum(s["wall_seconds"] for s in stages))
    reference, found = report["diversity"]["reference"], unusual(report["diversity"])
    marked = [shard for shard in found if shard.marked]
    allowed |= forms(len(marked)) | forms(len(found)) | {"1"}
    for shard in found:
        allowed |= forms(shard.distance) | forms(len(shard.reasons) - 4)
        allowed |= {form for why in shard.reasons for form in forms(abs(why.deviation))}
        for name, value in report["diversity"]["before"]["shards"][shard.shard].items():
            allowed |= forms(float(f"{value / reference[name]:.2g}"))
    for text in (Page(page).text, summary(report)):
        strange = [token for token in NUMBER.findall(text) if token.rstrip(",") not in allowed]
        assert not strange, strange[:20]


def test_changing_a_number_changes_the_page() -> None:
    report = sample(8)
    report["documents"]["kept"], report["documents"]["excluded"] = 7_654_321, 0
    report["documents"]["read"] = 7_654_321 + report["documents"]["quarantined"]
    text = Page(render(report)).text
    assert "7,654,321 documents" in text and "7,654,321 documents" in summary(report)
    assert ">99.9%" in text and "The counts do not add up" not in text


NASTY = "</script><script>alert('1')</script>\"'&<img src=x onerror=alert(2)>]]> --> $x^2$ "
NASTY += "\u202egnp.exe\u2066\x00\x07"


def test_strings_from_data_cannot_become_markup_or_reorder_the_page() -> None:
    report = sample(8)

    def spoil(found: Any, keep: bool = True) -> Any:
        """Every name that data may choose, and every text, spoilt; our own keys stay."""
        if isinstance(found, dict):
            own = {
                k
                for t in vars(schema).values()
                if isinstance(t, type)
                for k in getattr(t, "__annotations__", {})
            }
            statistics = set(report["diversity"]["statistics"])
            return {(k if k in own | statistics else k + NASTY): spoil(v) for k, v in found.items()}
        if isinstance(found, list):
            return [spoil(v) for v in found]
        return found + NASTY if isinstance(found, str) and found not in ("up", "down", "away") else found

    spoilt = spoil(report)
    page = render(spoilt)
    parsed = Page(page)
    assert not {tag for tag, _ in parsed.tags} & {"script", "img"}
    assert not any(name.startswith("on") for _, a in parsed.tags for name in a)
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00\x07]", page)
    assert "[U+202E]" in page and "[U+0000]" in page
    assert "<script>alert" in html.unescape(page)  # shown, as text
    assert any("<img src=x" in text or "onerror" in text for text in parsed.drawn + parsed.prose)
    assert "\u202e" not in summary(spoilt) and "\x07" not in summary(spoilt)


def bare(gone: str) -> Any:
    """A report in which the other sections hold just enough not to be empty, so that tests stay quick."""
    least: dict[str, Any] = {
        "documents": {"read": 1, "kept": 1, "excluded": 0, "quarantined": 0},
        "duplicates": {"removed": 0, "clusters": 0},
        "synthetic": {"scored": 1},
        "diversity": {"before": {"total": {"t": 1.0}}, "reference": {"t": 1.0}},
        "variance": {"balanced": {"after": {"vr_min": 0.5}}},
        "mixing": {"ess": {"documents": 1.0}},
        "run": {"versions": {"curation": "0"}},
    }
    assert gone in least
    return least


@pytest.mark.parametrize("gone", SECTIONS)
def test_a_section_that_is_gone_becomes_a_sentence(gone: str) -> None:
    for empty in ("missing", None, {"reason": "Because of the moon."}):
        report = bare(gone)
        if empty == "missing":
            del report[gone]
        else:
            report[gone] = empty
        page = Page(render(report))
        sentences = [a for t, a in page.tags if a.get("class") == "empty"]
        assert len(sentences) == 1
        assert ("Because of the moon." in page.text) == isinstance(empty, dict)
        assert_no_holes(page)
        assert summary(report).strip()


def assert_no_holes(page: Page) -> None:
    assert not re.search(r"\b(None|nan|NaN|inf|Undefined|null)\b", page.text + " ".join(page.drawn))


def test_an_empty_report_is_seven_sentences() -> None:
    page = Page(render({}))
    assert len([a for _, a in page.tags if a.get("class") == "empty"]) == 7
    assert not [t for t, _ in page.tags if t == "svg"]
    assert_no_holes(page)
    assert "does not say how many documents were read" in summary({})


def test_a_run_over_nothing_says_so() -> None:
    zero = {
        "read": 0,
        "kept": 0,
        "excluded": 0,
        "quarantined": 0,
        "by_reason": {},
        "by_source": {},
        "by_shard": [],
    }
    report = {"documents": zero, "duplicates": {"clusters": 0, "removed": 0}, "synthetic": {"scored": 0}}
    page = Page(render(report))
    assert "Nothing was read" in page.text and "No document was scored" in page.text
    assert_no_holes(page)


def test_every_value_may_be_missing_or_not_a_number() -> None:
    def blank(found: Any, hole: Any) -> Any:
        if isinstance(found, dict):
            return {k: blank(v, hole) for k, v in found.items()}
        if isinstance(found, list):
            return [blank(v, hole) for v in found]
        return found if isinstance(found, str) else hole

    for hole in (None, math.nan, math.inf):
        report = blank(sample(6), hole)
        assert_no_holes(Page(render(report)))
        assert not re.search(r"\b(None|nan|inf)\b", summary(report))


def test_a_report_survives_json() -> None:
    report = sample(4)
    assert render(json.loads(json.dumps(report))) == render(report)


def test_rendering_does_not_change_the_report() -> None:
    report = sample(4)
    before = copy.deepcopy(report)
    render(report)
    summary(report)
    assert report == before


def test_without_a_reference_shards_are_compared_with_the_median_shard() -> None:
    report = sample(16)
    report["diversity"]["reference"] = {}
    for entry in report["diversity"]["statistics"].values():
        entry["scale"] = None
    text = Page(render(report)).text
    assert "There is no reference" in text and "the median shard" in text and "the reference has" not in text


def test_the_most_unlike_shard_comes_first_with_words() -> None:
    entries = {
        "t": {"title": "templates", "worse": "up", "scale": 0.05},
        "h": {"title": "H", "worse": "down", "scale": 1},
    }
    shards = {"a/1": {"t": 0.2, "h": 9.0}, "a/2": {"t": 0.62, "h": 9.1}, "a/3": {"t": 0.21, "h": 30.0}}
    found = unusual({"statistics": entries, "reference": {"t": 0.2, "h": 9.0}, "before": {"shards": shards}})
    assert [u.shard for u in found] == ["a/3", "a/2", "a/1"]
    by_name = {u.shard: u for u in found}
    assert by_name["a/2"].reasons[0].words == "templates: 3.1x the reference"
    assert not by_name["a/3"].marked  # far away, on the good side
    assert not by_name["a/1"].marked and by_name["a/1"].distance == 0


@pytest.mark.parametrize(
    ("change", "level", "title"),
    [
        (lambda r: r["synthetic"].update(anchors=0), "stop", "Prevalence without anchors"),
        (
            lambda r: r["synthetic"].update(anchors=0, prevalence={"estimate": None}),
            "warn",
            "No human anchors",
        ),
        (lambda r: r["synthetic"].update(anchors=40), "warn", "Only 40 human anchors"),
        (
            lambda r: r["mixing"]["ess"].update(documents=0.04),
            "stop",
            "Tiny effective sample: 4% of the documents",
        ),
        (lambda r: r["mixing"]["floors"]["books"].update(met=False), "stop", "Below the floor: books"),
        (lambda r: r["mixing"].update(coverage=0.2), "warn", "The reference covers 20% of the crawl"),
        (lambda r: r["documents"].update(kept=1), "stop", "The counts do not add up"),
        (lambda r: r["run"].update(warnings=["Disk is nearly full."]), "warn", "Run warns"),
    ],
)
def test_warnings_are_loud_and_come_first(change: Any, level: str, title: str) -> None:
    report = sample(8)
    assert title not in [f.title for f in findings(report)]
    change(report)
    found = findings(report)
    assert (level, title) in [(f.level, f.title) for f in found]
    assert [f.level for f in found] == sorted((f.level for f in found), key=("stop", "warn", "note").index)
    assert title in summary(report) or len(found) > 6


def test_a_lower_bound_may_stand_alone() -> None:
    alone = {"estimate": None, "low": 0.21, "high": None, "lower_bound": 0.21, "reason": "a lower bound only"}
    report = {"synthetic": {"scored": 900, "anchors": 500, "prevalence": alone, "by_shard": {"a/b": alone}}}
    text = Page(render(report)).text
    assert "Share of synthetic text: at least 21% (a lower bound only)." in text
    assert "a/b , at least 21%" in text.replace("a/b, ", "a/b , ")
    assert "At least 21% of the scored text looks synthetic" in text and "Between" not in text
    assert "at least 21% (a lower bound only)" in summary(report)


def test_warnings_stand_before_everything_else(page: str) -> None:
    text = Page(page).text
    titles = [finding.title for finding in findings(sample())]
    assert len(titles) >= 4
    assert all(text.index(title) < text.index("Where the documents went") for title in titles)


def test_the_summary_fits_a_terminal_page() -> None:
    text = summary(sample())
    assert 8 <= len(text.splitlines()) <= 18 and "<" not in text.replace("<0.1%", "") and "\x1b" not in text


def test_many_shards_stay_small() -> None:
    report = sample(256)
    page = render(report)
    assert len(page.encode()) < 1_500_000
    shown = len(report["documents"]["by_shard"]) - 40
    assert f"The {shown} shards that are not drawn" in Page(page).text


def test_the_sample_has_the_documented_structure() -> None:
    def check(value: Any, hint: Any, where: str) -> None:
        if isinstance(hint, type) and hasattr(hint, "__total__"):
            known = get_type_hints(hint)
            assert set(value) <= set(known), (where, set(value) - set(known))
            for key, item in value.items():
                check(item, known[key], f"{where}.{key}")
            return
        options = get_args(hint)
        if isinstance(value, dict) and value:
            inner = next((o for o in options if hasattr(o, "__total__")), None)
            if inner is not None and getattr(hint, "__origin__", None) is not dict:
                check(value, inner, where)
            elif getattr(hint, "__origin__", None) is dict:
                for key, item in value.items():
                    check(item, options[1], f"{where}.{key}")
        elif isinstance(value, list) and options:
            for item in value:
                check(item, options[0], where)

    check(sample(4), schema.Report, "report")
    # benchmark text is shown with the duplicates
    assert set(get_type_hints(schema.Report)) == {*SECTIONS, "contamination"}


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (0, "0%"),
        (0.0004, "<0.1%"),
        (0.5, "50%"),
        (0.28, "28%"),
        (0.123, "12.3%"),
        (0.99999, ">99.9%"),
        (1, "100%"),
    ]
    + [(None, "not known"), (math.nan, "not known"), (True, "not known")],
)
def test_shares(found: Any, text: str) -> None:
    assert w.share(found) == text


@pytest.mark.parametrize(
    ("found", "text"),
    [(0, "0"), (3.14159, "3.14"), (12345.6, "12,346"), (999.96, "1000"), (0.00002, "2.0e-05"), (-0.5, "-0.5")]
    + [(100, "100"), (10, "10"), (None, "not known")],
)
def test_values(found: Any, text: str) -> None:
    assert w.value(found) == text


def test_short_labels_never_merge_two_names() -> None:
    names = [
        f"source/very/long/path/of/the/crawl/{i}/with/the/same/end-of-the-name.jsonl.gz" for i in range(9)
    ]
    names += ["a/b.parquet", "a/b.jsonl"]
    assert len(set(w.labels(names))) == len(names)
    assert w.labels(["a/x.parquet", "a/y.parquet"]) == ["a/x", "a/y"]


def test_a_mix_is_shown_by_language_group_feature_and_kind_of_text():
    report = copy.deepcopy(sample())
    report["mixing"] |= {
        "retention_by_language": {"en": 1.1, "<other>": 0.42},
        "retention_by_group": {"only": 1.0},
        "worst_features": [
            {"name": f"marker {i}", "before": 9.5, "after": 1.0, "target": 0.125, "attained": 0.25, "tolerance": 0.031}
            for i in range(12)
        ],
        "cells": [
            {"name": "prose 3", "covered": True, "crawl": 0.7, "reference": 0.5, "target": 0.61},
            {"name": "code", "covered": False, "crawl": 0.3, "reference": 0.01, "target": 0.0},
            {"name": "table", "covered": False, "crawl": 0.0, "reference": 0.0, "target": 0.0},
        ],
    }
    text = Page(render(report)).text
    assert "Weight kept by language" in text
    assert text.index("<other> 42%") < text.index("en 110%")
    assert "Weight kept by group" not in text  # a single one keeps what there is
    assert text.count("0.031") == 10
    assert "prose 3 70% 50% 61% yes" in text
    assert "code 30% 1% as it is no" in text
    assert not re.search(r"\btable 0%", text)
    assert "Kinds of text" not in Page(render(sample())).text
