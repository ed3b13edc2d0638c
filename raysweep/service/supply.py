"""Supplies: where an executor's next trials come from, a list that is known or a planner that learns."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from raysweep.service.messages import PlannedTrial, TrialReport
from raysweep.service.study import Study
from search_spaces.core.planner import Planner

AHEAD = 8  # trials that a planner is asked for before it learns of any


class Supply(Protocol):
    """Hands out trials until there are no more."""

    def take(self, count: int) -> list[PlannedTrial]:
        """Return at most `count` trials; none while reports are awaited, and when nothing will come any more."""

    def ahead(self) -> Sequence[PlannedTrial]:
        """Return trials that are known to come and not handed out yet, so that their needs can be measured."""

    def told(self, reports: Sequence[TrialReport]) -> None:
        """Learn of trials whose rows are durable."""

    @property
    def remaining(self) -> int:
        """How many trials may still come, at most."""


class ListedTrials:
    """Trials that are known beforehand."""

    def __init__(self, trials: Iterable[PlannedTrial]) -> None:
        self._waiting = deque(trials)

    def take(self, count: int) -> list[PlannedTrial]:
        return [self._waiting.popleft() for _ in range(min(count, len(self._waiting)))]

    def ahead(self) -> Sequence[PlannedTrial]:
        return list(self._waiting)

    def told(self, reports: Sequence[TrialReport]) -> None:
        return None

    @property
    def remaining(self) -> int:
        return len(self._waiting)


class AskedTrials:
    """Trials that a planner asks for as it learns of earlier ones.

    The history is rebuilt from the store, so that a search goes on after any loss.

    Args:
        study: The study.
        planner: Says where to look next.
        stored: Rows of the study's trials, by which the planner knows what was found before.

    Attributes:
        known: The trials of this space: those that were stored before, and those asked for since.
    """

    def __init__(self, study: Study, planner: Planner, stored: Iterable[Mapping[str, Any]]) -> None:
        self._study = study
        self._planner = planner
        self._running: dict[str, PlannedTrial] = {}
        self._ahead: list[PlannedTrial] = []
        self.known: list[PlannedTrial] = []
        for row in stored:
            knobs = study.knobs.from_columns(json.loads(row["knobs_json"]))
            if row["outcome"] != "failed" and planner.tell(knobs, row):
                self.known.append(PlannedTrial(trial_id=row["trial_id"], knobs=knobs))

    def take(self, count: int) -> list[PlannedTrial]:
        taken, self._ahead = self._ahead[:count], self._ahead[count:]
        return taken + self._asked(count - len(taken)) if len(taken) < count else taken

    def ahead(self) -> Sequence[PlannedTrial]:
        self._ahead = self._ahead or self._asked(AHEAD)
        return self._ahead

    def _asked(self, count: int) -> list[PlannedTrial]:
        asked = [PlannedTrial(trial_id=self._study.trial_id(knobs), knobs=knobs) for knobs in self._planner.ask(count)]
        self._running.update((trial.trial_id, trial) for trial in asked)
        self.known += asked
        return asked

    def told(self, reports: Sequence[TrialReport]) -> None:
        for report in reports:
            trial = self._running.pop(report.trial_id)
            self._planner.tell(trial.knobs, {"outcome": report.outcome, **report.values})

    @property
    def remaining(self) -> int:
        asked = len(self._ahead)
        return asked if self._planner.finished else asked + max(0, len(self._planner) - len(self.known))
