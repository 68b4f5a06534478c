"""Object stores: many keys, connections that break, and uploads that nobody sees before they are whole."""

import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from curation import curate
from curation.config import Input
from curation.io import expand, files, remote

TEXTS = [f"document number {i} of the store, which says little" for i in range(40)]


class Breaking(io.BytesIO):
    """A file whose reading may break off, some of it being gone then."""

    def read(self, size: int | None = -1) -> bytes:
        if Faulty.left:
            super().read(3)
        Faulty.trouble("read")
        return super().read(size)


class Faulty(MemoryFileSystem):
    """A store in memory whose connection breaks: `left` times more, or for good below -1."""

    protocol = "faulty"
    store: dict[str, Any] = {}
    pseudo_dirs = [""]
    left = 0
    error: type[OSError] = ConnectionResetError
    cachable = False

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return super()._strip_protocol(path.replace(f"{cls.protocol}://", "memory://", 1))

    def unstrip_protocol(self, name: str) -> str:
        return f"{self.protocol}:/{self._strip_protocol(name)}"

    @staticmethod
    def trouble(what: str) -> None:
        if Faulty.left:
            Faulty.left -= 1
            raise Faulty.error(f"{what}: connection reset by peer")

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        self.trouble("open")
        file = super()._open(path, mode, **options)
        return Breaking(file.getvalue()) if mode == "rb" else file

    def put_file(self, lpath: str, rpath: str, **options: Any) -> None:
        self.trouble("put")
        super().put_file(lpath, rpath, **options)

    def find(self, path: str, *arguments: Any, **options: Any) -> Any:
        self.trouble("list")
        return super().find(path, *arguments, **options)


@pytest.fixture(autouse=True)
def faulty(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Faulty]]:
    fsspec.register_implementation("faulty", Faulty, clobber=True)
    monkeypatch.setattr(remote, "PAUSE", 0.001)
    Faulty.store.clear()
    Faulty.left, Faulty.error = 0, ConnectionResetError
    yield Faulty
    Faulty.left = 0


def fill(fs: Any) -> None:
    lines = "".join(json.dumps({"text": text, "n": i}) + "\n" for i, text in enumerate(TEXTS)).encode()
    fs.pipe_file("/in/a.jsonl.gz", gzip.compress(lines))
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"text": [t + " too" for t in TEXTS], "n": range(40, 80)}), sink, row_group_size=7)
    fs.pipe_file("/in/b.parquet", sink.getvalue().to_pybytes())


def kept(fs: Any, folder: str) -> list[int]:
    tables = [pq.read_table(fs.open(path)) for path in fs.find(folder) if path.endswith(".parquet")]
    return sorted(n for table in tables for n in table.column("n").to_pylist())


def test_a_connection_that_breaks_now_and_then_changes_nothing(faulty: type[Faulty]) -> None:
    fs = faulty()
    fill(fs)
    trouble = faulty.trouble
    asked = [0]

    def now_and_then(what: str) -> None:
        asked[0] += 1
        if asked[0] % 5 == 0:
            faulty.left = 1
        trouble(what)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(faulty, "trouble", staticmethod(now_and_then))
        report = curate(inputs=[{"path": "faulty://in"}], output="faulty://out", mix={"mode": "none"})
    assert asked[0] > 60
    assert report["documents"]["read"] == 80 and report["documents"]["quarantined"] == 0
    left = kept(fs, "/out/kept") + kept(fs, "/out/excluded")
    assert sorted(left) == list(range(80))


@pytest.mark.parametrize("error", [ConnectionResetError, PermissionError, TimeoutError])
def test_a_store_that_stays_away_stops_the_run_and_quarantines_nothing(
    faulty: type[Faulty], error: type[OSError], monkeypatch: pytest.MonkeyPatch
) -> None:
    from curation.progress import Observer

    fs = faulty()
    fill(fs)
    started = Observer.started

    def outage(self: Any, phase: str, name: str) -> None:
        started(self, phase, name)
        faulty.left, faulty.error = 10**6, error

    with monkeypatch.context() as patch:
        patch.setattr(Observer, "started", outage)
        with pytest.raises(remote.Unreachable, match="faulty://.* failed.*the same command goes on"):
            curate(inputs=[{"path": "faulty://in"}], output="faulty://out", mix={"mode": "none"})
    faulty.left = 0
    assert not [path for path in fs.find("/out") if "/kept/" in path or "/quarantine/" in path]
    report = curate(inputs=[{"path": "faulty://in"}], output="faulty://out", mix={"mode": "none"})
    assert report["documents"]["read"] == 80 and report["documents"]["quarantined"] == 0


@pytest.mark.parametrize("root", ["faulty://", "renaming://"])
def test_an_upload_that_fails_leaves_no_name(faulty: type[Faulty], root: str) -> None:
    class Renaming(Faulty):
        """A store on which an upload can be seen while it goes on."""

        protocol = "renaming"

        def put_file(self, lpath: str, rpath: str, **options: Any) -> None:
            if Faulty.left:
                self.pipe_file(rpath, Path(lpath).read_bytes()[:5])
            super().put_file(lpath, rpath, **options)

    fsspec.register_implementation("renaming", Renaming, clobber=True)
    with files.atomic(f"{root}x/whole") as file:
        file.write(b"0123456789")
    fs = Renaming() if root.startswith("renaming") else faulty()
    if root.startswith("renaming"):
        faulty.left = 10**6
        with pytest.raises(remote.Unreachable), files.atomic(f"{root}x/torn") as file:
            file.write(b"0123456789")
        faulty.left = 0
        assert not [p for p in fs.find("/x") if not p.rpartition("/")[2].startswith(".") and not p.endswith("whole")]
    with pytest.raises(ZeroDivisionError), files.atomic(f"{root}x/given-up") as file:
        file.write(b"0123")
        1 / 0  # noqa: B018
    assert fs.cat_file("/x/whole") == b"0123456789"
    assert not [p for p in fs.find("/x") if p.endswith(("torn", "given-up"))]


def test_a_hundred_thousand_keys_are_listed(faulty: type[Faulty]) -> None:
    import time

    fs = faulty()
    for i in range(100_000):
        faulty.store[f"/many/{i % 100:02}/{i:06}.jsonl"] = None
    blank = MemoryFileSystem()
    blank.pipe_file("/blank", b"{}")
    for key in faulty.store:
        faulty.store[key] = MemoryFileSystem.store["/blank"]
    begin = time.process_time()
    shards = expand([Input(path="faulty://many/**/*.jsonl")])
    assert len(shards) == 100_000 and shards[-1].index == 99_999 and fs.exists("/many")
    assert time.process_time() - begin < 60


@pytest.mark.engines
def test_a_whole_run_on_s3(s3: fsspec.AbstractFileSystem) -> None:
    fs = s3
    fs.mkdir("crawl")
    for i in range(1100):  # more than one page of a listing
        fs.pipe_file(f"crawl/empty/{i:05}.jsonl", b"")
    fill(Bucket(fs))
    assert len(expand([Input(path="s3://crawl/empty")])) == 1100
    values = {"inputs": [{"path": "s3://crawl/in"}], "output": "s3://crawl/out", "mix": {"mode": "none"}}
    report = curate(**values)
    assert report["documents"]["read"] == 80 and report["documents"]["quarantined"] == 0
    versions = {p: i["ETag"] for p, i in fs.find("crawl/out", detail=True).items() if "/kept/" in p}
    assert curate(**values)["documents"] == report["documents"]
    fs.invalidate_cache()
    assert {p: i["ETag"] for p, i in fs.find("crawl/out", detail=True).items() if "/kept/" in p} == versions
    # a replaced key has another ETag
    fs.pipe_file("crawl/in/a.jsonl.gz", gzip.compress(b'{"text": "another one now", "n": 0}\n'))
    assert curate(**values)["documents"]["read"] == 41
    assert not [p for p in fs.find("crawl/out") if ".tmp-" in p]


class Bucket:
    """A bucket as the root of a filesystem."""

    def __init__(self, fs: Any) -> None:
        self._fs = fs

    def pipe_file(self, path: str, data: bytes) -> None:
        self._fs.pipe_file("crawl" + path, data)
