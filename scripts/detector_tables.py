"""The tables of docs/detector.md, in Markdown, from the scores of sources that were left out of training."""

from typing import Any

import numpy as np

from curation.schema import LABELS
from curation.synthetic import Model, anchor_state, apply, calibrate, empty_anchors, passing, prevalence
from curation.synthetic.evaluation import HeldOut, separation, source_quantile
from curation.synthetic.model import MIN_WORDS


def tables(data: HeldOut, model: Model) -> str:
    """Separation by fold, false positives by human source, labels with anchors, and shares, one after another."""
    folds = sorted(set(data.fold.tolist()))
    parts = [
        *separations(data, folds),
        *false_positives(data),
        *labels(data, model, folds),
        *shares(data, model, folds),
    ]
    return "\n".join(parts) + "\n"


def take(data: HeldOut, rows: np.ndarray) -> HeldOut:
    return HeldOut(*(column[rows] for column in data))


def separations(data: HeldOut, folds: list[str]) -> list[str]:
    lines = []
    for name in ("logit", "logit_check"):
        for least in (50, 150):
            lines += ["", f"`{name}`, {least} words or more:", ""]
            lines += ["| left out | human | synthetic | AUROC | TPR at 1 % FPR |", "|---|---|---|---|---|"]
            for fold in [*folds, "all pooled"]:
                part = take(data, data.prose & (data.words >= least) & ((data.fold == fold) | (fold not in folds)))
                found = separation(getattr(part, name), part.label, part.cluster)
                numbers = f"{interval(found['auroc'])} | {interval(found['tpr@0.01'])}"
                lines.append(f"| {fold} | {found['human']} | {found['synthetic']} | {numbers} |")
    return lines


def interval(row: list[float] | None) -> str:
    return "-" if row is None else f"{row[0]:.3f} [{row[1]:.3f}, {row[2]:.3f}]"


def percent(hits: np.ndarray) -> str:
    """Share in per cent with its Wilson interval."""
    n, p, z = len(hits), float(np.mean(hits)), 1.96
    middle, spread = (p + z * z / 2 / n), z * np.sqrt(p * (1 - p) / n + z * z / 4 / n / n)
    low, high = (max(0.0, (middle + sign * spread) / (1 + z * z / n) * 100) for sign in (-1, 1))
    return f"{100 * p:.1f} [{low:.1f}, {high:.1f}]"


def false_positives(data: HeldOut) -> list[str]:
    lines = ["", "| human source | documents | FPR %, threshold of the other sources | FPR %, own anchors |"]
    lines += ["|---|---|---|---|"]
    human = np.isfinite(data.logit) & (data.label == 0) & (data.words >= MIN_WORDS)
    for source in sorted(set(data.source[human].tolist())):
        for prose in (True, False):
            own = human & (data.source == source) & (data.prose == prose)
            if own.sum() < 60:
                continue
            others = human & data.prose & (data.source != source)
            _, codes, counts = np.unique(data.source[others], return_inverse=True, return_counts=True)
            above = data.logit[own] > source_quantile(data.logit[others], counts[codes] ** -0.5, 0.99)
            half = (data.key[own] >> np.uint64(40)) % np.uint64(2) == 1
            anchors, test = -np.sort(-data.logit[own][half]), data.logit[own][~half]
            allowed = int(0.01 * (len(anchors) + 1))
            anchored = percent(test > anchors[allowed - 1]) if prose and allowed else "-"
            name = source if prose else f"{source}, what the gate keeps out"
            lines.append(f"| {name} | {own.sum()} | {percent(above)} | {anchored} |")
    return lines


def without(model: Model, fold: str) -> Model:
    """The model as if the fold had not been there to measure detection rates on."""
    calibration: dict[str, Any] = {}
    for kind, measured in model.calibration.items():
        calibration[kind] = measured | {"tpr": {f: v for f, v in measured["tpr"].items() if f != fold}}
    return model._replace(calibration=calibration)


def labels(data: HeldOut, model: Model, folds: list[str]) -> list[str]:
    lines = ["", "| left out, 150 words or more | anchors | class | documents | human | undetermined | synthetic |"]
    lines += ["|---|---|---|---|---|---|---|"]
    for fold in folds:
        part = take(data, (data.fold == fold) & data.prose & (data.words >= 150) & np.isfinite(data.logit))
        anchor = (part.label == 0) & ((part.key >> np.uint64(40)) % np.uint64(2) == 1)
        # synthetic text bears the name of its own corpus, so a fold is one stratum here
        one = np.full(len(part.label), "fold")
        known = anchor_state(part.logit, part.logit_check, part.words, one, anchor)
        for name, anchors in (("own", known), ("none", empty_anchors())):
            found = calibrate(anchors, model, 0.01)
            prose, english = np.zeros(len(one), np.uint8), np.full(len(one), "en")
            _, label, _ = apply(found, part.logit, part.words, one, prose, english)
            for value, kind in ((0, "human"), (1, "synthetic")):
                rows = (part.label == value) & ~anchor
                if rows.sum() >= 30:
                    cells = " | ".join(percent(label[rows] == code) for code in range(len(LABELS)))
                    lines.append(f"| {fold} | {name} | {kind} | {rows.sum()} | {cells} |")
    return lines


def shares(data: HeldOut, model: Model, folds: list[str], draws: int = 20, size: int = 2000) -> list[str]:
    """Error of the estimated share on mixes of half of a fold's humans and its synthetic texts; anchors: the rest."""
    lines = [
        "",
        "| true share | mean error | worst fold's mean error | interval holds it | mean width | above the "
        "lower bound |",
        "|---|---|---|---|---|---|",
    ]
    for share in (0.0, 0.01, 0.05, 0.1, 0.25, 0.5):
        errors: dict[str, list[float]] = {}
        held, width, bounded = [], [], []
        for fold in folds:
            part = take(data, (data.fold == fold) & data.prose & (data.words >= MIN_WORDS) & np.isfinite(data.logit))
            anchor = (part.label == 0) & ((part.key >> np.uint64(40)) % np.uint64(2) == 1)
            humans, synthetics = np.flatnonzero((part.label == 0) & ~anchor), np.flatnonzero(part.label == 1)
            if anchor.sum() < 150 or len(synthetics) < 150:
                continue
            one = np.full(len(part.label), "fold")
            known = anchor_state(part.logit, part.logit_check, part.words, one, anchor)
            found = calibrate(known, without(model, fold), 0.01)
            for draw in range(draws):
                random = np.random.default_rng([draw, 7])
                n = min(size, len(humans))
                k = int(round(share * n))
                rows = np.concatenate([random.choice(humans, n - k), random.choice(synthetics, k)])
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
