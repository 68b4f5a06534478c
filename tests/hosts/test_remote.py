"""Input and output on object stores: S3 and Google Cloud Storage, as served on this machine."""

import os
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from curation import curate
from hosts.test_identity import files, report
from hosts.world import write

pytestmark = pytest.mark.engines


@pytest.fixture(scope="module")
def bucket_s3(s3: fsspec.AbstractFileSystem) -> str:
    s3.mkdir("crawl")
    return "s3://crawl"


@pytest.fixture(scope="module")
def bucket_gcs() -> Iterator[str]:
    pytest.importorskip("gcsfs")
    pytest.importorskip("gcp_storage_emulator")
    from hosts.dataflow import storage

    with storage("crawl") as where, pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", where)
        patch.setenv("NO_GCE_CHECK", "true")
        yield "gs://crawl"


@pytest.mark.parametrize("store", ["s3", "gcs"])
@pytest.mark.parametrize("runner", ["local", "FnApiRunner"])
def test_a_job_from_bucket_to_bucket_gives_the_same_bytes(
    store: str, runner: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    bucket = request.getfixturevalue(f"bucket_{store}")
    write(tmp_path / "in", 3)
    curate(inputs=str(tmp_path / "in"), output=str(tmp_path / "out"))
    fs, root = fsspec.core.url_to_fs(f"{bucket}/{runner}")
    fs.put(str(tmp_path / "in") + "/", f"{root}/in/", recursive=True)
    settings = {"inputs": f"{bucket}/{runner}/in/*.parquet", "output": f"{bucket}/{runner}/out"}
    curate(**settings, run={"runner": runner, "workers": 2})
    fs.get(f"{root}/out/", str(tmp_path / "back") + os.sep, recursive=True)
    assert files(tmp_path / "back") == files(tmp_path / "out") and len(files(tmp_path / "out")) >= 12
    assert report(tmp_path / "back")["documents"] == report(tmp_path / "out")["documents"]
    before = {path: fs.modified(path) for path in fs.find(f"{root}/out/signals")}
    curate(**settings, run={"runner": runner, "workers": 2})
    assert {path: fs.modified(path) for path in fs.find(f"{root}/out/signals")} == before
