"""A metadata service of AWS or GCP on the loopback interface, as strict about headers as the real ones."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "a-session-token"


@dataclass
class Metadata:
    """What the service would say.

    Attributes:
        cloud: Whose paths and headers it knows.
        notice: The body of AWS's spot/instance-action, or of GCP's instance/preempted; None for 404.
        url: Where it listens.
        asked: Paths asked for, in order.
    """

    cloud: str
    notice: str | None = None
    url: str = ""
    asked: list[str] = field(default_factory=list)

    def give_notice(self, seconds: float = 120) -> None:
        """Let the cloud take the machine back."""
        time = (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.notice = "TRUE" if self.cloud == "gcp" else json.dumps({"action": "terminate", "time": time})

    def answer(self, method: str, path: str, headers: dict[str, str]) -> tuple[int, str]:
        """Return the status and the body of one answer."""
        if self.cloud == "gcp":
            return self._gcp(path, headers)
        if (method, path) == ("PUT", "/latest/api/token"):
            return (200, TOKEN) if "x-aws-ec2-metadata-token-ttl-seconds" in headers else (400, "")
        if headers.get("x-aws-ec2-metadata-token") != TOKEN:
            return 401, ""
        known = method == "GET" and path == "/latest/meta-data/spot/instance-action" and self.notice is not None
        return (200, self.notice or "") if known else (404, "")

    def _gcp(self, path: str, headers: dict[str, str]) -> tuple[int, str]:
        if headers.get("metadata-flavor") != "Google":
            return 403, ""
        bodies = {"/computeMetadata/v1/instance/id": "42", "/computeMetadata/v1/instance/preempted": self.notice}
        body = bodies.get(path)
        return (404, "") if body is None else (200, body)


@contextlib.contextmanager
def served(metadata: Metadata) -> Iterator[Metadata]:
    """Serve the metadata on a free port, and fill in its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            metadata.asked.append(self.path)
            status, body = metadata.answer(self.command, self.path, headers)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

        do_PUT = do_GET  # noqa: N815

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        metadata.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield metadata
        finally:
            server.shutdown()
            thread.join()
