"""When a trial has diverged."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from trials.core.rows import Diverged, Row

GROWTH_LIMIT = 1e4  # times the initial loss


@dataclass(frozen=True)
class Losses:
    """What rows leave for later ones where they only need to know whether training diverges.

    Attributes:
        losses: The training loss at each row so far.
    """

    losses: tuple[float, ...] = ()

    def then(self, loss: float) -> Losses:
        """Return what a row of this loss leaves."""
        return Losses((*self.losses, loss))


def refuse_divergence(row: Row, training_losses: Sequence[float], *, last: bool) -> None:
    """Raise when a row is not finite, or the training loss stays far above where it began.

    Two checks in a row must exceed the limit, since a large step that recovers is not a divergence; at the last check,
    after which nothing recovers, one is enough.

    Args:
        row: What was measured, its `step` included.
        training_losses: The loss that is being minimised at every check so far, this row's last.
        last: Whether training ends here.

    Raises:
        Diverged: The trial has diverged at the row's step.
    """
    step = int(row["step"] or 0)
    for name, value in row.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise Diverged(step, f"{name} is {value}")
    recent = training_losses[-1:] if last else training_losses[-2:]
    if min(recent) > GROWTH_LIMIT * training_losses[0]:
        raise Diverged(step, f"the training loss is {recent[-1]:.3g}, at first it was {training_losses[0]:.3g}")
