"""Benchmark files that cannot serve are refused before work, with the key that is wrong."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation.config import ConfigError
from curation.config_dedup import Decontaminate
from curation.jobs import benchmarks, configure, prepare


@pytest.mark.parametrize("name", ["test.jsonl", "test.parquet"])
def test_a_misspelt_column_is_named_with_the_nearest(tmp_path, name):
    rows = [{"question": "What is " + " ".join(f"w{i}" for i in range(20)), "n": 1}]
    if name.endswith("parquet"):
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / name)
    else:
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = {"paths": [str(tmp_path / name)], "text": "qestion"}
    match = r"^decontaminate.text: .* has no column 'qestion': did you mean 'question'\?"
    with pytest.raises(ConfigError, match=match):
        benchmarks.load(Decontaminate(**settings))
    (tmp_path / "in.jsonl").write_text('{"text":"x"}\n')
    values = {"inputs": [{"path": str(tmp_path / "in.jsonl")}], "output": str(tmp_path / "out")}
    with pytest.raises(ConfigError, match=match):
        prepare(configure("run", None, {**values, "decontaminate": settings}, []))
    assert not (tmp_path / "out").exists()
    assert benchmarks.load(Decontaminate(**{**settings, "text": "question"}))


def test_benchmarks_that_cannot_be_read_say_why(tmp_path):
    (tmp_path / "broken.parquet").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"decontaminate.paths: .*holds no text in column 'text'; .*0 bytes"):
        benchmarks.load(Decontaminate(paths=[str(tmp_path / "broken.parquet")]))
    with pytest.raises(ConfigError, match="decontaminate.paths: there is no file"):
        benchmarks.load(Decontaminate(paths=[str(tmp_path / "absent.parquet")]))
