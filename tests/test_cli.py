"""The command line's surface: light imports, usage errors, exit codes. What verbs do is tested with the jobs."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from curation import __version__
from curation.cli import app

runner = CliRunner()


def test_help_imports_nothing_heavy():
    code = (
        "import sys\n"
        "from curation.cli import main\n"
        "sys.argv = ['curation', '--help']\n"
        "try:\n main()\nexcept SystemExit:\n pass\n"
        "heavy = {'numpy', 'pyarrow', 'numba', 'pydantic', 'yaml', 'scipy', 'matplotlib', 'apache_beam', 'fsspec'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[-1] == "[]"
    assert "measure" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run"], "no inputs"),
        (["run", "--input", "x.parquet"], "no output"),
        (["run", "missing.yaml"], "cannot read the configuration missing.yaml"),
        (["run", "--input", "no/such/*.parquet", "--output", "out"], "no/such"),
        (["run", "--input", "x.parquet", "--output", "out", "--outptu=b"], "did you mean '--output'?"),
        (["run", "--inputs", "x.parquet", "--output", "out"], "did you mean '--input'?"),
        (["run", "--set", "dedup.band=3"], "did you mean 'bands'?"),
        (["dedup", "--input", "x.parquet", "--output", "out", "--runner", "NoSuchRunner"], "x.parquet"),
        (["init", "quickstat"], "did you mean 'quickstart'?"),
        (["reference", "build", "--input", "x.parquet"], "--output"),
    ],
)
def test_bad_usage_ends_with_two_and_names_the_way_out(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = runner.invoke(app, arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_the_version_is_shown():
    result = runner.invoke(app, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"curation {__version__}\n")


def test_init_writes_once_and_never_over_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "dedup" in runner.invoke(app, ["init"]).stdout
    assert runner.invoke(app, ["init", "dedup"]).exit_code == 0
    assert "bands" in (tmp_path / "dedup.yaml").read_text()
    again = runner.invoke(app, ["init", "dedup"])
    assert again.exit_code == 2
    assert "exists" in again.stderr
