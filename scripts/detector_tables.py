#!/usr/bin/env python3
"""Every table of docs/detector.md: trains as `train_model` does and measures on sources that were left out.

    scripts/detector_tables.py DATA_FOLDER [--tables FILE] [--only open all anchors gate speed]

DATA_FOLDER holds detection-open and detection-open-2; detection-research for the table of all text, and corpus, human
text in Parquet files with a column `text`, are read where they are; the table of the gate also reads code that is
installed on this machine. Nothing but the tables between the marks in FILE is
written: the model that is measured is not kept.
"""

import argparse
import importlib.machinery
import importlib.util
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import gatelib
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation.kernels.tokens import WORD
from curation.schema import LABELS
from curation.synthetic import (
    Model,
    anchor_state,
    apply,
    calibrate,
    empty_anchors,
    load_model,
    passing,
    prevalence,
    score,
)
from curation.synthetic.evaluation import HeldOut, comparable
from curation.synthetic.model import MIN_WORDS
from curation.synthetic.tables import false_positives, halves, percent, separations, take, variants
from curation.synthetic.training import train
from curation.text.gate import ENGLISH, PROSE, gate
from curation.text.tokens import text_buffer, tokenise

LEAST_ANCHORS = 150  # for the tables that need anchors of a fold
BINS = 10  # of p, in the calibration error
ANCHORS = 3000  # human documents of each set that set its thresholds, in the table of realised rates
MOST = 40_000  # documents of a set that are looked at
SPEED_MB = 64
ROUNDS = 4


def splice(path: Path, name: str, text: str) -> None:
    """Put the text between `<!-- NAME -->` and `<!-- end NAME -->` in a file."""
    found = path.read_text("utf-8")
    pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end {name} -->)", re.DOTALL)
    if not pattern.search(found):
        raise SystemExit(f"{path} has no line <!-- {name} --> with <!-- end {name} --> after it")
    path.write_text(pattern.sub(lambda match: match[1] + "\n" + text + "\n" + match[2], found), "utf-8")


def tables(data: HeldOut, model: Model) -> str:
    """Separation by fold, variants, false positives, labels, calibration error and shares, one after another."""
    folds = sorted(set(data.fold.tolist()))
    parts = [
        *separations(data),
        *variants(data),
        *false_positives(data),
        *labels(data, model, folds),
        *shares(data, model, folds),
    ]
    return "\n".join(parts) + "\n"


def brief(data: HeldOut) -> str:
    """Separation and variants only."""
    return "\n".join([*separations(data), *variants(data)]) + "\n"


def without(model: Model, fold: str) -> Model:
    """The model as if the fold had not been there to measure detection rates on."""
    calibration: dict[str, Any] = {}
    for kind, measured in model.calibration.items():
        calibration[kind] = measured | {"tpr": {f: v for f, v in measured["tpr"].items() if f != fold}}
    return model._replace(calibration=calibration)


def labels(data: HeldOut, model: Model, folds: list[str]) -> list[str]:
    """Labels and calibration error by fold, its own human half as anchors or none; `mean` weighs folds equally."""
    lines = ["", "| 150 words or more, % labelled | anchors | class | human | undetermined | synthetic | error of p |"]
    lines += ["|---|---|---|---|---|---|---|"]
    means: dict[tuple[str, str], list[list[float]]] = {}
    chosen = comparable(data) & (data.words >= 150) & np.isfinite(data.logit)
    for fold in folds:
        part = take(data, chosen & (data.fold == fold))
        anchor = (part.label == 0) & halves(part.key)
        # synthetic text bears the name of its own corpus, so a fold is one stratum here
        one = np.full(len(part.label), "fold")
        known = anchor_state(part.logit, part.logit_check, part.words, one, anchor)
        for name, anchors in (("own", known), ("none", empty_anchors())):
            found = calibrate(anchors, model, 0.01)
            prose, english = np.zeros(len(one), np.uint8), np.full(len(one), "en")
            p, label, _ = apply(found, part.logit, part.words, one, prose, english)
            error = calibration_error(p[~anchor], part.label[~anchor])
            for value, kind in ((0, "human"), (1, "synthetic")):
                rows = (part.label == value) & ~anchor
                shares = [float((label[rows] == code).mean()) for code in range(len(LABELS))]
                means.setdefault((name, kind), []).append([*shares, error])
                cells = " | ".join(percent(label[rows] == code) for code in range(len(LABELS)))
                lines.append(f"| {fold} | {name} | {kind} ({rows.sum()}) | {cells} | {error:.3f} |")
    for (name, kind), values in means.items():
        *shares, error = np.mean(values, axis=0)
        cells = " | ".join(f"{100 * share:.1f}" for share in shares)
        lines.append(f"| **mean** | {name} | {kind} | {cells} | {error:.3f} |")
    return lines


def calibration_error(p: np.ndarray, label: np.ndarray) -> float:
    """Expected calibration error (Guo et al. 2017) at equal classes, in ten bins."""
    weight = np.where(label == 1, 0.5 / max((label == 1).sum(), 1), 0.5 / max((label == 0).sum(), 1))
    places = np.minimum((p * BINS).astype(int), BINS - 1)
    total = np.bincount(places, weight, BINS)
    gap = np.bincount(places, weight * p, BINS) - np.bincount(places, weight * label, BINS)
    return float(np.abs(gap)[total > 0].sum())


def shares(data: HeldOut, model: Model, folds: list[str], draws: int = 20, size: int = 2000) -> list[str]:
    """Error of the estimated share on mixes of half of a fold's humans and its synthetic texts; anchors: the rest."""
    lines = [
        "",
        "| true share | mean error | worst fold's mean error | interval holds it | mean width | above the "
        "lower bound |",
        "|---|---|---|---|---|---|",
    ]
    chosen = comparable(data) & (data.words >= MIN_WORDS) & np.isfinite(data.logit)
    for share in (0.0, 0.01, 0.05, 0.1, 0.25, 0.5):
        errors: dict[str, list[float]] = {}
        held, width, bounded = [], [], []
        for fold in folds:
            part = take(data, chosen & (data.fold == fold))
            humans, synthetics = np.flatnonzero(part.label == 0), np.flatnonzero(part.label == 1)
            if len(humans) < 2 * LEAST_ANCHORS or len(synthetics) < LEAST_ANCHORS:
                continue
            one = np.full(len(part.label), "fold")
            for draw in range(draws):
                random = np.random.default_rng([draw, 7])
                drawn = random.permutation(humans)
                anchor = np.zeros(len(one), bool)
                anchor[drawn[: len(humans) // 2]] = True
                known = anchor_state(part.logit, part.logit_check, part.words, one, anchor)
                found = calibrate(known, without(model, fold), 0.01)
                n = min(size, len(humans) - len(humans) // 2)
                k = int(round(share * n))
                rows = np.concatenate([drawn[len(humans) // 2 :][: n - k], random.choice(synthetics, k)])
                full = np.ones(n, bool)
                state = passing(found, part.logit[rows], part.words[rows], one[rows], one[rows], full)
                result = prevalence(state, found)["fold"]
                errors.setdefault(fold, []).append(abs(result["estimate"] - share))
                held.append(result["low"] <= share <= result["high"])
                width.append(result["high"] - result["low"])
                bounded.append(result["lower_bound"] <= share)
        means = {fold: np.mean(values) for fold, values in errors.items()}
        worst = max(means, key=lambda f: means[f])
        numbers = f"{100 * np.mean(list(means.values())):.1f} pp | {100 * means[worst]:.1f} pp ({worst})"
        lines.append(
            f"| {100 * share:.0f} % | {numbers} | {100 * np.mean(held):.0f} % | "
            f"{100 * np.mean(width):.0f} pp | {100 * np.mean(bounded):.0f} % |"
        )
    return lines


def anchored(folder: Path, draws: int = 20) -> list[str]:
    """False positives of the shipped model at a nominal 1 % with 3,000 anchors of the same set, on the rest of it."""
    sets: dict[str, pa.ChunkedArray] = {path.name: pq.read_table(path, columns=["text"])["text"] for path in
                                        sorted(folder.glob("corpus/*.parquet"))}  # fmt: skip
    for path in sorted(folder.glob("detection-*/*.parquet")):
        if not {"text", "label", "source", "lang"} <= set(pq.read_schema(path).names):
            continue
        table = pq.read_table(path, columns=["text", "label", "source", "lang"])
        human = table.filter((pc.field("label") == 0) & (pc.field("lang") == "en"))
        for name in sorted(set(human["source"].to_pylist())):
            texts = human.filter(pc.field("source") == name)["text"]
            sets[name] = pa.chunked_array([*(sets[name].chunks if name in sets else []), *texts.chunks])
    lines = ["", "| human text | documents | realised FPR %, mean of 20 draws of anchors | 95th percentile |"]
    lines += ["|---|---|---|---|"]
    for name, texts in sets.items():
        logit, check, words = _scores(texts)
        if len(logit) < ANCHORS + 500:
            continue
        one, rates = np.full(len(logit), "set"), []
        for draw in range(draws):
            anchor = np.zeros(len(logit), bool)
            anchor[np.random.default_rng([draw, 13]).permutation(len(logit))[:ANCHORS]] = True
            found = calibrate(anchor_state(logit, check, words, one, anchor), load_model(), 0.01)
            prose, english = np.zeros(len(logit), np.uint8), np.full(len(logit), "en")
            _, label, _ = apply(found, logit, words, one, prose, english, label_words=MIN_WORDS)
            rates.append(100 * float((label[~anchor] == LABELS.index("synthetic")).mean()))
        lines.append(f"| {name} | {len(logit):,} | {np.mean(rates):.2f} | {np.quantile(rates, 0.95):.2f} |")
    return lines


def _scores(texts: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(logit, logit_check, words) of the English prose of 50 words or more, of at most 40,000 documents."""
    if len(texts) > MOST:
        texts = texts.take(np.sort(np.random.default_rng(5).permutation(len(texts))[:MOST]))
    parts = []
    for chunk in texts.chunks:
        tokens = tokenise(chunk)
        gated = gate(tokens, *text_buffer(chunk))
        logit, check = score(tokens, load_model())
        words = np.diff(np.concatenate(([0], np.cumsum((tokens.kind & WORD) > 0)))[tokens.offsets])
        kept = (gated.code == PROSE) & (gated.lang == ENGLISH) & np.isfinite(logit)
        parts.append((logit[kept], check[kept], words[kept]))
    logit, check, words = (np.concatenate(column) for column in zip(*parts, strict=True))
    return logit, check, words


def speed(folder: Path) -> list[str]:
    """CPU time of the scorer and the gate, and of a fastText model in the same run: the best of four each."""
    import tempfile

    import fasttext

    texts = pq.read_table(folder / "detection-open-2" / "human_train.parquet", columns=["text"])["text"]
    values = [t for t in texts.to_pylist() if 600 < len(t) < 2400]
    values = (values * (SPEED_MB * 1_000_000 // sum(map(len, values)) + 1))[: SPEED_MB * 1_000_000 // 1300]
    column, model = pa.array(values, pa.large_string()), load_model()
    tokens = tokenise(column)
    buffer = text_buffer(column)
    size = (buffer[1][-1] - buffer[1][0]) / 1e6
    plain = [value.replace("\n", " ") + "\n" for value in values]
    with tempfile.TemporaryDirectory() as place:
        stored = f"{place}/texts.parquet"
        pq.write_table(pa.table({"text": column}), stored, compression="zstd")
        labelled = Path(place, "train.txt")
        labelled.write_text("".join(f"__label__{i % 2} {t}" for i, t in enumerate(plain[:3000])), "utf-8")
        shape = {"dim": 16, "wordNgrams": 2, "bucket": 500_000, "epoch": 1}
        peer = fasttext.train_supervised(str(labelled), thread=1, verbose=0, **shape)

        def reading() -> None:
            for batch in pq.ParquetFile(stored).iter_batches(4096, use_threads=False):
                score(tokenise(batch.column(0)), model)

        timed: dict[str, Callable[[], Any]] = {
            "tokens": lambda: tokenise(column),
            "score, tokens given (marginal)": lambda: score(tokens, model),
            "gate, tokens given": lambda: gate(tokens, *buffer),
            "tokens and score": lambda: score(tokenise(column), model),
            "the same with reading Parquet": reading,
            "fastText, pairs, 16 dimensions": lambda: [peer.f.predict(t, 1, 0.0, "strict") for t in plain],
            "the same, all texts in one call": lambda: peer.f.multilinePredict(plain, 1, 0.0, "strict"),
        }
        found: dict[str, list[float]] = {name: [] for name in timed}
        for _ in range(ROUNDS):  # in turns, so that what slows the machine for a while slows all alike
            for name, work in timed.items():
                began = time.process_time()
                work()
                found[name].append(time.process_time() - began)
    lines = ["", f"| {size:.0f} MB of documents of {size * 1e6 / len(values):,.0f} bytes, one core | MB per CPU s |"]
    return [*lines, "|---|---|", *(f"| {name} | {size / min(spent):,.0f} |" for name, spent in found.items())]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--tables", type=Path, default=Path(__file__).resolve().parents[1] / "docs" / "detector.md")
    parser.add_argument("--only", nargs="+", choices=("open", "all", "anchors", "gate", "speed"))
    options = parser.parse_args()
    wanted = options.only or ("open", "all", "anchors", "gate", "speed")
    path = str(Path(__file__).parent / "train_model")
    loader = importlib.machinery.SourceFileLoader("train_model", path)
    trainer: Any = importlib.util.module_from_spec(importlib.machinery.ModuleSpec("train_model", loader, origin=path))
    trainer.__file__ = path
    loader.exec_module(trainer)
    if "open" in wanted:
        model, held_out = train(trainer.read(options.data, trainer.OPEN))
        if not np.array_equal(model.weights, load_model().weights):
            print("the data are not those of the shipped model: its weights differ", file=sys.stderr)
        splice(options.tables, "open", tables(held_out, model))
    if "all" in wanted and (options.data / "detection-research").is_dir():
        splice(options.tables, "all", brief(train(trainer.read(options.data, trainer.OPEN | trainer.RESEARCH))[1]))
    if "anchors" in wanted:
        splice(options.tables, "anchors", "\n".join(anchored(options.data)) + "\n")
    if "gate" in wanted:
        lines = [*gatelib.kinds(options.data), *gatelib.labelled(options.data)]
        splice(options.tables, "gate", "\n".join(lines) + "\n")
    if "speed" in wanted:
        splice(options.tables, "speed", "\n".join(speed(options.data)) + "\n")


if __name__ == "__main__":
    main()
