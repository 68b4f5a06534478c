"""Errors: every code is documented and used, and programs get events as JSON lines."""

import ast
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import corpus_for_cli as corpus
import pytest
from typer.testing import CliRunner

from curation import events
from curation.cli import app
from curation.errors import KINDS, ConfigError, InputChanged, RecordsLost, Unreadable, code_of, exit_code

ROOT = Path(__file__).parents[1]
#: codes that no raise statement names, since they follow from the type of an exception
BY_TYPE = {"disk-full", "io-error", "failed", "interrupted", "terminated", "setting", "bad-model"}


def raised() -> dict[str, list[str]]:
    """Every code that the package names, with the places."""
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / "curation").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            code = None
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "ConfigError" and len(node.args) == 2:
                code = node.args[1]
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "code":
                code = node.value
            if isinstance(code, ast.Constant) and isinstance(code.value, str) and "-" in code.value:
                found.setdefault(code.value, []).append(f"{path.name}:{node.lineno}")
            elif isinstance(code, ast.Constant) and code.value == "usage":
                found.setdefault("usage", []).append(f"{path.name}:{node.lineno}")
    return found


def test_the_page_lists_every_code_with_cause_and_way_out():
    page = (ROOT / "docs" / "errors.md").read_text("utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `") and line.count("|") == 5]
    assert rows == [f"| `{code}` | {k.exit} | {k.cause} | {k.way_out} |" for code, k in KINDS.items()]


def test_codes_in_the_code_are_those_of_the_list():
    named = raised()
    errors = {code: places for code, places in named.items() if not places[0].startswith("quarantine")}
    assert not set(errors) - set(KINDS), {c: errors[c] for c in set(errors) - set(KINDS)}
    unused = set(KINDS) - set(errors) - BY_TYPE - {"floor-missed", "requirement-missed"}
    assert not unused


def test_exceptions_have_codes_and_exit_codes():
    cases = {
        ConfigError("x"): ("setting", 2),
        ConfigError("x", "no-input"): ("no-input", 2),
        InputChanged("x"): ("input-changed", 1),
        RecordsLost("x"): ("records-lost", 1),
        Unreadable("x"): ("nothing-readable", 1),
        OSError(28, "x"): ("disk-full", 1),
        FileNotFoundError("x"): ("io-error", 1),
        KeyError("x"): ("failed", 1),
        KeyboardInterrupt(): ("interrupted", 130),
    }
    assert {e: (code_of(e), exit_code(e)) for e in cases} == cases


def test_errors_as_json(tmp_path):
    result = CliRunner().invoke(app, ["run", "--input", f"{tmp_path}/none.parquet", "--output", "o", "--json"])
    found = json.loads(result.stderr)
    assert result.exit_code == found["exit"] == 2 and not result.stdout
    assert (found["event"], found["code"]) == ("error", "input-not-found") and "none.parquet" in found["message"]


def test_progress_as_json_and_in_the_log(tmp_path):
    data = corpus.write(tmp_path)
    out = tmp_path / "out"
    result = CliRunner().invoke(app, ["dedup", "--input", data, "--output", str(out), "--json"])
    assert result.exit_code == 0, result.stderr
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert found[0]["event"] == "started" and found[0]["shards"] == 1
    assert found[-1]["event"] == "done" and found[-1]["documents"]["read"] == corpus.DOCUMENTS
    done = next(e for e in found if e["event"] == "stage_done" and e["stage"] == "annotate")
    assert done["documents"] == corpus.DOCUMENTS and done["wall_seconds"] >= 0
    logged = [json.loads(line) for line in (out / "run.log").read_text().splitlines()]
    assert [e["event"] for e in logged] == [e["event"] for e in found]
    page = (ROOT / "docs" / "errors.md").read_text("utf-8")
    for one in found:
        assert f"`{one['event']}`" in page
        assert all(f"`{key}`" in page for key in one)


def test_a_report_on_a_killed_run_says_so(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    started = events.event("started", output=str(out), shards=3, bytes=9, hashes={})
    lines = [started, events.event("stage", phase="annotate", stage="annotate")]
    (out / "run.log").write_text("".join(json.dumps(e) + "\n" for e in lines) + '{"event": "prog')
    result = CliRunner().invoke(app, ["report", str(out)])
    assert result.exit_code == 2
    assert "killed during annotate" in result.stderr and "same command again" in result.stderr
    assert "no-finished-run" in result.stderr


@pytest.mark.parametrize(("number", "code", "name"), [(signal.SIGTERM, 143, "SIGTERM"), (signal.SIGINT, 130, "interr")])
def test_a_signal_stops_at_the_next_batch_and_says_how_to_go_on(tmp_path, number, code, name):
    data = corpus.write(tmp_path, copies=400)
    command = [sys.executable, "-m", "curation.cli", "run", "--input", data, "--output", str(tmp_path / "out")]
    sets = ["--set", "run.batch_mb=0.01", "--set", "run.workers=1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    running = subprocess.Popen([*command, *sets], stderr=subprocess.PIPE, text=True, env=environment)
    log = tmp_path / "out" / "run.log"
    for _ in range(600):
        if log.exists() and '"stage"' in log.read_text():
            break
        time.sleep(0.1)
    running.send_signal(number)
    stderr = running.communicate(timeout=60)[1]
    assert running.returncode == code, stderr
    assert name in stderr and "same command goes on" in stderr and "Traceback" not in stderr
    assert not list((tmp_path / "out").rglob(".tmp-*"))
    assert "failed" in (events.unfinished(str(tmp_path / "out")) or "")
