"""From logits to probabilities and labels, by scores of text that is known to be human.

A score carries an offset of its genre: the same threshold that is passed by 1 % of forum posts is passed by a
third of learners' essays. Thresholds are therefore order statistics of human anchors of the same stratum
(source and length bin). A stratum with too few anchors pools with its length bin, then with all, and without
enough of any the model's own thresholds stand in: beyond those of the sources that were left out of its training, which
still promises nothing for a new one.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from curation.schema import LABELS
from curation.synthetic.evaluation import FPR_GRID, LENGTHS, RATES, length_bin
from curation.synthetic.histogram import GRID, KINDS, Anchors
from curation.synthetic.model import MIN_WORDS, Model
from curation.text.gate import GATES, MIXED, PROSE

LEAST_ANCHORS = 100  # human documents below which a stratum pools
#: `human` needs anchors and p below this: if half of all texts were synthetic, fewer than one in ten of those with such
#: a score would be. It is measured on sources and generators left out of training (docs/detector.md); a generator that
#: writes like nothing in training looks human, so without human text of the same kind to compare with there is no such
#: label at all
HUMAN_BELOW = 0.1

#: Student's t at .975 for 1, 2, ... degrees of freedom; more groups take the last
_T95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
_GATE_REASONS = tuple(f"not_prose:{name}" for name in GATES)
#: reasons by code; 0 is none. `short` is also an empty document's reason
REASONS = ("", "short", "not_scored", "language", "uncertain", "no_anchors", *_GATE_REASONS)
NONE, SHORT, NOT_SCORED, LANGUAGE, UNCERTAIN, NO_ANCHORS = range(6)
FIRST_GATE = 6
HUMAN, UNDETERMINED, SYNTHETIC = (LABELS.index(name) for name in ("human", "undetermined", "synthetic"))

#: where a stratum's numbers come from
BASES = ("stratum", "length", "all", "model")


class Calibration(NamedTuple):
    """Thresholds and medians for each kind k of logit, stratum row r (a source) and length bin l.

    fpr: the rate asked for; sources: names of rows 0..n-1 (row n: any other); threshold float64[k, r, l,
    rates] and level float64[k, r, l, rates], the rate that each threshold truly has, over (fpr, *RATES);
    median float64[k, r, l]; anchors int64[k, r, l] behind them; basis uint8[k, r, l] into BASES; slope,
    intercept float64[k]; tpr, tpr_low, tpr_high float64[k, rates]: mean detection rate of the groups left out of
    training, and the limits between which that of one more lies (95 %); warnings: what to tell the user.
    """

    fpr: float
    sources: tuple[str, ...]
    threshold: np.ndarray
    level: np.ndarray
    median: np.ndarray
    anchors: np.ndarray
    basis: np.ndarray
    slope: np.ndarray
    intercept: np.ndarray
    tpr: np.ndarray
    tpr_low: np.ndarray
    tpr_high: np.ndarray
    warnings: tuple[str, ...]


def needed(fpr: float) -> int:
    """Human documents without which no threshold of this false-positive rate exists; at least 100."""
    return max(LEAST_ANCHORS, math.ceil(1 / fpr) - 1)


def calibrate(anchors: Anchors, model: Model, fpr: float = 0.01) -> Calibration:
    """Thresholds at a false-positive rate of at most `fpr`, and the medians that anchor p.

    The threshold of n anchors is their order statistic floor(fpr (n + 1)) from the top: a new human document
    of the stratum passes it with at most that probability (split conformal, Papadopoulos et al. 2002). Raises
    ValueError unless 0 < fpr < 0.5. With fewer anchors than `needed(fpr)` in a stratum, wider pools serve,
    and a warning says so.
    """
    if not 0 < fpr < 0.5:
        raise ValueError(f"detect.fpr must lie between 0 and 0.5, not {fpr!r}")
    sources = tuple(sorted(set(anchors.source.tolist())))
    rates = (fpr, *RATES)
    shape = (len(KINDS), len(sources) + 1, len(LENGTHS))
    threshold, level = np.empty((*shape, len(rates))), np.empty((*shape, len(rates)))
    median, behind, basis = np.empty(shape), np.zeros(shape, np.int64), np.zeros(shape, np.uint8)
    least = needed(fpr)
    for kind in range(len(KINDS)):
        of_kind = anchors.kind == kind
        for row in range(len(sources) + 1):
            of_source = anchors.source == sources[row] if row < len(sources) else np.zeros(len(of_kind), bool)
            for length in range(len(LENGTHS)):
                of_length = anchors.length == length
                pools = (of_kind & of_source & of_length, of_kind & of_length, of_kind)
                at = (kind, row, length)
                for code, pool in enumerate(pools):
                    n = int(anchors.number[pool].sum())
                    if n >= least:
                        value, order = anchors.value[pool], np.argsort(anchors.value[pool], kind="stable")
                        cumulative = np.cumsum(anchors.number[pool][order])
                        for r, rate in enumerate(rates):
                            allowed = int(np.floor(rate * (n + 1)))
                            place = np.searchsorted(cumulative, n - allowed + 1)
                            threshold[at][r] = value[order][place] * GRID
                            level[at][r] = allowed / (n + 1)
                        median[at] = value[order][np.searchsorted(cumulative, (n + 1) // 2)] * GRID
                        behind[at], basis[at] = n, code
                        break
                else:
                    fallback, middle = _of_model(model, KINDS[kind], length, rates)
                    threshold[at], level[at], median[at] = fallback, rates, middle
                    basis[at] = BASES.index("model")
    detected = np.stack([_detection(model.calibration[kind]["tpr"]) for kind in KINDS], axis=1)
    return Calibration(
        fpr,
        sources,
        threshold,
        level,
        median,
        behind,
        basis,
        np.array([model.calibration[k]["slope"] for k in KINDS]),
        np.array([model.calibration[k]["intercept"] for k in KINDS]),
        detected[0],
        detected[1],
        detected[2],
        tuple(_warnings(anchors, sources, basis[0], least, fpr)),
    )


def apply(
    calibration: Calibration,
    logit: np.ndarray,
    words: np.ndarray,
    source: np.ndarray,
    gate: np.ndarray,
    lang: np.ndarray,
    *,
    label_words: int = 150,
    min_words: int = MIN_WORDS,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(p float32[docs], label uint8[docs] into schema.LABELS, reason uint8[docs] into REASONS).

    logit float32, words int, source str, gate uint8 (codes of `text.gate`), lang str (`en`, `other`, `und`),
    all [docs]. p is the probability that a machine wrote the text if half of such texts were machine-written;
    it is NaN where no probability can be given (too short to score, not prose, not English); text that the gate calls
    mixed has one, but no label. `synthetic` is a
    logit above the stratum's threshold; `human` one at or below it with p < HUMAN_BELOW, where there are anchors to say
    so; the rest is undetermined, with its reason.
    """
    words = np.asarray(words)
    gate, lang = np.asarray(gate), np.asarray(lang)
    scored = np.isfinite(logit)
    at = stratum_rows(calibration, source), length_bin(words)
    # on the grid of the anchors, so that the threshold holds exactly
    score = np.rint(np.where(scored, logit, 0.0).astype(np.float64) / GRID) * GRID
    odds = calibration.slope[0] * (score - calibration.median[0][at]) + calibration.intercept[0]
    p = 1 / (1 + np.exp(-np.clip(odds, -40, 40)))
    above = score > calibration.threshold[0][at][:, 0]
    reason = np.full(len(score), NONE, np.uint8)
    reason[~above & (calibration.basis[0][at] == BASES.index("model"))] = NO_ANCHORS
    reason[~above & (p >= HUMAN_BELOW)] = UNCERTAIN
    reason[words < label_words] = SHORT
    reason[~scored] = NOT_SCORED
    reason[~scored & (words < min_words)] = SHORT
    english = lang == "en"
    reason[~english] = LANGUAGE
    outside = gate != PROSE
    reason[outside] = FIRST_GATE + gate[outside]
    brief = outside & np.isin(gate, [GATES.index("short"), GATES.index("empty")])
    reason[brief] = SHORT
    label = np.where(above, SYNTHETIC, HUMAN).astype(np.uint8)
    label[reason != NONE] = UNDETERMINED
    p[~scored | ~english | (outside & (gate != MIXED))] = np.nan
    return p.astype(np.float32), label, reason


def stratum_rows(calibration: Calibration, source: np.ndarray) -> np.ndarray:
    """Row of each document's source in the calibration's arrays; the last for sources without anchors."""
    known = np.array(calibration.sources, dtype=np.str_)
    names = np.asarray(source, dtype=np.str_)
    if not len(known):
        return np.zeros(len(names), np.int64)
    place = np.minimum(np.searchsorted(known, names), len(known) - 1)
    return np.where(known[place] == names, place, len(known))


def _detection(measured: dict[str, list[float]]) -> np.ndarray:
    """float64[3, rates]: mean detection rate of the left-out groups, and the prediction interval of one more.

    Mean -+ t s sqrt(1 + 1 / k) for k groups (Higgins et al. 2009), inside of 0 and 1; one group alone says nothing of
    the spread. NaN without a group.
    """
    rates = np.array(list(measured.values()), np.float64).reshape(-1, len(RATES))
    k = len(rates)
    if k == 0:
        return np.full((3, len(RATES)), np.nan)
    if k == 1:
        return np.stack([rates[0], np.zeros(len(RATES)), np.ones(len(RATES))])
    mean = rates.mean(axis=0)
    spread = _T95[min(k - 1, len(_T95)) - 1] * np.sqrt(1 + 1 / k) * rates.std(axis=0, ddof=1)
    return np.stack([mean, np.maximum(mean - spread, 0), np.minimum(mean + spread, 1)])


def _of_model(model: Model, kind: str, length: int, rates: tuple[float, ...]) -> tuple[np.ndarray, float]:
    """The model's thresholds at the rates (interpolated in log rate) and its human median."""
    stored = model.calibration[kind]
    values, middle = stored["thresholds"][length], stored["medians"][length]
    if values is None or middle is None:
        return np.full(len(rates), np.inf), 0.0
    found = np.interp(np.log(rates), np.log(FPR_GRID), values)
    # no threshold was measured beyond the grid, so rates below it label nothing
    return np.where(np.array(rates) < FPR_GRID[0] * (1 - 1e-9), np.inf, found), float(middle)


def _warnings(anchors: Anchors, sources: tuple[str, ...], basis: np.ndarray, least: int, fpr: float) -> list[str]:
    total = int(anchors.number[anchors.kind == 0].sum())
    if total < least:
        return [
            f"a false-positive rate of {fpr:g} needs {least} human documents of {LENGTHS[0]} words or more in "
            f"the reference or in trusted inputs; there are {total}. Labels use the model's own thresholds, beyond "
            "those of every source it was measured on: they find few synthetic texts, call nothing human, and on a "
            "genre that those sources lack may still be passed too often"
        ]
    pooled = [name for row, name in enumerate(sources) if (basis[row] != 0).all()]
    if not pooled:
        return []
    return [
        f"fewer than {least} human documents in every length bin of {', '.join(pooled[:5])}"
        f"{' and others' if len(pooled) > 5 else ''}: their thresholds are those of all sources together"
    ]


def as_dict(calibration: Calibration) -> dict[str, Any]:
    """The calibration as plain values for JSON; thresholds that do not exist are None."""
    result: dict[str, Any] = {}
    for name, value in calibration._asdict().items():
        if isinstance(value, np.ndarray):
            plain = value.astype(object)
            if value.dtype.kind == "f":
                plain[~np.isfinite(value)] = None
            result[name] = plain.tolist()
        else:
            result[name] = list(value) if isinstance(value, tuple) else value
    return result
