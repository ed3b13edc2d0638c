"""From a spot notice to a drained node: Ray stops placing work there, and what runs there is told the deadline.

`python -m cluster.drain` watches the machine it runs on; the launcher files start it beside `ray start`. It is a
process and not an actor, for Ray counts any actor, even one without resources, as work: a node with an actor on it
never becomes idle, so it is never scaled down, and never ends by itself once it is drained. On Kubernetes nothing of
this is needed: there the notice is the pod's SIGTERM, which `ray start --block` turns into the same drain.

Where `ray start` is somebody else's, `watch_in_background` does the same from within an actor that is there anyway.
Ray is imported when there is something to drain: until then a watcher is a few megabytes.
"""

from __future__ import annotations

import argparse
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from cluster.spot import Notice, Poll, poll_of_this_cloud

SECONDS_BETWEEN_POLLS = 2.0  # GCP gives half a minute, all told
_SECONDS_BETWEEN_ATTEMPTS = 1.0

_log = logging.getLogger(__name__)
_background_lock = threading.Lock()
_background: threading.Thread | None = None


class DrainRefusedError(RuntimeError):
    """The cluster did not accept a drain."""


def drain_node(gcs_address: str, node_id: str, reason: str, deadline_seconds: float) -> None:
    """Tell the cluster that a node is about to be taken away.

    From then on nothing new is placed there, actors lost there cost no retries, and the node ends when it is idle.

    Args:
        gcs_address: Address of the cluster's head, `10.0.0.1:6379`, say.
        node_id: Ray's hexadecimal id of the node.
        reason: For people, shown in the dashboard.
        deadline_seconds: Time until the node is gone.

    Raises:
        ValueError: The id or the deadline is none.
        DrainRefusedError: The cluster said no.
    """
    from ray import NodeID
    from ray.core.generated.autoscaler_pb2 import DrainNodeReason

    if deadline_seconds < 0:
        raise ValueError(f"deadline_seconds must not be negative, got {deadline_seconds!r}")
    if NodeID.from_hex(node_id).is_nil():  # which the cluster would accept, and drain nothing
        raise ValueError(f"node_id={node_id!r} is not the id of a node")
    deadline = int((time.time() + deadline_seconds) * 1000)
    preempted = DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")
    accepted, refusal = _head(gcs_address).drain_node(node_id, preempted, reason, deadline)
    if not accepted:
        raise DrainRefusedError(f"node {node_id} was not drained: {refusal}")


def drain_this_node(reason: str, deadline_seconds: float) -> None:
    """Drain the node of this Ray worker or driver; see `drain_node`."""
    import ray

    here = ray.get_runtime_context()
    drain_node(here.gcs_address, here.get_node_id(), reason, deadline_seconds)


def seconds_until_drained() -> float | None:
    """Return the seconds until the node of this Ray worker is gone, None while it is not being drained.

    It asks the head, so ask between steps and not in them.
    """
    import ray

    until = ray._private.state.state.get_draining_nodes().get(ray.get_runtime_context().get_node_id())
    return None if until is None else max(0.0, until / 1000 - time.time())


def drain_this_machine(gcs_address: str, reason: str, deadline_seconds: float, ip: str | None = None) -> list[str]:
    """Drain every node that lives on this machine, from a process that Ray knows nothing of, and return their ids."""
    from ray.util import get_node_ip_address

    ip = ip or get_node_ip_address()
    nodes = _head(gcs_address).get_all_node_info()
    ids = [id.hex() for id, node in nodes.items() if node.state == node.ALIVE and node.node_manager_address == ip]
    if not ids:
        raise DrainRefusedError(f"no node of the cluster at {gcs_address} has this machine's address {ip}")
    for node_id in ids:
        drain_node(gcs_address, node_id, reason, deadline_seconds)
    return ids


def watch(poll: Poll, drain: Callable[[str, float], object], pause: float = SECONDS_BETWEEN_POLLS) -> Notice:
    """Poll until the cloud gives notice, then drain; try that again until the deadline, whatever goes wrong.

    Args:
        poll: Returns the notice, once there is one.
        drain: Takes the reason and the seconds until the deadline.
        pause: Seconds between polls.

    Returns:
        The notice, drained or past its deadline.
    """
    while (notice := poll()) is None:
        time.sleep(pause)
    _log.warning("%s at %s", notice.reason, notice.deadline.isoformat())
    while True:
        try:
            drain(notice.reason, notice.seconds_left())
            return notice
        except Exception as error:  # noqa: BLE001  # a head that is out of reach for a moment says so in many ways
            _log.warning("not drained yet: %s", error)
            if notice.seconds_left() == 0:
                return notice
            time.sleep(min(pause, _SECONDS_BETWEEN_ATTEMPTS))


def watch_in_background(find_poll: Callable[[], Poll | None] = poll_of_this_cloud) -> threading.Thread:
    """Watch from a daemon thread of this Ray worker; once a process, however often it is called."""
    global _background

    def run() -> None:
        poll = find_poll()
        if poll is not None:
            watch(poll, drain_this_node)

    with _background_lock:
        if _background is None:
            _background = threading.Thread(target=run, name="spot-notice", daemon=True)
            _background.start()
        return _background


def main(arguments: Sequence[str] | None = None) -> int:
    """Watch this machine; return 0 when it has been drained, or at once where no cloud would give notice."""
    parser = argparse.ArgumentParser(prog="python -m cluster.drain", description="Drain this machine on a spot notice.")
    parser.add_argument("--address", default=os.environ.get("RAY_ADDRESS"), help="head of the cluster, HOST:6379")
    options = parser.parse_args(arguments)
    if not options.address:
        parser.error("give --address HOST:6379, or set RAY_ADDRESS")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    poll = poll_of_this_cloud()
    if poll is None:
        _log.info("no metadata service of AWS or GCP answers here: nothing to watch")
        return 0
    watch(poll, lambda reason, seconds: drain_this_machine(options.address, reason, seconds))
    return 0


def _head(gcs_address: str) -> Any:
    """Return a client of the cluster's head, which finds the token where every part of Ray looks for it."""
    import ray

    return ray._raylet.GcsClient(address=gcs_address)


if __name__ == "__main__":
    raise SystemExit(main())
