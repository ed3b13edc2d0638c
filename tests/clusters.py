"""A real Ray cluster of one head node with its job server, token authentication on, for tests."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

BINARIES = Path(sys.executable).parent
START_SECONDS = 120
NODE = "127.0.0.2"  # on the loopback interface; Ray replaces 127.0.0.1 by the machine's outer address


@dataclass(frozen=True)
class Head:
    """A running head node.

    Attributes:
        jobs: URL of the job server.
        address: Address for drivers.
        environment: Environment of a client that may talk to it.
        pid: Process id of `ray start`, whose descendants are the cluster.
    """

    jobs: str
    address: str
    environment: Mapping[str, str]
    pid: int

    def ray(self, *arguments: str, cwd: Path, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """Run the `ray` command as a client of this cluster."""
        command = [str(BINARIES / "ray"), *arguments]
        return subprocess.run(
            command, cwd=cwd, env=dict(self.environment), capture_output=True, text=True, timeout=timeout, check=False
        )


@dataclass(frozen=True)
class Node:
    """A running worker node.

    Attributes:
        ip: Its address, which no other node of the test has.
        process: `ray start`, whose descendants are the node.
    """

    ip: str
    process: subprocess.Popen[bytes]


def processes(node: Node) -> list[psutil.Process]:
    """Return the processes of a node."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(node.process.pid).children(recursive=True)
    return []


def raylet(node: Node) -> psutil.Process | None:
    """Return the node's raylet, without which its workers end as well; None once it has ended."""
    for process in processes(node):
        with contextlib.suppress(psutil.Error):
            if process.name() == "raylet" and process.status() != psutil.STATUS_ZOMBIE:
                return process
    return None


@contextlib.contextmanager
def worker_nodes(head: Head, *, cpus: int = 1, gpus: int = 0) -> Iterator[Callable[[], Node]]:
    """Return a function that adds a worker node to a cluster; all of them end with it."""
    nodes: list[Node] = []

    folder = Path(tempfile.mkdtemp(prefix="rs-", dir="/tmp"))

    def started() -> Node:
        """Start a node, after the ones before: nodes that start at the same moment pick the same free ports."""
        ip = f"127.0.1.{len(nodes) + 1}"
        command = [str(BINARIES / "ray"), "start", f"--address={head.address}", "--block", f"--node-ip-address={ip}"]
        command += [f"--num-cpus={cpus}", f"--num-gpus={gpus}", "--min-worker-port=0", "--max-worker-port=0"]
        command += ["--dashboard-agent-listen-port=0", "--disable-usage-stats"]
        with (folder / ip).open("w") as log:
            process = subprocess.Popen(
                command, env=dict(head.environment), stdout=log, stderr=log, start_new_session=True
            )
        nodes.append(Node(ip, process))
        end = time.monotonic() + START_SECONDS
        while process.poll() is None and "will now block" not in (folder / ip).read_text() and time.monotonic() < end:
            time.sleep(0.1)
        return nodes[-1]

    def add() -> Node:
        attempts = (started() for _ in range(3))
        return next(node for node in attempts if node.process.poll() is None)

    try:
        yield add
    finally:
        for node in nodes:
            _end(node.process)
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def head_node(
    *,
    cpus: int = 2,
    environment: Mapping[str, str] | None = None,
    metrics_port: int | None = None,
    port: int | None = None,
    autoscaling: Path | None = None,
) -> Iterator[Head]:
    """Start a head node on the loopback interface, on free ports, and end it with everything it started.

    Args:
        cpus: Cores that it says it has.
        environment: Variables beside those of this process.
        metrics_port: Where Prometheus would ask.
        port: The head's own; a free one by default.
        autoscaling: File with the configuration of an autoscaler.
    """
    # Ray's sockets have long names: a short folder of its own.
    folder = Path(tempfile.mkdtemp(prefix="rs-", dir="/tmp"))
    token = folder / "token"
    token.write_text(secrets.token_hex(32), encoding="ascii")
    ports = free_ports(3)
    ports[2] = port or ports[2]
    variables = {
        **os.environ,
        **(environment or {}),
        "PATH": f"{BINARIES}{os.pathsep}{os.environ['PATH']}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_USAGE_STATS_ENABLED": "0",
        "PYTHONPATH": str(Path(__file__).resolve().parents[1]),
    }
    command = [str(BINARIES / "ray"), "start", "--head", "--block", f"--node-ip-address={NODE}", f"--port={ports[2]}"]
    command += [f"--num-cpus={cpus}", f"--temp-dir={folder / 'ray'}", "--min-worker-port=0", "--max-worker-port=0"]
    command += ["--dashboard-host=127.0.0.1", f"--dashboard-port={ports[0]}", "--dashboard-agent-listen-port=0"]
    command += [f"--ray-client-server-port={ports[1]}", "--disable-usage-stats"]
    command += [f"--metrics-export-port={metrics_port}"] if metrics_port else []
    command += [f"--autoscaling-config={autoscaling}"] if autoscaling else []
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, env=variables, stdout=log, stderr=log, start_new_session=True)
    head = Head(f"http://127.0.0.1:{ports[0]}", f"{NODE}:{ports[2]}", variables, process.pid)
    try:
        _wait_until_up(head, process, folder / "log")
        yield head
    finally:
        _end(process)
        shutil.rmtree(folder, ignore_errors=True)


def free_ports(count: int) -> list[int]:
    """Return ports that were free a moment ago."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


def _wait_until_up(head: Head, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"ray start ended:\n{log.read_text()}")
        try:
            urllib.request.urlopen(f"{head.jobs}/api/version", timeout=5).close()
        except urllib.error.HTTPError as refused:
            if refused.code == 401:  # up, and asking for the token
                refused.close()
                return
        except OSError:
            time.sleep(0.3)
    raise RuntimeError(f"no head node within {START_SECONDS} s:\n{log.read_text()}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the head and all it started, which share its process session's groups; SIGTERM lets it end its own."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(30)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(30)
