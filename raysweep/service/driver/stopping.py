"""Early stopping: the rules of a search as Tune's schedulers.

Imported by `raysweep.service.driver.tune` alone, after Ray's environment is set.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ray.tune.schedulers import ASHAScheduler, MedianStoppingRule, TrialScheduler

from raysweep.service.driver.forgetting import ForgettingScheduler
from raysweep.service.messages import TIME
from search_spaces.core.stopping import Stopping

_MOST_RUNGS = 20
_MODES = {"maximize": "max", "minimize": "min"}


def scheduler_of(stopping: Stopping | None, objective: Mapping[str, str]) -> TrialScheduler:
    """Return the scheduler that ends trials as `stopping` says; without it, every trial goes to its end.

    Args:
        stopping: The rule and its numbers.
        objective: The one column of the table of trials to go by, and its direction.
    """
    if stopping is None:
        return ForgettingScheduler()
    ((column, direction),) = objective.items()
    return _SCHEDULERS[stopping.rule](stopping, column, _MODES[direction])


def _asha(stopping: Stopping, column: str, mode: str) -> TrialScheduler:
    return ASHAScheduler(
        time_attr=TIME,
        metric=column,
        mode=mode,
        grace_period=stopping.grace_steps,
        reduction_factor=stopping.reduction,
        # Trials end by themselves: no rung may be their last.
        max_t=stopping.grace_steps * stopping.reduction**_MOST_RUNGS,
    )


def _median(stopping: Stopping, column: str, mode: str) -> TrialScheduler:
    return MedianStoppingRule(
        time_attr=TIME,
        metric=column,
        mode=mode,
        grace_period=stopping.grace_steps,
        min_samples_required=stopping.least_trials,
    )


_SCHEDULERS: Mapping[str, Callable[[Stopping, str, str], TrialScheduler]] = {"asha": _asha, "median": _median}
