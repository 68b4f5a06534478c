"""Services that tests of several folders use."""

import urllib.request
from collections.abc import Iterator

import fsspec
import pytest


@pytest.fixture(scope="module")
def s3() -> Iterator[fsspec.AbstractFileSystem]:
    """An empty S3 server on this machine, which every `s3://` means while the module's tests run.

    A worker that takes tests of another may set it up a second time, at another port: nothing of the first one may be
    left then, neither filesystems that fsspec keeps nor what moto holds for all servers of a process.
    """
    s3fs = pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    urllib.request.urlopen(urllib.request.Request(f"{url}/moto-api/reset", method="POST"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", url)
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        s3fs.S3FileSystem.clear_instance_cache()
        fsspec.config.conf.pop("s3", None)
        yield fsspec.filesystem("s3")
        s3fs.S3FileSystem.clear_instance_cache()
    server.stop()
