"""The actors of a sweep: each runs one pack a Tune trial and is reused for the next.

Imported by `raysweep.service.driver.tune` alone, after Ray's environment is set.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Sequence
from typing import Any

from ray import tune

from analysis.store.errors import StoreError
from cluster.drain import seconds_until_drained
from raysweep.service.messages import STOPPED, TIME, LeavingNodeError, PlannedTrial, TrialReport, Work
from raysweep.service.worker.execution import FinishedTrial, Worker
from raysweep.service.worker.survival import Leaving

# A cloud gives half a minute of notice at the least; every question is a call to the head, from every actor.
SECONDS_BETWEEN_QUESTIONS = 3.0


class PackTrainable(tune.Trainable):
    """An actor that keeps its imports, its data and its store from one pack to the next.

    While its node is being drained it ends its trial with a checkpoint and refuses further packs: Tune then ends the
    actor, and what it was handed goes elsewhere.
    """

    def setup(self, config: dict[str, Any], work: Work | None = None) -> None:
        assert work is not None
        self._departure = Departure()
        self._worker = Worker(work, self._departure)
        self._objective = list(work.objective) if work.stopping else []
        self._watched: Iterator[FinishedTrial] | None = None

    def step(self) -> dict[str, Any]:
        """Run the pack; where trials may be stopped early, run its one trial to its next row."""
        try:
            return self._step_of_one() if self._objective else _result(self._worker.run_pack(self._pack))
        except StoreError as error:
            return {**_result(()), "refusal": str(error)}

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        if self._departure():
            raise LeavingNodeError
        self.config, self._watched = new_config, None
        return True

    @property
    def _pack(self) -> Sequence[PlannedTrial]:
        trials: Sequence[PlannedTrial] = self.config["pack"].trials
        return trials

    def _step_of_one(self) -> dict[str, Any]:
        self._watched = self._watched or self._worker.watched(self._pack[0])
        try:
            trial = next(self._watched)
        except Leaving:
            trial = None
        on_the_way = trial is not None and trial.report.outcome == STOPPED
        told: dict[str, Any] = {TIME: 0, **dict.fromkeys(self._objective, math.nan)}
        if trial is not None:
            told[TIME] = trial.rows[-1][TIME] if trial.rows else 0
            told |= {name: _number(trial.row[name]) for name in self._objective}
        reports = () if trial is None or on_the_way else (trial.report,)
        return {**_result(reports), **told, "done": not on_the_way, "so_far": trial if on_the_way else None}


def _result(reports: Sequence[TrialReport]) -> dict[str, Any]:
    return {"done": True, "reports": reports, "refusal": None, "so_far": None}


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


class Departure:
    """Whether the node of this actor is being drained; asked between steps, it asks the head now and then."""

    def __init__(self) -> None:
        self._leaving = False
        self._asked = 0.0

    def __call__(self) -> bool:
        if not self._leaving and time.monotonic() - self._asked > SECONDS_BETWEEN_QUESTIONS:
            with contextlib.suppress(Exception):  # a head that is out of reach for a moment has its own errors for it
                self._leaving = seconds_until_drained() is not None
            self._asked = time.monotonic()
        return self._leaving
