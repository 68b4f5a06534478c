"""Google's services on the loopback address, as far as submitting a Dataflow job needs them."""

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from hosts.clusters import free_ports


@dataclass
class Submitted:
    """What the jobs service was sent: the job and the address at which it listens."""

    endpoint: str
    jobs: list[dict[str, Any]] = field(default_factory=list)


@contextlib.contextmanager
def jobs_service() -> Iterator[Submitted]:
    """A jobs service that accepts every job and says that it is done."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            submitted.jobs.append(json.loads(body))
            self._answer({**submitted.jobs[-1], "id": "2026-01-01_00_00_00-1", "currentState": "JOB_STATE_DONE"})

        def do_GET(self) -> None:
            if "/messages" in self.path:
                self._answer({"jobMessages": []})
            elif "/metrics" in self.path:
                self._answer({"metrics": []})
            else:
                self._answer({"id": "2026-01-01_00_00_00-1", "currentState": "JOB_STATE_DONE"})

        def _answer(self, value: dict[str, Any]) -> None:
            data = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    submitted = Submitted(f"http://localhost:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield submitted
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def storage(*buckets: str) -> Iterator[str]:
    """Google Cloud Storage on the loopback address, in memory; gives its address."""
    from gcp_storage_emulator.server import create_server

    (port,) = free_ports(1)
    server = create_server("127.0.0.1", port, in_memory=True, default_bucket=buckets[0])
    server.start()
    try:
        yield f"http://localhost:{port}"
    finally:
        server.stop()
