"""Draining nodes of a real cluster with token authentication: several raylets on this machine."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from cluster.drain import drain_node

ROOT = Path(__file__).resolve().parents[2]

# In a process of its own: Ray reads how to authenticate once, when it is loaded.
SCENARIO = """
    import sys, time
    import ray
    from ray.cluster_utils import Cluster
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
    from cluster import drain
    from tests.cluster.metadata_server import Metadata, served

    def on(node):
        return NodeAffinitySchedulingStrategy(node.node_id, soft=False)

    def alive():
        return {node["NodeID"] for node in ray.nodes() if node["Alive"]}

    def wait_until(condition, seconds=30):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.1)

    # It takes nothing, and yet Ray counts it as work: that is why a watcher is no actor.
    @ray.remote(num_cpus=0)
    class Trial:
        def seconds_left(self):
            return drain.seconds_until_drained()

        def go_away(self, metadata_url):
            from cluster import spot
            thread = drain.watch_in_background(lambda: lambda: spot.aws_notice(metadata_url))
            assert drain.watch_in_background(None) is thread
            thread.join(timeout=20)
            return ray.get_runtime_context().get_node_id()

    @ray.remote(num_cpus=1)
    def where():
        return ray.get_runtime_context().get_node_id()

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    idle, busy = cluster.add_node(num_cpus=1), cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    draining = lambda: set(ray._private.state.state.get_draining_nodes())

    # An idle node goes at once.
    drain.drain_node(cluster.address, idle.node_id, "spot notice", 60)
    wait_until(lambda: idle.node_id not in alive())
    print("idle node gone")

    # A busy node, told by its own worker, keeps its work, takes no more, and goes when it is idle.
    with served(Metadata("aws")) as metadata:
        trial = Trial.options(scheduling_strategy=on(busy)).remote()
        assert ray.get(trial.seconds_left.remote(), timeout=30) is None
        told = trial.go_away.remote(metadata.url)
        metadata.give_notice(seconds=60)
        assert ray.get(told, timeout=30) == busy.node_id
    assert draining() == {busy.node_id}
    assert 0 < ray.get(trial.seconds_left.remote(), timeout=30) <= 60
    assert busy.node_id not in ray.get([where.remote() for _ in range(4)], timeout=30)
    assert busy.node_id in alive()
    print("busy node drains")
    del trial, told
    wait_until(lambda: busy.node_id not in alive())
    print("busy node gone")

    # From outside of Ray, by the machine's address; the head is all that is left of this machine.
    ip = ray.nodes()[0]["NodeManagerAddress"]
    try:
        drain.drain_this_machine(cluster.address, "spot notice", 60, ip="192.0.2.1")
    except drain.DrainRefusedError as error:
        print("refused:", error)
    extra = cluster.add_node(num_cpus=1)
    assert extra.node_id in drain.drain_this_machine(cluster.address, "spot notice", 60, ip=ip)
    wait_until(lambda: extra.node_id not in alive())
    print("machine drained")
    ray.shutdown()
    cluster.shutdown()
"""


@pytest.mark.slow
def test_a_notice_drains_the_node_and_work_goes_elsewhere(tmp_path: Path) -> None:
    environment = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123456789abcdef" * 3}
    environment["PYTHONPATH"] = str(ROOT)  # workers import the watcher too
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCENARIO)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    said = done.stdout.splitlines()
    assert said[:3] == ["idle node gone", "busy node drains", "busy node gone"]
    assert "192.0.2.1" in said[3]
    assert said[4] == "machine drained"


@pytest.mark.parametrize("node_id", ["", "ff" * 28, "00", "zz" * 28])
def test_what_is_no_node_is_refused_before_the_cluster_is_asked(node_id: str) -> None:
    with pytest.raises(ValueError):
        drain_node("127.0.0.1:9", node_id, "spot notice", 10)


def test_a_deadline_is_not_in_the_past() -> None:
    with pytest.raises(ValueError, match="must not be negative, got -1"):
        drain_node("127.0.0.1:9", "ab" * 28, "spot notice", -1)
