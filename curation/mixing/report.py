"""What a mix did, as mergeable exact sums over the weighted documents and the dictionary made of them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from curation.kernels import moments
from curation.mixing.balance import SMALL_EFFECTIVE, Solution
from curation.mixing.features import CORE_COLUMNS, FEATURE_NAMES
from curation.mixing.gate import Coverage

_BITS = 20
_OCTAVE = 16  # buckets of weights by factor of two
_ZERO = 40 * _OCTAVE  # bucket of weight 1
CROWDED = 0.1  # of the crawl in a kind of text that is not balanced, above which a warning says so
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


class Moments(NamedTuple):
    """Exact first and second moments of features over weighted documents; merges by addition."""

    mass: np.ndarray  # int64[1], units
    first: np.ndarray  # int64[2, d] limbs, 2^-10
    second: np.ndarray  # int64[2, d, d] limbs, 2^-20


class Summary(NamedTuple):
    """Exact sums of one batch; merge with `summary_merge`."""

    groups: dict[str, tuple[int, ...]]  # documents, sums of w, w^2, w * tokens, w^2 * tokens, tokens; w in 2^-20
    histogram: np.ndarray  # int64, documents by weight on a logarithmic scale, first bucket weight 0
    divergence: int  # sum of w log(w / base), 2^-20
    before: Moments  # balanced features of covered documents, unweighted, first moments only
    scalars_before: Moments  # the 16 scalars of all kept documents
    scalars_after: Moments
    held_out_before: Moments  # features that no weight is fitted to, of all kept documents
    held_out_after: Moments


def moment_sums(matrix: np.ndarray, units: np.ndarray, second: bool = True) -> Moments:
    """Exact moments of float64[docs, d] `matrix` on the grid, weighted by whole float64[docs] `units` up to 4096."""
    if not second:
        products = np.zeros((2, 0, 0), np.int64)
    elif units.max(initial=0.0) <= 1.0:  # zeros and ones are their own squares
        products = moments.gram(matrix, units)
    else:
        products = moments.second_moments(matrix, units)
    return Moments(np.array([int(units.sum())], np.int64), moments.first_moments(matrix, units), products)


def moment_merge(a: Moments, b: Moments) -> Moments:
    """The moments over the documents of both."""
    return Moments(a.mass + b.mass, moments.carry(a.first + b.first), moments.carry(a.second + b.second))


def moment_result(sums: Moments) -> tuple[np.ndarray, np.ndarray]:
    """float64[d] mean and float64[d, d] mean of products; zeros without mass."""
    mass = max(int(sums.mass[0]), 1)
    return moments.to_float(sums.first, moments.GRID) / mass, moments.to_float(sums.second, 2 * moments.GRID) / mass


def summarise(
    weights: np.ndarray,
    base: np.ndarray,
    tokens: np.ndarray,
    groups: pa.Array,
    matrix: np.ndarray,
    held_out: np.ndarray,
    inside: np.ndarray,
    top: float,
) -> Summary:
    """The sums of one batch.

    weights and base float64[docs] (0 for documents that are not kept), tokens int64[docs], groups string[docs] (null is
    its own group), matrix and held_out the feature matrices, inside bool[docs] covered documents, top the largest
    weight.
    """
    kept = base > 0
    sums = _by_group(groups, np.rint(weights * (1 << _BITS)).astype(np.int64), tokens, kept)
    positive = weights > 0
    bucket = np.zeros(len(weights), np.int64)
    bucket[positive] = np.clip(np.floor(np.log2(weights[positive]) * _OCTAVE) + _ZERO, 1, 2 * _ZERO - 1)
    terms = weights[positive & kept] * np.log(weights[positive & kept] / base[positive & kept])
    units = np.rint(np.minimum(weights / top, 1.0) * moments.UNITS)
    ones = kept.astype(np.float64)
    scalars = np.ascontiguousarray(matrix[:, CORE_COLUMNS])
    return Summary(
        sums,
        np.bincount(bucket[kept], minlength=2 * _ZERO),
        int(np.rint(terms * (1 << _BITS)).astype(np.int64).sum()),
        moment_sums(matrix, (inside & kept).astype(np.float64), second=False),
        moment_sums(scalars, ones),
        moment_sums(scalars, units),
        moment_sums(held_out, ones),
        moment_sums(held_out, units),
    )


def _by_group(groups: pa.Array, w: np.ndarray, tokens: np.ndarray, kept: np.ndarray) -> dict[str, tuple[int, ...]]:
    coded: Any = groups.cast(pa.string()).fill_null("").dictionary_encode()
    names = coded.dictionary.to_pylist()
    codes = coded.indices.to_numpy(zero_copy_only=False)[kept]
    w, tokens = w[kept], tokens[kept].astype(np.int64)
    w = np.minimum(w, (1 << 31) - 1)
    one = np.ones(len(w), np.int64)

    def total(values: np.ndarray, factor: np.ndarray) -> list[int]:
        """Sums of values * factor by group, in limbs of 22 bits that no batch lets overflow."""
        found = [0] * len(names)
        for shift in (0, 22, 44):
            limb = np.zeros(len(names), np.int64)
            np.add.at(limb, codes, ((values >> shift) & 0x3FFFFF) * factor)
            found = [a + (b << shift) for a, b in zip(found, limb.tolist(), strict=True)]
        return found

    columns = [total(one, one), *(total(v, f) for f in (one, tokens) for v in (w, w * w)), total(tokens, one)]
    return {name: tuple(row) for name, *row in zip(names, *columns, strict=True) if row[0]}


def summary_merge(a: Summary, b: Summary) -> Summary:
    """The sums over the documents of both."""
    none = (0,) * 6
    groups = {
        key: tuple(x + y for x, y in zip(a.groups.get(key, none), b.groups.get(key, none), strict=True))
        for key in sorted({*a.groups, *b.groups})
    }
    pairs = zip(a[3:], b[3:], strict=True)
    merged = [moment_merge(x, y) for x, y in pairs]
    return Summary(groups, a.histogram + b.histogram, a.divergence + b.divergence, *merged)


def report(
    summary: Summary,
    solution: Solution,
    targets: np.ndarray,
    errors: np.ndarray,
    cover: Coverage | None,
    names: Sequence[str] = FEATURE_NAMES,
    cells: Sequence[str] = (),
) -> dict[str, Any]:
    """The `mixing` part of report.json; every value that cannot be computed is None.

    Holds ESS in documents and tokens and by group, quantiles of the weights, divergence from the base measure in nats,
    tolerance and imbalance in standard errors of the reference before and after, the ten worst features with target and
    attained value, the features out of reach, coverage, and plain-language warnings.
    """
    total = [sum(v[i] for v in summary.groups.values()) for i in range(6)]
    one = 1 << _BITS
    balanced = bool(solution.imbalance) and len(targets) > 0
    out: dict[str, Any] = {
        "status": solution.status,
        "reason": solution.reason,
        "documents": total[0],
        "tokens": total[5],
        "mean_weight": _ratio(total[1], total[0] * one),
        "ess": _ratio(total[1] ** 2, total[2]),
        "ess_share": _ratio(total[1] ** 2, total[2] * total[0]),
        "ess_tokens": _ratio(total[3] ** 2, total[4]),
        "groups": {
            group: {
                "documents": v[0],
                "weight_share": _ratio(v[1], total[1]),
                "document_share": _ratio(v[0], total[0]),
                "mean_weight": _ratio(v[1], v[0] * one),
                "ess": _ratio(v[1] ** 2, v[2]),
                "ess_tokens": _ratio(v[3] ** 2, v[4]),
            }
            for group, v in sorted(summary.groups.items())
        },
        "weight_quantiles": _quantiles(summary.histogram),
        "divergence": _ratio(summary.divergence, total[1]),
        "cap": solution.cap,
        "passes": [
            dict(zip(("dual", "imbalance", "norm", "slack"), record, strict=True)) for record in solution.history
        ],
        "tolerance": {
            "asked": solution.slack if solution.asked is None else solution.asked,
            "used": solution.slack if solution.status != "hopeless" else None,
            "features": {},
        },
        "imbalance": None,
        "worst_features": [],
        "unreachable": [],
        "coverage": cover.share if cover is not None else None,
        "cells": None,
    }
    if cover is not None:
        out["cells"] = [
            {"name": name, "covered": bool(c), "crawl": float(x), "reference": float(r), "target": float(t)}
            for name, c, x, r, t in zip(
                cells, cover.covered, cover.crawl, cover.reference, cover.target, strict=True
            )
        ]
    if balanced:
        before = (moment_result(summary.before)[0] - targets) / errors
        after = np.array(solution.imbalance)
        attained = np.array(solution.attained)
        used = solution.slack if solution.status != "hopeless" else None
        out["tolerance"]["features"] = {
            name: None if used is None else used * float(e) for name, e in zip(names, errors, strict=True)
        }
        out["imbalance"] = {"before": _spread(before), "after": _spread(after)}
        order = sorted(range(len(after)), key=lambda j: (-abs(after[j]), j))
        rows = [
            {
                "feature": names[j],
                "target": float(targets[j]),
                "attained": float(attained[j]),
                "standard_error": float(errors[j]),
                "before": float(before[j]),
                "after": float(after[j]),
            }
            for j in (*order[:10], *solution.unreachable)
        ]
        out["worst_features"], out["unreachable"] = rows[:10], rows[len(order[:10]) :]
    out["warnings"] = _warnings(out)
    return out


def _warnings(out: dict[str, Any]) -> list[str]:
    found = []
    share = out["ess_share"]
    if share is not None and share < SMALL_EFFECTIVE:
        found.append(
            f"the mix rests on few documents: {out['ess']:.0f} effective of {out['documents']} ({share:.1%}), "
            f"{out['ess_tokens'] or 0:.0f} effective tokens; raise mix.slack or lower mix.cap"
        )
    for item in out["unreachable"][:10]:
        found.append(
            f"cannot bring {item['feature']} to the reference: "
            f"{item['attained']:.4g} reached, {item['target']:.4g} wanted"
        )
    for cell in out["cells"] or []:
        if not cell["covered"] and cell["crawl"] >= CROWDED and cell["reference"] > 0:
            found.append(
                f"{cell['name']} holds {cell['crawl']:.0%} of the crawl and {cell['reference']:.1%} of the reference, "
                "too little to balance it: either a kind of text that the reference lacks, or synthetic text that "
                "crowds it. Verdicts (detect.enabled with anchors) or mix.mode ratio tell them apart"
            )
    if out["coverage"] is not None and out["coverage"] < 0.5:
        found.append(f"the reference covers {out['coverage']:.0%} of the documents; the others keep their weight")
    return found


def _spread(off: np.ndarray) -> dict[str, float]:
    return {"largest": float(np.abs(off).max()), "rms": float(np.sqrt(np.mean(off**2)))}


def _ratio(a: int, b: int) -> float | None:
    return a / b if b else None


def _quantiles(histogram: np.ndarray) -> dict[str, float | None]:
    running = np.cumsum(histogram)
    out: dict[str, float | None] = {}
    for share in QUANTILES:
        if running[-1] == 0:
            out[f"{share:g}"] = None
            continue
        bucket = int(np.searchsorted(running, share * running[-1]))
        out[f"{share:g}"] = 0.0 if bucket == 0 else 2.0 ** ((bucket + 0.5 - _ZERO) / _OCTAVE)
    return out
