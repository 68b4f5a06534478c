"""Training on invented text: determinism, errors, and that what is measured is what was left out."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from curation.synthetic import detect_synthetic, load_model, save_model, score
from curation.synthetic.evaluation import HeldOut, comparable, separation, weighted_auroc, weighted_tpr
from curation.synthetic.training import crop, features, prepare, shared, train
from curation.text import tokenise

COMMON = [
    "the",
    "of",
    "and",
    "to",
    "that",
    "is",
    "was",
    "for",
    "it",
    "with",
    "as",
    "on",
    "be",
    "by",
    "this",
    "are",
    "have",
    "or",
    "from",
    "not",
    "but",
    "at",
    "you",
    "he",
    "she",
    "they",
]
OURS = ["pub", "chips", "dunno", "reckon", "bloke", "muddy", "sunday", "brother", "gate", "wind", "kettle", "stairs"]
THEIRS = [
    "furthermore",
    "crucial",
    "landscape",
    "foster",
    "leverage",
    "robust",
    "insights",
    "navigate",
    "pivotal",
    "tapestry",
    "delve",
    "realm",
]


def invent(n: int, seed: int, sources: int = 3) -> pa.Table:
    draw = np.random.default_rng(seed)
    texts, labels, names = [], [], []
    for i in range(n):
        label = i % 2
        words = draw.choice(COMMON + (THEIRS if label else OURS), int(draw.integers(45, 200)))
        texts.append(" ".join(w + ("." if draw.random() < 0.1 else "") for w in words))
        labels.append(label)
        names.append(f"corpus {draw.integers(sources)}")
    return pa.table({"text": texts, "label": pa.array(labels, pa.int8()), "source": names})


def test_equal_data_in_any_order_give_equal_bytes(tmp_path: Path) -> None:
    table = invent(240, 1)
    shuffled = table.take(pa.array(np.random.default_rng(2).permutation(240)))
    for name, data in (("a", table), ("b", shuffled), ("c", invent(240, 3))):
        save_model(tmp_path / name, train(data)[0])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes() != (tmp_path / "c").read_bytes()


def test_a_trained_model_separates_new_text(tmp_path: Path) -> None:
    model, held_out = train(invent(600, 1))
    save_model(tmp_path / "own.npz", model)
    new = invent(200, 9)
    logit, check = score(tokenise(new["text"].combine_chunks()), load_model(tmp_path / "own.npz"))
    label = np.array(new["label"])
    one = np.ones(100)
    scored = np.isfinite(logit)
    for scores in (logit, check):
        h, s = scores[scored & (label == 0)], scores[scored & (label == 1)]
        assert (weighted_auroc(h, s, one[: len(h)], one[: len(s)]) or 0) > 0.97
    assert set(held_out.fold) == {"corpus 0", "corpus 1", "corpus 2"} and np.isfinite(held_out.logit).all()
    out = detect_synthetic(new, source="source", human=label == 0, model=str(tmp_path / "own.npz"), label_words=60)
    labels = np.array(out["synthetic_label"].to_pylist())
    assert (labels[label == 0] == "synthetic").mean() <= 0.02
    assert (labels[(label == 1) & scored] == "synthetic").mean() > 0.5


def test_scores_of_left_out_sources_come_from_models_that_never_saw_them() -> None:
    table = invent(300, 4)
    # in one corpus the classes use each other's words: a model that has seen it would get it right
    flipped = [
        1 - y if s == "corpus 2" else y
        for y, s in zip(table["label"].to_pylist(), table["source"].to_pylist(), strict=True)
    ]
    _, held_out = train(table.set_column(1, "label", pa.array(flipped)))
    inside = held_out.source == "corpus 2"
    found = separation(held_out.logit[inside], held_out.label[inside], held_out.cluster[inside])
    assert found["auroc"][0] < 0.2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop_columns(["label"]), "needs a column 'label'"),
        (lambda t: t.set_column(1, "label", pa.array([2] * 60)), "0 .human. or 1 .synthetic.; it holds 2"),
        (lambda t: t.set_column(1, "label", pa.array([None] * 60, pa.int8())), "must be 0"),
        (lambda t: t.set_column(1, "label", pa.array([1] * 60)), "20 or more human documents"),
        (lambda t: t.set_column(1, "label", pa.array([0] * 60)), "20 or more synthetic documents"),
        (lambda t: t.set_column(0, "text", pa.array(["too short"] * 60)), "20 or more human documents"),
    ],
)
def test_data_that_cannot_train_are_refused(change: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        prepare(change(invent(60, 1)))  # type: ignore[operator]


def test_one_source_is_measured_on_random_quarters_and_says_so() -> None:
    model, held_out = train(invent(200, 5).drop_columns(["source"]))
    assert set(held_out.fold) == {f"random-{i}" for i in range(4)} == set(model.training["folds"])


def test_crops_are_stretches_of_50_to_420_words() -> None:
    draw = np.random.default_rng(1)
    texts = [" ".join(draw.choice(COMMON, n)) + "." for n in [10, 60, *[2000] * 300]]
    begin, end, words = crop(tokenise(pa.array(texts)), draw.integers(0, 2**63, len(texts)).astype(np.uint64))
    assert words[0] == 10 and words[1] <= 60
    long = words[2:]
    assert long.min() >= 50 and long.max() < 420 and abs(np.median(long) - np.sqrt(50 * 420)) < 25
    np.testing.assert_array_equal(end - begin, words)  # no punctuation inside, so tokens are words
    assert len(set(begin[2:].tolist())) > 290


def test_variants_are_measured_and_not_trained_on() -> None:
    table = invent(300, 6)
    odd = table.slice(0, 60)
    flipped = odd.set_column(1, "label", pa.array([1 - y for y in odd["label"].to_pylist()], pa.int8()))
    parts = ((table, ""), (flipped, "x"))
    both = pa.concat_tables([t.append_column("variant", pa.array([v] * len(t))) for t, v in parts])
    plain, with_variant = train(table)[0], train(both)
    np.testing.assert_array_equal(plain.weights, with_variant[0].weights)
    assert plain.calibration == with_variant[0].calibration
    inside = with_variant[1].variant == "x"
    assert inside.sum() >= 40 and np.isfinite(with_variant[1].logit[inside]).all()


def test_what_is_only_measured_counts_in_detection_rates_alone() -> None:
    table = invent(900, 8)
    strange = invent(200, 9, sources=1).set_column(2, "source", pa.array(["corpus 1"] * 200))
    texts = [t.replace("the", "zyzzyva") for t in strange["text"].to_pylist()]
    strange = strange.set_column(0, "text", pa.array(texts))
    parts = ((table, True), (strange, False))
    both = pa.concat_tables([t.append_column("trained", pa.array([v] * len(t))) for t, v in parts])
    (plain, _), (model, held_out) = train(table), train(both)
    for name in ("weights", "check", "vocabulary", "scales", "training"):
        np.testing.assert_equal(getattr(model, name), getattr(plain, name))
    for kind in ("logit", "logit_check"):
        rates = model.calibration[kind].pop("tpr"), plain.calibration[kind].pop("tpr")
        assert rates[0]["corpus 0"] == rates[1]["corpus 0"] and len(rates[0]) == 3
    assert model.calibration == plain.calibration
    assert (~held_out.trained).sum() >= 190 and np.isfinite(held_out.logit).all()
    assert comparable(held_out)[~held_out.trained].all()  # and it is in the tables like any other
    with pytest.raises(ValueError, match="20 or more human"):
        train(both.filter(pa.array([not v for v in both["trained"].to_pylist()])))
    with pytest.raises(ValueError, match="'trained' must hold true or false"):
        train(table.append_column("trained", pa.array(["no"] * 900)))


def test_what_one_domain_alone_says_gets_no_weight() -> None:
    table = invent(900, 7, sources=1)
    domain = pa.array([f"domain {i % 30}" for i in range(900)])
    texts = [t + " zyzzyva" * (i % 30 == 3) for i, t in enumerate(table["text"].to_pylist())]
    table = table.set_column(0, "text", pa.array(texts)).append_column("domain", domain)
    crops = prepare(table)
    common = shared(crops, np.arange(len(crops.label)))
    word = prepare(invent(60, 1))  # any table: only its vocabulary of common words is needed here
    tokens = tokenise(pa.array(["zyzzyva furthermore"]))
    bucket, _ = features(tokens, np.array([0, 1]), np.array([1, 2]), word.vocabulary)
    assert not common[bucket[0]] and common[bucket[3]]


def test_a_fold_compares_the_classes_of_its_own_corpus() -> None:
    names = np.array(["both", "both", "human only", "human only", "machine only"])
    label, fold = np.array([0, 1, 0, 0, 1]), np.array(["a", "a", "a", "b", "b"])
    rest = np.zeros(5), np.zeros(5), label, names, fold, np.full(5, 99), np.arange(5), np.arange(5)
    data = HeldOut(*rest, np.ones(5, bool), np.array(["", "", "", "", ""]), np.ones(5, bool))
    assert comparable(data).tolist() == [True, True, False, True, True]


def test_separation_on_known_values() -> None:
    h, s = np.array([0.0, 1, 2, 3]), np.array([2.5, 3.5])
    one, two = np.ones(4), np.ones(2)
    assert weighted_auroc(h, s, one, two) == 7 / 8
    assert weighted_auroc(h, h, one, one) == 0.5
    assert weighted_tpr(np.arange(99.0), np.array([97.5, 98.5, 99]), np.ones(99), np.ones(3), 0.01) == 2 / 3
    assert weighted_tpr(h, s, one, two, 0.01) is None  # four documents cannot say what 1 % is


def test_intervals_are_wider_when_documents_come_in_clusters() -> None:
    draw = np.random.default_rng(3)
    cluster = np.repeat(np.arange(40), 25)
    label = (cluster % 2).astype(np.int8)
    logit = (label + draw.normal(0, 1, 40)[cluster] + draw.normal(0, 0.3, 1000)).astype(np.float32)
    clustered = separation(logit, label, cluster)["auroc"]
    single = separation(logit, label, np.arange(1000))["auroc"]
    assert clustered[0] == single[0] and clustered[2] - clustered[1] > 2 * (single[2] - single[1])
