"""What a round is: a linearisation, and coordinates in which its steps are taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch

from trials.core.checkpoints import State
from trials.core.linearisation import Linearised
from trials.core.parameters import Parameters

if TYPE_CHECKING:
    from jaxtyping import Float, Int64
    from torch import Tensor

    from trials.core.data.examples import TrainingSet
    from trials.core.losses.classification import Loss
    from trials.core.networks.network import Network
    from trials.core.optimisers.rules import Memory

Vector = Parameters
"""A vector of parameter space in a round's coordinates, by name of their parts."""

_CHUNK = 1024


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What is trained on what.

    Attributes:
        network: The network.
        train: The training examples.
        loss: What is minimised.
    """

    network: Network
    train: TrainingSet
    loss: Loss


@dataclass(frozen=True)
class Place:
    """Where training is, in parameter space or in the coordinates of a round.

    Attributes:
        point: The parameters.
        memory: What the optimiser's rule remembers.
    """

    point: Vector
    memory: Memory

    def each(self, function: Callable[[Vector], Vector]) -> Place:
        """Return the place with `function` applied to its vectors."""
        return Place(function(self.point), {name: function(vector) for name, vector in self.memory.items()})

    def state(self) -> State:
        """Return the place as tensors by name."""
        return {"point": self.point, "memory": self.memory}


class Round(Protocol):
    """The steps on one linearisation.

    Coordinates are linear: those of a sum are the sum of those of its parts.
    """

    @property
    def model(self) -> Linearised:
        """The function that is trained."""

    @property
    def start(self) -> Place:
        """Where the round begins, in its coordinates."""

    def gradient(self, point: Vector, batch: Int64[Tensor, " batch"]) -> Vector:
        """Return the gradient of the linearised loss on a batch of the training examples."""

    def parameters(self, vector: Vector) -> Parameters:
        """Return the vector of parameter space with these coordinates."""

    def state(self) -> State:
        """Return what the round was begun with, beside the anchor, for as far as the coordinates need it."""


def gradient_norm(round_: Round, point: Vector, samples: int, device: torch.device) -> Float[Tensor, ""]:
    """Return the norm of the gradient of the linearised loss on all training samples."""
    total: dict[str, Tensor] = {}
    for chunk in torch.arange(samples, device=device).split(_CHUNK):
        part = round_.gradient(point, chunk)
        total = {name: total.get(name, 0) + value * (len(chunk) / samples) for name, value in part.items()}
    return torch.cat([value.flatten() for value in round_.parameters(total).values()]).norm()
