"""The plan: planned trials minus finished ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from raysweep.service.messages import PlannedTrial
from raysweep.service.study import Study
from trials.core.knobs import TrialKnobs

FINISHED = ("finished", "diverged", "stopped")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a sweep asks for and what of it the store already has.

    Attributes:
        trials: Every trial asked for, once each, in the order in which they are to run.
        outcomes: Outcome of each stored trial of the study, by id.
        merged: Combinations of knobs that mean the same training as another one, and are not run again.
        unread: Knobs that have several values among trials that do not read them.
    """

    trials: Sequence[PlannedTrial]
    outcomes: Mapping[str, str]
    merged: int = 0
    unread: Sequence[str] = ()

    @property
    def missing(self) -> list[PlannedTrial]:
        """The trials that have no finished row: new ones, and those that failed."""
        return [planned for planned in self.trials if self.outcomes.get(planned.trial_id) not in FINISHED]

    def anew(self, reruns: Mapping[str, int]) -> Plan:
        """Return the plan with trials to be computed anew though they are stored: id -> number of the rerun."""
        if not reruns:
            return self
        trials = [dataclasses.replace(trial, rerun=reruns.get(trial.trial_id, 0)) for trial in self.trials]
        outcomes = {trial_id: outcome for trial_id, outcome in self.outcomes.items() if trial_id not in reruns}
        return dataclasses.replace(self, trials=trials, outcomes=outcomes)

    def count(self, outcome: str) -> int:
        """Return how many of the trials asked for are stored with this outcome."""
        return sum(self.outcomes.get(planned.trial_id) == outcome for planned in self.trials)


def resumed(study: Study, plan: Plan, checkpoints: Set[str], values: Iterable[Any]) -> list[PlannedTrial]:
    """Return the missing trials, with the checkpoints that they may go on from.

    Args:
        study: The study.
        plan: Its plan.
        checkpoints: Ids of the trials that have left a checkpoint.
        values: Values of the study's extendable knob in the store; none if it has no such knob.
    """
    ascending = sorted(values)
    return [_resumed(study, trial, checkpoints, ascending) for trial in plan.missing] if checkpoints else plan.missing


def _resumed(study: Study, trial: PlannedTrial, checkpoints: Set[str], ascending: Sequence[Any]) -> PlannedTrial:
    length = trial.knobs.columns().get(study.extendable)
    shorter = [
        study.trial_id(dataclasses.replace(trial.knobs, **{study.extendable: value}))
        for value in reversed(ascending)
        if value < length
    ]
    # What is computed anew goes on from nothing but what its own rerun has left.
    known = (trial.trial_id,) if trial.rerun else (trial.trial_id, *shorter)
    found = tuple(trial_id for trial_id in known if trial_id in checkpoints)
    return dataclasses.replace(trial, goes_on_from=found)


def planned(study: Study, space: Iterable[TrialKnobs], outcomes: Mapping[str, str]) -> Plan:
    """Return the plan of a space; knobs that mean the same trial are planned once.

    Trials that share work come in the order of the space, but for the first of each shared work, which go before; among
    these the first of work that needs other shared work comes after the first of that.

    Raises:
        ValueError: The space has a value that its knob does not allow.
    """
    combinations = [(study.trial_id(knobs), knobs) for knobs in space]
    listed = [PlannedTrial(trial_id=trial_id, knobs=knobs) for trial_id, knobs in dict(combinations).items()]
    return Plan(
        trials=_first_of_each(listed, study.shared_work) if study.shared_work else listed,
        outcomes=outcomes,
        merged=len(combinations) - len(listed),
        unread=_unread(listed),
    )


def _unread(trials: Iterable[PlannedTrial]) -> Sequence[str]:
    """Return the knobs that have several values among trials that do not read them."""
    values: dict[str, set[Any]] = {}
    for trial in trials:
        for name in trial.knobs.unread():
            values.setdefault(name, set()).add(getattr(trial.knobs, name))
    return [name for name, found in values.items() if len(found) > 1]


def _first_of_each(
    trials: Sequence[PlannedTrial], shared_work: Callable[[Any], Sequence[Hashable]]
) -> Sequence[PlannedTrial]:
    """Return the first trial of each shared work, then the others.

    What a trial shares comes in the order in which it is computed, and a trial that goes ahead computes all of it.
    """
    works = [tuple(shared_work(trial.knobs)) for trial in trials]
    ahead: dict[int, None] = {}
    taken: set[Hashable] = set()
    for level in range(max(map(len, works), default=0)):
        for place, work in enumerate(works):
            if len(work) > level and work[level] not in taken:
                taken |= set(work)
                ahead[place] = None
    return [trials[place] for place in [*ahead, *(place for place in range(len(trials)) if place not in ahead)]]
