"""A realistic report, built without randomness, for tests and for looking at the page."""

import math
from typing import Any

SOURCES = {
    "crawl-2024": ("unknown", 36),
    "crawl-2019": ("human", 16),
    "forum": ("unknown", 8),
    "books": ("premium", 4),
}
STATISTICS = {
    "templates": (
        "Template share",
        "share",
        "sentence frames shared by several documents",
        "up",
        0.218,
        0.012,
    ),
    "openers": ("Opener entropy", "bits", "how varied sentence beginnings are", "down", 9.41, 0.12),
    "style": ("Style convergence", "cosine", "how alike documents sound", "up", 0.004, 0.004),
    "entropy": ("Word entropy", "bits", "how varied the vocabulary is", "down", 10.05, 0.08),
    "hill": ("Effective words", "words", "words in balanced use", "down", 95.4, 4.0),
    "hapax": ("Words seen once", "share", "mass of the rarest words", "down", 0.021, 0.0015),
    "tail": ("Tail coverage", "share", "rare words of the reference that occur", "down", 0.61, 0.02),
    "polarity": ("Contradiction", "share", "mentions that disagree in polarity", "down", 0.077, 0.004),
    "compression": ("Compression", "ratio", "how well blocks compress", "away", 2.41, 0.05),
}


def wave(seed: float) -> float:
    """A fixed number in -1..1."""
    return math.sin(12.9898 * seed + 4.1) * math.cos(78.233 * seed)


def _normal(edges: list[float], mean: float, deviation: float, total: int) -> list[int]:
    bins = list(zip(edges, edges[1:], strict=False))
    heights = [math.exp(-0.5 * (((a + b) / 2 - mean) / deviation) ** 2) for a, b in bins]
    return [round(total * h / sum(heights)) for h in heights]


def _values(seed: int, synthetic: float) -> dict[str, float]:
    sign = {"up": 1, "down": -1, "away": 0.4}
    return {
        name: round(centre + spread * (wave(seed + 7 * i) + sign[worse] * synthetic * (9 - i)), 5)
        for i, (name, (_, _, _, worse, centre, spread)) in enumerate(STATISTICS.items())
    }


def sample(shards: int = 64) -> dict[str, Any]:
    """A whole report with about `shards` shards."""
    names = [
        (s, f"{s}/part-{i:05d}.parquet")
        for s, (_, n) in SOURCES.items()
        for i in range(max(1, n * shards // 64))
    ]
    bad = {0: 3.1, 5: 1.4, 11: 0.9}
    by_shard, by_source = [], {}
    for i, (source, shard) in enumerate(names):
        read = 15_000 + round(2000 * wave(i))
        excluded = round(read * (0.24 if source == "crawl-2024" else 0.05) * (1 + 0.3 * wave(i + 0.5)))
        quarantined = 3 if i == 7 else 0
        row = {
            "shard": shard,
            "source": source,
            "read": read,
            "kept": read - excluded - quarantined,
            "excluded": excluded,
            "quarantined": quarantined,
            "bytes": read * 3120,
            "bytes_kept": (read - excluded) * 3210,
        }
        by_shard.append(row)
        total = by_source.setdefault(source, {"trust": SOURCES[source][0], "by_reason": {}})
        for key in ("read", "kept", "excluded", "quarantined", "bytes", "bytes_kept"):
            total[key] = total.get(key, 0) + row[key]
    whole = {k: sum(s[k] for s in by_source.values()) for k in ("read", "kept", "excluded", "quarantined")}
    near = round(whole["excluded"] * 0.55)
    exact = round(whole["excluded"] * 0.43)
    by_reason = {
        "near_duplicate": near,
        "exact_duplicate": exact,
        "empty_text": whole["excluded"] - near - exact,
    }
    edges = [-8 + 0.4 * i for i in range(41)]
    shares = {"crawl-2024": 0.17, "crawl-2019": 0.002, "forum": 0.08, "books": 0.0}
    counts = {
        s: [
            a + b
            for a, b in zip(
                _normal(edges, -3, 1.4, round(by_source[s]["kept"] * (1 - p))),
                _normal(edges, 3.2, 1.3, round(by_source[s]["kept"] * p)),
                strict=True,
            )
        ]
        for s, p in shares.items()
        if s in by_source
    }

    def prevalence(share: float, n: int, width: float) -> dict[str, Any]:
        return {
            "estimate": share,
            "low": max(0.0, round(share - width, 4)),
            "high": round(share + 1.4 * width, 4),
            "lower_bound": max(0.0, round(share - 0.8 * width, 4)),
            "reason": None,
            "documents": n,
            "scored": round(n * 0.81),
            "anchors": 5210,
        }

    statistics = {
        name: {"title": title, "unit": unit, "meaning": meaning, "worse": worse, "scale": spread}
        for name, (title, unit, meaning, worse, _, spread) in STATISTICS.items()
    }
    before = {s: _values(i, bad.get(i, 0.02)) for i, (_, s) in enumerate(names)}
    after = {s: _values(i, bad.get(i, 0.02) / 4) for i, (_, s) in enumerate(names)}
    text = (
        "The ferry leaves at seven in the morning and, weather allowing, returns before the market closes. "
        * 3
    )
    return {
        "documents": {**whole, "by_reason": by_reason, "by_source": by_source, "by_shard": by_shard},
        "duplicates": {
            "clusters": 41_872,
            "removed": near + exact,
            "by_reason": {"near_duplicate": near, "exact_duplicate": exact},
            "by_source": {s: round(v["excluded"] * 0.98) for s, v in by_source.items()},
            "similarity": {
                "edges": [0.7 + 0.02 * i for i in range(16)],
                "counts": [round(300 * 1.28**i) for i in range(15)],
            },
            "curves": {
                "edges": [0.02 * i for i in range(51)],
                "expected": [1 - (1 - (0.02 * i + 0.01) ** 8) ** 14 for i in range(50)],
                "candidates": [round(40 * 1.12**i) for i in range(50)],
                "merged": [0] * 35 + [round(300 * 1.28**i) for i in range(15)],
            },
            "largest": [
                {
                    "cluster_id": "c4-17",
                    "size": 2114,
                    "survivor": {
                        "id": "c4-17",
                        "source": "crawl-2019",
                        "text": "We use cookies to improve your experience on this site.",
                    },
                    "by_source": {"crawl-2024": 2100, "crawl-2019": 14},
                },
                {
                    "cluster_id": "f-9",
                    "size": 380,
                    "survivor": {
                        "id": "f-9",
                        "source": "forum",
                        "text": "Your topic was moved by a moderator.",
                    },
                    "by_source": {"forum": 380},
                },
            ],
            "examples": [
                {
                    "survivor": {"id": "c4-00412", "source": "crawl-2019", "text": text},
                    "duplicate": {
                        "id": "cc-99120",
                        "source": "crawl-2024",
                        "text": text.replace("seven", "eight").replace("market", "harbour"),
                    },
                    "similarity": 0.83,
                    "reason": "near_duplicate",
                },
                {
                    "survivor": {
                        "id": "b-3",
                        "source": "books",
                        "text": "It was a bright cold day in the valley.",
                    },
                    "duplicate": {
                        "id": "cc-5",
                        "source": "crawl-2024",
                        "text": "It was a bright cold day in the valley!",
                    },
                    "similarity": None,
                    "reason": "exact_duplicate",
                },
            ],
        },
        "synthetic": {
            "scored": round(whole["kept"] * 0.81),
            "min_words": 50,
            "undetermined": {"too_short": 88_120, "not_prose": 51_903, "language": 9921},
            "labels": {"human": 498_120, "undetermined": 149_944, "synthetic": 71_233},
            "prevalence": prevalence(0.113, 640_000, 0.03),
            "prevalence_after": prevalence(0.031, 640_000, 0.02),
            "by_source": {
                **{
                    s: prevalence(p, by_source[s]["kept"], 0.03)
                    for s, p in shares.items()
                    if s in by_source and s != "books"
                },
                "books": {
                    "estimate": None,
                    "low": None,
                    "high": None,
                    "lower_bound": None,
                    "reason": "fewer than 100 human anchors",
                },
            },
            "by_shard": {
                s: prevalence(
                    round(max(0.0, min(0.95, shares[src] * (1 + 0.5 * wave(i)) + 0.2 * bad.get(i, 0))), 4),
                    12_000,
                    0.04,
                )
                for i, (src, s) in enumerate(names)
            },
            "histogram": {"edges": edges, "counts": counts, "anchors": _normal(edges, -3.1, 1.35, 5210)},
            "threshold": 1.9,
            "fpr": 0.01,
            "anchors": 5210,
            "notes": ["Two strata with few anchors were pooled with their length bin."],
            "warnings": [],
        },
        "diversity": {
            "statistics": statistics,
            "reference": {name: entry[4] for name, entry in STATISTICS.items()},
            "before": {
                "total": _values(3, 0.6),
                "shards": before,
                "sources": {s: _values(i, 0.2) for i, s in enumerate(by_source)},
            },
            "after": {
                "total": _values(3, 0.08),
                "shards": after,
                "sources": {s: _values(i, 0.05) for i, s in enumerate(by_source)},
            },
        },
        "variance": {
            "balanced": {
                "before": {"vr_min": 0.58, "vr_ld": 1.14, "vr_max": 1.92, "shift": 0.21, "ffd": 0.106},
                "after": {"vr_min": 0.78, "vr_ld": 1.01, "vr_max": 1.18, "shift": 0.03, "ffd": 0.006},
                "floor": {"vr_min": 0.79, "vr_ld": 0.99, "vr_max": 1.2, "shift": 0.02, "ffd": 0.0106},
            },
            "held_out": {
                "before": {"vr_min": 0.41, "vr_ld": 1.09, "vr_max": 2.2, "shift": 0.19, "ffd": 0.12},
                "after": {"vr_min": 0.71, "vr_ld": 1.0, "vr_max": 1.3, "shift": 0.05, "ffd": 0.02},
                "floor": {"vr_min": 0.74, "vr_ld": 0.98, "vr_max": 1.25, "shift": 0.02, "ffd": 0.014},
            },
        },
        "mixing": {
            "mode": "balance",
            "ess": {"documents": 0.268, "tokens": 0.31, "by_group": {"native": 0.28, "non-native": 0.22}},
            "tolerance": {"asked": 1.0, "reached": 1.0},
            "coverage": 0.87,
            "worst_features": [
                {
                    "name": f"style: marker {i}",
                    "before": round(14 * 0.86**i * (1 if i % 3 else -1), 2),
                    "after": round(1.0 * (1 if i % 3 else -1), 2),
                }
                for i in range(10)
            ],
            "floors": {
                "books": {"floor": 0.95, "kept": 0.951, "met": True},
                "forum": {"floor": 0.96, "kept": 0.949, "met": False},
            },
            "retention": {"native": 0.94, "non-native": 0.91},
            "weights": {
                "quantiles": {
                    "0": 0.05,
                    "0.01": 0.08,
                    "0.25": 0.31,
                    "0.5": 0.64,
                    "0.75": 1.2,
                    "0.99": 6.8,
                    "1": 20.0,
                },
                "histogram": {
                    "edges": [0.05 * 1.35**i for i in range(21)],
                    "counts": _normal([float(i) for i in range(21)], 9, 3.2, whole["kept"]),
                },
            },
            "warnings": [],
            "budget": {},
        },
        "run": {
            "name": "curation run: crawl-2024 with human reference",
            "hashes": {
                "annotate_hash": "9f2c11d07ab34e55",
                "decide_hash": "01b7aa9e3cd2f680",
                "config": "77e1f0",
            },
            "versions": {"curation": "0.1.0", "python": "3.11.9", "numpy": "2.1.3", "model": "shipped-1"},
            "stages": {
                "annotate": {
                    "documents": whole["read"],
                    "megabytes": 2996.1,
                    "cpu_seconds": 131.2,
                    "wall_seconds": 70.3,
                    "peak_rss": 812_000_000,
                },
                "resolve": {
                    "documents": whole["read"],
                    "megabytes": 2996.1,
                    "cpu_seconds": 22.0,
                    "wall_seconds": 14.8,
                    "peak_rss": 1_100_000_000,
                },
                "weigh": {
                    "documents": whole["kept"],
                    "megabytes": 2410.2,
                    "cpu_seconds": 40.5,
                    "wall_seconds": 21.9,
                    "peak_rss": 640_000_000,
                },
                "select": {
                    "documents": whole["read"],
                    "megabytes": 2996.1,
                    "cpu_seconds": 35.1,
                    "wall_seconds": 20.0,
                    "peak_rss": 500_000_000,
                },
            },
            "warnings": [],
        },
    }
