"""Packs: short trials travel together, so that the cost of scheduling is paid once for many."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from raysweep.service.driver.losses import Loss
from raysweep.service.driver.supply import Supply
from raysweep.service.messages import PlannedTrial, TrialReport
from trials.core.context import Together

# Long enough that scheduling a pack (some 25 ms) and writing it (up to 100 ms on S3) stay under 5 % of it.
TARGET_SECONDS = 4.0
MOST_TRIALS = 512
LESSONS = 8
"""Groups of a planner that learns, for each actor at least."""


@dataclass(frozen=True)
class Pack:
    """Trials that one actor runs one after another and writes together."""

    trials: tuple[PlannedTrial, ...]


class PackQueue:
    """Hands out packs, sized from the times of the trials that have finished, until every trial is reported.

    A pack that is lost for no fault of its trials comes back as it is. One whose actor died comes back as packs of
    one, so that a trial that kills its process is found; after as many losses alone as its kind allows, it is given up.
    The state is as large as the trials that are still waiting or running.

    Args:
        supply: Where the trials come from.
        slots: Actors that the cluster holds.
        together: How the recipe trains several trials at once, if it can: a pack then holds a whole group.
        most: Largest number of trials in a pack.
    """

    def __init__(self, supply: Supply, slots: int, together: Together | None = None, most: int = MOST_TRIALS) -> None:
        self._supply = supply
        self._planned = supply.remaining
        self._returned: deque[PlannedTrial] = deque()
        self._alone: deque[PlannedTrial] = deque()
        self._losses: Counter[tuple[str, str]] = Counter()
        self._slots = slots
        self._together = together
        self._most = most
        self._seconds = 0.0
        self._measured = 0

    def take(self) -> Pack | None:
        """Return the next pack, None while there is nothing to hand out."""
        if self._alone:
            return Pack((self._alone.popleft(),))
        size = self._size()
        trials = [self._returned.popleft() for _ in range(min(size, len(self._returned)))]
        trials = trials or [*(taken := self._supply.take(size)), *self._companions(taken)]
        return Pack(tuple(trials)) if trials else None

    def _companions(self, trials: Sequence[PlannedTrial]) -> list[PlannedTrial]:
        """Return more trials that train together with these at little cost; what does not comes back another time."""
        if self._together is None or not trials or (key := self._together.key(trials[0].knobs)) is None:
            return []
        room = self._even_size(min(self._together.most, self._most)) - len(trials)
        following = self._supply.take(max(0, room))
        companions = [trial for trial in following if self._together.key(trial.knobs) == key]
        self._returned.extend(trial for trial in following if trial not in companions)
        return companions

    def _even_size(self, most: int) -> int:
        """Return the size of groups, all alike and as few as may be, that keep every actor equally busy.

        A group takes little longer than one of its trials: many small ones at the end would cost more than the wait.
        A planner that learns has to hear of some before it asks for the others.
        """
        share = max(1, math.ceil(self._planned / self._slots))
        if self._supply.learns:
            most = min(most, math.ceil(share / LESSONS))
        return math.ceil(share / math.ceil(share / most))

    @property
    def waiting(self) -> int:
        """How many trials no actor has, at most."""
        return len(self._alone) + len(self._returned) + self._supply.remaining

    def at_work(self, actors: int) -> None:
        """Learn how many actors are at work: a cluster that has grown holds more than it did."""
        self._slots = max(self._slots, actors)

    def finished(self, reports: Sequence[TrialReport]) -> None:
        """Learn from the reports of a pack: the time of a trial here, what it found in the supply."""
        self._supply.told(reports)
        self._seconds += sum(report.wall_seconds for report in reports)
        self._measured += len(reports)

    def lost(self, trials: Sequence[PlannedTrial], loss: Loss) -> list[PlannedTrial]:
        """Take back the trials of a pack that was lost, and return those that are given up."""
        if loss.suspicious and len(trials) > 1:
            self._alone.extend(map(resuming, trials))
            return []
        given_up = [trial for trial in trials if self._is_too_much(trial, loss)]
        again = [resuming(trial) for trial in trials if trial not in given_up]
        (self._alone if loss.suspicious else self._returned).extend(again)
        return given_up

    def _is_too_much(self, trial: PlannedTrial, loss: Loss) -> bool:
        if not math.isfinite(loss.attempts):
            return False
        self._losses[loss.name, trial.trial_id] += 1
        return self._losses[loss.name, trial.trial_id] >= loss.attempts

    def unfinished(self, trials: Iterable[PlannedTrial]) -> None:
        """Take back trials of a pack whose process was told to end before it came to them, or in the midst of one."""
        self._returned.extend(map(resuming, trials))

    def _size(self) -> int:
        """Return how many trials fill `TARGET_SECONDS`, fewer near the end so that no actor waits long for another."""
        if not self._measured:
            return 1
        filling = math.ceil(TARGET_SECONDS / max(self._seconds / self._measured, 1e-6))
        return max(1, min(filling, self._fair_size(), self._most))

    def _fair_size(self) -> int:
        return math.ceil(self._supply.remaining / (2 * self._slots))


def resuming(trial: PlannedTrial) -> PlannedTrial:
    """Return the trial as one that may have left a checkpoint of its own."""
    others = tuple(trial_id for trial_id in trial.goes_on_from if trial_id != trial.trial_id)
    return replace(trial, goes_on_from=(trial.trial_id, *others))
