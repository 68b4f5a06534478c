"""fastText models: what is checked before the library sees a file, scores, and training."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from curation.synthetic import fasttext
from curation.synthetic.evaluation import weighted_auroc

module = pytest.importorskip("fasttext")


def corpus(n: int = 600) -> pa.Table:
    draw = np.random.default_rng(3)
    common = ["the", "of", "and", "to", "that", "is", "was", "for", "it", "with", "as", "on"]
    own = (["pub", "chips", "dunno", "bloke", "muddy"], ["furthermore", "crucial", "foster", "robust", "realm"])
    texts = [" ".join(draw.choice(common + own[i % 2], int(draw.integers(50, 120)))) for i in range(n)]
    sources = [f"corpus {i // 2 % 3}" for i in range(n)]
    return pa.table({"text": texts, "label": pa.array([i % 2 for i in range(n)], pa.int8()), "source": sources})


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for name in ("plain.bin", "small.ftz"):
        fasttext.train(corpus(), folder / name)
    return folder


def test_training_measures_left_out_sources_and_writes_both_formats(models: Path) -> None:
    held_out = fasttext.train(corpus(), models / "again.bin")
    assert set(held_out.fold) == {"corpus 0", "corpus 1", "corpus 2"}
    human, synthetic = held_out.logit[held_out.label == 0], held_out.logit[held_out.label == 1]
    assert (weighted_auroc(human, synthetic, np.ones(len(human)), np.ones(len(synthetic))) or 0) > 0.95
    assert (models / "again.bin").read_bytes() == (models / "plain.bin").read_bytes()
    assert (models / "small.ftz").stat().st_size < (models / "plain.bin").stat().st_size / 4
    assert fasttext.labels(models / "plain.bin") == fasttext.labels(models / "small.ftz")


@pytest.mark.parametrize("name", ["plain.bin", "small.ftz"])
def test_scores_are_the_librarys_and_blank_text_has_none(models: Path, name: str) -> None:
    text = "furthermore it is crucial to foster that realm"
    values = [text, text.replace(" ", "\r\n\n"), None, "", " \n\t", "the bloke was on chips", text.replace(" ", "\x00")]
    for kind in (pa.string(), pa.large_string()):
        p = fasttext.score(pa.array(values, kind), str(models / name), fasttext.SYNTHETIC)
        assert p.dtype == np.float32 and np.isnan(p).tolist() == [False, False, True, True, True, False, False]
        assert p[0] == p[1] == p[6] > 0.5 > p[5]
    other = fasttext.score(pa.array(values).dictionary_encode(), str(models / name), fasttext.HUMAN)
    np.testing.assert_allclose(other[[0, 5]], 1 - p[[0, 5]], atol=1e-3)
    loaded = module.load_model(str(models / name))
    names, found = loaded.f.multilinePredict([text + "\n"], -1, 0.0, "strict")
    assert p[0] == np.float32(min(1.0, float(dict(zip(names[0], found[0], strict=True))[fasttext.SYNTHETIC])))


def test_a_batch_without_text(models: Path) -> None:
    path = str(models / "plain.bin")
    assert len(fasttext.score(pa.array([], pa.string()), path, fasttext.HUMAN)) == 0
    assert np.isnan(fasttext.score(pa.array([None, ""], pa.string()), path, fasttext.HUMAN)).all()


@pytest.mark.parametrize("name", ["plain.bin", "small.ftz"])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.3, 0.6, 0.9, 0.999999])
def test_a_truncated_file_is_refused_before_the_library_sees_it(
    models: Path, tmp_path: Path, name: str, share: float
) -> None:
    raw = (models / name).read_bytes()
    (tmp_path / name).write_bytes(raw[: int(len(raw) * share)])
    with pytest.raises(ValueError, match=f"{name}.*copy the file again"):
        fasttext.score(pa.array(["text"]), str(tmp_path / name), fasttext.HUMAN)


@pytest.mark.parametrize("name", ["plain.bin", "small.ftz"])
@pytest.mark.parametrize(("place", "value"), [(8, 0), (8, 9), (10, -1)])
def test_a_header_that_the_library_would_trust_is_refused(
    models: Path, tmp_path: Path, name: str, place: int, value: int
) -> None:
    """The kind of loss and the number of buckets."""
    raw = bytearray((models / name).read_bytes())
    raw[4 * place : 4 * place + 4] = value.to_bytes(4, "little", signed=True)
    (tmp_path / name).write_bytes(raw)
    with pytest.raises(ValueError, match="header does not add up"):
        fasttext.labels(tmp_path / name)


def test_more_buckets_than_rows_are_refused(models: Path, tmp_path: Path) -> None:
    raw = bytearray((models / "plain.bin").read_bytes())
    raw[40:44] = (1 << 24).to_bytes(4, "little")
    (tmp_path / "plain.bin").write_bytes(raw)
    with pytest.raises(ValueError, match="its weights do not fit its header"):
        fasttext.score(pa.array(["text"]), str(tmp_path / "plain.bin"), fasttext.HUMAN)


def test_what_is_no_classifier_is_told_apart(models: Path, tmp_path: Path) -> None:
    (tmp_path / "words.vec").write_text("2 3\nthe 1 2 3\nof 1 2 3\n" * 20)
    with pytest.raises(ValueError, match=r"\.vec file holds no model"):
        fasttext.labels(tmp_path / "words.vec")
    raw = bytearray((models / "plain.bin").read_bytes())
    raw[36] = 1  # the place of the kind of model in the header
    (tmp_path / "vectors.bin").write_bytes(raw)
    with pytest.raises(ValueError, match="word vectors without labels"):
        fasttext.labels(tmp_path / "vectors.bin")
    with pytest.raises(ValueError, match=r"none\.bin: No such file"):
        fasttext.labels(tmp_path / "none.bin")
    with pytest.raises(ValueError, match="no label '__label__hq'; it has __label__"):
        fasttext.check(str(models / "plain.bin"), "__label__hq")
    with pytest.raises(ValueError, match=r"\.bin or \.ftz file, not .*model\.npz"):
        fasttext.train(corpus(60), tmp_path / "model.npz")
    one_class = corpus(120).filter(pa.array([i % 2 == 0 for i in range(120)]))
    with pytest.raises(ValueError, match="20 or more synthetic"):
        fasttext.train(one_class, tmp_path / "model.bin")
