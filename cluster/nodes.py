"""Node types of the clouds: what a machine holds, and what a trial on it costs.

Prices are list prices for orientation, not a bill: on demand in us-east-1 (AWS) and us-central1 (GCP) as of June 2025,
and what spot capacity typically went for there in those weeks. Spot prices move by the hour. Check both before relying
on them, and put your own in a JSON file that `RAYSWEEP_NODE_PRICES` names:

    {"g6.xlarge": {"dollars_per_hour_on_demand": 0.75, "dollars_per_hour_spot": 0.31}}

An entry with a name that is not in the table adds a node type; it then gives every attribute of `NodeType`.
"""

from __future__ import annotations

import difflib
import functools
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from cluster.cards import Card

PRICES = "RAYSWEEP_NODE_PRICES"
"""Environment variable with the path of a JSON file of prices."""
SPOT = "RAYSWEEP_NODE_SPOT"
"""Environment variable that is 1 on a machine bought as spot capacity."""


@dataclass(frozen=True, kw_only=True)
class NodeType:
    """A machine that a cloud rents out.

    Attributes:
        name: The cloud's own name.
        cloud: `aws` or `gcp`.
        gpu: Name of the GPU.
        gpus: Number of GPUs.
        gpu_memory_gib: Memory of one GPU as its driver reports it, which is less than the data sheet's GB.
        cpus: Virtual cores.
        memory_gib: Main memory.
        dollars_per_hour_on_demand: Price while it cannot be taken away.
        dollars_per_hour_spot: Typical price while it can.

    Raises:
        ValueError: A quantity is not positive, or the name of the cloud is unknown.
    """

    name: str
    cloud: str
    gpu: str
    gpus: int
    gpu_memory_gib: float
    cpus: int
    memory_gib: float
    dollars_per_hour_on_demand: float
    dollars_per_hour_spot: float

    def __post_init__(self) -> None:
        if self.cloud not in ("aws", "gcp"):
            raise ValueError(f"{self.name}: cloud={self.cloud!r} is not one of aws, gcp")
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name not in ("name", "cloud", "gpu") and not (_is_number(value) and 0 < value < math.inf):
                raise ValueError(f"{self.name}: {field.name} must be a positive number, got {value!r}")

    @property
    def card(self) -> Card:
        """One of its GPUs, with its part of the cores."""
        return Card(name=f"{self.gpu} of a {self.name}", memory_gib=self.gpu_memory_gib, cpus=self.cpus // self.gpus)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


# gpu: memory of one card in GiB
_GPU_MEMORY_GIB = {
    "T4": 15.0,
    "L4": 22.5,
    "A10G": 22.5,
    "L40S": 45.0,
    "A100-40GB": 40.0,
    "A100-80GB": 80.0,
    "H100": 79.6,
    "H200": 140.4,
    "B200": 179.1,
}

# name, cloud, gpu, gpus, cpus, memory in GiB, dollars an hour on demand, dollars an hour spot
_TABLE: tuple[tuple[str, str, str, int, int, float, float, float], ...] = (
    ("g4dn.xlarge", "aws", "T4", 1, 4, 16, 0.526, 0.21),
    ("g5.xlarge", "aws", "A10G", 1, 4, 16, 1.006, 0.44),
    ("g5.2xlarge", "aws", "A10G", 1, 8, 32, 1.212, 0.53),
    ("g5.12xlarge", "aws", "A10G", 4, 48, 192, 5.672, 2.40),
    ("g5.48xlarge", "aws", "A10G", 8, 192, 768, 16.288, 6.80),
    ("g6.xlarge", "aws", "L4", 1, 4, 16, 0.805, 0.34),
    ("g6.2xlarge", "aws", "L4", 1, 8, 32, 0.978, 0.42),
    ("g6.12xlarge", "aws", "L4", 4, 48, 192, 4.602, 1.95),
    ("g6e.xlarge", "aws", "L40S", 1, 4, 32, 1.861, 0.86),
    ("p4d.24xlarge", "aws", "A100-40GB", 8, 96, 1152, 21.96, 12.00),
    ("p4de.24xlarge", "aws", "A100-80GB", 8, 96, 1152, 27.45, 16.00),
    ("p5.4xlarge", "aws", "H100", 1, 16, 256, 6.88, 3.40),
    ("p5.48xlarge", "aws", "H100", 8, 192, 2048, 55.04, 27.00),
    ("p5en.48xlarge", "aws", "H200", 8, 192, 2048, 63.30, 32.00),
    ("p6-b200.48xlarge", "aws", "B200", 8, 192, 2048, 113.93, 57.00),
    ("g2-standard-4", "gcp", "L4", 1, 4, 16, 0.707, 0.28),
    ("g2-standard-8", "gcp", "L4", 1, 8, 32, 0.854, 0.34),
    ("g2-standard-24", "gcp", "L4", 2, 24, 96, 1.999, 0.80),
    ("g2-standard-48", "gcp", "L4", 4, 48, 192, 3.998, 1.60),
    ("g2-standard-96", "gcp", "L4", 8, 96, 384, 7.995, 3.20),
    ("a2-highgpu-1g", "gcp", "A100-40GB", 1, 12, 85, 3.673, 1.80),
    ("a2-highgpu-8g", "gcp", "A100-40GB", 8, 96, 680, 29.39, 14.40),
    ("a2-ultragpu-1g", "gcp", "A100-80GB", 1, 12, 170, 5.069, 2.53),
    ("a2-ultragpu-8g", "gcp", "A100-80GB", 8, 96, 1360, 40.55, 20.24),
    ("a3-highgpu-1g", "gcp", "H100", 1, 26, 234, 11.06, 4.00),
    ("a3-highgpu-8g", "gcp", "H100", 8, 208, 1872, 88.49, 32.00),
    ("a3-ultragpu-8g", "gcp", "H200", 8, 224, 2952, 84.81, 34.00),
)

NODE_TYPES: Mapping[str, NodeType] = {
    name: NodeType(
        name=name,
        cloud=cloud,
        gpu=gpu,
        gpus=gpus,
        gpu_memory_gib=_GPU_MEMORY_GIB[gpu],
        cpus=cpus,
        memory_gib=memory_gib,
        dollars_per_hour_on_demand=on_demand,
        dollars_per_hour_spot=spot,
    )
    for name, cloud, gpu, gpus, cpus, memory_gib, on_demand, spot in _TABLE
}


def node_type(name: str) -> NodeType:
    """Return a node type by its cloud's name, with the prices of `RAYSWEEP_NODE_PRICES` where it gives some.

    Raises:
        ValueError: There is no such node type, or the file of prices is not what it should be.
    """
    known = _known(os.environ.get(PRICES))
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3) or sorted(known)
        raise ValueError(f"no node type {name!r}; known are {', '.join(near)}; {PRICES} can name a file that adds more")
    return known[name]


def price_per_second(node: NodeType, *, spot: bool) -> float:
    """Return the price in dollars of a second of the whole machine."""
    return (node.dollars_per_hour_spot if spot else node.dollars_per_hour_on_demand) / 3600


def cost_dollars(
    node_type_name: str | None, wall_seconds: float, gpu_fraction: float, cpus: float, *, spot: bool = False
) -> float | None:
    """Return what a trial cost: the time it took, of the share of its node that nobody else could use meanwhile.

    Args:
        node_type_name: Node type it ran on, None where it is not known.
        wall_seconds: How long it ran.
        gpu_fraction: GPUs it took, 0.25 or 2, say.
        cpus: Cores it took.
        spot: Whether the node was bought as spot capacity; `bought_as_spot` tells it on the node.

    Returns:
        Dollars; None where the node type is not known or has no price, as on a machine of one's own.
    """
    node = _known(os.environ.get(PRICES)).get(node_type_name or "")
    if node is None:
        return None
    share = min(1.0, max(gpu_fraction / node.gpus, cpus / node.cpus))
    return wall_seconds * share * price_per_second(node, spot=spot)


def bought_as_spot() -> bool:
    """Return whether this machine was started as spot capacity, which the cluster files of this folder note."""
    return os.environ.get(SPOT) == "1"


@functools.cache
def _known(path: str | None) -> Mapping[str, NodeType]:
    """Return the table, changed and extended by the entries of a JSON file."""
    if not path:
        return NODE_TYPES
    try:
        entries = json.loads(Path(path).read_text(encoding="utf-8"))
        return {**NODE_TYPES, **{name: _changed(name, entry) for name, entry in entries.items()}}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{PRICES}={path}: {error}") from None


def _changed(name: str, entry: Mapping[str, Any]) -> NodeType:
    known = NODE_TYPES.get(name)
    return replace(known, **entry) if known else NodeType(name=name, **entry)
