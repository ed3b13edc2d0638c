"""Rounds: a linearisation, and coordinates in which its steps are taken: here the parameters."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import torch

from trials.core.checkpoints import State
from trials.core.gradients import linearised_gradient, linearised_norms
from trials.core.linearisation import Linearised
from trials.core.networks.chain import Chain, Opened, joined
from trials.core.parameters import Parameters, difference
from trials.core.training.batches import Batch, formed
from trials.core.training.places import Place, Vector, plus
from trials.core.training.slopes import Told

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from trials.core.data.examples import TrainingSet
    from trials.core.losses.loss import Loss
    from trials.core.networks.network import Network

_CHUNK, _CACHED_CHUNK = 1024, 128


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


@dataclass(frozen=True)
class Round:
    """The steps on one linearisation, of its loss and damping / 2 ||theta - anchor||^2.

    Coordinates are linear: those of a sum are the sum of those of its parts. Here they are the parameters, and each
    step passes through the anchor anew: three matrix products a layer become five, nothing is stored.

    Attributes:
        problem: What is trained on what.
        model: The linearisation.
        begun: Where the round begins, in parameter space.
        damping: What draws the parameters to the anchor.
    """

    problem: Problem
    model: Linearised
    begun: Place
    damping: float = 0.0

    @property
    def start(self) -> Place:
        """Where the round begins, in its coordinates."""
        return self.begun

    @property
    def anchor(self) -> Vector:
        """Where the network was linearised, in the round's coordinates."""
        return self.model.anchor

    def slope(self, point: Vector, batch: Batch, weights: Float[Tensor, " batch"] | None = None) -> Told:
        """Return the gradient on a batch without damping; at the anchor itself the network's own, at its price."""
        return self.model.slope(point, batch, self.problem.loss, weights)

    def norms(self, point: Vector, batch: Batch) -> Float[Tensor, " batch"]:
        """Return the norm of the gradient of each sample's loss."""
        return self.model.norms(point, batch, self.problem.loss)

    def parameters(self, vector: Vector) -> Parameters:
        """Return the vector of parameter space with these coordinates."""
        return vector

    def state(self) -> State:
        """Return what the round was begun with, beside the anchor, for as far as the coordinates need it."""
        return {}

    def gradient_norm(self, point: Vector) -> Float[Tensor, ""]:
        """Return the norm of the gradient of what the round minimises, on all training samples."""
        train = self.problem.rows
        total: dict[str, Tensor] = {}
        for chunk in torch.arange(len(train), device=train.labels.device).split(_CHUNK):
            part = self.slope(point, Batch(chunk, formed(train))).gradient
            total = {name: total.get(name, 0) + value * (len(chunk) / len(train)) for name, value in part.items()}
        if self.damping:
            total = dict(drawn_back(total, point, self.anchor, self.damping))
        return torch.cat([value.flatten() for value in self.parameters(total).values()]).norm()


@dataclass(frozen=True)
class CachedRound(Round):
    """Steps that read what the anchor's pass kept of every training sample: three products a layer become four.

    The pass through all samples is made once, when first a step needs it: a round's first step is a plain one. What is
    kept of a sample includes its input: rows that are formed by index are here held for as long as the round lasts.
    """

    def slope(self, point: Parameters, batch: Batch, weights: Tensor | None = None) -> Told:
        loss, anchor = self.problem.loss, self.model.anchor
        if point is anchor:
            return self.model.slope(point, batch, loss, weights)
        opened, displacement = self._opened.at(batch.rows), difference(point, anchor)
        labels, of_outputs = self.problem.rows.labels[batch.rows], loss.derivative(weights)
        return Told(linearised_gradient(chain_of(self.model), anchor, displacement, opened, labels, of_outputs))

    def norms(self, point: Parameters, batch: Batch) -> Float[Tensor, " batch"]:
        opened, displacement = self._opened.at(batch.rows), difference(point, self.anchor)
        labels = self.problem.rows.labels[batch.rows]
        return linearised_norms(chain_of(self.model), self.anchor, displacement, opened, labels, self.problem.loss)

    @cached_property
    def _opened(self) -> Opened:
        return opened_everywhere(self.model, self.problem.rows)


def chain_of(model: Linearised) -> Chain:
    """Return the linearised function as the chain of layers that it must be here.

    Raises:
        TypeError: It is another function.
    """
    if not isinstance(model.forward, Chain):
        raise TypeError(f"expected a chain of layers, got {model.forward!r}")
    return model.forward


def opened_everywhere(model: Linearised, train: TrainingSet) -> Opened:
    """Return the anchor's pass through all samples, made in pieces that fit a processor's cache."""
    with torch.no_grad():
        passes = [chain_of(model).opened(model.anchor, chunk) for chunk in train.chunks(_CACHED_CHUNK)]
        return joined(passes, torch.cat)


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
