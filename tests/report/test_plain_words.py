"""What a report tells someone who reads one for the first time."""

import copy
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from sample import sample
from test_report import Page

from curation import diversity
from curation.kernels.hashing import word_hash
from curation.mixing.features import FEATURE_NAMES
from curation.report import render, summary
from curation.report.feature_names import readable
from curation.report.findings import Finding, findings
from curation.report.look import to_look_at

SELECTED = {"documents": 100, "selected_documents": 100, "selected_tokens": 5000, "repeated": 0}


def the(report: dict[str, Any], title: str) -> Finding:
    (found,) = [f for f in findings(report) if title in f.title]
    return found


def visible(report: dict[str, Any]) -> str:
    return Page(render(report)).text


def test_the_lower_bound_is_said_in_plain_words_and_only_where_it_says_something() -> None:
    report = sample(4)
    text = the(report, "looks synthetic").text
    assert "at least 8.9% even if the detector found every synthetic text" in text
    assert "even if the detector found every" in summary(report)
    for nothing in (0.0, None):
        report["synthetic"]["prevalence"]["lower_bound"] = nothing
        report["synthetic"]["prevalence_after"]["lower_bound"] = nothing
        assert "even if" not in the(report, "looks synthetic").text + summary(report) + visible(report)


@pytest.mark.parametrize(
    ("change", "advice"),
    [
        (lambda r: (r["diversity"].update(reference={}), r["mixing"].pop("coverage")), "mix with a reference"),
        (lambda r: r["mixing"].update(mode="none"), "mix.mode: balance"),
        (lambda r: r["synthetic"]["prevalence_after"].update(estimate=0.11), "raise mix.kappa"),
        (lambda r: None, "highest synthetic shares."),
    ],
)
def test_advice_on_synthetic_text_depends_on_what_was_done(change: Any, advice: str) -> None:
    every = ("mix with a reference", "mix.mode: balance", "raise mix.kappa", "highest synthetic shares.")
    report = sample(4)
    change(report)
    assert [a for a in every if a in the(report, "looks synthetic").action] == [advice]


def test_advice_on_anchors_does_not_ask_for_a_reference_that_is_there() -> None:
    report = sample(4)
    report["synthetic"]["anchors"] = 20
    assert "add human documents to the reference" in the(report, "Only 20").action
    report["diversity"]["reference"] = {}
    del report["mixing"]["coverage"]
    assert "give a reference" in the(report, "Only 20").action


def test_the_share_before_stands_beside_the_share_after() -> None:
    report = sample(4)
    judged = "the 518,400 documents that can be judged"
    assert f"11.3% \u2192 3.1% of {judged} look synthetic, before \u2192 in the weighted mix" in visible(report)
    kind = "English prose, whole or mixed with other text, of 50 words or more"
    whole = f"(8.3% to 15.5%) of {judged} ({kind}; 640,000 in all)"
    assert f"{whole} -> 3.1% in the weighted mix" in summary(report)
    assert whole in visible(report)
    report["synthetic"]["prevalence_after"] = {"estimate": None}
    assert f"11.3% of {judged} look synthetic" in visible(report) and " -> " not in summary(report)


def test_a_shard_with_much_synthetic_text_is_named_with_its_reason_and_a_command() -> None:
    report = sample(16)
    report["diversity"] = {}
    span = {"estimate": 0.12, "low": 0.08, "high": 0.2}
    report["synthetic"]["by_shard"] = {"a/x": span, "b/it's": {"estimate": 0.5, "low": 0.4, "high": 0.6}}
    report["run"]["output"] = "my out"
    (look,) = to_look_at(report)
    assert look.reasons == ("synthetic text: 40% to 60%, the whole crawl has 11.3%",) and look.furthest is None
    text = visible(report)
    assert "Shards to look at, and why" in text
    assert "curation inspect 'my out' --shard 'b/it'\"'\"'s'" in text
    found = the(report, "1 shard with more synthetic text")
    assert "b/it's" in found.text and "--shard" in found.action


def test_the_shard_that_is_named_first_is_the_one_that_is_furthest_off() -> None:
    report = sample(4)
    report["synthetic"]["by_shard"] = {}
    report["diversity"]["statistics"] = {
        "t": {"title": "templates", "worse": "up", "scale": 0.05},
        "h": {"title": "H", "worse": "down", "scale": 1},
    }
    report["diversity"]["reference"] = {"t": 0.2, "h": 9.0}
    # a/1 is further from the reference in all, on the good side of H
    report["diversity"]["before"]["shards"] = {"a/1": {"t": 0.44, "h": 30.0}, "a/2": {"t": 0.46, "h": 9.0}}
    text = the(report, "2 shards unlike").text
    assert text.startswith("Furthest off: a/2 (templates: 2.3x the reference)")
    assert [look.shard for look in to_look_at(report)] == ["a/2", "a/1"]


def test_marked_shards_at_full_weight_and_uncovered_documents_are_named() -> None:
    report = sample(16)
    marked = to_look_at(report)
    for row in report["documents"]["by_shard"]:
        row["weight"] = 0.2
    assert "full weight" not in " ".join(f.text for f in findings(report))
    names = [look.shard for look in marked if look.furthest is not None]
    for row in report["documents"]["by_shard"]:
        row["weight"] = 0.97 if row["shard"] in names else 0.2
    assert "are in the mix at full weight" in the(report, "unlike the reference").text
    text = visible(report)
    assert "0.97" in text and "documents outside it are not balanced and are in the mix at full weight" in text
    report["mixing"] = {"reason": "nothing was weighed"}
    assert "Documents were not weighed, so marked shards are in the mix at full weight" in visible(report)


def test_the_tile_of_variance_has_what_human_text_reaches() -> None:
    report = sample(4)
    assert "(human text against human text reaches 74%)" in visible(report)
    del report["variance"]["held_out"]["floor"]
    assert "human text against human text reaches" not in visible(report)


def test_a_threshold_is_named_only_where_it_is_drawn() -> None:
    report = sample(4)
    assert "dotted threshold" in visible(report)
    report["synthetic"]["threshold"] = None
    text = visible(report)
    assert "threshold" not in text[text.index("Filled: one source") : text.index("Dot: estimate")]


def test_calibration_lists_thresholds_and_anchors() -> None:
    report = sample(4)
    report["synthetic"]["strata"] = [
        {"source": None, "words": 150, "anchors": 234, "threshold": 1.25, "basis": "length"},
        {"source": "forum", "words": 250, "anchors": 334, "threshold": -0.5, "basis": "stratum"},
        {"source": None, "words": 250, "anchors": 0, "threshold": None, "basis": "model"},
    ]
    text = visible(report)
    assert "5,210 documents of known human text (anchors); at most 1% of human text" in text
    assert "any other 150 234 1.25 all human text of this length" in text
    assert "forum 250 334 -0.5 this source and length" in text


def test_scored_documents_outside_the_reference_are_told_apart() -> None:
    report = sample(4)
    report["synthetic"] |= {"scored": 5564, "covered": 5421}
    assert "5,564 documents scored, of which 5,421 of kinds that the reference covers" in visible(report)
    assert "of 50 words or more, of kinds that the reference covers; 640,000 in all)" in summary(report)
    report["synthetic"]["covered"] = 5564
    assert "5,564 documents scored. Share" in visible(report)


def test_features_are_named_by_the_words_of_the_ruler() -> None:
    ruler = diversity.load_ruler()
    names = [readable(name, ruler) for name in FEATURE_NAMES]
    words = [m[1] for name in names if (m := re.fullmatch('function word "(.+)"', name))]
    assert len(words) == len(ruler.function_words) == len(set(words))
    assert [word_hash(word) for word in words] == [int(h) for h in ruler.function_words]
    assert readable("cannot bring n-gram bin 19 to it", ruler) == "cannot bring hashed n-grams, bin 19 to it"
    other = ruler._replace(function_words=np.zeros_like(ruler.function_words))
    assert readable("function word 3", other) == "function word 3"


def test_who_is_still_heard_has_no_empty_cells() -> None:
    report = sample(4)
    report["mixing"]["retention"] = {"books": 1.5, "forum": 0.5}
    text = visible(report)
    heard = text[text.index("Who is still heard") : text.index("The run Stages")]
    assert "not known" not in heard and "forum 50% books 150%" in heard and "non-native 22% native 28%" in heard
    report["mixing"]["retention"] = {"crawl": 1.0}
    report["mixing"]["ess"]["by_group"] = {"no group": 0.3}
    assert "Who is still heard" not in visible(report)


def test_stages_that_read_no_text_show_a_dash() -> None:
    report = sample(4)
    zero = {"documents": 0, "megabytes": 0, "cpu_seconds": 0.25, "wall_seconds": 0.5, "peak_rss": 1000}
    report["run"]["stages"]["pass 1"] = zero
    assert "pass 1 \u2013 \u2013 0.25 0.5 1 kB \u2013" in visible(report)


def test_after_a_selection_the_mix_before_it_is_named() -> None:
    report = sample(4)
    assert "the selection" not in summary(report) + visible(report)
    report["mixing"]["budget"] = SELECTED
    printed, text = summary(report), visible(report)
    assert "the mix before the selection is worth 26.8%" in printed
    assert "71% after weighing, before the selection" in printed
    assert "The weighted mix before the selection is worth 26.8%" in text
    assert '"After" is the weighted mix before the selection' in text
    assert "effective sample size before the selection" in text


def test_nothing_kept_says_why() -> None:
    report = {
        "documents": {"read": 8, "kept": 0, "excluded": 7, "quarantined": 1, "by_reason": {"empty_text": 2, "lang": 5}}
    }
    said = "All of the 8 documents left the mix: 5 as lang, 2 as empty text, 1 that could not be read."
    assert said in summary(report) and said in visible(report)


def test_files_that_could_not_be_opened_are_named() -> None:
    report = sample(8)
    assert "No record could be read of" not in summary(report)
    first, second = report["documents"]["by_shard"][:2]
    first |= {"read": 1, "kept": 0, "excluded": 0, "quarantined": 1}
    second |= {"read": 9, "quarantined": 1}
    printed = summary(report)
    assert re.search(rf"Could not be read: +{re.escape(first['shard'])}\n", printed)
    assert f"No record could be read of {first['shard']}." in visible(report)


def test_saying_all_this_changes_nothing() -> None:
    report = sample(8)
    before = copy.deepcopy(report)
    to_look_at(report)
    findings(report)
    assert report == before


@pytest.mark.parametrize(
    ("repeated", "says"),
    [
        (0.9, "says the same things over and over: 90% of its runs of eight words"),
        (0.3, "is filled in from templates: the same sentences with other words in the gaps, and 30% of its runs"),
    ],
)
def test_loops_and_templates_are_told_apart(repeated: float, says: str) -> None:
    report = sample(12)
    shards = report["diversity"]["before"]["shards"]
    name = sorted(shards)[0]
    names = ("self_repetition_8", "self_repetition_4", "compression_ratio", "skeleton_templates", "scaffold_rate")
    for statistic in names:
        report["diversity"]["statistics"][statistic] = {"title": statistic, "worse": "up", "scale": 0.01}
        report["diversity"]["reference"][statistic] = 0.01
        for shard in shards.values():
            shard[statistic] = 0.01
        shards[name][statistic] = repeated
    (look,) = [look for look in to_look_at(report) if look.shard == name and look.furthest is not None]
    assert look.says[0].startswith(says)
    assert any("chat models" in said for said in look.says) == (repeated < 0.5)
    assert says in visible(report)


def test_missing_anchors_do_not_deny_a_reference_that_was_given() -> None:
    report = sample(4)
    report["synthetic"]["anchors"] = 0
    report["synthetic"]["prevalence"] = {"estimate": None}
    assert "the reference has no scored text" in the(report, "No human anchors").text
    report["diversity"]["reference"] = {}
    del report["mixing"]["coverage"]
    assert "no reference was given" in the(report, "No human anchors").text
