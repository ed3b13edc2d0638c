"""Provenance: which code, on what machine, made a row."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysweep.service.code import TrialCode, data_name
from trials.core.knobs import TrialKnobs

if TYPE_CHECKING:  # seconds that a command which only asks a job server does not need
    import torch

# A submitted job runs on a copy without .git: what the submitting side knew travels in this variable, as JSON.
SUBMITTED = "RAYSWEEP_PROVENANCE"
# The files in `cluster/` set it on every node: a name in `cluster.nodes.NODE_TYPES`.
NODE_TYPE = "RAYSWEEP_NODE_TYPE"

SOURCE_ROOT = Path(__file__).resolve().parents[2]
_SOURCE_FOLDERS = ("raysweep", "trials", "search_spaces", "analysis", "cluster")


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where a sweep's code and data come from, captured once on the driver.

    Attributes:
        git_commit: Commit of the source, None outside a git checkout.
        git_dirty: Whether tracked files differed from that commit.
        source_hash: Hash of every source and configuration file, which also tells apart what git does not see.
        data_hashes: Name of a data set -> hash of its content.
        code: The modules that trials run; None where there are no trials to run.
    """

    git_commit: str | None
    git_dirty: bool | None
    source_hash: str
    data_hashes: Mapping[str, str] = field(default_factory=dict)
    code: TrialCode | None = None

    def columns(self, knobs: TrialKnobs) -> dict[str, Any]:
        """Return the columns of a trial's row that tell of its code and its data."""
        return {
            "git_commit": self.git_commit,
            "git_dirty": self.git_dirty,
            "source_hash": self.source_hash,
            "code_hash": None if self.code is None else self.code.hash_of(knobs),
            "data_hash": self.data_hashes.get(data_name(knobs)),
        }

    def as_json(self) -> str:
        """Return what of it a job cannot find out by itself, as `captured` reads it there."""
        return json.dumps({"git_commit": self.git_commit, "git_dirty": self.git_dirty})


def captured(data_hashes: Mapping[str, str] | None = None, code: TrialCode | None = None) -> Provenance:
    """Return the provenance of this process's source, or what the submitting side sent along, with that of the trials.

    Args:
        data_hashes: Name of a data set -> hash of its content.
        code: The modules that trials run.
    """
    submitted = json.loads(os.environ.get(SUBMITTED, "{}"))
    commit = submitted.get("git_commit") or _git("rev-parse", "HEAD")
    dirty = submitted["git_dirty"] if "git_dirty" in submitted else _git_dirty()
    return Provenance(
        git_commit=commit, git_dirty=dirty, source_hash=source_hash(), data_hashes=data_hashes or {}, code=code
    )


def source_hash() -> str:
    """Return a hash over the names and contents of the source files, the same on every machine."""
    digest = hashlib.sha256()
    for folder in _SOURCE_FOLDERS:
        for path in sorted((SOURCE_ROOT / folder).rglob("*")):
            if path.suffix in (".py", ".yaml") and path.is_file():
                digest.update(f"{path.relative_to(SOURCE_ROOT).as_posix()}\0".encode())
                digest.update(path.read_bytes())
    return digest.hexdigest()[:20]


@functools.cache
def place(device: torch.device) -> dict[str, str | None]:
    """Return the columns that tell where a trial ran; call it in the process that ran it."""
    import torch

    on_gpu = device.type == "cuda"
    return {
        "device": device.type,
        "device_name": torch.cuda.get_device_name(device) if on_gpu else _processor(),
        "node_type": os.environ.get(NODE_TYPE),
        "python_version": platform.python_version(),
        "torch_version": torch.__version__,
        "ray_version": metadata.version("ray"),
        "cuda_version": torch.version.cuda if on_gpu else None,
    }


def _processor() -> str:
    for line in _lines(Path("/proc/cpuinfo")):
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def _git_dirty() -> bool | None:
    changes = _git("status", "--porcelain", "--untracked-files=no")
    return None if changes is None else bool(changes)


def _git(*arguments: str) -> str | None:
    """Return what git prints about the source's own checkout, None where there is none."""
    if not (SOURCE_ROOT / ".git").exists():
        return None
    command = ["git", "-C", str(SOURCE_ROOT), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
