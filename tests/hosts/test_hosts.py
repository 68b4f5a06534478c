"""Hosts carry out the same steps with the same results: work, merge, shuffle, finish and context."""

import json
from collections import Counter

import numpy as np
import pytest

from curation.config import load
from curation.local.runner import Partitions
from curation.plan import Job, Shard, Step
from curation.progress import Observer


def emit(job, shard, context, progress):
    progress(1, 1000)
    numbers = np.arange(shard.index, 100, 7, dtype=np.int64)
    return {p: numbers[numbers % 3 == p].view(np.uint8) for p in range(3)}


def emit_parts(job, shard, context, progress):
    for p, chunk in emit(job, shard, context, progress).items():
        yield {p: chunk[:40]}
        yield {p: chunk[40:], p + 1: chunk[:0]}


def group(job, partition, chunks):
    counts = Counter(n for chunk in chunks for n in chunk.view(np.int64).tolist())
    return sorted(n for n, count in counts.items() if count > 1)


def join(a, b):
    return a + b


def scale(job, shard, context, progress):
    return shard.index * len(context["repeated"])


def listed(job, merged, context):
    return list(merged)


def ordered(job, merged, context):
    return sorted(merged)


def write(job, merged, context):
    assert merged is None
    with open(job.config.output, "w") as file:
        json.dump(context, file)


STEPS = [
    Step("repeated", "resolve", work=emit, group=group, merge=join, finish=ordered),
    Step("parts", "resolve", work=emit_parts, group=group, merge=join, finish=ordered),
    Step("listed", "weigh", work=scale, finish=listed),
    Step("total", "weigh", work=scale, merge=int.__add__, finish=lambda job, merged, context: merged),
    Step("write", "select", finish=write),
]


def run(host, workers, tmp_path):
    shards = tuple(Shard(i, f"s{i}", "default", f"s{i}") for i in range(20))
    output = tmp_path / f"{host}{workers}.json"
    job = Job(load(None, {"output": str(output), "run": {"workers": workers, "runner": host}}), shards, {})
    observer = Observer()
    if host == "local":
        from curation.local import execute
    else:
        from curation.beam.runner import execute
    execute(STEPS, job, observer)
    assert observer.stages["repeated"]["documents"] == 20
    assert observer.stages["repeated"]["megabytes"] == pytest.approx(0.02)
    return json.loads(output.read_text())


@pytest.mark.parametrize(
    ("host", "workers"),
    [("local", 1), ("local", 3), ("FnApiRunner", 1), pytest.param("FnApiRunner", 2, marks=pytest.mark.engines)],
)
def test_every_host_gives_the_same_context(host, workers, tmp_path):
    chosen = [range(s, 100, 7) for s in range(20)]
    repeated = sorted(n for n, c in Counter(n for r in chosen for n in r).items() if c > 1)
    context = run(host, workers, tmp_path)
    assert context["repeated"] == context["parts"] == repeated
    assert context["listed"] == [i * len(repeated) for i in range(20)]
    assert context["total"] == sum(context["listed"])


def fail(job, shard, context, progress):
    if shard.index == 3:
        raise ValueError("shard three is broken")


@pytest.mark.parametrize("workers", [1, 2])
def test_the_first_failure_ends_a_local_run(workers):
    from curation.local import execute

    shards = tuple(Shard(i, "", "default", f"s{i}") for i in range(200))
    job = Job(load(None, {"run": {"workers": workers}}), shards, {})
    with pytest.raises(ValueError, match="shard three"):
        execute([Step("fail", "annotate", work=fail)], job, Observer())


@pytest.mark.parametrize("memory", [0, 100, 10**9])
def test_partitions_give_back_what_they_took_in_memory_and_on_disk(memory):
    chunks = [np.arange(i, i + 40, dtype=np.uint8) for i in range(9)]
    with Partitions(memory) as partitions:
        for i, chunk in enumerate(chunks):
            partitions.add({i % 2: chunk})
        assert partitions.numbers() == [0, 1]
        for number in (0, 1):
            got = np.concatenate(list(partitions.chunks(number)))
            assert got.tobytes() == b"".join(c.tobytes() for c in chunks[number::2])
