"""A proxy between boto3 and an S3 server that spoils chosen requests."""

from __future__ import annotations

import http.client
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

ERRORS = {
    "error": (500, "InternalError"),
    "slow down": (503, "SlowDown"),
    "expired": (400, "ExpiredToken"),
    "denied": (403, "AccessDenied"),
    "skewed": (403, "RequestTimeTooSkewed"),
    "conflict": (409, "ConditionalRequestConflict"),
}
SECRET = "the-servers-echo-of-a-secret"

Chooser = Callable[[str, int, int], str | None]


def healthy(method: str, number: int, attempt: int) -> str | None:
    """Let everything pass."""
    return None


class FaultProxy:
    """Forwards requests; `fault` names what happens to each.

    Attributes:
        fault: Called with the method, how many requests there were before, and how many of them were this very one;
            returns a key of `ERRORS`, "reset", "lost" (the answer, after the effect), "truncated" (the body on its
            way) or None.
    """

    def __init__(self, upstream: str) -> None:
        self.upstream = urlsplit(upstream)
        self.fault: Chooser = healthy
        self.requests: list[tuple[str, str]] = []
        self.lock = threading.Lock()

    def chosen(self, method: str, path: str) -> str | None:
        with self.lock:
            number, attempt = len(self.requests), self.requests.count((method, path))
            self.requests.append((method, path))
            return self.fault(method, number, attempt)


@contextmanager
def fault_proxy(upstream: str) -> Iterator[tuple[FaultProxy, str]]:
    """Yield a proxy before `upstream` and its address."""
    proxy = FaultProxy(upstream)
    server = _Server(proxy)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield proxy, f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, proxy: FaultProxy) -> None:
        self.proxy = proxy
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        pass


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def handle_request(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        fault = self.server.proxy.chosen(self.command, self.path)
        if len(body) < length:  # the client died within its request
            self._forward_part(body)
        elif fault in ERRORS:
            self._refuse(*ERRORS[fault])
        elif fault == "reset":
            self._reset()
        elif fault == "truncated":
            self._forward_part(body[: length // 2])
        else:
            answer, content = self._forwarded(body)
            self._reset() if fault == "lost" else self._answer(answer, content)

    do_GET = do_PUT = do_DELETE = do_HEAD = handle_request  # noqa: N815 - http.server's names

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def _forwarded(self, body: bytes) -> tuple[http.client.HTTPResponse, bytes]:
        upstream = self.server.proxy.upstream
        connection = http.client.HTTPConnection(upstream.hostname or "", upstream.port, timeout=30)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "expect"}
        with closing(connection):
            connection.request(self.command, self.path, body=body, headers=headers)
            answer = connection.getresponse()
            return answer, answer.read()

    def _forward_part(self, part: bytes) -> None:
        upstream = self.server.proxy.upstream
        address = (upstream.hostname or "", upstream.port or 80)
        with socket.create_connection(address) as connection:
            lines = [f"{self.command} {self.path} HTTP/1.1"]
            lines += [f"{name}: {value}" for name, value in self.headers.items() if name.lower() != "expect"]
            connection.sendall("\r\n".join([*lines, "", ""]).encode() + part)
        self._reset()

    def _refuse(self, status: int, code: str) -> None:
        text = f"<Error><Code>{code}</Code><Message>{SECRET}</Message></Error>".encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def _answer(self, answer: http.client.HTTPResponse, content: bytes) -> None:
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else None
        self.send_header("Content-Length", length or str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()
        self.rfile.close()

    def finish(self) -> None:
        try:
            super().finish()
        except (OSError, ValueError):  # we reset the connection ourselves
            self.rfile.close()
