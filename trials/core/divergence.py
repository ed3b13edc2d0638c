"""When a trial has diverged."""

from __future__ import annotations

import math
from collections.abc import Sequence

from trials.core.rows import Diverged, Row

GROWTH_LIMIT = 1e4  # times the initial loss


def refuse_divergence(row: Row, training_losses: Sequence[float]) -> None:
    """Raise when a row is not finite, or the training loss stays far above where it began.

    Two checks in a row must exceed the limit: a large step that recovers is not a divergence.

    Args:
        row: What was measured, its `step` included.
        training_losses: The loss that is being minimised at every check so far, this row's last.

    Raises:
        Diverged: The trial has diverged at the row's step.
    """
    step = int(row["step"] or 0)
    for name, value in row.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise Diverged(step, f"{name} is {value}")
    limit = GROWTH_LIMIT * training_losses[0]
    if len(training_losses) > 2 and min(training_losses[-2:]) > limit:
        raise Diverged(step, f"the training loss exceeded {GROWTH_LIMIT:g} times its initial value at two checks")
