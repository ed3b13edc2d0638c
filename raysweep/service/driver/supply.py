"""Supplies: where an executor's next trials come from, a list that is known or a planner that learns."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from raysweep.service.messages import STOPPED, PlannedTrial, TrialReport, stopped_id
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

    @property
    def learns(self) -> bool:
        """Whether the trials to come depend on what is told of earlier ones."""


class ListedTrials:
    """Trials that are known beforehand."""

    learns = False

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
        anew: Stored trials of this space that are computed anew: before all others, and the planner is asked for none
            until it has been told of these.
        stops: Whether trials are stopped early; without it, those that another search stopped are not yet run.
    """

    learns = True

    def __init__(
        self,
        study: Study,
        planner: Planner,
        stored: Iterable[Mapping[str, Any]],
        *,
        anew: Sequence[PlannedTrial] = (),
        stops: bool = False,
    ) -> None:
        self._study = study
        self._planner = planner
        self._ahead = [replace(trial, trial_id=study.trial_id(trial.knobs)) for trial in anew]
        self._running = {trial.trial_id: trial for trial in self._ahead}
        self._known: dict[str, PlannedTrial] = dict(self._running)
        self._anew = set(self._running)
        outcomes = (STOPPED, "diverged", "finished") if stops else ("diverged", "finished")
        untold = {*self._anew, *map(stopped_id, self._anew)}
        told = [row for row in stored if row["outcome"] in outcomes and row["trial_id"] not in untold]
        for row in sorted(told, key=lambda row: outcomes.index(row["outcome"])):  # a whole trial outdoes a stopped one
            knobs = study.knobs.from_stored(json.loads(row["knobs_json"]))
            if planner.tell(knobs, row):
                self._known[study.trial_id(knobs)] = PlannedTrial(trial_id=row["trial_id"], knobs=knobs)

    @property
    def known(self) -> list[PlannedTrial]:
        """The trials of this space: those that were stored before, and those asked for since."""
        return list(self._known.values())

    def take(self, count: int) -> list[PlannedTrial]:
        taken, self._ahead = self._ahead[:count], self._ahead[count:]
        return taken + self._asked(count - len(taken))

    def ahead(self) -> Sequence[PlannedTrial]:
        self._ahead = self._ahead or self._asked(AHEAD)
        return self._ahead

    def _asked(self, count: int) -> list[PlannedTrial]:
        if self._anew or not count:
            return []
        asked = [PlannedTrial(trial_id=self._study.trial_id(knobs), knobs=knobs) for knobs in self._planner.ask(count)]
        by_id = {trial.trial_id: trial for trial in asked}
        self._running.update(by_id)
        self._known.update(by_id)
        return asked

    def told(self, reports: Sequence[TrialReport]) -> None:
        for report in reports:
            trial = self._running.pop(report.trial_id)
            self._anew.discard(report.trial_id)
            self._planner.tell(trial.knobs, {"outcome": report.outcome, **report.values})
            if report.outcome == STOPPED:
                self._known[trial.trial_id] = replace(trial, trial_id=stopped_id(trial.trial_id))

    @property
    def remaining(self) -> int:
        asked = len(self._ahead)
        return asked if self._planner.finished else asked + max(0, len(self._planner) - len(self._known))
