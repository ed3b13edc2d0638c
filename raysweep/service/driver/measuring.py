"""Measuring: what `resources.gpus=auto` comes to on the GPUs of a connected cluster.

Imported by `raysweep.service.driver.tune` alone, after Ray's environment is set.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import ray
from ray.exceptions import RayError, RayTaskError

from raysweep.service.errors import ClusterError
from raysweep.service.messages import PlannedTrial, Work
from raysweep.service.study import Resources
from raysweep.service.worker.groups import Group
from raysweep.service.worker.shares import CudaGauge, Gauge, Measured, described, measured_groups, resources_of, shapes


def resolved_resources(
    work: Work, trials: Sequence[PlannedTrial], gauge: Gauge | None = None, tell: Callable[[str], None] = print
) -> Resources:
    """Return the work's resources with GPUs as a number; `auto` is measured by a process that has a GPU to itself.

    One sweep has one fraction, that of its most demanding shape, measured on one of the cluster's GPUs.

    Args:
        work: What the trials need.
        trials: Those that are known to come.
        gauge: Measures memory; PyTorch's allocator on CUDA if none is given.
        tell: Is told what was found, in one line.

    Raises:
        ClusterError: No node has a whole GPU and the cores of one trial, or the measuring process was lost.
        StoreError: The store fails.
    """
    resources = work.resources
    if resources.gpus != "auto":
        return resources
    nodes = _nodes().values()
    if not any(node.get("GPU", 0) for node in nodes):
        tell("resources.gpus=auto: no node with a GPU is up, trials run on CPUs")
        return replace(resources, gpus=0.0)
    if not any(node.get("GPU", 0) >= 1 and node.get("CPU", 0) >= resources.cpus for node in nodes):
        raise ClusterError(f"resources.gpus=auto: no node has a GPU and resources.cpus={resources.cpus}")
    groups = shapes(trials, work.together)
    if not groups:
        tell("resources.gpus=auto: no trial is known yet that could be measured, a whole GPU each")
        return replace(resources, gpus=1.0)
    node, found = _measured_there(work, groups, gauge or CudaGauge())
    chosen = resources_of(found, resources, cpus=_cpus_of_a_gpu(_nodes()[node]))
    tell(described(found, chosen))
    return chosen


def _measured_there(work: Work, groups: Sequence[Group], gauge: Gauge) -> tuple[str, Measured]:
    """Return the id of the node and what was measured there; the process ends, and with it its hold on the GPU."""
    task = ray.remote(num_gpus=1, num_cpus=work.resources.cpus, max_calls=1, max_retries=1)(_measured_here)
    try:
        answer: tuple[str, Measured] = ray.get(task.remote(work, groups, gauge))
    except RayTaskError as error:
        raise (error.cause or error) from None
    except RayError as error:
        reason = str(error).strip().splitlines()[0]
        raise ClusterError(f"resources.gpus=auto: the process that measured was lost: {reason}") from None
    return answer


def _measured_here(work: Work, groups: Sequence[Group], gauge: Gauge) -> tuple[str, Measured]:
    return ray.get_runtime_context().get_node_id(), measured_groups(work, groups, gauge)


def _nodes() -> dict[str, dict[str, float]]:
    """Return what each node of the cluster has, by its id."""
    return {node["NodeID"]: node["Resources"] for node in ray.nodes() if node["Alive"]}


def _cpus_of_a_gpu(node: dict[str, float]) -> int:
    return int(node["CPU"] // node["GPU"])
