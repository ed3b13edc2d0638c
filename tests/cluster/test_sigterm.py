"""The pod's SIGTERM, as Kubernetes sends it: `ray start --block` drains, and what runs ends well."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RAY = str(Path(sys.executable).with_name("ray"))
DRAIN_SECONDS = 40

DRIVER = """
    import sys, time
    from pathlib import Path
    import ray

    def awaited(what, seconds=40):
        deadline = time.monotonic() + seconds
        while not (found := what()):
            assert time.monotonic() < deadline, "it never came"
            time.sleep(0.1)
        return found

    ray.init(address=sys.argv[1], log_to_driver=False, logging_level="ERROR")
    folder = Path(sys.argv[2])
    there = awaited(lambda: [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("worker")])

    @ray.remote(resources={"worker": 1}, num_cpus=0, max_retries=0)
    def trial():
        (folder / "began").touch()
        awaited((folder / "may end").exists)
        return "rows"

    going = trial.remote()
    awaited((folder / "began").exists)
    print("running", flush=True)
    sys.stdin.readline()
    (node_id, until), = awaited(ray._private.state.state.get_draining_nodes).items()
    assert node_id == there[0]["NodeID"]
    print("drains for", until / 1000 - time.time(), flush=True)
    (folder / "may end").touch()
    print("trial ended with", ray.get(going, timeout=30), flush=True)
    ray.shutdown()
"""


@pytest.fixture
def environment() -> dict[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": "0123456789abcdef" * 3,
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": str(DRAIN_SECONDS),
    }


@pytest.fixture
def scratch() -> Iterator[str]:
    # Short, for sockets live there; and Ray's own, for its default folder is that of every Ray of this machine.
    folder = tempfile.mkdtemp(prefix="rs-", dir="/tmp")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def started(arguments: Sequence[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    command = [RAY, "start", "--block", "--num-cpus=1", *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.mark.slow
def test_sigterm_drains_and_the_node_goes_when_its_trial_has_ended(environment: dict[str, str], scratch: str) -> None:
    address = f"127.0.0.1:{free_port()}"
    head_arguments = ["--head", f"--port={address.rpartition(':')[2]}", "--node-ip-address=127.0.0.1"]
    head_arguments += ["--include-dashboard=false", f"--temp-dir={scratch}"]
    head = started(head_arguments, {**environment, "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0"})
    worker = driver = None
    try:
        wait_for(address)
        worker = started([f"--address={address}", '--resources={"worker": 1}'], environment)
        command = [sys.executable, "-c", textwrap.dedent(DRIVER), address, scratch]
        driver = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert driver.stdout is not None
        assert driver.stdout.readline() == "running\n", driver.communicate()[1][-3000:]
        worker.send_signal(signal.SIGTERM)
        sent = time.monotonic()
        said, errors = driver.communicate("\n", timeout=90)
        assert driver.returncode == 0, errors[-3000:]
        drains, ended = said.splitlines()
        assert 0 < float(drains.split()[-1]) <= DRAIN_SECONDS
        assert ended == "trial ended with rows"
        worker.wait(timeout=DRAIN_SECONDS)
        assert time.monotonic() - sent < DRAIN_SECONDS  # it went when it was idle, and not at the deadline
    finally:
        for process in (driver, worker, head):
            end(process)


def wait_for(address: str, seconds: float = 30) -> None:
    host, _, port = address.rpartition(":")
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def end(process: subprocess.Popen[bytes] | subprocess.Popen[str] | None) -> None:
    """End one process, kindly and then firmly, and close its pipes."""
    if process is None:
        return
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
