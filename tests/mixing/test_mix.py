import json

import numpy as np
import pyarrow as pa
import pytest

from curation.mixing import mix
from curation.mixing.features import FEATURES, design_matrix, held_out_matrix
from mixing.world import human_share, profile_of, signals


@pytest.fixture(scope="module")
def full():
    return profile_of(signals(1500, 0, 1))


@pytest.fixture(scope="module")
def crawl():
    return [signals(600, 1400, 2), signals(600, 1400, 3)]


def held_out_error(weights, batches, profile):
    other = signals(3000, 0, 77)
    target = held_out_matrix(other, profile.standard).mean(0)
    matrix = np.concatenate([held_out_matrix(b, profile.standard) for b in batches])
    w = np.concatenate(weights)
    return float(np.sqrt(np.mean((w @ matrix / w.sum() - target) ** 2)))


def test_human_weight_rises_and_features_never_balanced_come_closer(full, crawl):
    weights, report = mix(crawl, full)
    flat = [np.ones(b.num_rows) for b in crawl]
    assert human_share(flat, crawl) == 0.3
    assert human_share(weights, crawl) > 0.7
    assert held_out_error(weights, crawl, full) < 0.5 * held_out_error(flat, crawl, full)
    assert report["status"] == "converged"
    assert report["imbalance"]["after"]["largest"] < 1.1
    assert report["imbalance"]["before"]["largest"] > 10
    assert report["ess_share"] > 0.25
    assert report["groups"]["human"]["weight_share"] == pytest.approx(human_share(weights, crawl), abs=1e-4)
    assert abs(np.concatenate(weights).mean() - 1) < 1e-5


def test_a_least_effective_share_is_had_by_a_wider_tolerance(full, crawl):
    _, tight = mix(crawl, full)
    weights, report = mix(crawl, full, min_ess=0.6)
    assert tight["ess_share"] < 0.5 and report["ess_share"] > 0.58
    assert report["tolerance"]["asked"] == 1.0 and report["tolerance"]["used"] > 1.5
    assert human_share(weights, crawl) > 0.4
    with pytest.raises(ValueError, match="mix.min_ess"):
        mix(crawl, full, min_ess=1.0)


def test_no_detector_score_is_needed(full, crawl):
    blind = [signals(600, 1400, 2, logits=False)]
    assert human_share(mix(blind, full)[0], blind) > 0.6


def test_verdicts_sharpen_the_mix(full, crawl):
    p = [pa.array(1 / (1 + np.exp(-b.column("logit").to_numpy())), pa.float32()) for b in crawl]
    plain = human_share(mix(crawl, full)[0], crawl)
    assert human_share(mix(crawl, full, p=p, kappa=6.0)[0], crawl) > plain


def with_ratio(batch, seed):
    """A score that leans towards human documents, with one in ten missing, and the report of its fit."""
    rng = np.random.default_rng(seed)
    human = np.array(batch.column("group").to_pylist()) == "human"
    score = np.where(human, 0.4, -1.2) + rng.normal(0, 0.7, len(human))
    missing = rng.random(len(human)) < 0.1
    return batch.append_column("ratio_logit", pa.array(score, pa.float32(), mask=missing))


RATIO = {
    "documents": {"reference": 1500},
    "mean": {"reference": 0.4},
    "sd": {"reference": 0.7},
    "kurtosis": {"reference": 3.0},
}


def test_a_ratio_sharpens_the_mix_and_is_balanced_with_the_other_features(full, crawl):
    scored = [with_ratio(b, i) for i, b in enumerate(crawl)]
    weights, report = mix(scored, full, mode="ratio", ratio=RATIO)
    assert human_share(weights, scored) > human_share(mix(crawl, full)[0], crawl) + 0.03
    assert len(report["tolerance"]["features"]) == FEATURES + 2
    assert report["imbalance"]["after"]["largest"] < 1.1
    score = np.concatenate([b.column("ratio_logit").fill_null(0.4).to_numpy() for b in scored])
    assert abs(np.average(score, weights=np.concatenate(weights)) - 0.4) < 1.1 * 0.7 / 1500**0.5


def test_ratios_are_no_target_where_the_reference_covers_little(crawl):
    part = profile_of(signals(1500, 0, 1, genres=(0, 1)))
    scored = [with_ratio(b, i) for i, b in enumerate(crawl)]
    report = mix(scored, part, mode="ratio", ratio=RATIO)[1]
    assert report["coverage"] < 0.9
    assert "ratio_logit" not in report["tolerance"]["features"]


def test_a_reference_without_most_genres_does_no_harm(crawl):
    part = profile_of(signals(1500, 0, 1, genres=(0, 1)))
    gated, report = mix(crawl, part)
    free, _ = mix(crawl, part, gated=False)
    genre = np.concatenate([b.column("thread_key").to_numpy() for b in crawl])
    human = np.concatenate([np.array(b.column("group").to_pylist()) == "human" for b in crawl])
    missing = human & (genre > 1)

    def share(weights):
        return np.concatenate(weights)[missing].sum() / len(genre)

    assert missing.mean() > 0.19
    assert share(gated) > 0.9 * missing.mean()
    assert share(free) < 0.6 * missing.mean()
    assert human_share(gated, crawl) > 0.3
    assert 0.3 < report["coverage"] < 0.8


def test_order_and_batches_do_not_change_a_bit(full):
    crawl = signals(120, 280, 4)
    settings = dict(reservoir=150, passes=4)
    whole, report = mix([crawl], full, **settings)
    order = np.random.default_rng(1).permutation(400)
    shuffled = crawl.take(pa.array(order))
    parts, other = mix([shuffled.slice(a, 57) for a in range(0, 400, 57)], full, **settings)
    assert np.array_equal(np.concatenate(parts), whole[0][order])
    assert other == report


def test_a_crawl_like_the_reference_is_hardly_touched():
    human = signals(2000, 0, 9)
    weights, report = mix([human], profile_of(human))
    assert report["ess_share"] > 0.97
    assert weights[0].min() > 0.2


def test_a_reference_out_of_reach_is_explained_and_leaves_the_base_weights():
    far = [signals(0, 900, 5, genres=(5,))]
    weights, report = mix(far, profile_of(signals(1500, 0, 1, genres=(0, 1))), gated=False)
    assert report["status"] == "hopeless"
    assert report["tolerance"]["used"] is None
    assert any("cannot bring" in w for w in report["warnings"])
    assert np.allclose(weights[0], 1, atol=1e-4)


@pytest.mark.parametrize(
    "crawl", [[], [signals(0, 0, 1)], [signals(1, 0, 1)], [signals(3, 0, 1), signals(0, 0, 1)], [signals(20, 9, 1)]]
)
def test_tiny_crawls_keep_their_weight(full, crawl):
    weights, report = mix(crawl, full)
    assert [len(w) for w in weights] == [b.num_rows for b in crawl]
    assert all(np.allclose(w, 1, atol=1e-5) for w in weights)  # weights stand on a grid of 2^-20 of the cap
    json.dumps(report, allow_nan=False)


def test_a_tiny_reference_gives_finite_weights(crawl):
    tiny = profile_of(signals(12, 0, 1))
    for gated in (True, False):
        weights, report = mix(crawl, tiny, gated=gated)
        flat = np.concatenate(weights)
        assert np.isfinite(flat).all()
        assert flat.min() >= 0
        json.dumps(report, allow_nan=False)


def test_removed_documents_get_no_weight_and_survivors_mean_one(full, crawl):
    sizes = [np.where(np.arange(b.num_rows) % 4 == 0, 0, 1 + np.arange(b.num_rows) % 3) for b in crawl]
    for mode in ("balance", "cluster", "soft", "none"):
        weights, _ = mix(crawl, full, cluster_size=sizes, mode=mode, gamma=0.5)
        flat, size = np.concatenate(weights), np.concatenate(sizes)
        assert not flat[size == 0].any()
        assert abs(flat[size > 0].mean() - 1) < 1e-5


def test_soft_and_cluster_weights_are_their_formulas(crawl):
    p = [pa.array(np.linspace(0, 0.9, b.num_rows), pa.float32()) for b in crawl]
    soft = mix(crawl, None, p=p, mode="soft", kappa=2.0)[0][0]
    forum = np.array(crawl[0].column("source").to_pylist()) == "forum"
    ratio = soft[forum] / (1 - p[0].to_numpy().astype(float)[forum]) ** 2
    assert ratio[:500].std() / ratio[:500].mean() < 1e-3
    sizes = [np.full(b.num_rows, 1) for b in crawl]
    sizes[0][0] = 16
    cluster = mix(crawl, None, cluster_size=sizes, mode="cluster", gamma=0.5)[0][0]
    assert abs(cluster[0] / cluster[1] - 4) < 1e-3


def test_the_report_names_features_and_is_plain_json(full, crawl):
    report = mix(crawl, full)[1]
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert len(report["worst_features"]) == 10
    assert len(report["tolerance"]["features"]) == FEATURES
    assert report["documents"] == 4000
    quantiles = list(report["weight_quantiles"].values())
    assert quantiles == sorted(quantiles)
    weights = np.concatenate(mix(crawl, full)[0])
    assert report["ess"] == pytest.approx(weights.sum() ** 2 / (weights**2).sum(), rel=1e-4)
    assert report["weight_quantiles"]["0.5"] == pytest.approx(np.median(weights), rel=0.05)
    positive = weights[weights > 0]
    assert report["divergence"] == pytest.approx((positive * np.log(positive)).sum() / weights.sum(), rel=1e-3)


def test_moments_of_the_weighted_scalars_reach_the_reference(full, crawl):
    matrix = np.concatenate([design_matrix(b, full.standard) for b in crawl])
    w = np.concatenate(mix(crawl, full)[0])
    core = matrix[:, :16]

    def covariance(weights):
        centred = core - weights @ core / weights.sum()
        return (centred * weights[:, None]).T @ centred / weights.sum()

    mean = full.scalars_mean[1]
    human = full.scalars_products[1] - np.outer(mean, mean)
    before, after = np.abs(covariance(np.ones(len(w))) - human).max(), np.abs(covariance(w) - human).max()
    assert after < 0.5 * before


def test_bad_modes_are_refused(crawl):
    with pytest.raises(ValueError, match="mix.mode.*'ration'"):
        mix(crawl, None, mode="ration")
    with pytest.raises(ValueError, match="ratio needs a reference"):
        mix(crawl, None, mode="ratio")
    with pytest.raises(ValueError, match="needs a reference profile"):
        mix(crawl, None)
