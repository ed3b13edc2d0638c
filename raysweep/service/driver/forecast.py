"""Forecast: what is left of a sweep, refined by the trials that end while it runs."""

from __future__ import annotations

import math
from collections.abc import Iterable

from raysweep.service.driver.estimates import Duration, Estimates, Shape
from raysweep.service.messages import PlannedTrial, TrialReport
from trials.core.knobs import TrialKnobs


class Forecast:
    """What is left of a sweep while it runs: what its own trials tell goes before what was stored.

    Args:
        estimates: What stored trials tell.
        trials: Those to come.
    """

    def __init__(self, estimates: Estimates, trials: Iterable[PlannedTrial]) -> None:
        self._stored, self._own = estimates, Estimates(estimates.study)
        self._waiting = {trial.trial_id: trial.knobs for trial in trials}
        self._kinds: dict[Shape, tuple[TrialKnobs, int]] = {}
        for knobs in self._waiting.values():
            self._count(knobs, 1)
        self._actual = self._expected = 0.0

    def tell(self, reports: Iterable[TrialReport]) -> None:
        """Learn of trials that have ended."""
        for report in reports:
            knobs = self._waiting.pop(report.trial_id, None)
            if knobs is None:
                continue
            self._count(knobs, -1)
            if report.outcome == "finished":
                if (expected := self._stored.of(knobs.columns())) is not None:
                    self._actual, self._expected = self._actual + report.wall_seconds, self._expected + expected.seconds
                self._own.tell(knobs.columns(), report.wall_seconds)

    def left(self, trials: int) -> Duration | None:
        """Return what the trials to come take, one after another; None where too little is known.

        Args:
            trials: How many are to come: fewer than were planned where a budget ends before them.
        """
        kinds = [(self._of(knobs), count) for knobs, count in self._kinds.values() if count]
        known = [(duration, count) for duration, count in kinds if duration is not None]
        counted = sum(count for _, count in known)
        if not counted:
            return None
        seconds = math.fsum(duration.seconds * count for duration, count in known)
        spread = math.fsum(duration.seconds * duration.spread * count for duration, count in known) / max(seconds, 1e-9)
        share = min(trials, len(self._waiting)) / counted
        unknown = len(self._waiting) / counted - 1  # these are taken for the mean of the others
        return Duration(seconds * share, spread + unknown)

    def _of(self, knobs: TrialKnobs) -> Duration | None:
        own, stored = self._own.of(knobs.columns()), self._stored.of(knobs.columns())
        if stored is not None and self._expected > 0:
            stored = Duration(stored.seconds * self._actual / self._expected, stored.spread)
        both = [duration for duration in (own, stored) if duration is not None]
        return min(both, key=lambda duration: duration.spread, default=None)

    def _count(self, knobs: TrialKnobs, change: int) -> None:
        kind = self._stored.kind(knobs.columns())
        self._kinds[kind] = (knobs, self._kinds.get(kind, (knobs, 0))[1] + change)
