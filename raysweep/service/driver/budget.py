"""Budgets: a sweep that has spent what it may ends cleanly, and goes on when it is run again."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields

from raysweep.service.driver.supply import Supply
from raysweep.service.messages import PlannedTrial, TrialReport


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What one run may spend; None is no limit.

    Attributes:
        trials: Trials begun, a whole number.
        hours: Hours since the run began.
        gpu_hours: Hours of GPUs that finished trials took.
        dollars: What finished trials cost, where the price of their nodes is known.

    Raises:
        ValueError: A limit is not above 0, or not a whole number of trials.
    """

    trials: float | None = None
    hours: float | None = None
    gpu_hours: float | None = None
    dollars: float | None = None

    def __post_init__(self) -> None:
        for entry in fields(self):
            limit = getattr(self, entry.name)
            number = isinstance(limit, int | float) and not isinstance(limit, bool)
            if limit is not None and not (number and 0 < limit < math.inf):
                raise ValueError(f"budget.{entry.name} must be a number above 0, got {limit!r}")
        if self.trials is not None and self.trials != math.floor(self.trials):
            raise ValueError(f"budget.trials must be a whole number, got {self.trials!r}")


class Budgeted:
    """A supply that ends when the budget is spent; trials under way finish.

    Args:
        supply: Where the trials come from.
        budget: What may be spent.
    """

    def __init__(self, supply: Supply, budget: Budget) -> None:
        self._supply = supply
        self._budget = budget
        self._began = time.monotonic()
        self._trials = 0
        self._gpu_hours = self._dollars = 0.0

    def take(self, count: int) -> list[PlannedTrial]:
        if self.spent:
            return []
        left = count if self._budget.trials is None else min(count, int(self._budget.trials) - self._trials)
        taken = self._supply.take(left)
        self._trials += len(taken)
        return taken

    def ahead(self) -> Sequence[PlannedTrial]:
        return self._supply.ahead()

    def told(self, reports: Sequence[TrialReport]) -> None:
        self._gpu_hours += sum(report.gpu_seconds for report in reports) / 3600
        self._dollars += sum(report.cost_dollars or 0.0 for report in reports)
        self._supply.told(reports)

    @property
    def remaining(self) -> int:
        left = self._supply.remaining
        return left if self._budget.trials is None else min(left, int(self._budget.trials) - self._trials)

    @property
    def learns(self) -> bool:
        return self._supply.learns

    @property
    def spent(self) -> str:
        """What ran out, empty while nothing has."""
        used = {
            "trials": self._trials,
            "hours": (time.monotonic() - self._began) / 3600,
            "gpu_hours": self._gpu_hours,
            "dollars": self._dollars,
        }
        for name, amount in used.items():
            limit = getattr(self._budget, name)
            if limit is not None and amount >= limit:
                return f"budget.{name}={limit:g}"
        return ""
