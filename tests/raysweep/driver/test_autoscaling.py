"""Ray's own autoscaler, with nodes on this machine: from no GPU node to several, and back."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from analysis.store.results import Results
from raysweep.service.worker.memory import PRETENDED
from tests import recipes
from tests.clusters import Head, free_ports, head_node
from tests.recipes import WALK

pytestmark = [pytest.mark.slow, pytest.mark.alone]

TRIALS = 60
GPUS = 0.5
LONGEST_SECONDS = 240

# Asks a running cluster, in a process of its own, which nodes are there; once a second until it is told to end.
WATCHER = """
import sys, time, ray
ray.init(address=sys.argv[1], log_to_driver=False, logging_level="ERROR", namespace="watcher")
while True:
    print(sum(node["Alive"] and node["Resources"].get("GPU", 0) > 0 for node in ray.nodes()), flush=True)
    time.sleep(1)
"""


def configuration(port: int) -> dict[str, object]:
    """Return a cluster of a head without GPUs, and of up to three nodes with one each, none at first."""
    node = {"node_config": {}, "min_workers": 0}
    return {
        "cluster_name": "pretended",
        "max_workers": 3,
        "upscaling_speed": 4.0,
        "idle_timeout_minutes": 0.1,
        "provider": {
            "type": "fake_multinode",
            "gcs_address": f"127.0.0.2:{port}",
            "use_node_id_as_ip": True,  # all nodes have this machine's
            "disable_node_updaters": True,  # nothing to log in to
            "disable_launch_config_check": True,
        },
        "available_node_types": {
            "ray.head.default": {**node, "resources": {"CPU": 1}, "max_workers": 0},
            "gpu": {**node, "resources": {"CPU": 2, "GPU": 1}, "max_workers": 3},
        },
        "head_node_type": "ray.head.default",
        "auth": {},
        "file_mounts": {},
        "cluster_synced_files": [],
        "file_mounts_sync_continuously": False,
        "initialization_commands": [],
        "setup_commands": [],
        "head_setup_commands": [],
        "worker_setup_commands": [],
        "head_start_ray_commands": [],
        "worker_start_ray_commands": [],
    }


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    (port,) = free_ports(1)
    file = tmp_path_factory.mktemp("head") / "autoscaling.json"
    file.write_text(json.dumps(configuration(port)), encoding="ascii")
    environment = {"RAY_FAKE_CLUSTER": "1", "AUTOSCALER_UPDATE_INTERVAL_S": "1", PRETENDED: "1", recipes.SECONDS: "0.5"}
    with head_node(cpus=1, environment=environment, autoscaling=file, port=port) as started:
        yield started


def test_a_sweep_of_fractions_brings_gpu_nodes_up_and_they_go_again(head: Head, tmp_path: Path) -> None:
    root, log = tmp_path / "results", tmp_path / "nodes"
    with log.open("w") as said:
        command = [sys.executable, "-c", WATCHER, head.address]
        watcher = subprocess.Popen(command, env=dict(head.environment), stdout=said, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: counts(log) == [0] * len(counts(log)) and bool(counts(log)), "the head is alone")
        sweep = ["python", "-m", "tests.chaos_driver", str(root), str(TRIALS), "--gpus", str(GPUS)]
        job = head.ray("job", "submit", "--address", head.jobs, "--", *sweep, cwd=tmp_path, timeout=LONGEST_SECONDS)
        assert "succeeded" in job.stdout + job.stderr
        wait_for(lambda: counts(log)[-1] == 0, "the GPU nodes have gone")
    finally:
        watcher.kill()
        watcher.wait()
    assert max(counts(log)) >= 2, counts(log)
    trials = Results(root).trials(WALK.name)
    assert len(trials) == TRIALS
    assert set(trials["gpu_fraction"]) == {GPUS}
    print(f"GPU nodes, second by second: {counts(log)}")


def test_what_no_type_of_node_gives_is_refused_at_once(head: Head, tmp_path: Path) -> None:
    """And a trial that the GPU nodes could hold, were they up, is waited for; see the test above."""
    command = [sys.executable, "-m", "tests.chaos_driver", str(tmp_path / "results"), "2", "--gpus", "2"]
    environment = {**head.environment, "RAY_ADDRESS": head.address}
    sweep = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LONGEST_SECONDS)
    assert sweep.returncode == 1
    *_, said = sweep.stderr.splitlines()
    assert "resources.gpus=2" in said
    assert said.endswith("none of the types that its autoscaler may start has more: gpu (2 CPUs and 1 GPUs)")


def counts(log: Path) -> list[int]:
    return [int(line) for line in log.read_text(encoding="ascii").splitlines()]


def wait_for(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + LONGEST_SECONDS
    while not condition():
        assert time.monotonic() < end, f"waited {LONGEST_SECONDS} s in vain until {what}"
        time.sleep(0.5)
