"""When rounds end: by their length, or once they have converged."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Calendar:
    """When a round ends.

    Attributes:
        interval: Steps of a round at most (the paper's K).
        warm_steps: Steps at the beginning that each begin a round.
        tolerance: Norm of the training gradient at which a round ends early; 0 = never.
        check_every: Steps of a round between looks at that norm, since it takes a pass over the training set.
    """

    interval: int
    warm_steps: int = 0
    tolerance: float = 0.0
    check_every: int = 1

    def is_over(self, step: int, begun: int) -> bool:
        """Return whether the round that began at step `begun` ends at `step` by its length."""
        return step <= self.warm_steps or step - begun >= self.interval

    def is_checked(self, step: int, begun: int) -> bool:
        """Return whether the norm of the gradient decides at `step`."""
        return self.tolerance > 0 and step > begun and (step - begun) % self.check_every == 0
