"""Which device is chosen, what is said when there is none, and whole jobs that a device takes part in."""

import sys
import types
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import curation
from curation import device, diversity
from curation.annotate import Settings, annotate
from curation.config import ConfigError, load
from curation.device.sources import MODULE
from curation.jobs import build_reference
from curation.jobs.prepare import prepare

TEXTS = [
    "The first of them was not good. However, it came back 3 times, and nobody knew why it did so at all.",
    "", None, "short", "The first of them was not good. However, it came back 4 times, and nobody knew why it did.",
    "It is important to note that the weather in March, as ever, turned out to be wet; perhaps too wet!",
]  # fmt: skip


@pytest.fixture
def without_cupy(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    device._cuda.cache_clear()
    yield
    device._cuda.cache_clear()


@pytest.fixture
def without_gpu(monkeypatch):
    def count():
        raise RuntimeError("cudaErrorInsufficientDriver")

    cupy = types.SimpleNamespace(cuda=types.SimpleNamespace(runtime=types.SimpleNamespace(getDeviceCount=count)))
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    device._cuda.cache_clear()
    yield
    device._cuda.cache_clear()


def test_the_cpu_needs_nothing(without_cupy):
    assert device.choose("cpu") is None
    assert device.choose("auto") is None


def test_what_is_missing_is_named_with_the_way_out(without_cupy):
    with pytest.raises(device.DeviceError, match=r"CuPy cannot be imported.*curation\[gpu-cuda12\].*gpu-cuda13"):
        device.choose("cuda")


def test_cupy_without_a_gpu(without_gpu):
    assert device.choose("auto") is None
    with pytest.raises(device.DeviceError, match="no device.*InsufficientDriver.*nvidia-smi"):
        device.choose("cuda")


def test_a_job_stops_before_work(without_cupy, tmp_path):
    pq.write_table(pa.table({"text": TEXTS}), tmp_path / "in.parquet")
    values = {"inputs": str(tmp_path / "in.parquet"), "output": str(tmp_path / "out"), "run": {"device": "cuda"}}
    with pytest.raises(ConfigError, match="run.device is cuda, but CuPy"):
        prepare(load(values=values))
    with pytest.raises(ConfigError, match="run.device"):
        load(values=values | {"run": {"device": "gpu"}})


def test_batches_come_in_order_with_the_signals_of_the_cpu(lane):
    batches = [TEXTS, TEXTS[:1] * 2, ["", None], ["One two three four five six."]]
    chosen = Settings(min_words=5, bands=2, rows=3)
    ruler = diversity.load_ruler()
    states = [diversity.empty(ruler), diversity.empty(ruler)]
    items = [pa.record_batch({"text": pa.array(texts, pa.string())}) for texts in batches]
    pulled = []
    for number, (batch, found) in enumerate(
        device.ahead_on(
            (lane, lane), (pulled.append(b) or b for b in items), lambda b: b.column("text"), chosen, states[0]
        )
    ):
        assert batch is items[number]
        assert len(pulled) == min(number + 2, len(items))  # the one after it is under way
        rows = np.arange(batch.num_rows)
        given, made = annotate(batch, rows, "s", chosen, found), annotate(batch, rows, "s", chosen)
        assert given.signals.equals(made.signals)
        for state, done in zip(states, (given, made), strict=True):
            diversity.update(
                state, ruler=ruler, tokens=done.tokens, data=done.data, starts=done.starts,
                ids_hash=diversity.hash_ids(done.signals.column("id")), features=done.features, counts=done.counts,
            )  # fmt: skip
    for name, array in states[0].items():
        assert array.tobytes() == states[1][name].tobytes(), name


class Card:
    """A device of which every lane is the one under test."""

    def __init__(self, lane):
        self._lane = lane

    def lane(self):
        return self._lane


def bytes_of(folder):
    found = {p.relative_to(folder): p for p in sorted(Path(folder).rglob("*"))}
    return {str(k): p.read_bytes() for k, p in found.items() if p.suffix in (".parquet", ".state")}


@pytest.mark.slow
def test_a_job_on_a_device_writes_what_a_job_on_the_cpu_writes(lane, tmp_path, monkeypatch):
    words = ["the", "of", "and", "not", "it", "is", "a", "very", "long", "way", "from", "here", "to", "where", "they"]
    texts = [" ".join(words[(i * k + k) % len(words)] for k in range(1, 12 + i % 9)) + "." for i in range(70)]
    pq.write_table(pa.table({"text": texts[:60] + TEXTS}), tmp_path / "in.parquet")
    pq.write_table(pa.table({"text": texts[10:]}), tmp_path / "human.parquet")
    profile = str(tmp_path / "human.profile")
    build_reference(load(values={"inputs": str(tmp_path / "human.parquet")}), profile, quiet=True)
    chosen = {"dedup": {"bands": 2, "rows": 3}, "detect": {"min_words": 5}, "mix": {"gate": False, "passes": 2}}
    asked, launched, launch = [], set(), lane.launch
    monkeypatch.setattr(lane, "launch", lambda kernel, *a, **k: (launched.add(kernel), launch(kernel, *a, **k)))
    for where, card in (("cpu", None), ("cuda", Card(lane))):
        monkeypatch.setattr(device, "choose", lambda setting, card=card: asked.append(setting) or card)
        curation.curate(
            inputs=str(tmp_path / "in.parquet"), output=str(tmp_path / where), reference=profile,
            run={"device": "auto", "workers": 1}, **chosen,
        )  # fmt: skip
    assert set(asked) == {"auto"}
    assert launched == set(MODULE)
    assert bytes_of(tmp_path / "cpu") == bytes_of(tmp_path / "cuda")
    assert len(bytes_of(tmp_path / "cpu")) >= 5
