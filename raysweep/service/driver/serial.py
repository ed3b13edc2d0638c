"""The serial executor: every trial in this process, for tests and debuggers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

import torch

from raysweep.service.driver.supply import Supply
from raysweep.service.messages import TrialReport, Work
from raysweep.service.worker.execution import Worker
from raysweep.service.worker.shares import in_one_process

Listener = Callable[[Sequence[TrialReport], int], None]
"""Hears the reports of trials that have just become durable, and how many trials are running now."""


class Executor(Protocol):
    """Runs trials and tells the listener of each when its rows are durable."""

    def run(self, work: Work, supply: Supply, listener: Listener) -> None:
        """Run every trial of the supply once; return when all are durable, whatever their outcome."""


class SerialExecutor:
    """Runs one trial after another in this process."""

    def run(self, work: Work, supply: Supply, listener: Listener) -> None:
        threads = torch.get_num_threads()
        try:
            worker = Worker(replace(work, resources=in_one_process(work.resources)))
            while trials := supply.take(1):
                listener([], 1)
                reports = worker.run_pack(trials)
                supply.told(reports)
                listener(reports, 0)
        finally:
            torch.set_num_threads(threads)  # the process is the caller's
