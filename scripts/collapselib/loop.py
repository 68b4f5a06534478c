"""The loop: crawl, curate, train, measure, and again with the model's own output in the next crawl."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from collapselib import crawl, detector, kneser_ney, rules, statistics
from collapselib.corpus import Texts, take
from collapselib.world import World
from curation.diversity.variance import Moments, moments_of, variance_retention
from curation.mixing.features import scalars
from curation.synthetic import load_model


@dataclass(frozen=True)
class Setting:
    """One column of the table."""

    share: float  # of the crawl that earlier models wrote
    sharpness: float = 1.0  # of their decoding
    history: str = "replace"  # the last model writes, or all earlier ones alike: accumulate
    known: float = 1.0  # share of human text whose genres the reference knows

    @property
    def name(self) -> str:
        return f"{self.share:g} {self.sharpness:g} {self.history}" + (f" {self.known:g}" if self.known < 1 else "")


@dataclass(frozen=True)
class Sizes:
    """Tokens: of a crawl, and of what is kept to train on."""

    crawl: int = 900_000
    train: int = 300_000


class Start:
    """Generation 0 of a seed, which all rules share: a model of human text, and the detector made with it."""

    def __init__(self, world: World, seed: int, sizes: Sizes) -> None:
        vocabulary = len(world.vocabulary.hash)
        texts = take(world.pool, crawl.human_rows(world, seed, 0, sizes.train))
        self.model = kneser_ney.train(texts.tokens, texts.offsets, vocabulary)
        lengths = np.diff(world.reference.offsets)
        written = Texts(*kneser_ney.sample(self.model, lengths, 7919 * seed + 1), np.full(len(lengths), -1))
        common = load_model().vocabulary
        self.detector = detector.fit(world.reference, written, world.vocabulary, common)


def generations(
    world: World, start: Start, setting: Setting, rule: str, seed: int, count: int, sizes: Sizes
) -> Iterator[dict[str, Any]]:
    """The records of generations 0 to `count` of one lineage, one after the other."""
    models = [start.model]
    yield _record(world, setting, rule, seed, 0, start.model, {})
    for generation in range(1, count + 1):
        clock = time.process_time()
        fresh = crawl.make(
            world,
            models if setting.history == "accumulate" else models[-1:],
            seed=seed,
            generation=generation,
            share=setting.share,
            sharpness=setting.sharpness,
            tokens=sizes.crawl,
        )
        given = rules.Given(
            world, fresh, start.detector, setting.share, sizes.train, (seed << 8) + generation
        )
        weighing = time.process_time()
        weights, notes = rules.RULES[rule](given)
        notes["rule_seconds"] = round(time.process_time() - weighing, 3)
        rows = rules.chosen(given, weights)
        kept = take(fresh.texts, rows)
        length = np.diff(kept.offsets)
        total = int(length.sum())
        notes |= {"tokens": total, "human": int(length[fresh.human[rows]].sum()) / max(1, total)}
        notes |= _variance(world, fresh, rows)
        models.append(kneser_ney.train(kept.tokens, kept.offsets, len(world.vocabulary.hash)))
        record = _record(world, setting, rule, seed, generation, models[-1], notes)
        yield record | {"seconds": round(time.process_time() - clock, 3)}


def _record(
    world: World,
    setting: Setting,
    rule: str,
    seed: int,
    generation: int,
    model: kneser_ney.Model,
    notes: dict[str, Any],
) -> dict[str, Any]:
    logs = kneser_ney.log_probabilities(model, world.test.tokens, world.test.offsets)
    lengths = np.diff(world.pool.offsets)[: statistics.SAMPLE // 100]
    written, _ = kneser_ney.sample(model, lengths, 104_729 * seed + generation, setting.sharpness)
    return {
        "setting": setting.name,
        "rule": rule,
        "seed": seed,
        "generation": generation,
        "perplexity": kneser_ney.perplexity(logs),
        "tail_perplexity": kneser_ney.perplexity(logs[world.tail[world.test.tokens]]),
        **statistics.of_output(written[: statistics.SAMPLE], world.tail),
        **notes,
    }


def _variance(world: World, fresh: crawl.Crawl, rows: np.ndarray) -> dict[str, Any]:
    """Variance retention of what was kept, over the 16 scalars, by half B of the reference."""
    kept = fresh.signals.take(pa.array(rows))
    mean, products = world.profile.scalars_mean[1], world.profile.scalars_products[1]
    reference = Moments(world.profile.documents[1], mean, products - np.outer(mean, mean))
    found = variance_retention(moments_of(scalars(kept, world.profile.standard)), reference)
    return {name: found[name] for name in ("vr_min", "vr_ld", "ffd")}
