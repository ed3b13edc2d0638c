"""First steps at many dampings, which share their point and so one eigendecomposition."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trials.core.curvature.progress import RUNNING, Progress, counted
from trials.core.curvature.step_columns import step_columns
from trials.core.curvature.step_rules import full_step

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trials.core.curvature.damped_training import DampedTraining
    from trials.core.rows import Row


def first_steps(training: DampedTraining) -> Iterator[Row]:
    """Yield a row for the first step of each searched damping, all of them from one eigendecomposition."""
    around = training.surroundings(training.initial, training.train)
    for damping in training.settings.dampings:
        taken = full_step(around, damping)
        columns = step_columns(training.objective, around, taken, training.initial, training.test)
        after = Progress(theta=training.initial, damping=damping).moved(taken, columns)
        fits = [training.objective.fit(after.theta, split) for split in (training.train, training.test)]
        yield {**counted(1, RUNNING), **training.columns(after, *fits)}
