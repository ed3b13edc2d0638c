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

    from trials.core.feature_learning.fresh_copies import FreshCopies


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
        copies: What each step draws beside the training set; None where that is all.
    """

    indices: Int64[Tensor, " trials"]
    descent: Descent
    told: Forecast
    at: Projections
    steps: Int64[Tensor, " trials"]
    reached: Arrivals
    threshold: float
    copies: FreshCopies | None = None

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def times(self) -> Float[Tensor, " trials"]:
        """Learning rate times steps."""
        return self.descent.learning_rates * self.steps

    @property
    def present(self) -> tuple[Descent, Projections]:
        """What is trained on, and where it is: of copies that are yet to be drawn, every one that may be."""
        if self.copies is None:
            return self.descent, self.at
        return self.copies.expected(self.descent, self.at, self.steps)

    @property
    def losses(self) -> Float[Tensor, " trials"]:
        """Mean logistic loss of what is trained on, in nats."""
        descent, at = self.present
        return descent.losses(at)

    def noted(self) -> Trainings:
        """Return the trainings with what has been learned by now."""
        return replace(self, reached=self.reached.after(self.at, self.times, self.threshold))

    def stepped(self) -> Trainings:
        """Return the trainings after one step."""
        if self.copies is None:
            after = self.descent.step(self.at)
        else:
            descent, at = self.copies.drawn(self.descent, self.at, self.steps)
            features, noise = descent.step(at)
            after = Projections(features, noise[..., : self.at.noise.shape[3]])  # no later step meets the copies
        return replace(self, at=after, steps=self.steps + 1)

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
            None if self.copies is None else self.copies.only(chosen),
        )


def begun(descent: Descent, start: Projections, threshold: float, copies: FreshCopies | None = None) -> Trainings:
    """Return trainings at step 0."""
    told = forecast(descent if copies is None else copies.under_all(descent), start)
    count = len(start.features)
    indices, steps = (make(count, device=start.features.device) for make in (torch.arange, _zeros))
    return Trainings(indices, descent, told, start, steps, none_yet(start), threshold, copies)


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
