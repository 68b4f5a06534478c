"""Rules of curation as weights over the documents of a crawl: ours and what is published."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from curation import synthetic
from curation.annotate import Settings, annotate
from curation.diversity import reference
from curation.diversity.reference import Profile
from curation.mixing import held_out_matrix, mix
from curation.synthetic import ratio
from curation.text import Tokens, tokenise
from curation.text.gate import PROSE, gate_codes
from mixturelib.data import Mixture

BUCKETS = 10_000  # of DSIR (Xie et al. 2023)
FALSE_POSITIVES = 0.05  # of the hard cut
LEAST_ESS = 0.25  # of the documents, at which rules are compared


class World(NamedTuple):
    """What every rule may look at, and never-balanced features to judge it by."""

    signals: pa.RecordBatch  # of the crawl, with `ratio_logit`
    p: pa.Array  # calibrated probability of synthetic text, null without a verdict
    logit: np.ndarray
    anchors: np.ndarray  # logits of the reference
    profile: Profile
    ratio: Mapping[str, Any]
    dsir: np.ndarray  # log p_reference / p_crawl by hashed n-grams
    held_out: np.ndarray  # float64[docs, features], never balanced
    target: np.ndarray  # the same of human text that nothing else has seen


def world(data: Mixture, model: Path) -> World:
    """Signals, scores and profile of a mixture, by the detector at `model`."""
    settings = Settings(id="id", model=str(model), bands=0)
    sides = [
        annotate(b, np.arange(b.num_rows), "crawl", settings).signals for b in (data.reference, data.crawl, data.target)
    ]
    trusted, signals, target = sides
    loaded = synthetic.load_model(str(model))
    prose = (gate_codes(trusted.column("gate")) == PROSE) & (np.array(trusted.column("lang").to_pylist()) == "en")
    logits = [_numbers(s, "logit") for s in sides]
    anchors = synthetic.anchor_state(
        logits[0], _numbers(trusted, "logit_check"), trusted.column("word_count").to_numpy(),
        np.repeat("crawl", trusted.num_rows), prose,
    )  # fmt: skip
    calibration = synthetic.calibrate(anchors, loaded, 0.01)
    p, _, _ = synthetic.apply(
        calibration, logits[1], signals.column("word_count").to_numpy(), np.repeat("crawl", signals.num_rows),
        gate_codes(signals.column("gate")), np.array(signals.column("lang").to_pylist()),
    )  # fmt: skip
    tokens = [tokenise(b.column("text")) for b in (data.reference, data.crawl)]
    keys = [ratio.ratio_keys(b.column("id")) for b in (data.reference, data.crawl)]
    samples = [ratio.sample(t, k, ratio.long_enough(t)) for t, k in zip(tokens, keys, strict=True)]
    fitted = synthetic.fit_ratio(samples[0], samples[1], loaded)
    score = synthetic.score_ratio(tokens[1], keys[1], fitted)
    signals = signals.append_column("ratio_logit", pa.array(score, pa.float32(), mask=np.isnan(score)))
    first = reference.first_update(trusted, "en")
    frame = reference.first_result(first, "en")
    profile = reference.build(first, frame, reference.second_update(trusted, frame))
    return World(
        signals, pa.array(p, pa.float32(), mask=np.isnan(p)), logits[1], logits[0], profile, fitted.report,
        log_ratio(*tokens), held_out_matrix(signals, profile.standard), held_out_matrix(target, profile.standard),
    )  # fmt: skip


def _numbers(signals: pa.RecordBatch, name: str) -> np.ndarray:
    return signals.column(name).to_numpy(zero_copy_only=False).astype(np.float32)


def log_ratio(trusted: Tokens, crawl: Tokens) -> np.ndarray:
    """float64[docs]: DSIR's importance weights in logs, by bags of words and pairs of words in 10,000 buckets."""
    counts = [_bags(tokens) for tokens in (trusted, crawl)]
    shares = [np.log((c.sum(0) + 1.0) / (c.sum() + BUCKETS)) for c in counts]
    return counts[1] @ (shares[0] - shares[1])


def _bags(tokens: Tokens) -> np.ndarray:
    document = np.repeat(np.arange(len(tokens.offsets) - 1), np.diff(tokens.offsets))
    bags = np.zeros((len(tokens.offsets) - 1, BUCKETS), np.float32)
    np.add.at(bags, (document, (tokens.hash % np.uint64(BUCKETS)).astype(np.int64)), 1)
    pair = (tokens.hash[:-1] * np.uint64(0x9E3779B97F4A7C15)) ^ tokens.hash[1:]
    same = document[:-1] == document[1:]
    np.add.at(bags, (document[:-1][same], (pair[same] % np.uint64(BUCKETS)).astype(np.int64)), 1)
    return bags


def weights(found: World) -> dict[str, np.ndarray]:
    """float64[docs] of mean 1 by rule. Documents without a score count as human where a rule needs one."""
    p = found.p.to_numpy(zero_copy_only=False).astype(np.float64)
    human = 1.0 - np.nan_to_num(p, nan=0.0)
    cut = np.nanquantile(found.anchors, 1 - FALSE_POSITIVES)
    middle = found.dsir - np.median(found.dsir)
    blind = found.signals.set_column(
        found.signals.schema.get_field_index("logit"), "logit", pa.nulls(found.signals.num_rows, pa.float32())
    )
    rules = {
        "none": np.ones(len(p)),
        "hard cut at 5 % false positives": (~(found.logit > cut)).astype(np.float64),
        "(1 - p)": human,
        "(1 - p)^10": human**10,
        "DSIR, clipped": np.exp(np.clip(middle, -np.log(20.0), np.log(20.0))),
    }
    for name, least in {"": 0.0, f", mix.min_ess {LEAST_ESS:g}": LEAST_ESS}.items():
        rules["ours without a detector" + name] = mix([blind], found.profile, min_ess=least)[0][0]
        rules["ours" + name] = mix(
            [found.signals], found.profile, p=[found.p], mode="ratio", ratio=found.ratio, min_ess=least
        )[0][0]
    return {name: w / w.mean() if w.sum() > 0 else w for name, w in rules.items()}


def tempered(w: np.ndarray, least: float = LEAST_ESS) -> np.ndarray:
    """The weights to the largest power of at most 1 at which their effective share is `least`."""
    low, high = 0.0, 1.0
    if ess(w) >= least:
        return w
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if ess(w**middle) >= least else (low, middle)
    out: np.ndarray = w**low if low > 0 else np.ones(len(w))
    return out / out.mean()


def ess(w: np.ndarray) -> float:
    """Effective share of the documents."""
    square = float((w * w).sum()) * len(w)
    return float(w.sum()) ** 2 / square if square else 0.0
