"""Scores and vectors that the user names: from the input through the reference to the weights."""

import json
from pathlib import Path

import corpus
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation import curate, jobs
from curation.config import ConfigError, load
from curation.diversity import reference
from curation.diversity.reference import ProfileError

WIDE = 3
COLUMNS = {"quality": 1, "embedding": WIDE}


def table(texts, seed, quality, shift, nulls=0.0):
    """Texts with a quality around `quality` and an embedding around `shift`, neither of which the text tells."""
    rng = np.random.default_rng(seed)
    n = len(texts)
    scores = rng.normal(quality, 1.0, n)
    vectors = rng.normal(shift, 0.1, (n, WIDE)).astype(np.float32)
    lacks = rng.random(n) < nulls
    return pa.table(
        {
            "id": [f"{seed}-{i}" for i in range(n)],
            "text": texts,
            "quality": pa.array(scores, mask=lacks),
            "embedding": pa.array(
                [None if missing else v for v, missing in zip(vectors.tolist(), lacks, strict=True)],
                # Parquet cannot give back a fixed-size list that is null
                pa.list_(pa.float32()) if nulls else pa.list_(pa.float32(), WIDE),
            ),
        }
    )


def write(folder, found, shards=2):
    folder.mkdir(parents=True, exist_ok=True)
    size = -(-found.num_rows // shards)
    for i in range(shards):
        pq.write_table(found.slice(i * size, size), folder / f"{i}.parquet")
    return str(folder / "*.parquet")


def build(folder, found, columns, name="reference.profile"):
    target = str(folder / name)
    inputs = [{"path": write(folder / f"in-{name}", found)}]
    config = load(None, {"inputs": inputs, "mix": {"columns": columns}, "detect": {"enabled": False}})
    assert jobs.build_reference(config, target, quiet=True) == 0
    return target


@pytest.fixture(scope="module")
def profile(tmp_path_factory):
    return build(tmp_path_factory.mktemp("reference"), table(corpus.human()[::2], 1, 5.0, 0.2), COLUMNS)


CRAWL = dict(seed=2, quality=4.4, shift=0.17)


def run(folder, profile, found, columns=COLUMNS, shards=2, **mix):
    report = curate(
        inputs=[{"path": write(folder / "in", found, shards)}], output=str(folder / "out"), reference=profile,
        detect={"enabled": False}, dedup={"enabled": False}, mix={"columns": columns, "gate": False, **mix},
    )  # fmt: skip
    kept = pa.concat_tables(pq.read_table(f) for f in sorted(Path(folder, "out", "kept").rglob("*.parquet")))
    return json.loads(json.dumps(report, allow_nan=False)), kept.sort_by("id")


def mean(kept, column):
    """The weighted mean of the values that are there."""
    values = np.array([np.nan if v is None else v for v in kept[column].to_pylist()], float)
    known = np.isfinite(values)
    return float(np.average(values[known], weights=kept["weight"].to_numpy()[known]))


def axis(kept, at):
    return kept.append_column("axis", pa.array([v and v[at] for v in kept["embedding"].to_pylist()]))


def test_a_score_and_a_vector_reach_the_reference_and_a_null_counts_as_its_mean(tmp_path, profile):
    found = table(corpus.human()[1::2], **CRAWL, nulls=0.15)
    report, kept = run(tmp_path / "with", profile, found)
    plain_report, plain = run(tmp_path / "without", profile, found, {})
    features = report["mixing"]["features"]
    assert features == plain_report["mixing"]["features"] + 2 + WIDE
    mixed = json.loads((tmp_path / "with" / "out" / "decisions" / "weights.json").read_text())["mix"]
    tolerances = mixed["tolerance"]["features"]
    assert {"quality", "quality squared", "embedding 0", "embedding 2"} <= set(tolerances)
    assert not any(name.startswith(("column:", "embedding 0 squared")) for name in tolerances)
    assert mean(plain, "quality") == pytest.approx(4.4, abs=0.2)
    # a hundred documents of reference leave wide tolerances: tests/mixing holds the mix to them on more
    assert mean(kept, "quality") > mean(plain, "quality") + 0.1
    assert mean(axis(kept, 0), "axis") > mean(axis(plain, 0), "axis")
    # documents with nulls are there, weighed by the rest of their features
    lacking = kept.filter(kept["quality"].is_null())["weight"].to_numpy()
    assert len(lacking) > 10
    assert lacking.mean() > 0.3
    assert np.isfinite(kept["weight"].to_numpy()).all()


def test_sharding_changes_no_weight(tmp_path, profile):
    found = table(corpus.human()[1::2], **CRAWL, nulls=0.1)
    one, many = (run(tmp_path / str(n), profile, found, shards=n)[1] for n in (1, 5))
    np.testing.assert_array_equal(one["weight"].to_numpy(), many["weight"].to_numpy())


def test_lists_of_any_length_and_strings_among_numbers_are_no_reason_to_fail(tmp_path, profile):
    found = table(corpus.human()[1:160:2], **CRAWL)
    vectors = found["embedding"].to_pylist()
    vectors[3], vectors[5], vectors[7] = [1.0], [], [float("nan"), 1.0, float("inf")]
    found = found.set_column(3, "embedding", pa.array(vectors, pa.list_(pa.float64())))
    scores = found["quality"].to_pylist()
    scores[0], scores[1], scores[2] = float("inf"), float("nan"), 1e300
    found = found.set_column(2, "quality", pa.array(scores))
    _, kept = run(tmp_path, profile, found)
    assert len(kept) == len(found)
    assert np.isfinite(kept["weight"].to_numpy()).all()
    assert kept["weight"].to_numpy().min() >= 0


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"nothing": 1}, r"mix.columns: .* has no column 'nothing'"),
        ({"text": 1}, r"column 'text' of .* is string, not a number"),
        ({"embedding": 1}, r"is fixed_size_list.* not a number; .*mix.columns.embedding=LENGTH"),
        ({"embedding": 7}, r"not lists of 7 numbers"),
        ({"quality": 2}, r"is double, not lists of 2 numbers"),
    ],
)
def test_a_column_that_cannot_be_balanced_is_refused_before_work(tmp_path, columns, message):
    found = table(corpus.human()[:20], **CRAWL)
    with pytest.raises(ConfigError, match=message):
        curate(inputs=[{"path": write(tmp_path / "in", found)}], output=str(tmp_path / "out"), mix={"columns": columns})
    assert not list((tmp_path / "out").rglob("*.parquet"))


def test_a_reference_without_the_column_says_how_to_build_one(tmp_path, profile):
    found = table(corpus.human()[:20], **CRAWL)
    with pytest.raises(ConfigError, match=r"(?s)built without mix.columns 'quality'.*reference build"):
        run(tmp_path, "default", found, {"quality": 1})
    with pytest.raises(ConfigError, match=r"with 3 numbers in mix.columns 'embedding', not 1"):
        run(tmp_path, profile, found.drop(["embedding"]).append_column("embedding", found["quality"]), {"embedding": 1})


def test_a_column_without_numbers_in_the_reference_is_refused(tmp_path):
    found = table(corpus.human()[:80], **CRAWL)
    empty = found.set_column(2, "quality", pa.nulls(80, pa.float64()))
    with pytest.raises(ProfileError, match=r"fewer than two documents with a number in 'quality'"):
        build(tmp_path, empty, {"quality": 1})


def test_configuration_that_asks_for_too_much_is_refused():
    with pytest.raises(ConfigError, match="at least 1 number"):
        load(None, {"mix": {"columns": {"quality": 0}}})
    with pytest.raises(ConfigError, match="at most 2048"):
        load(None, {"mix": {"columns": {"a": 1500, "b": 1500}}})


def test_a_profile_with_columns_survives_its_file_and_damage_is_named(profile):
    data = Path(profile).read_bytes()
    loaded = reference.load(data)
    assert reference.save(loaded) == data
    assert [(extra.label, len(extra.mean), extra.squares) for extra in loaded.columns.extras] == [
        ("quality", 1, True),
        ("embedding", WIDE, False),
    ]
    broken = loaded._replace(columns=loaded.columns._replace(means=loaded.columns.means[:, 1:]))
    with pytest.raises(ProfileError, match="do not fit"):
        reference.load(reference.save(broken))
