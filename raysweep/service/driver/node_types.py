"""What types of nodes an autoscaler could start: asked of the head, where the autoscaler's configuration lies."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import ray

HEAD = "node:__internal_head__"
"""Resource that the head alone has."""
DECLARED = "RAYSWEEP_NODE_TYPES"
"""Variable of the head that declares them as JSON, where the autoscaler's configuration lies elsewhere."""
_OPTION = "--autoscaling-config="
_SECONDS = 120.0

NodeTypes = Mapping[str, Mapping[str, float]]
"""Name of a type -> what a node of it has."""


def node_types() -> NodeTypes | None:
    """Return the types of nodes that the autoscaler of the connected cluster may start.

    Ray tells no driver of them, so a task on the head reads the file that the autoscaler was given. On Kubernetes the
    autoscaler is a container of its own and makes its configuration from the cluster's manifest, which therefore
    declares them to the head. None where there is neither, where the resources of a type are left to be found out, or
    where the head does not answer.
    """
    with contextlib.suppress(ray.exceptions.RayError):
        asked = ray.remote(num_cpus=0, resources={HEAD: 0.001}, max_retries=0)(_types_of_this_head).remote()
        return ray.get(asked, timeout=_SECONDS)
    return None


def _types_of_this_head() -> NodeTypes | None:
    if declared := os.environ.get(DECLARED):
        return json.loads(declared)
    file = _configuration_file()
    return None if file is None else types_in(_loaded(file))


def types_in(configuration: Mapping[str, Any]) -> NodeTypes | None:
    """Return the types of nodes in an autoscaler's configuration; None if not all of them say what they have."""
    types = {
        name: declared.get("resources") or {}
        for name, declared in configuration["available_node_types"].items()
        if declared.get("max_workers", configuration.get("max_workers", 0)) > 0
    }
    return types if all("CPU" in resources for resources in types.values()) else None


def _configuration_file() -> Path | None:
    """Return the file named on the command line of the monitor, the process of the head that is its autoscaler."""
    ours = f"--gcs-address={ray.get_runtime_context().gcs_address}"
    return configuration_file(_command_lines(), ours)


def configuration_file(command_lines: Iterable[Sequence[str]], ours: str) -> Path | None:
    """Return the file that a monitor was given; None if it was given none.

    Args:
        command_lines: Those of a machine's processes, on which other clusters may have heads too.
        ours: Word by which a monitor is told from theirs.
    """
    monitors = [words for words in command_lines if any(word.endswith("/monitor.py") for word in words)]
    # An address can be written in several ways; where there is one cluster it need not be compared.
    of_this_cluster = monitors if len(monitors) == 1 else [words for words in monitors if ours in words]
    options = (word.removeprefix(_OPTION) for words in of_this_cluster for word in words if word.startswith(_OPTION))
    return next((Path(name).expanduser() for name in options if name), None)


def _command_lines() -> Iterator[list[str]]:
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            yield os.fsdecode((process / "cmdline").read_bytes()).split("\0")


def _loaded(file: Path) -> Mapping[str, Any]:
    import yaml

    loaded: Mapping[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return loaded
