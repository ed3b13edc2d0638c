"""First steps at many dampings, which share their point and so one eigendecomposition."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trials.gauss_newton_damping.standing import RUNNING, Reached, counted
from trials.gauss_newton_damping.step_rules import full_step

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trials.core.rows import Row
    from trials.gauss_newton_damping.damped_training import DampedTraining


def first_steps(training: DampedTraining) -> Iterator[Row]:
    """Yield a row for the first step of each searched damping, all of them from one eigendecomposition."""
    step, initial = training.step, training.initial
    around = step.around(initial, training.train, {})
    for damping in step.settings.dampings:
        taken = full_step(around, damping)
        told, theta = step.told(around, taken, initial), initial + taken.displacement
        train, test = (training.objective.fit(theta, examples) for examples in (training.train, training.test))
        columns = training.columns(theta, (train, test), Reached(), told.notes["sums"], training.noted(told))
        yield {**counted(1, RUNNING), **columns}
