"""Human text that is trusted for its date, against what other human text says."""

import numpy as np

from curation.synthetic import anchor_state, doubts, empty_anchors, load_model, merge

MODEL = load_model()


def anchors(name, logits, words=300):
    n = len(logits)
    return anchor_state(
        np.array(logits, np.float32), np.array(logits, np.float32), np.full(n, words), np.full(n, name),
        np.ones(n, bool),
    )  # fmt: skip


HUMAN = anchors("books", np.linspace(-8, -2, 2000))


def test_dates_that_the_scores_contradict_are_named_with_numbers():
    wrong = anchors("web", [*np.linspace(-8, -2, 150), *np.linspace(0, 5, 50)])
    right = anchors("news", np.linspace(-8, -2, 200))
    (said,) = doubts(merge(HUMAN, wrong, right), {"web", "news"}, MODEL, 0.01)
    assert "'web'" in said and "of 200 documents" in said and "other known human text" in said
    assert 50 <= int(said.split()[0]) <= 54


def test_a_few_documents_say_nothing():
    few = anchors("web", [*np.linspace(-8, -2, 12), *np.linspace(0, 5, 8)])
    assert doubts(merge(HUMAN, few), {"web"}, MODEL, 0.01) == []
    assert doubts(empty_anchors(), {"web"}, MODEL, 0.01) == []


def test_without_other_human_text_the_model_tells():
    (said,) = doubts(anchors("web", [30.0] * 100), {"web"}, MODEL, 0.01)
    assert "100 of 100" in said and "model's own thresholds" in said
