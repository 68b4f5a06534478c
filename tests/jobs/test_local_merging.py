"""Results of shards are merged as they come, in the order of shards, so that few of them are in memory."""

import random
import threading

import numpy as np
import pytest

from curation.config import Config
from curation.local import execute
from curation.local.merging import Merging
from curation.local.runner import Partitions
from curation.plan import Job, Shard, Step
from curation.progress import Observer


def test_results_are_merged_in_their_order_whatever_order_they_come_in():
    for seed in range(20):
        numbers = list(range(50))
        random.Random(seed).shuffle(numbers)
        merging = Merging(lambda a, b: a + b)
        for number in numbers:
            merging.add(number, [number])
        assert merging.result() == list(range(50))
    assert Merging(max).result() is None


def test_a_missing_result_is_no_result():
    merging = Merging(lambda a, b: a + b)
    merging.add(0, [0])
    merging.add(2, [2])
    with pytest.raises(ValueError, match=r"\[0, 2\]"):
        merging.result()


class Counted:
    """A result that knows how many of its kind are alive."""

    alive = most = 0
    lock = threading.Lock()

    def __init__(self, numbers: list[int]) -> None:
        self.numbers = numbers
        with Counted.lock:
            Counted.alive += 1
            Counted.most = max(Counted.most, Counted.alive)

    def __del__(self) -> None:
        with Counted.lock:
            Counted.alive -= 1


def test_a_step_with_many_shards_holds_few_results():
    shards = tuple(Shard(i, f"{i}.jsonl", "default", f"{i}.jsonl") for i in range(200))
    job = Job(Config.model_validate({"run": {"workers": 3}}), shards, {})
    seen = []

    def finish(job, merged, context):
        seen.append(merged.numbers)

    step = Step(
        "sums",
        "weigh",
        work=lambda job, shard, context, progress: Counted([shard.index]),
        merge=lambda a, b: Counted(a.numbers + b.numbers),
        finish=finish,
    )
    execute([step], job, Observer())
    assert seen == [list(range(200))]
    assert Counted.most < 40


def test_chunks_of_a_shuffle_come_whole_from_disk_and_nothing_has_a_name_there(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    sent: dict[int, list[int]] = {}
    with Partitions(memory=500) as partitions:
        for shard in range(40):
            chunks = {p: np.full(shard % 7 * 20 + p, shard, np.uint8) for p in range(5) if (shard + p) % 3}
            for number, chunk in chunks.items():
                sent.setdefault(number, []).extend(chunk.tolist())
            partitions.add(chunks)
        assert partitions._spilled  # it did not fit
        assert not list(tmp_path.iterdir())
        for _ in range(2):
            found = {p: np.concatenate(list(partitions.chunks(p))).tolist() for p in partitions.numbers()}
            assert found == sent
