"""Human against LLM text in the two statistics that are not taken of blocks: novelty among shards, and contradiction in
threads. Used by scripts/statistics_table."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation import diversity
from curation.diversity import statistics
from curation.diversity.measure import add_batch, hash_texts
from curation.kernels.hashing import word_hash
from curation.text import text_buffer, tokenise

SHARDS = 8
ESSAYS = "ryuryukke/OUTFOX"
MENTIONS = 3  # of the words of a task, from which an essay is taken to answer it
#: words by which essays on one task are known; the tasks themselves do not come with the texts
TASKS = {
    "venus": "venus",
    "electoral college": "electoral electors",
    "driverless cars": "driverless",
    "face on mars": "landform mars aliens",
    "reading faces": "facial emotions",
    "seagoing cowboys": "seagoing cowboy cowboys",
    "fewer cars": "pollution smog vauban",
    "phones at the wheel": "texting drivers",
    "phones in school": "phones",
    "community service": "community",
    "extracurricular activities": "extracurricular",
    "classes from home": "online distance",
    "summer projects": "summer",
    "asking for advice": "advice opinions",
}
_WORD = re.compile(r"[a-z]+")


def measured(texts: Sequence[str], threads: Sequence[str] | None = None) -> diversity.State:
    """The state of texts, and of the thread of each."""
    ruler = diversity.load_ruler()
    if threads is None:
        return add_batch(diversity.empty(ruler), pa.record_batch({"text": pa.array(texts)}), ruler)
    column = pa.array(texts)
    data, starts = text_buffer(column)
    of = np.array([word_hash(thread) for thread in threads], np.uint64)
    return diversity.update(
        diversity.empty(ruler), ruler=ruler, tokens=tokenise(column), data=data, starts=starts,
        ids_hash=hash_texts(data, starts), threads=of,
    )  # fmt: skip


def novelty(texts: Sequence[str], words: int) -> tuple[float, float, int]:
    """Of SHARDS shards, each against the others, of the first texts with so many words together: mean, error, words."""
    taken, total = [], 0
    for text in texts:
        if total >= words:
            break
        taken.append(text)
        total += len(text.split())
    states = [measured(taken[i::SHARDS]) for i in range(SHARDS)]
    whole = diversity.empty(diversity.load_ruler())
    for state in states:
        whole = diversity.merge(whole, state)
    found = [statistics.novelty(state, diversity.without(whole, state))[0] for state in states]
    known = np.array([value for value in found if value is not None])
    return float(known.mean()), float(known.std(ddof=1) / np.sqrt(len(known))), total


def essays(folder: Path) -> dict[int, dict[str, list[str]]]:
    """By label and task, essays of students and of models on the same tasks, in an order drawn by hash of the id."""
    table = pa.concat_tables([pq.read_table(folder / f"detection-open/paired_{s}.parquet") for s in ("train", "dev")])
    # edited and adversarial versions of the models' essays, named after a bar in the domain, are left out
    table = table.filter(pc.and_(pc.equal(table["source"], ESSAYS), pc.equal(table["domain"], "student_essay")))
    found: dict[int, dict[str, list[str]]] = {0: {}, 1: {}}
    for row in sorted(table.to_pylist(), key=lambda row: word_hash(row["id"])):
        if (task := _task(row["text"])) is not None:
            found[row["label"]].setdefault(task, []).append(row["text"])
    return found


def _task(text: str) -> str | None:
    words = Counter(_WORD.findall(text.lower()))
    counts = {task: sum(words[w] for w in known.split()) for task, known in TASKS.items()}
    best = max(counts, key=lambda task: counts[task])
    return best if counts[best] >= MENTIONS else None


def in_threads(folder: Path) -> tuple[list[dict[str, Any]], int, int]:
    """Contradiction in threads of human and LLM essays, a thread for each task with as many essays of both; then the
    tasks and the essays of one side."""
    sides = essays(folder)
    tasks = sorted(set(sides[0]) & set(sides[1]))
    chosen: list[list[tuple[str, str]]] = [[], []]
    for task in tasks:
        n = min(len(side[task]) for side in sides.values())
        for label, side in sides.items():
            chosen[label] += [(text, task) for text in side[task][:n]]
    ruler = diversity.load_ruler()
    results = [
        diversity.result(measured([t for t, _ in side], [task for _, task in side]), ruler)["thread_disagreement"]
        for side in chosen
    ]
    return [dict(result) for result in results], len(tasks), len(chosen[0])


def table(folder: Path, pairs: dict[str, tuple[Sequence[str], Sequence[str]]]) -> str:
    """Both statistics with their errors; pairs: human and LLM texts by name."""
    lines = ["| statistic | texts | human | LLM | z |", "|---|---|---:|---:|---:|"]
    for name, (human, llm) in pairs.items():
        words = min(sum(len(t.split()) for t in side) for side in (human, llm))
        (a, error_a, n), (b, error_b, _) = novelty(human, words), novelty(llm, words)
        what = f"{name}: {n:,} words of each, in {SHARDS} shards"
        lines.append(_row("Novelty", what, a, error_a, b, error_b))
    (a, b), tasks, n = in_threads(folder)
    what = f"student essays on {tasks} tasks: {n:,} of each"
    lines.append(_row("Contradiction in threads", what, a["value"], a["error"], b["value"], b["error"]))
    return "\n".join(lines)


def _row(title: str, what: str, a: float, error_a: float, b: float, error_b: float) -> str:
    z = (b - a) / np.hypot(error_a, error_b)
    return f"| {title} | {what} | {a:.4g} ± {error_a:.2g} | {b:.4g} ± {error_b:.2g} | {z:+.0f} |"
