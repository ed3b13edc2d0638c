"""Bounded memory of the driver: Tune keeps every trial to its end, and a sweep of 100,000 is one long run."""

from __future__ import annotations

import shutil
from typing import Any

from ray.tune.schedulers import FIFOScheduler

# Sets of a `TuneController` that hold a trial after its end; Tune has no other way to be told.
_KEPT = ("_stopped_trials", "_failed_trials", "_resetting_trials", "_staged_trials", "_trials_to_cache")


class ForgettingScheduler(FIFOScheduler):
    """Runs trials in the order in which they come, and lets Tune forget those that have ended.

    What a trial found is in the store. Tune's own record of it is 27 kB and a folder that nobody will read.
    """

    def __init__(self) -> None:
        super().__init__()
        self._ended: list[Any] = []

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        self._forget(tune_controller)
        self._ended.append(trial)

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        self._ended.append(trial)  # its error is still to be read

    def _forget(self, controller: Any) -> None:
        """Forget those that ended before: Tune still handles the one that ends now."""
        for trial in self._ended:
            controller._trials.remove(trial)
            for kept in _KEPT:
                getattr(controller, kept).discard(trial)
            if trial.local_path:
                shutil.rmtree(trial.local_path, ignore_errors=True)
        self._ended.clear()
