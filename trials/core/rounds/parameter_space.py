"""Rounds whose coordinates are the parameters: each step a tangent pass, the anchor's own pass repeated or kept."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch

from trials.core.gradients import linearised_gradient
from trials.core.linearisation import Linearised
from trials.core.networks.chain import Chain, Opened, joined
from trials.core.parameters import Parameters, difference
from trials.core.rounds.round import Place, Problem

if TYPE_CHECKING:
    from jaxtyping import Int64
    from torch import Tensor

    from trials.core.checkpoints import State
    from trials.core.data.examples import TrainingSet

_CHUNK = 128


@dataclass(frozen=True)
class TangentRound:
    """Steps that each pass through the anchor anew: three matrix products a layer become five, nothing is stored."""

    problem: Problem
    model: Linearised
    start: Place

    def gradient(self, point: Parameters, batch: Int64[Tensor, " batch"]) -> Parameters:
        """Return the gradient on a batch; at the anchor itself it is that of the network, at its price."""
        shown = self.problem.train.at(batch)
        return self.model.gradient(point, shown.inputs, shown.labels, self.problem.loss)

    def parameters(self, vector: Parameters) -> Parameters:
        """Return the vector, which is its own coordinates."""
        return vector

    def state(self) -> State:
        """Return nothing: the anchor is enough."""
        return {}


@dataclass(frozen=True)
class CachedRound:
    """Steps that read what the anchor's pass kept of every training sample: three products a layer become four.

    The pass through all samples is made once, when first a step needs it: a round's first step is a plain one. What is
    kept of a sample includes its input: rows that are formed by index are here held for as long as the round lasts.
    """

    problem: Problem
    model: Linearised
    start: Place

    def gradient(self, point: Parameters, batch: Int64[Tensor, " batch"]) -> Parameters:
        """Return the gradient on a batch."""
        train, loss = self.problem.train, self.problem.loss
        if point is self.model.anchor:
            shown = train.at(batch)
            return self.model.gradient(point, shown.inputs, shown.labels, loss)
        anchor, opened = self.model.anchor, self._opened.at(batch)
        displacement = difference(point, anchor)
        return linearised_gradient(chain_of(self.model), anchor, displacement, opened, train.labels[batch], loss)

    def parameters(self, vector: Parameters) -> Parameters:
        """Return the vector, which is its own coordinates."""
        return vector

    def state(self) -> State:
        """Return nothing: the anchor is enough."""
        return {}

    @cached_property
    def _opened(self) -> Opened:
        return opened_everywhere(chain_of(self.model), self.model.anchor, self.problem.train)


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
