"""`filters` of type datatrove: documents are dropped with a reason or rewritten, once, and mistakes are named."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation.config import ConfigError
from curation.jobs import curate

pytest.importorskip("datatrove")

PROSE = "The committee met in the old library and talked about the bridge that nobody wanted to pay for, as ever. "
ROWS = {
    "id": ["prose", "mail", "lorem", "null", "short"],
    "text": [PROSE * 3, PROSE + "Write to jane.doe@example.com soon.", "lorem ipsum " * 20, None, "Too short."],
    "kind": ["a", "b", "c", "d", "e"],
}
PII = {"type": "datatrove", "step": "PIIFormatter"}
WORDS = {"type": "datatrove", "step": "RegexFilter", "arguments": {"regex_exp": "lorem"}}


def run(folder: Path, filters: list[dict], table: pa.Table | None = None, **more: object) -> tuple[dict, list, list]:
    source = folder / "in" / "part.parquet"
    source.parent.mkdir(exist_ok=True)
    if not source.exists():
        pq.write_table(pa.table(ROWS) if table is None else table, source)
    report = curate(
        inputs=[{"path": str(source)}],
        output=str(folder / "out"),
        detect={"enabled": False},
        measure={"enabled": False},
        signals={"features": False},
        filters=filters,
        **more,
    )
    kept, excluded = (pq.read_table(folder / "out" / name).to_pylist() for name in ("kept", "excluded"))
    return report, kept, excluded


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
@pytest.mark.parametrize("runner", ["local", pytest.param("FnApiRunner", marks=pytest.mark.engines)])
def test_formatters_rewrite_and_filters_drop_with_their_reason(tmp_path: Path, kind: pa.DataType, runner: str) -> None:
    table = pa.table(ROWS)
    table = table.set_column(1, "text", table["text"].cast(pa.string()).combine_chunks().dictionary_encode().cast(kind))
    report, kept, excluded = run(tmp_path, [PII, WORDS], table, run={"runner": runner, "workers": 1})
    text = {row["id"]: row["text"] for row in kept}
    assert text["prose"] == PROSE * 3 and "jane.doe" not in text["mail"] and text["mail"].startswith(PROSE)
    assert {row["id"]: row["filter_reason"] for row in excluded} == {
        "lorem": "filter:RegexFilter",
        "null": "empty_text",
    }
    assert {row["kind"] for row in kept} == {"a", "b", "e"}
    assert pq.read_schema(tmp_path / "out" / "kept" / "default" / "part.parquet").field("text").type == kind
    assert report["documents"]["by_reason"] == {"empty_text": 1, "filter:RegexFilter": 1}


def test_what_follows_sees_the_text_as_rewritten(tmp_path: Path) -> None:
    rows = {"id": ["1", "2"], "text": [PROSE + f"Mail {name}@example.com." for name in ("jane", "john")]}
    _, kept, _ = run(tmp_path, [PII], pa.table(rows))
    assert len(kept) == 1


def test_a_step_runs_once_and_again_only_when_it_changes(tmp_path: Path) -> None:
    run(tmp_path, [PII, WORDS])
    signals = next((tmp_path / "out" / "signals").rglob("*.parquet"))
    written = signals.stat().st_mtime_ns
    run(tmp_path, [PII, WORDS], select={"rate": 0.9})
    assert signals.stat().st_mtime_ns == written
    _, _, excluded = run(tmp_path, [{**WORDS, "arguments": {"regex_exp": "short"}}])
    assert {row["id"] for row in excluded} == {"null", "short"} and signals.stat().st_mtime_ns != written


def test_quality_rules_of_gopher_run_with_reasons(tmp_path: Path) -> None:
    pytest.importorskip("spacy")
    _, kept, excluded = run(tmp_path, [{"type": "datatrove", "step": "GopherQualityFilter"}])
    reasons = {row["id"]: row["filter_reason"] for row in excluded}
    assert reasons["short"] == "filter:GopherQualityFilter:gopher_short_doc"
    assert reasons["lorem"].startswith("filter:GopherQualityFilter:gopher_")
    assert [row["id"] for row in kept] == ["prose"]


def test_a_document_on_which_a_step_fails_stays_and_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from datatrove.pipeline.filters import RegexFilter

    def fussy(self: RegexFilter, doc: object) -> bool:
        if "jane" in doc.text:
            raise RuntimeError("no janes")
        return True

    monkeypatch.setattr(RegexFilter, "filter", fussy)
    report, kept, _ = run(tmp_path, [WORDS])
    assert {row["id"] for row in kept} == {"prose", "mail", "lorem", "short"}
    assert any("RegexFilter failed on 1 documents" in w and "no janes" in w for w in report["run"]["warnings"])


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"step": "GopherQualtyFilter"}, "no filter or formatter 'GopherQualtyFilter': did you mean 'GopherQuality"),
        ({"step": "RegexFilter"}, "filters.0: RegexFilter: .*regex_exp"),
        ({"step": "RegexFilter", "arguments": {"regex": "a"}}, "takes no argument 'regex': did you mean 'regex_exp'"),
        ({"step": "SamplerFilter"}, "use select.rate"),
        ({"step": "RegexFilter", "column": "x"}, "'column' does not belong to a filter of type datatrove"),
        ({}, "a filter of type datatrove needs step"),
        ({"step": "URLFilter", "arguments": {"use_integrated_lists": False}}, "(columns.url|pip install)"),
    ],
)
def test_a_step_that_cannot_work_is_named_before_work(tmp_path: Path, entry: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        run(tmp_path, [{"type": "datatrove", **entry}])
    assert not (tmp_path / "out" / "signals").exists()
