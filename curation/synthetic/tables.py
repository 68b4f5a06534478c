"""What is known of a detector from the scores of left-out sources, as tables in Markdown: lines of text."""

import numpy as np

from curation.synthetic.evaluation import FPR_GRID, HeldOut, comparable, intervals, length_bin, replicates, worst_source
from curation.synthetic.model import MIN_WORDS

RATES = (0.01, 0.001)


def take(data: HeldOut, rows: np.ndarray) -> HeldOut:
    """Some of the documents; rows bool or int64."""
    return HeldOut(*(column[rows] for column in data))


def separations(data: HeldOut) -> list[str]:
    """AUROC and detection rate by fold and length, their mean over folds, and with one threshold for all."""
    lines = []
    folds = sorted(set(data.fold.tolist()))
    chosen = comparable(data) & np.isfinite(data.logit)
    for name in ("logit", "logit_check"):
        if not np.isfinite(getattr(data, name)).any():
            continue  # a backend without a second model
        for least in (50, 150):
            lines += ["", f"`{name}`, {least} words or more:", ""]
            lines += ["| left out | human | synthetic | AUROC | TPR at 1 % FPR | at 0.1 % |"]
            lines += ["|---|---|---|---|---|---|"]
            found = []
            for fold in folds:
                part = take(data, chosen & (data.words >= least) & (data.fold == fold))
                found.append(replicates(getattr(part, name), part.label, part.cluster, RATES))
                lines.append(row(fold, part, intervals(*found[-1])))
            everything = take(data, chosen & (data.words >= least))
            means = [mean(np.stack(values)) for values in zip(*found, strict=True)]
            lines.append(row("**mean**", everything, intervals(*means)))
            pooled = intervals(*replicates(getattr(everything, name), everything.label, everything.cluster, RATES))
            lines.append(row("pooled, one threshold", everything, pooled))
    return lines


def mean(values: np.ndarray) -> np.ndarray:
    """Mean over the first axis of what is there; NaN where nothing is."""
    known = np.isfinite(values)
    return np.where(known, values, 0).sum(axis=0) / np.where(known.any(axis=0), known.sum(axis=0), np.nan)


def row(name: str, part: HeldOut, found: list[list[float] | None]) -> str:
    human, synthetic = (int((part.label == value).sum()) for value in (0, 1))
    return f"| {name} | {human} | {synthetic} | {' | '.join(interval(x) for x in found)} |"


def interval(found: list[float] | None) -> str:
    return "-" if found is None else f"{found[0]:.3f} [{found[1]:.3f}, {found[2]:.3f}]"


def variants(data: HeldOut) -> list[str]:
    """Texts that training leaves out, against the human texts of their own source."""
    if not (data.variant != "").any():
        return []
    lines = ["", "| apart, never trained on | words | human | synthetic | AUROC | TPR at 1 % FPR | at 0.1 % |"]
    lines += ["|---|---|---|---|---|---|---|"]
    for variant in sorted(set(data.variant.tolist()) - {""}):
        for source in sorted(set(data.source[data.variant == variant].tolist())):
            own = data.prose & (data.source == source) & np.isfinite(data.logit)
            for least in (50, 150):
                human = own & (data.label == 0) & (data.variant == "")
                part = take(data, (human | (own & (data.variant == variant))) & (data.words >= least))
                if min((part.label == value).sum() for value in (0, 1)) >= 30:
                    found = intervals(*replicates(part.logit, part.label, part.cluster, RATES))
                    lines.append(row(f"{variant}: {source} | {least}", part, found))
    return lines


def percent(hits: np.ndarray, digits: int = 1) -> str:
    """Share in per cent with its Wilson interval."""
    n, p, z = len(hits), float(np.mean(hits)), 1.96
    middle, spread = (p + z * z / 2 / n), z * np.sqrt(p * (1 - p) / n + z * z / 4 / n / n)
    low, high = (max(0.0, (middle + sign * spread) / (1 + z * z / n) * 100) for sign in (-1, 1))
    return f"{100 * p:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def false_positives(data: HeldOut) -> list[str]:
    """Human documents above the model's own 1 % thresholds, above the same without their source, and above the
    threshold of half of their own. Sources that are only measured have no part in the model's thresholds."""
    lines = ["", "| human source | documents | FPR %, no anchors | the same, other sources' thresholds | own anchors |"]
    lines += ["|---|---|---|---|---|"]
    human = np.isfinite(data.logit) & (data.label == 0) & (data.words >= MIN_WORDS)
    for source in sorted(set(data.source[human].tolist())):
        for prose in (True, False):
            own = human & (data.source == source) & (data.prose == prose)
            if own.sum() < 60:
                continue
            measured = human & data.prose & data.trained
            shipped = _above(data, own, measured)
            others = _above(data, own, measured & (data.source != source))
            half = halves(data.key[own])
            anchors, test = -np.sort(-data.logit[own][half]), data.logit[own][~half]
            allowed = int(0.01 * (len(anchors) + 1))
            anchored = percent(test > anchors[allowed - 1]) if prose and allowed else "-"
            name = source if prose else f"{source}, what the gate keeps from a label"
            lines.append(f"| {name} | {own.sum()} | {shipped} | {others} | {anchored} |")
    return lines


def _above(data: HeldOut, own: np.ndarray, measured: np.ndarray) -> str:
    """Share of `own` above the thresholds that `worst_source` takes from the measured documents of their length."""
    bins = length_bin(data.words)
    hits = np.zeros(len(own), bool)
    for length in sorted(set(bins[own].tolist())):
        rows = measured & (bins == length)
        if not rows.any():
            return "-"
        codes = np.unique(data.source[rows], return_inverse=True)[1]
        limit = worst_source(data.logit[rows], codes)[FPR_GRID.index(0.01)]
        hits |= own & (bins == length) & (data.logit > limit)
    return percent(hits[own])


def halves(key: np.ndarray) -> np.ndarray:
    """bool[docs]: a random half, by hash."""
    return (key >> np.uint64(40)) % np.uint64(2) == 1
