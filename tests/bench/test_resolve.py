"""Resolve on synthetic signatures: what is found, and where its time and memory are told."""

import pytest
from benchlib import resolve
from benchlib.main import parser


def test_planted_pairs_are_found_whatever_the_memory():
    for memory_mb in (1, 64):
        found = resolve.resolve(20_000, memory_mb)
        assert (found.candidates, found.removed) == (4_000, 2_000)


def test_in_a_process_of_its_own_every_part_has_a_peak():
    [found] = resolve.measure([100_000], [16])
    assert (found["candidates"], found["removed"]) == (20_000, 10_000)
    assert found["peak_rss"] > max(found["keys_peak"], found["cluster_peak"])
    assert min(found["keys_peak"], found["cluster_peak"]) > 0


def test_rates_and_bytes_by_limit():
    def run(documents, memory_mb, seconds):
        return resolve.Resolved(
            documents, memory_mb, seconds, seconds, seconds, 1000, 500, 2_000_000, 800_000, 90_000_000
        )._asdict()

    found = [run(1_000_000, 64, 1.0), run(3_000_000, 64, 3.0), run(1_000_000, 256, 2.0), run(3_000_000, 256, 3.0)]
    text = resolve.markdown(found)
    assert "| 3,000,000 | 64 | 1,000 | 500 | 3.00 | 3.00 | 3.00 | 9.00 | 2.00 | 0.800 | 800 | 90.0 |" in text
    assert "A million documents more cost 3.00 CPU s with 64 MB." in text
    assert "1.50 CPU s with 256 MB." in text


def test_limits_are_positive():
    assert parser().parse_args(["dedup", "--memory-mb", "256,64"]).memory_mb == [64, 256]
    with pytest.raises(SystemExit):
        parser().parse_args(["dedup", "--memory-mb", "0,64"])
