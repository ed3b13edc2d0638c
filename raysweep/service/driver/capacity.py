"""Capacity: how many actors a cluster holds now, and whether it could ever hold one."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping

import ray
from ray.experimental import internal_kv

from raysweep.service.driver.node_types import NodeTypes, node_types
from raysweep.service.errors import ClusterError
from raysweep.service.study import Resources

GROWTH = 16
"""Actors asked for at once of a cluster that can grow, beyond those it holds."""
_STATUS = "__autoscaling_status"
_SETTLING_SECONDS = 30.0


def slots(resources: Resources, tell: Callable[[str], None] = print) -> int:
    """Return how many actors the nodes that are up hold; 0 if none does and an autoscaler may bring one that does.

    Args:
        resources: What one actor takes.
        tell: Is told where nodes must come first, in one line.

    Raises:
        ClusterError: No node holds one actor, and none that does will come.
    """
    up = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    held = sum(_slots_of(node, resources) for node in up)
    if held:
        return held
    largest = max(up, key=lambda node: (node.get("GPU", 0), node.get("CPU", 0)))
    lacking = (
        f"a trial asks for resources.cpus={resources.cpus} and resources.gpus={resources.gpu_fraction:g}; "
        f"{'the largest node' if len(up) > 1 else 'this machine'} has {_named(largest)}"
    )
    types = node_types()
    if types is None and not grows():
        raise ClusterError(lacking)
    refuse_what_no_type_gives(resources, types, lacking)
    tell(f"{lacking}: waiting for the autoscaler to bring another")
    return 0


def refuse_what_no_type_gives(resources: Resources, types: NodeTypes | None, lacking: str) -> None:
    """Compare what one actor takes with what nodes to come would have, where that is known.

    Raises:
        ClusterError: None of them holds one actor.
    """
    if types is not None and not any(_slots_of(node, resources) for node in types.values()):
        offered = ", ".join(f"{name} ({_named(node)})" for name, node in types.items()) or "none"
        raise ClusterError(f"{lacking}, and none of the types that its autoscaler may start has more: {offered}")


def pending(held: int) -> int:
    """Return how many packs may wait for an actor: what waits is all the demand that an autoscaler sees."""
    may_grow = _started_by_autoscaler() is not False
    return 2 * held + (GROWTH if may_grow else 2)


def grows() -> bool:
    """Return whether an autoscaler may add nodes to this cluster, once its monitor has seen those that there are."""
    until = time.monotonic() + _SETTLING_SECONDS
    while (answer := _started_by_autoscaler()) is None and time.monotonic() < until:
        time.sleep(0.2)
    return answer is not False


def _started_by_autoscaler() -> bool | None:
    """Return whether an autoscaler is behind a node that is up; None if the monitor has not seen any node yet.

    Every head has a monitor that reports on its nodes, several seconds after its start at the earliest. Its first
    report may be of no node. Where nobody configured an autoscaler, each node has a type of its own, named after it.
    """
    report = internal_kv._internal_kv_get(_STATUS)
    if not report:
        return False
    types = json.loads(report).get("autoscaler_report", {}).get("node_type_mapping")
    return any(name != f"node_{node}" for node, name in types.items()) if types else None


def _named(node: Mapping[str, float]) -> str:
    return f"{node.get('CPU', 0):g} CPUs and {node.get('GPU', 0):g} GPUs"


def _slots_of(node: Mapping[str, float], resources: Resources) -> int:
    by_cpu = int(node.get("CPU", 0) // resources.cpus)
    gpus = resources.gpu_fraction
    by_gpu = int(node.get("GPU", 0) / gpus + 1e-6) if gpus else by_cpu
    return min(by_cpu, by_gpu)
