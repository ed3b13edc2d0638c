"""Capacity: how many actors a cluster holds now, and whether it could ever hold one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ray

from raysweep.service.errors import ClusterError
from raysweep.service.study import Resources

GROWTH = 16
"""Actors asked for at once of a cluster that can grow, beyond those it holds."""


def slots(resources: Resources) -> int:
    """Return how many actors the nodes that are up hold; 0 if only nodes that are still to come hold one.

    Raises:
        ClusterError: No node holds one actor, and none that an autoscaler could bring would.
    """
    up = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    held = sum(_slots_of(node, resources) for node in up)
    to_come = node_types()
    if not held and not any(_slots_of(node, resources) for node in to_come.values()):
        raise ClusterError(
            f"a trial asks for resources.cpus={resources.cpus} and resources.gpus={resources.gpu_fraction:g}; "
            f"{_described(up, to_come)}"
        )
    return held


def pending(held: int) -> int:
    """Return how many packs may wait for an actor: what waits is all the demand that an autoscaler sees."""
    return 2 * held + (GROWTH if node_types() else 2)


def node_types() -> dict[str, Mapping[str, float]]:
    """Return what the node types have that an autoscaler may bring up, by their names; none without an autoscaler."""
    config: Any = ray._private.state.state.get_cluster_config()
    groups = config.node_group_configs if config else ()
    return {group.name: dict(group.resources) for group in groups if group.max_count}


def _described(up: list[Mapping[str, float]], to_come: Mapping[str, Mapping[str, float]]) -> str:
    largest = max(up, key=lambda node: (node.get("GPU", 0), node.get("CPU", 0)))
    said = [f"the largest node has {_named(largest)}" if len(up) > 1 else f"this machine has {_named(largest)}"]
    said += [f"a node of type {name} would have {_named(node)}" for name, node in to_come.items()]
    return ", ".join(said)


def _named(node: Mapping[str, float]) -> str:
    return f"{node.get('CPU', 0):g} CPUs and {node.get('GPU', 0):g} GPUs"


def _slots_of(node: Mapping[str, float], resources: Resources) -> int:
    by_cpu = int(node.get("CPU", 0) // resources.cpus)
    gpus = resources.gpu_fraction
    by_gpu = int(node.get("GPU", 0) / gpus + 1e-6) if gpus else by_cpu
    return min(by_cpu, by_gpu)
