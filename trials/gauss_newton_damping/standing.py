"""Where a training by damped steps stands: whether it goes on, and what it has crossed."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from trials.gauss_newton_damping.measurements import MATCHED_LOSSES, accuracy_column, step_column

if TYPE_CHECKING:
    from trials.core.rows import Value

RUNNING, CONVERGED, UNCONVERGED, DIVERGED, BUDGET = "running", "converged", "unconverged", "diverged", "budget"
GROWTH_LIMIT = 1e8  # times the initial loss
STEPS_ABOVE = 5
"""Steps in a row above the limit that make a divergence: a Gauss-Newton step may raise the loss a thousandfold and the
next ones recover, so that one high loss says nothing."""


@dataclass(frozen=True, kw_only=True)
class Reached:
    """What rows and steps to come depend on, beside where training is.

    Attributes:
        above: Steps in a row, up to the last, whose training loss was above the limit of divergence.
        best_test_acc: Largest test accuracy measured so far.
        accuracies: Test accuracy at the first crossing of each of `MATCHED_LOSSES`, as far as they are crossed.
        steps: The steps of these crossings.
    """

    above: int = 0
    best_test_acc: float = 0.0
    accuracies: tuple[float, ...] = ()
    steps: tuple[float, ...] = ()

    def judged(self, train_loss: float, initial_loss: float) -> Reached:
        """Return this with the training loss of a step counted if it is above the limit of divergence."""
        return replace(self, above=self.above + 1 if train_loss > GROWTH_LIMIT * initial_loss else 0)

    def status(self, train_loss: float, *, tolerance: float, stalled: bool, last: bool) -> str:
        """Return what becomes of the training where its training loss is known and counted."""
        ends = {
            DIVERGED: not math.isfinite(train_loss) or self.above >= STEPS_ABOVE,
            CONVERGED: train_loss < tolerance,
            UNCONVERGED: stalled,
            BUDGET: last,
        }
        return next((status for status, reached in ends.items() if reached), RUNNING)

    def crossed(self, train_loss: float) -> int:
        """Return how many of the matched losses are crossed here for the first time."""
        return sum(train_loss < loss for loss in MATCHED_LOSSES[len(self.steps) :])

    def tested(self, step: int, test_acc: float, crossed: int) -> Reached:
        """Return this with a test accuracy, which is that at the training losses just crossed."""
        return replace(
            self,
            best_test_acc=max(self.best_test_acc, test_acc),
            accuracies=(*self.accuracies, *[test_acc] * crossed),
            steps=(*self.steps, *[float(step)] * crossed),
        )

    @property
    def columns(self) -> dict[str, Value]:
        """The columns of the crossings, and of the best accuracy."""
        columns: dict[str, Value] = {"best_test_acc": self.best_test_acc}
        for loss, accuracy, step in zip(MATCHED_LOSSES, self.accuracies, self.steps, strict=False):
            columns |= {accuracy_column(loss): accuracy, step_column(loss): int(step)}
        return columns


def counted(step: int, status: str) -> dict[str, Value]:
    """Return the columns that say where a training stands after a number of steps, each of which linearised once."""
    return {"step": step, "status": status, "num_linearisations": step, "num_feature_updates": max(step - 1, 0)}
