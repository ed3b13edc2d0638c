"""The plan: planned trials minus finished ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from raysweep.service.execution import PlannedTrial
from raysweep.service.study import Study
from trials.core.knobs import TrialKnobs

FINISHED = ("finished", "diverged", "stopped")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a sweep asks for and what of it the store already has.

    Attributes:
        trials: Every trial asked for, once each, in the order in which they are to run.
        outcomes: Outcome of each stored trial of the study, by id.
    """

    trials: Sequence[PlannedTrial]
    outcomes: Mapping[str, str]

    @property
    def missing(self) -> list[PlannedTrial]:
        """The trials that have no finished row: new ones, and those that failed."""
        return [planned for planned in self.trials if self.outcomes.get(planned.trial_id) not in FINISHED]

    def count(self, outcome: str) -> int:
        """Return how many of the trials asked for are stored with this outcome."""
        return sum(self.outcomes.get(planned.trial_id) == outcome for planned in self.trials)


def planned(study: Study, space: Iterable[TrialKnobs], outcomes: Mapping[str, str]) -> Plan:
    """Return the plan of a space; knobs that mean the same trial are planned once.

    Raises:
        ValueError: The space has a value that its knob does not allow.
    """
    trials = {study.trial_id(knobs): knobs for knobs in space}
    return Plan(
        trials=[PlannedTrial(trial_id=trial_id, knobs=knobs) for trial_id, knobs in trials.items()],
        outcomes=outcomes,
    )
