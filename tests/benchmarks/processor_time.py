"""Processor time of a command and of every process that it starts, and they start, whoever waits for them."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

SECONDS_BETWEEN_LOOKS = 0.25


@dataclass(frozen=True)
class Spent:
    """Seconds waited for a command, and of processors that it took."""

    wall: float
    processor: float


def spent_by(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Spent:
    """Run a command to its end and return what it took.

    Ray's processes outlive their parents and nobody waits for them, so that no parent is told what they took: all are
    looked at again and again, and the last look at each counts.

    Raises:
        RuntimeError: It fails.
    """
    start = time.perf_counter()
    with subprocess.Popen(
        command, cwd=folder, env=dict(environment), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        seen: dict[psutil.Process, float] = {psutil.Process(process.pid): 0.0}
        while process.poll() is None:
            _look(seen)
            time.sleep(SECONDS_BETWEEN_LOOKS)
    wall = time.perf_counter() - start
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed with {process.returncode}")
    return Spent(wall, sum(seen.values()))


def _look(seen: dict[psutil.Process, float]) -> None:
    """Note the processes that known ones have started, and what each has taken so far."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process not in seen and process.ppid() in {known.pid for known in seen}:
                seen[process] = 0.0
    for process in seen:
        with suppress(psutil.Error):
            times = process.cpu_times()
            seen[process] = times.user + times.system
