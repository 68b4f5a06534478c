"""Nothing that is read, be it data, models, profiles, signals or configuration, is ever executed, and nothing read
bounds what is written where or how much memory is taken."""

import ast
import io
import json
import pickle
import re
import zipfile
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from typer.testing import CliRunner

import curation
from curation import curate, diversity, jobs, synthetic
from curation.cli import app
from curation.config import ConfigError, load
from curation.diversity import reference

PACKAGE = Path(curation.__file__).parent
FORBIDDEN_IMPORTS = {
    "pickle",
    "cPickle",
    "dill",
    "cloudpickle",
    "joblib",
    "marshal",
    "shelve",
    "imp",
    "ctypes",
    "xmlrpc",
}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "execfile"}


class Payload:
    """Unpickling one leaves a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_the_package_has_no_way_to_execute_data():
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            where = f"{path.relative_to(PACKAGE)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Import):
                found += [f"{where} import {a.name}" for a in node.names if a.name.split(".")[0] in FORBIDDEN_IMPORTS]
            elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in FORBIDDEN_IMPORTS:
                found.append(f"{where} from {node.module}")
            elif isinstance(node, ast.Call):
                found += [f"{where} {problem}" for problem in _problems(node)]
    assert not found


def _problems(node: ast.Call) -> list[str]:
    function, keywords = node.func, {k.arg: k.value for k in node.keywords}
    if isinstance(function, ast.Name) and function.id in FORBIDDEN_CALLS:
        return [function.id]
    if not isinstance(function, ast.Attribute):
        return []
    base = function.value.id if isinstance(function.value, ast.Name) else ""
    if base in ("np", "numpy") and function.attr in ("load", "save", "savez", "savez_compressed"):
        allowed = keywords.get("allow_pickle")
        given = isinstance(allowed, ast.Constant) and allowed.value is False
        return [] if given or function.attr.startswith("savez") else [f"np.{function.attr} without allow_pickle=False"]
    if base == "yaml" and function.attr not in ("safe_load", "safe_dump", "YAMLError"):
        return [f"yaml.{function.attr}"]
    if base == "os" and function.attr in ("system", "popen"):
        return [f"os.{function.attr}"]
    if "shell" in keywords:
        return ["a shell"]
    return []


def test_no_page_template_comes_from_data():
    sources = {path: path.read_text("utf-8") for path in PACKAGE.rglob("*.py")}
    users = [path for path, source in sources.items() if "jinja2" in source]
    assert [path.name for path in users] == ["page.py"]
    for source in sources.values():
        assert not re.search(r"from_string\(|Template\(|render_template", source)
    page = (PACKAGE / "report" / "page.html.j2").read_text("utf-8")
    assert "|safe" not in page.replace(" ", "") and "autoescape" not in page
    assert "autoescape=True" in sources[users[0]]


def crawl(folder: Path, rows: list[dict] | None = None) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    rows = rows or [{"text": f"document number {i} of a few", "id": f"d{i}"} for i in range(5)]
    pq.write_table(pa.Table.from_pylist(rows), folder / "a.parquet")
    return str(folder / "*.parquet")


def objects(path: Path, trap: Path) -> bytes:
    """An .npy file of Python objects."""
    buffer = io.BytesIO()
    np.save(buffer, np.array([Payload(trap)], dtype=object), allow_pickle=True)
    return buffer.getvalue()


def test_a_profile_with_objects_executes_nothing(tmp_path):
    trap = tmp_path / "trap"
    target = tmp_path / "good.profile"
    config = load(None, {"inputs": [{"path": crawl(tmp_path / "in")}]})
    jobs.build_reference(config, str(target), licences=[], quiet=True)
    bad = tmp_path / "bad.profile"
    with zipfile.ZipFile(target) as source, zipfile.ZipFile(bad, "w") as sink:
        for name in source.namelist():
            sink.writestr(name, objects(tmp_path, trap) if name.endswith(".npy") else source.read(name))
    with pytest.raises(ValueError):
        reference.load(bad.read_bytes(), str(bad))
    plain = tmp_path / "plain.profile"
    plain.write_bytes(pickle.dumps(Payload(trap)))
    for path in (bad, plain):
        shown = CliRunner().invoke(
            app, ["run", "-q", "-i", crawl(tmp_path / "in"), "-o", str(tmp_path / "out"), "--reference", str(path)]
        )
        assert shown.exit_code == 2 and str(path) in shown.output, shown.output
    assert not trap.exists()


def test_a_model_with_objects_executes_nothing(tmp_path):
    trap, bad = tmp_path / "trap", tmp_path / "bad.npz"
    np.savez(bad, weights=np.array([Payload(trap)], dtype=object), header=np.array([Payload(trap)], dtype=object))
    plain = tmp_path / "plain.npz"
    plain.write_bytes(pickle.dumps(Payload(trap)))
    for path in (bad, plain):
        with pytest.raises(ValueError, match=path.name):
            synthetic.load_model(str(path))
        with pytest.raises(ConfigError, match=path.name):
            curate(inputs=crawl(tmp_path / "in"), output=str(tmp_path / "out"), detect={"model": str(path)})
    assert not trap.exists()


def test_states_and_signals_with_objects_execute_nothing(tmp_path):
    trap = tmp_path / "trap"
    state = zstandard.compress(pickle.dumps(Payload(trap)))
    for data in (state, pickle.dumps(Payload(trap)), zstandard.compress(b"\xff" * 8), b""):
        with pytest.raises(ValueError, match="no state of statistics"):
            diversity.load(data)
    values = {"inputs": crawl(tmp_path / "in"), "output": str(tmp_path / "out"), "mix": {"mode": "none"}}
    curate(**values)
    signals = tmp_path / "out" / "signals" / "default" / "a.parquet.parquet"
    signals.write_bytes(pickle.dumps(Payload(trap)))
    for path in (tmp_path / "out" / "decisions").glob("*.json"):
        path.write_bytes(pickle.dumps(Payload(trap)))
    assert curate(**values)["documents"]["kept"] == 5  # they are made anew
    assert not trap.exists()


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:pathlib.Path.touch [{trap}]",
        "inputs: !!python/object/apply:os.system ['touch {trap}']",
        "output: !!python/name:os.system ''",
    ],
)
def test_a_configuration_with_objects_executes_nothing(tmp_path, text):
    trap = tmp_path / "trap"
    path = tmp_path / "bad.yaml"
    path.write_text(text.replace("{trap}", str(trap)))
    shown = CliRunner().invoke(app, ["run", str(path)])
    assert shown.exit_code == 2 and "not valid YAML" in shown.output
    shown = CliRunner().invoke(
        app, ["run", "-i", "x", "-o", "y", "-s", f"run.seed={text.replace('{trap}', str(trap))}"]
    )
    assert shown.exit_code == 2, shown.output
    assert not trap.exists()


def test_a_configuration_that_grows_without_end_is_refused(tmp_path):
    # every alias doubles what it names; a million billion items in a kilobyte
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 15)]
    path = tmp_path / "bomb.yaml"
    path.write_text("\n".join(lines))
    shown = CliRunner().invoke(app, ["run", str(path)])
    assert shown.exit_code == 2 and "unknown key" in shown.output and len(shown.output) < 20_000


@pytest.mark.parametrize("source", ["../out", "a/b", "..", ".", "", "a\0b", "\\\\host", "x" * 300])
def test_a_source_is_one_folder_name(tmp_path, source):
    with pytest.raises(ConfigError):
        curate(inputs=[{"path": crawl(tmp_path / "in"), "source": source}], output=str(tmp_path / "out"))
    assert not (tmp_path / "out" / "kept").exists()


def test_values_in_data_lead_nowhere(tmp_path):
    evil = ["../../evil", "/etc/evil", "a/../../b", "..\\..\\evil", "file:///etc/passwd", "\0", "~root/evil", ""]
    rows = [{"text": f"an innocent text, number {i}", "id": v, "s": v, "url": v, "g": v} for i, v in enumerate(evil)]
    before = set(tmp_path.rglob("*"))
    curate(
        inputs=crawl(tmp_path / "in", rows),
        output=str(tmp_path / "out"),
        columns={"id": "id", "source": "s", "url": "url", "group": "g"},
    )
    made = {p for p in tmp_path.rglob("*") if p not in before}
    assert all(p.resolve().is_relative_to(tmp_path / "out") or p.is_relative_to(tmp_path / "in") for p in made)
    assert not list(Path("/etc").glob("evil*"))


def test_a_manifest_names_no_file_outside_to_delete(tmp_path):
    values = {"inputs": crawl(tmp_path / "in"), "output": str(tmp_path / "out"), "mix": {"mode": "none"}}
    curate(**values)
    victim = tmp_path / "victim.txt"
    victim.write_text("here")
    path = tmp_path / "out" / "manifest.json"
    manifest = json.loads(path.read_bytes())
    manifest["outputs"].append({"path": "../victim.txt", "bytes": 4, "rows": 0, "xxh3_128": ""})
    path.write_bytes(orjson.dumps(manifest))
    with pytest.raises(ValueError, match="not a plain path"):
        curate(**values)
    assert victim.read_text() == "here"
