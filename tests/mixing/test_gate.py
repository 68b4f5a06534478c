import numpy as np
import pyarrow as pa

from curation.mixing import gate
from curation.mixing.features import CORE_COLUMNS, design_matrix
from mixing.world import profile_of, signals


def test_centroids_find_separate_groups_and_are_deterministic():
    rng = np.random.default_rng(1)
    centers = np.array([[2.0, 0], [-2, 0], [0, 2.5]])
    points = np.repeat(centers, 50, 0) + rng.normal(0, 0.1, (150, 2))
    points = points[rng.permutation(150)]
    found = gate.centroids(points, 3)
    assert np.array_equal(found, gate.centroids(points, 3))
    assert np.allclose(sorted(map(tuple, found[:, :2])), sorted(map(tuple, centers)), atol=0.1)
    assert 0 < found[0, 2] < 0.2


def test_few_or_equal_documents_give_fewer_centroids():
    assert len(gate.centroids(np.zeros((0, 16)))) == 1
    assert len(gate.centroids(np.ones((50, 16)))) == 1
    assert len(gate.centroids(np.eye(16)[:3])) <= 3


def test_a_small_reference_has_cells_that_it_can_fill():
    points = np.random.default_rng(3).normal(size=(400, 16))
    assert [len(gate.centroids(points[:n])) for n in (1, 11, 30, 60, 119, 120, 400)] == [1, 1, 2, 5, 9, 10, 10]
    profile, crawl = profile_of(signals(110, 0, 5)), signals(400, 0, 6)
    cell = gate.cells(crawl, design_matrix(crawl, profile.standard)[:, CORE_COLUMNS], profile.centroids, "en")
    same = np.ones(len(cell))
    found = gate.coverage(gate.cell_sums(cell, same, same, gate.cell_count(profile.centroids)), profile.cell_documents)
    assert found.share > 0.6  # .2 with ten cells of five documents each


def test_cells_follow_gate_language_and_distance():
    profile = profile_of(signals(600, 0, 1))
    batch = signals(6, 0, 2, gate=pa.array(["prose", "code", "prose", "riddle", "prose", "empty"]),
                    lang=pa.array(["en", "en", "other", "en", "und", "en"]))  # fmt: skip
    scalars = design_matrix(batch, profile.standard)[:, CORE_COLUMNS].copy()
    scalars[4] = 3.0
    names = gate.cell_names(profile.centroids)
    assert len(names) == gate.cell_count(profile.centroids)
    found = [names[c] for c in gate.cells(batch, scalars, profile.centroids, "en")]
    assert found[0].startswith("prose ")
    assert found[1:] == ["code", "other language", "other language", "prose far from the reference", "empty"]


def sums(documents, base=None):
    documents = np.array(documents, np.int64)
    base = documents if base is None else np.array(base, np.int64)
    return gate.CellSums(documents, base << 20, documents << 20)


def test_only_cells_with_a_tenth_of_the_crawls_share_are_covered():
    cover = gate.coverage(sums([100, 100, 100, 100, 0, 0]), np.array([200, 60, 7, 8, 0, 0]))
    assert cover.covered.tolist() == [True, True, False, True, False, False]
    assert cover.share == 0.75
    assert abs(cover.target.sum() - 1) < 1e-12
    assert cover.target[2] == 0


def test_machine_text_does_not_make_a_cell_look_uncovered():
    documents, reference = [100, 1900, 0, 0], np.array([182, 18, 0, 0])
    assert not gate.coverage(sums(documents), reference).covered[1]
    assert gate.coverage(sums(documents, [100, 60, 0, 0]), reference).covered[1]


def test_a_complete_reference_moves_shares_freely_and_a_partial_one_hardly():
    full = gate.coverage(sums([50, 50, 0, 0]), np.array([75, 25, 0, 0]))
    assert np.allclose(full.target[:2], [0.75, 0.25])
    part = gate.coverage(sums([10, 10, 480, 500, 0, 0]), np.array([75, 25, 0, 0, 0, 0]))
    assert part.covered.tolist() == [True, True, False, False, False, False]
    assert abs(part.target[0] - 0.5) < 0.01


def test_nothing_is_covered_by_an_empty_reference():
    for gated in (True, False):
        cover = gate.coverage(sums([50, 50, 0]), np.zeros(3, np.int64), gated)
        assert not cover.covered.any()
        assert cover.share == 0


def test_targets_are_the_references_means_at_its_own_shares():
    counts, means, squares = np.array([30, 10, 0]), np.array([[1.0], [3.0], [0.0]]), np.array([[2.0], [9.0], [0.0]])
    cover = gate.coverage(sums([5, 5, 5]), counts, gate=False)
    targets, errors = gate.cell_targets(cover, counts, means, squares)
    assert np.isclose(targets[0], 1.5)
    total_variance = (30 * 2 + 10 * 9) / 40 - 1.5**2
    assert np.isclose(errors[0], np.sqrt(total_variance / 40), rtol=0.06)


def test_a_small_reference_does_not_demand_that_what_it_never_shows_is_absent():
    counts = np.array([10, 0, 0])
    cover = gate.coverage(sums([5, 0, 0]), counts, gate=False)
    _, errors = gate.cell_targets(cover, counts, np.zeros((3, 1)), np.zeros((3, 1)))
    assert np.isclose(errors[0], 1 / np.sqrt(110))


def test_blended_weights_have_mean_one_and_keep_the_mass_inside():
    cell = np.array([0] * 60 + [1] * 40)
    plain = np.where(np.arange(100) % 2, 1.0, 3.0)
    crawl = gate.cell_sums(cell, plain, plain, 4)
    cover = gate.coverage(crawl, np.array([100, 0, 0, 0]))
    inside = cover.covered[cell]
    tilted = np.random.default_rng(1).uniform(0, 2, 100)
    tilted[inside] /= tilted[inside].mean()
    w = gate.blend(tilted, plain, inside, cover)
    assert np.isclose(w.mean(), 1)
    assert np.isclose(w[inside].sum() / w.sum(), plain[inside].sum() / plain.sum())
    assert np.allclose(w[~inside] * cover.mean, plain[~inside])
