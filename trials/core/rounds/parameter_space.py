"""Rounds whose coordinates are the parameters: each step a tangent pass, the anchor's own pass repeated or kept."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch

from trials.core.gradients import linearised_gradient, linearised_norms
from trials.core.linearisation import Linearised
from trials.core.networks.chain import Chain, Opened, joined
from trials.core.parameters import Parameters, difference
from trials.core.rounds.round import Problem
from trials.core.training.places import Place
from trials.core.training.slopes import Told

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from trials.core.checkpoints import State
    from trials.core.data.examples import TrainingSet
    from trials.core.training.batches import Batch

_CHUNK = 128


@dataclass(frozen=True)
class _InParameters:
    """A round whose coordinates are the parameters."""

    problem: Problem
    model: Linearised
    start: Place
    damping: float = 0.0

    @property
    def anchor(self) -> Parameters:
        """The anchor, which is its own coordinates."""
        return self.model.anchor

    def parameters(self, vector: Parameters) -> Parameters:
        """Return the vector, which is its own coordinates."""
        return vector

    def state(self) -> State:
        """Return nothing: the anchor is enough."""
        return {}


@dataclass(frozen=True)
class TangentRound(_InParameters):
    """Steps that each pass through the anchor anew: three matrix products a layer become five, nothing is stored."""

    def slope(self, point: Parameters, batch: Batch, weights: Tensor | None = None) -> Told:
        """Return the gradient on a batch; at the anchor itself it is that of the network, at its price."""
        return self.model.slope(point, batch, self.problem.loss, weights)

    def norms(self, point: Parameters, batch: Batch) -> Float[Tensor, " batch"]:
        """Return the norm of the gradient of each sample's loss."""
        return self.model.norms(point, batch, self.problem.loss)


@dataclass(frozen=True)
class CachedRound(_InParameters):
    """Steps that read what the anchor's pass kept of every training sample: three products a layer become four.

    The pass through all samples is made once, when first a step needs it: a round's first step is a plain one. What is
    kept of a sample includes its input: rows that are formed by index are here held for as long as the round lasts.
    """

    def slope(self, point: Parameters, batch: Batch, weights: Tensor | None = None) -> Told:
        """Return the gradient on a batch."""
        loss, anchor = self.problem.loss, self.model.anchor
        if point is anchor:
            return self.model.slope(point, batch, loss, weights)
        opened, displacement = self._opened.at(batch.rows), difference(point, anchor)
        labels, of_outputs = self.problem.rows.labels[batch.rows], loss.derivative(weights)
        return Told(linearised_gradient(chain_of(self.model), anchor, displacement, opened, labels, of_outputs))

    def norms(self, point: Parameters, batch: Batch) -> Float[Tensor, " batch"]:
        """Return the norm of the gradient of each sample's loss."""
        opened, displacement = self._opened.at(batch.rows), difference(point, self.anchor)
        labels = self.problem.rows.labels[batch.rows]
        return linearised_norms(chain_of(self.model), self.anchor, displacement, opened, labels, self.problem.loss)

    @cached_property
    def _opened(self) -> Opened:
        return opened_everywhere(chain_of(self.model), self.model.anchor, self.problem.rows)


def chain_of(model: Linearised) -> Chain:
    """Return the linearised function as the chain of layers that it must be here.

    Raises:
        TypeError: It is another function.
    """
    if not isinstance(model.forward, Chain):
        raise TypeError(f"expected a chain of layers, got {model.forward!r}")
    return model.forward


def opened_everywhere(chain: Chain, parameters: Parameters, train: TrainingSet) -> Opened:
    """Return the pass through all samples, made in pieces that fit a processor's cache."""
    with torch.no_grad():
        passes = [chain.opened(parameters, chunk) for chunk in train.chunks(_CHUNK)]
        return joined(passes, torch.cat)
