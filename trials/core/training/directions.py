"""Directions: what a step goes against, made of the slope of its batch's loss. The optimizer's rule comes after."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from trials.core.streams import generator
from trials.core.training.places import Vector, norm, plus

if TYPE_CHECKING:
    from trials.core.training.slopes import BatchLoss, Told

Direction = Callable[["BatchLoss", Vector, int], "Told"]
"""(loss of the batch, point, number of the step) -> what is told, its gradient the direction."""


def plain(loss: BatchLoss, point: Vector, step: int) -> Told:
    """Return the gradient."""
    return loss.slope(point)


@dataclass(frozen=True)
class SharpnessAware:
    """The gradient a distance up the slope: g(theta + rho g / ||g||), the norm over all that trains.

    A module's running statistics are those of the pass at theta: none moves away from its own parameters.

    Source: Foret et al., arXiv 2010.01412, equations 2 and 3.
    """

    rho: float

    def __call__(self, loss: BatchLoss, point: Vector, step: int) -> Told:
        """Return what is told at the point, with the gradient further up."""
        told = loss.slope(point)
        if self.rho == 0:
            return told
        with torch.no_grad():
            uphill = plus(point, told.gradient, self.rho / (norm(told.gradient) + 1e-12))
        return told._replace(gradient=loss.slope(uphill).gradient)


@dataclass(frozen=True)
class Private:
    """The samples' gradients, each cut to a norm, added up with normal noise, over the expected size of a batch.

    Source: Abadi et al., arXiv 1607.00133, algorithm 1, with batches drawn by Poisson sampling.

    Attributes:
        clip: Largest norm of a sample's gradient.
        noise: Standard deviation of the noise on the sum over `clip`.
        expected: Expected size of a batch.
        seed: Of the noise, a function of (seed, step).
        clips: Whether gradients are cut; if not, `clip` is but the unit of the noise.
        kept: 1 for what trains and 0 for what was pruned, which gets no noise; None where all trains.
    """

    clip: float
    noise: float
    expected: float
    seed: int
    clips: bool = True
    kept: Vector | None = None

    def __post_init__(self) -> None:
        if self.noise and not math.isfinite(self.clip):
            raise ValueError(f"noise={self.noise} is in units of clip, which must be finite, got {self.clip}")

    def __call__(self, loss: BatchLoss, point: Vector, step: int) -> Told:
        """Return the noisy mean; of an empty batch noise alone. `notes` has how many gradients were cut."""
        if self.clips:
            factors = (self.clip / loss.norms(point)).clamp(max=1.0)
        else:
            factors = next(iter(point.values())).new_ones(len(loss.batch))
        told = loss.slope(point, factors / self.expected)
        gradient = self._noisy(told.gradient, step) if self.noise else told.gradient
        return told._replace(gradient=gradient, notes={"clipped": (factors < 1).sum()})

    def _noisy(self, gradient: Vector, step: int) -> Vector:
        random = generator(self.seed, "privacy", step)
        drawn = {name: torch.randn(value.shape, generator=random).to(value) for name, value in gradient.items()}
        masked = {name: value * self.kept[name] for name, value in drawn.items()} if self.kept else drawn
        return plus(gradient, masked, self.noise * self.clip / self.expected)
