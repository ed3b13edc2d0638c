"""The serial executor: every trial in this process, for tests and debuggers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from raysweep.service.execution import Worker
from raysweep.service.messages import PlannedTrial, TrialReport, Work

Listener = Callable[[Sequence[TrialReport], int], None]
"""Hears the reports of trials that have just become durable, and how many trials are running now."""


class Executor(Protocol):
    """Runs trials and tells the listener of each when its rows are durable."""

    def run(self, work: Work, trials: Sequence[PlannedTrial], listener: Listener) -> None:
        """Run every trial once; return when all are durable, whatever their outcome."""


class SerialExecutor:
    """Runs one trial after another in this process."""

    def run(self, work: Work, trials: Sequence[PlannedTrial], listener: Listener) -> None:
        worker = Worker(work)
        for position, trial in enumerate(trials):
            listener(worker.run_pack([trial]), int(position + 1 < len(trials)))
