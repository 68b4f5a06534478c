import io
import zipfile

import numpy as np
import pytest

from curation.diversity import Ruler, load_ruler
from curation.diversity.ruler import make_ruler, save_ruler


def tables(ruler: Ruler) -> dict[str, np.ndarray]:
    plain = {name: np.asarray(value) for name, value in ruler._asdict().items() if name != "version"}
    return plain | {"tail_from": np.int64(ruler.tail_from)}


def test_the_shipped_ruler_is_small_sound_and_loaded_once():
    ruler = load_ruler()
    assert load_ruler("shipped") is ruler
    assert sum(np.asarray(value).nbytes for value in tables(ruler).values()) < 2_500_000
    assert (ruler.core_sd > 0).all() and (ruler.words_sd > 0).all()
    assert np.isfinite(ruler.core_mean).all()
    assert len(set(ruler.function_words.tolist())) == 64


def test_equal_tables_give_equal_bytes_and_come_back(tmp_path):
    save_ruler(load_ruler(), tmp_path / "a.zip")
    save_ruler(make_ruler(**tables(load_ruler())), tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    assert load_ruler(tmp_path / "a.zip").version == load_ruler().version


def test_the_version_follows_the_tables():
    changed = tables(load_ruler())
    changed["core_mean"] = changed["core_mean"] + 1
    assert make_ruler(**changed).version != load_ruler().version


def test_a_damaged_ruler_is_refused(tmp_path):
    path = tmp_path / "ruler.zip"
    save_ruler(load_ruler(), path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    body = bytearray(members["unigram.npy"])
    body[-1] ^= 1
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (members | {"unigram.npy": bytes(body)}).items():
            archive.writestr(name, content)
    with pytest.raises(ValueError, match="checksum"):
        load_ruler(path)


def test_what_is_no_ruler_is_refused(tmp_path):
    (tmp_path / "text").write_text("hello")
    with pytest.raises(ValueError, match="not a ruler"):
        load_ruler(tmp_path / "text")
    with pytest.raises(ValueError, match="cannot read"):
        load_ruler(tmp_path / "absent")
    with zipfile.ZipFile(tmp_path / "pickle.zip", "w") as archive:
        buffer = io.BytesIO()
        np.save(buffer, np.array([object()], object), allow_pickle=True)
        archive.writestr("unigram.npy", buffer.getvalue())
    with pytest.raises(ValueError, match="not a ruler"):
        load_ruler(tmp_path / "pickle.zip")


def test_tables_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="core_mean"):
        make_ruler(**(tables(load_ruler()) | {"core_mean": np.zeros(3)}))
    with pytest.raises(ValueError, match="missing"):
        make_ruler(unigram=np.zeros(1 << 18, np.uint8))
