"""Descent: a step against a direction that follows from the slope of the batch's loss."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from trials.core.training.directions import Direction, plain
from trials.core.training.places import Place, Vector, is_own, moved, plus, shrunk
from trials.core.training.slopes import slope_of

if TYPE_CHECKING:
    from torch import Tensor

    from trials.core.training.rules import Memory, Rule
    from trials.core.training.slopes import BatchLoss, Told

Step = Callable[["BatchLoss", Place, int], "tuple[Place, Told]"]
"""(loss of the batch, place, number of the step) -> the place after it, and what the batch told before it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Descent:
    """How a step follows from the loss of its batch.

    Attributes:
        rule: What the optimizer makes of directions.
        rate: Step -> its length over the rule's direction, a float; of several trainings a tensor of them.
        direction: What is made of the slope of the loss.
        weight_decay: Multiple of the parameters added to the direction, or taken off beside the step.
        decoupled: Which of the two. Source: Loshchilov and Hutter, arXiv 1711.05101, algorithm 2.
        penalty: (point, step) -> what is minimised beside the loss of the outputs; in parameter space alone.
    """

    rule: Rule
    rate: Callable[[int], Any]
    direction: Direction = plain
    weight_decay: float = 0.0
    decoupled: bool = False
    penalty: Callable[[Vector, int], Tensor] | None = None

    def __call__(self, loss: BatchLoss, place: Place, step: int) -> tuple[Place, Told]:
        """Return the place after a step, and what the batch told before it."""
        point, rate = place.point, self.rate(step)
        told = self.direction(loss, point, step)
        gradient = loss.drawn_back(told.gradient, point)
        penalty = self.penalty
        if penalty is not None:
            gradient = plus(gradient, slope_of(lambda leaves: penalty(leaves, step), point), 1.0)
        if is_own(point):
            with torch.no_grad():
                direction, memory = self._direction(gradient, place)
                for name, value in point.items():
                    if self.decoupled:
                        value.mul_(1 - rate * self.weight_decay)
                    value.sub_(direction[name], alpha=rate)
                return Place(point, memory), told
        direction, memory = self._direction(gradient, place)
        if self.decoupled:
            point = shrunk(point, 1 - rate * self.weight_decay)
        return Place(moved(point, direction, rate), memory), told

    @property
    def unfit_for_kernels(self) -> str | None:
        """Why these steps need the parameters themselves, None where they only add and scale gradients and places."""
        if not self.rule.is_linear:
            return "its optimizer scales each parameter by itself"
        if self.direction is not plain:
            return "its direction asks for norms of gradients"
        return None if self.penalty is None else "its penalty is one of parameters"

    def _direction(self, gradient: Vector, place: Place) -> tuple[Vector, Memory]:
        if self.weight_decay and not self.decoupled:
            gradient = plus(gradient, place.point, self.weight_decay)
        return self.rule.direction(gradient, place.memory)


def phases(early: Step, late: Step, switch: int) -> Step:
    """Return the step that is `early` before step `switch` and `late` from there on."""
    return lambda loss, place, step: (early if step < switch else late)(loss, place, step)


def within(context: Callable[[], AbstractContextManager[object]], step: Step) -> Step:
    """Return the step taken inside a context of its own, such as one of precision."""

    def inside(loss: BatchLoss, place: Place, number: int) -> tuple[Place, Told]:
        with context():
            return step(loss, place, number)

    return inside
