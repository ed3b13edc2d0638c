"""Survival: a trial's state goes to the store, so that what breaks it off costs seconds and not the trial."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import torch

from analysis.store.checkpoints import Checkpoint, Checkpoints
from analysis.store.errors import StoreWarning
from raysweep.service.messages import PlannedTrial
from raysweep.service.provenance import Provenance
from trials.core.checkpoints import LAYOUT, Saved, State, as_arrays, as_state

# A longer trial goes on from the end of a shorter one that took at least this long; less is sooner done again.
WORTH_KEEPING_SECONDS = 10.0


class StoredCheckpoints:
    """The checkpoints of one running trial.

    Args:
        checkpoints: Those of the study.
        planned: The trial.
        provenance: The code and the data of now.
        every_seconds: Time between checkpoints.
        leaving: Whether this process has been told to end soon.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        planned: PlannedTrial,
        provenance: Provenance,
        every_seconds: float,
        leaving: Callable[[], bool],
    ) -> None:
        self._checkpoints = checkpoints
        self._planned = planned
        columns = provenance.columns(planned.knobs)
        self._code_hash, self._data_hash = columns["code_hash"] or "", columns["data_hash"] or ""
        self._every_seconds = every_seconds
        self._leaving = leaving
        self._began = self._last_saved = time.monotonic()
        self._seconds_before = 0.0
        self._stored = False
        self.rows: list[Any] = []

    @property
    def seconds(self) -> float:
        """Time spent on the trial, earlier attempts up to their last checkpoint included."""
        return self._seconds_before + time.monotonic() - self._began

    def restored(self, device: torch.device) -> Saved | None:
        """Return the state to go on from, and take over the rows that led there.

        A state of another layout, of other code or data, or from before a rerun is left aside with a `StoreWarning`
        before its rows are taken over: the trial starts over, and its own checkpoint goes when it ends.
        """
        for trial_id in self._planned.goes_on_from:
            found = self._checkpoints.read(trial_id)
            if found is not None and (reason := self._unfit(found)):
                self._stored = self._stored or trial_id == self._planned.trial_id
                message = f"the checkpoint of trial {trial_id} {reason}; it is left aside, and the trial starts over"
                warnings.warn(message, StoreWarning, stacklevel=2)
            elif found is not None:
                self.rows[:] = found.rows
                self._seconds_before = found.seconds
                self._stored = trial_id == self._planned.trial_id
                return Saved(found.step, as_state(found.arrays, device))
        return None

    def offer(self, step: int, state: Callable[[], State], *, last: bool) -> None:
        """Save the state at an interval, when the process is told to end, and at the end of a trial worth extending."""
        due = time.monotonic() - self._last_saved >= self._every_seconds
        leaving = self._leaving()
        if due or leaving or (last and self.seconds >= WORTH_KEEPING_SECONDS):
            reached = Checkpoint(
                step,
                as_arrays(state()),
                list(self.rows),
                self.seconds,
                LAYOUT,
                code_hash=self._code_hash,
                data_hash=self._data_hash,
                rerun=self._planned.rerun,
            )
            self._checkpoints.write(self._planned.trial_id, reached)
            self._last_saved = time.monotonic()
            self._stored = True
        if leaving and not last:
            raise Leaving

    def _unfit(self, found: Checkpoint) -> str:
        """Return why nothing may go on from a checkpoint, empty where it may."""
        if found.layout != LAYOUT:
            return f"has layout {found.layout}, this version reads {LAYOUT}"
        if found.code_hash and found.code_hash != self._code_hash:
            return "was left by other code"
        if found.data_hash and found.data_hash != self._data_hash:
            return "was left by a trial on other data"
        if self._planned.rerun and found.rerun != self._planned.rerun:
            return "was left before the trial was to be computed anew"
        return ""

    def settle(self, outcome: str) -> None:
        """Remove what nobody will go on from: a finished trial's last state stays if it is worth keeping."""
        if self._stored and not (outcome == "finished" and self.seconds >= WORTH_KEEPING_SECONDS):
            self._checkpoints.delete(self._planned.trial_id)


class Leaving(BaseException):
    """Raised inside a trial whose process is told to end: its state is stored, and another process will go on."""
