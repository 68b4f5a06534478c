"""The configuration: defaults, overlays, and errors that name the nearest key."""

import runpy
from pathlib import Path

import pytest

from curation.config import Config, ConfigError, load

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("dedup.band=3", "unknown key 'dedup.band': did you mean 'bands'?"),
        ("outptu=x", "did you mean 'output'?"),
        ("detect.fpr=2", "detect.fpr: Input should be less than 0.5 (got 2)"),
        ("inputs=[{path: a, sorce: b}]", "did you mean 'source'?"),
        ("inputs=[{path: a, source: ../b}]", "one folder name"),
        ("dedup.keep=newest", "dedup.keep"),
        ("dedup", "--set takes key.path=value"),
    ],
)
def test_a_bad_key_or_value_is_named(item, message):
    with pytest.raises(ConfigError) as error:
        load(sets=[item])
    assert message in str(error.value)


def test_one_budget_only():
    with pytest.raises(ConfigError, match=r"give one of .* not tokens and rate"):
        load(sets=["select.tokens=5", "select.rate=.5"])


def test_values_lie_over_the_file_and_sets_over_both(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("output: a\ndedup: {bands: 9, rows: 4}\n")
    config = load(str(file), {"output": "b", "dedup": {"rows": 5}}, ["dedup.ngram=7", "run.workers=2"])
    assert (config.output, config.dedup.bands, config.dedup.rows, config.dedup.ngram) == ("b", 9, 5, 7)
    assert config.run.workers == 2


@pytest.mark.parametrize("content", ["- a\n- b\n", "a: [", "dedup: 3\n"])
def test_a_broken_file_is_a_configuration_error(tmp_path, content):
    file = tmp_path / "c.yaml"
    file.write_text(content)
    with pytest.raises(ConfigError, match=r"c\.yaml"):
        load(str(file))


def test_a_missing_file_is_a_configuration_error(tmp_path):
    with pytest.raises(ConfigError, match="cannot read the configuration"):
        load(str(tmp_path / "none.yaml"))


@pytest.mark.parametrize("file", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda f: f.stem)
def test_shipped_configurations_load(file):
    assert load(str(file)).inputs


def test_full_configuration_lists_every_key_with_its_default():
    text = runpy.run_path(str(ROOT / "scripts" / "build_full_config.py"))["text"]()
    path = ROOT / "configs" / "full.yaml"
    assert path.read_text("utf-8") == text, "run scripts/build_full_config.py"
    config = load(str(path))
    assert config.model_copy(update={"inputs": []}) == Config()


def test_items_of_a_list_are_set_by_number():
    config = load(None, {"inputs": ["a/*.parquet", {"path": "b", "source": "b"}]}, ["inputs.1.trust=human"])
    assert [(i.path, i.source, i.trust) for i in config.inputs] == [
        ("a/*.parquet", "default", "unknown"),
        ("b", "b", "human"),
    ]
    with pytest.raises(ConfigError, match=r"inputs\.2: there are 2 items"):
        load(None, {"inputs": ["a", "b"]}, ["inputs.2.trust=human"])


def test_data_given_as_a_configuration_is_told_apart(tmp_path):
    (tmp_path / "data.parquet").write_bytes(b"PAR1\xae\xff")
    with pytest.raises(ConfigError, match="give data with --input"):
        load(str(tmp_path / "data.parquet"))


def test_budgets_may_be_written_in_powers_of_ten():
    assert load(sets=["select.tokens=1e9"]).select.tokens == 1_000_000_000
    with pytest.raises(ConfigError, match=r"select\.tokens"):
        load(sets=["select.tokens=1.5"])
