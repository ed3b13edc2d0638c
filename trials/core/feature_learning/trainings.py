"""Trainings under way side by side, each at a step of its own; one that ends leaves the others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from trials.core.feature_learning.course import Arrivals, Forecast, forecast, none_yet
from trials.core.feature_learning.projections import Descent, Projections

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int64
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Trainings:
    """Several trainings.

    Attributes:
        indices: Which trial each is.
        descent: What a step does.
        told: What the closed forms say.
        at: Where the projections are.
        steps: Steps so far.
        reached: When features and noise were learned.
        threshold: Projection from which they count as learned.
    """

    indices: Int64[Tensor, " trials"]
    descent: Descent
    told: Forecast
    at: Projections
    steps: Int64[Tensor, " trials"]
    reached: Arrivals
    threshold: float

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def times(self) -> Float[Tensor, " trials"]:
        """Learning rate times steps."""
        return self.descent.learning_rates * self.steps

    @property
    def losses(self) -> Float[Tensor, " trials"]:
        """Mean logistic loss of the training samples, in nats."""
        return self.descent.losses(self.at)

    def noted(self) -> Trainings:
        """Return the trainings with what has been learned by now."""
        return replace(self, reached=self.reached.after(self.at, self.times, self.threshold))

    def stepped(self) -> Trainings:
        """Return the trainings after one step."""
        return replace(self, at=self.descent.step(self.at), steps=self.steps + 1)

    def where(self, kept: Bool[Tensor, " trials"]) -> Trainings:
        """Return some of the trainings."""
        return self._only(kept.nonzero()[:, 0])

    def one(self, place: int) -> Trainings:
        """Return one of the trainings."""
        return self._only(torch.tensor([place], device=self.steps.device))

    def _only(self, chosen: Int64[Tensor, " chosen"]) -> Trainings:
        return Trainings(
            self.indices[chosen],
            self.descent.only(chosen),
            self.told.only(chosen),
            self.at.only(chosen),
            self.steps[chosen],
            self.reached.only(chosen),
            self.threshold,
        )


def begun(descent: Descent, start: Projections, threshold: float) -> Trainings:
    """Return trainings at step 0."""
    count = len(start.features)
    indices, steps = (make(count, device=start.features.device) for make in (torch.arange, _zeros))
    return Trainings(indices, descent, forecast(descent, start), start, steps, none_yet(start), threshold)


def past_flat_phase(trainings: Trainings, level: float, most: int) -> Trainings:
    """Return trainings in which the first projection is about to reach a level, by the closed form of what goes before.

    Args:
        trainings: Trainings at step 0, of orthonormal directions.
        level: Far below 1: what is passed over is taken to be independent of all else.
        most: Steps that are passed over at most.
    """
    told, rates = trainings.told, trainings.descent.learning_rates
    steps = (told.flat_until(level) / rates).clamp(max=most).floor().long()
    return replace(trainings, at=told.at(rates * steps), steps=steps)


def _zeros(count: int, device: torch.device) -> Tensor:
    return torch.zeros(count, dtype=torch.int64, device=device)
