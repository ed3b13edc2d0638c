"""The places a store can be: a local folder, a server that honours conditional writes and one that does not."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest

KEYS = ("raysweepaccess", "raysweepsecret")


@pytest.hookimpl(trylast=True)  # after pytest has chosen by markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that hold most slow tests: handed out file by file, none of them is left to the end."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


@dataclass(frozen=True)
class Server:
    """An S3 server on loopback.

    Attributes:
        endpoint: Its address.
        conditional: Whether it refuses to overwrite when asked to.
    """

    endpoint: str
    conditional: bool


@dataclass(frozen=True)
class Place:
    """A fresh root for one test.

    Attributes:
        root: The root.
        conditional: Whether its storage refuses to overwrite when asked to.
        server: The server behind it, or None for a local folder.
    """

    root: str
    conditional: bool = True
    server: Server | None = None


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def awaited(process: subprocess.Popen[bytes], port: int) -> None:
    """Return once something listens on `port`."""
    for _ in range(300):
        assert process.poll() is None, "the server has ended"
        with socket.socket() as caller:
            if caller.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError(f"nothing listens on {port}")


def serving(command: list[str], port: int, conditional: bool) -> Iterator[Server]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        awaited(process, port)
        yield Server(f"http://127.0.0.1:{port}", conditional)
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def moto_server() -> Iterator[Server]:
    """A server that honours conditions, in a process of its own: inside ours it would replace our credentials."""
    port = free_port()
    program = "import sys; from moto.server import main; main(sys.argv[1:])"
    yield from serving([sys.executable, "-c", program, "-H", "127.0.0.1", "-p", str(port)], port, conditional=True)


@pytest.fixture(scope="session")
def rclone_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that ignores conditions and refuses trailing checksums."""
    port = free_port()
    rclone = Path(sys.executable).parent / "rclone"
    folder = tmp_path_factory.mktemp("buckets")
    command = [str(rclone), "serve", "s3", str(folder), "--addr", f"127.0.0.1:{port}", "--auth-key", ",".join(KEYS)]
    yield from serving(command, port, conditional=False)


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Take nothing from the machine: neither its profiles nor its roles."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEYS[0])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEYS[1])
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ENDPOINT_URL_S3", "AWS_REQUEST_CHECKSUM_CALCULATION"):
        monkeypatch.delenv(name, raising=False)


def bucket_on(server: Server, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
    bucket = f"bucket-{uuid.uuid4().hex[:12]}"
    boto3.session.Session().client("s3", region_name="us-east-1").create_bucket(Bucket=bucket)
    return Place(f"s3://{bucket}/some/prefix", server.conditional, server)


@pytest.fixture
def moto_place(moto_server: Server, credentials: None, monkeypatch: pytest.MonkeyPatch) -> Place:
    return bucket_on(moto_server, monkeypatch)


@pytest.fixture(params=["local", "moto", "rclone"])
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Place:
    """Each kind of place in turn."""
    if request.param == "local":
        return Place(str(tmp_path / "results"))
    request.getfixturevalue("credentials")
    return bucket_on(request.getfixturevalue(f"{request.param}_server"), monkeypatch)
