import io
import json
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mixing.world import profile_of, signals

from curation import diversity, jobs
from curation.config import ConfigError, load
from curation.diversity import load_ruler, reference
from curation.mixing.features import design_matrix, fixed_width, held_out_matrix


def whole(batch):
    frame = reference.first_result(reference.first_update(batch, "en"), "en")
    return frame, reference.second_update(batch, frame)


def test_a_profile_does_not_depend_on_order_or_batches():
    batch = signals(500, 0, 1)
    order = np.random.default_rng(1).permutation(500)
    shuffled = batch.take(order)
    parts = [shuffled.slice(a, 90) for a in range(0, 500, 90)]
    assert reference.save(profile_of(*parts)) == reference.save(profile_of(batch))


def test_standard_comes_from_half_a_and_targets_from_half_b():
    batch = signals(800, 0, 2)
    b = reference.half_b(batch.column("id"))
    assert 330 < b.sum() < 470
    profile = profile_of(batch)
    core = fixed_width(batch, "core", 16)
    assert np.allclose(profile.standard.mean[:16], core[~b].mean(0), atol=1e-5)
    matrix = design_matrix(batch, profile.standard)
    counts = profile.cell_documents
    assert counts.sum() == b.sum() == profile.documents[1]
    assert np.allclose((profile.cell_means * counts[:, None]).sum(0) / counts.sum(), matrix[b].mean(0))
    assert np.allclose((profile.cell_squares * counts[:, None]).sum(0) / counts.sum(), (matrix[b] ** 2).mean(0))
    held_out = held_out_matrix(batch, profile.standard)
    for half, rows in enumerate((~b, b)):
        assert np.allclose(profile.held_out_mean[half], held_out[rows].mean(0))
        assert np.allclose(profile.scalars_products[half], matrix[rows, :16].T @ matrix[rows, :16] / rows.sum())


def test_documents_in_another_language_do_not_shape_the_profile():
    human, other = signals(400, 0, 3), signals(0, 200, 4, lang=["other"] * 200)
    mixed, alone = profile_of(human, other), profile_of(human)
    assert np.array_equal(mixed.cell_means, alone.cell_means)
    assert np.array_equal(mixed.centroids, alone.centroids)
    assert sum(mixed.documents) == 600


def test_save_and_load_are_inverse_and_bytes_are_fixed():
    batch = signals(300, 0, 5)
    first = reference.first_update(batch, "en")
    frame, second = whole(batch)
    profile = reference.build(
        first, frame, second, anchors={"human/default/2": np.arange(5), "a": np.ones(2)}, statistics=b"\x00state",
        ruler="r1", model="m1", licences=("CC-BY-4.0",),
    )  # fmt: skip
    data = reference.save(profile)
    again = reference.load(data, language="en")
    assert reference.save(again) == data
    assert again.anchors["human/default/2"].tolist() == [0, 1, 2, 3, 4]
    assert (again.statistics, again.ruler, again.model, again.licences) == (b"\x00state", "r1", "m1", ("CC-BY-4.0",))
    assert again.documents == profile.documents
    assert np.array_equal(again.standard.sd, profile.standard.sd)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert all(item.compress_type == zipfile.ZIP_STORED for item in archive.infolist())


def rewritten(data, change):
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        for item in old.infolist():
            body = change(item.filename, old.read(item))
            if body is not None:
                new.writestr(item.filename, body)
    return out.getvalue()


def test_unusable_files_are_named_with_the_way_out():
    data = reference.save(profile_of(signals(300, 0, 6)))

    def older(name, body):
        return json.dumps(json.loads(body) | {"version": "reference-0"}) if name == "header.json" else body

    def pickled(name, body):
        if name != "mean.npy":
            return body
        part = io.BytesIO()
        np.save(part, np.array([{}], object), allow_pickle=True)
        return part.getvalue()

    def narrow(name, body):
        if name != "cell_means.npy":
            return body
        part = io.BytesIO()
        np.save(part, np.zeros((3, 2)))
        return part.getvalue()

    cases = {
        b"": "damaged",
        b"not a zip": "damaged",
        data[: len(data) // 2]: "damaged",
        data.replace(b"NUMPY", b"PYMUN"): "damaged",
        rewritten(data, older): "version 'reference-0'",
        rewritten(data, pickled): "damaged",
        rewritten(data, narrow): "cell_means has shape",
        rewritten(data, lambda name, body: None if name == "sd.npy" else body): "damaged",
    }
    for broken, message in cases.items():
        with pytest.raises(reference.ProfileError, match=message) as error:
            reference.load(broken, "human.profile")
        assert "human.profile" in str(error.value)
        assert "curation reference build" in str(error.value)
    with pytest.raises(reference.ProfileError, match="language 'en'.*'de'"):
        reference.load(data, language="de")


def test_a_reference_without_documents_is_refused():
    with pytest.raises(reference.ProfileError, match="0 documents"):
        profile_of(signals(0, 0, 7))
    with pytest.raises(reference.ProfileError, match="'de'"):
        profile_of(signals(50, 0, 8), language="de")


def test_the_default_profile_is_small_general_and_without_documents():
    data = reference.default()
    profile = reference.load(data, language="en")
    assert len(data) < 5_000_000
    assert profile.ruler == load_ruler().version
    assert "general" in profile.name and profile.licences
    state = diversity.load(profile.statistics)
    assert len(state["reservoir_text"]) == 0 and not profile.ratio and not profile.anchors["number"].any()
    assert profile.blocks["mean"]["far_documents"] == pytest.approx(0.05, abs=0.02)
    assert 0 < profile.blocks["spread"]["entropy"] < 0.2


def texts(n):
    rows = [f"Document {i} speaks of {'good ' * (i % 7)}things, and worse ones too. It ends at {i}." for i in range(n)]
    source = ["a" if i % 3 else "b" for i in range(n)]
    date = [f"{2015 + i % 10}-06-01" for i in range(n)]
    return pa.table({"id": [f"d{i}" for i in range(n)], "text": rows, "source": source, "date": date})


def build(folder, file, **given):
    inputs = {"path": str(folder / "in.parquet"), **given.pop("item", {})}
    values = {"inputs": [inputs], "detect": {"enabled": False}, "columns": {"source": "source", "date": "date"}}
    jobs.build_reference(load(None, values), str(folder / file), quiet=True, **given)
    return (folder / file).read_bytes()


def test_building_twice_gives_the_same_bytes_and_nothing_is_replaced_silently(tmp_path):
    pq.write_table(texts(900), tmp_path / "in.parquet")
    first = build(tmp_path, "one.zip", name="mine")
    assert build(tmp_path, "two.zip", name="mine") == first
    profile = reference.load(first)
    assert profile.name == "mine" and len(diversity.load(profile.statistics)["reservoir_text"]) == 0
    with pytest.raises(ConfigError, match="--overwrite"):
        build(tmp_path, "one.zip")
    assert build(tmp_path, "one.zip", name="mine", overwrite=True) == first
    assert b"speaks of" not in first


def test_a_reference_of_some_sources_or_before_a_date(tmp_path):
    pq.write_table(texts(900), tmp_path / "in.parquet")
    by_source = reference.load(build(tmp_path, "source.zip", sources=["b"]))
    assert sum(by_source.documents) == 300
    by_date = reference.load(build(tmp_path, "date.zip", item={"before": "2018-01-01"}))
    assert sum(by_date.documents) == 270
    both = build(tmp_path, "both.zip", sources=["b"], item={"before": "2018-01-01"})
    assert sum(reference.load(both).documents) == 90
    with pytest.raises(ConfigError, match="none of the 900 documents"):
        build(tmp_path, "none.zip", sources=["c"])
