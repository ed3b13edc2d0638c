"""What a round is: a linearisation, and coordinates in which its steps are taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import torch

from trials.core.checkpoints import State
from trials.core.linearisation import Linearised
from trials.core.parameters import Parameters
from trials.core.training.batches import Batch, formed
from trials.core.training.places import Place, Vector, plus
from trials.core.training.slopes import Told

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from trials.core.data.examples import TrainingSet
    from trials.core.losses.loss import Loss
    from trials.core.networks.network import Network

_CHUNK = 1024


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What is trained on what.

    Attributes:
        network: The network.
        loss: What is minimised.
        train: The training examples, where rows are asked for by index: by rounds that keep something of each, and by
            those that end when they have converged.
    """

    network: Network
    loss: Loss
    train: TrainingSet | None = None

    @property
    def rows(self) -> TrainingSet:
        """The training examples.

        Raises:
            TypeError: The problem has none.
        """
        if self.train is None:
            raise TypeError("these rounds need training examples that stay the same, by index")
        return self.train


class Round(Protocol):
    """The steps on one linearisation, of its loss and damping / 2 ||theta - anchor||^2.

    Coordinates are linear: those of a sum are the sum of those of its parts.
    """

    @property
    def problem(self) -> Problem:
        """What is trained on what."""

    @property
    def model(self) -> Linearised:
        """The function that is trained."""

    @property
    def damping(self) -> float:
        """What draws the parameters to the anchor."""

    @property
    def start(self) -> Place:
        """Where the round begins, in its coordinates."""

    @property
    def anchor(self) -> Vector:
        """Where the network was linearised, in the round's coordinates."""

    def slope(self, point: Vector, batch: Batch, weights: Float[Tensor, " batch"] | None = None) -> Told:
        """Return the gradient of the linearised loss on a batch of the training examples, without damping."""

    def norms(self, point: Vector, batch: Batch) -> Float[Tensor, " batch"]:
        """Return the norm of the gradient of each sample's loss."""

    def parameters(self, vector: Vector) -> Parameters:
        """Return the vector of parameter space with these coordinates."""

    def state(self) -> State:
        """Return what the round was begun with, beside the anchor, for as far as the coordinates need it."""


class RoundLoss(NamedTuple):
    """The loss of a round's linearisation on a batch."""

    round: Round
    batch: Batch

    def slope(self, point: Vector, weights: Float[Tensor, " batch"] | None = None) -> Told:
        return self.round.slope(point, self.batch, weights)

    def norms(self, point: Vector) -> Float[Tensor, " batch"]:
        return self.round.norms(point, self.batch)

    def drawn_back(self, gradient: Vector, point: Vector) -> Vector:
        damping = self.round.damping
        return drawn_back(gradient, point, self.round.anchor, damping) if damping else gradient


def drawn_back(gradient: Vector, point: Vector, anchor: Vector, damping: float | Tensor) -> Vector:
    """Return the gradient with that of damping / 2 ||point - anchor||^2; itself at the very anchor."""
    if point is anchor:
        return gradient
    return plus(gradient, {name: value - anchor[name] for name, value in point.items()}, damping)


def gradient_norm(round_: Round, point: Vector) -> Float[Tensor, ""]:
    """Return the norm of the gradient of what a round minimises, on all training samples."""
    train = round_.problem.rows
    total: dict[str, Tensor] = {}
    for chunk in torch.arange(len(train), device=train.labels.device).split(_CHUNK):
        part = round_.slope(point, Batch(chunk, formed(train))).gradient
        total = {name: total.get(name, 0) + value * (len(chunk) / len(train)) for name, value in part.items()}
    if round_.damping:
        total = dict(drawn_back(total, point, round_.anchor, round_.damping))
    return torch.cat([value.flatten() for value in round_.parameters(total).values()]).norm()
