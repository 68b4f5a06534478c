"""The tables of docs/detector.md, in Markdown, from the scores of sources that were left out of training."""

import re
from pathlib import Path
from typing import Any

import numpy as np

from curation.schema import LABELS
from curation.synthetic import Model, anchor_state, apply, calibrate, empty_anchors, passing, prevalence
from curation.synthetic.evaluation import HeldOut, comparable
from curation.synthetic.model import MIN_WORDS
from curation.synthetic.tables import false_positives, halves, percent, separations, take, variants

LEAST_ANCHORS = 150  # for the tables that need anchors of a fold
BINS = 10  # of p, in the calibration error


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
