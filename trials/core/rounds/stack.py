"""Where several trainings in rounds are: the parameters of all in one tensor each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from trials.core.gradients import linearised_gradient
from trials.core.parameters import Parameters, difference, stacked
from trials.core.probes.movement import PARTS, lengths_of_each

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from trials.core.losses.classification import Loss
    from trials.core.networks.chain import Chain
    from trials.core.optimisers.rules import Memory, Rule
    from trials.core.rounds.training import Descent


@dataclass(frozen=True, kw_only=True)
class Stack:
    """Where the lanes are, as trainings that train together are called; every tensor has a first axis over them.

    Attributes:
        point: The parameters.
        anchor: Where the present rounds began.
        memory: What the optimiser's rule remembers.
        path: Lengths that the earlier rounds covered, added up; see `lengths`.
        rates: The learning rates.
    """

    point: Parameters
    anchor: Parameters
    memory: Memory
    path: Float[Tensor, "lanes parts"]
    rates: Float[Tensor, " lanes"]

    def only(self, lanes: list[int]) -> Stack:
        """Return some of the lanes."""
        chosen = torch.tensor(lanes, dtype=torch.int64, device=self.rates.device)
        memory = {name: _chosen(vector, chosen) for name, vector in self.memory.items()}
        point, anchor = _chosen(self.point, chosen), _chosen(self.anchor, chosen)
        return Stack(point=point, anchor=anchor, memory=memory, path=self.path[chosen], rates=self.rates[chosen])

    def linearised_anew(self, due: list[int]) -> Stack:
        """Return the stack after some lanes have begun a round."""
        chosen = torch.tensor(due, device=self.rates.device)
        point, before = _chosen(self.point, chosen), _chosen(self.anchor, chosen)
        path = self.path.index_add(0, chosen, lengths_of_each(difference(point, before)).to(self.path))
        anchor = {name: value.index_copy(0, chosen, point[name]) for name, value in self.anchor.items()}
        return replace(self, anchor=anchor, path=path)

    def stepped(self, chain: Chain, descent: Descent, loss: Loss, batch: tuple[Tensor, Tensor]) -> Stack:
        """Return the stack after a step of every lane."""
        inputs, labels = batch
        gradient = linearised_gradient(chain, self.anchor, difference(self.point, self.anchor), inputs, labels, loss)
        direction, memory = descent.direction(self.point, gradient, self.memory)
        point = {
            name: torch.addcmul(value, _along(self.rates, value), direction[name], value=-1)
            for name, value in self.point.items()
        }
        return replace(self, point=point, memory=memory)


def stack_of(initial: Sequence[Parameters], rates: Sequence[float], rule: Rule) -> Stack:
    """Return several trainings at their beginning.

    Args:
        initial: The parameters of each.
        rates: The learning rate of each.
        rule: The optimiser's rule of all.
    """
    point = stacked(initial)
    first = next(iter(point.values()))
    return Stack(
        point=point,
        anchor=point,
        memory=rule.beginning(point),
        path=torch.zeros(len(initial), len(PARTS), dtype=torch.float64, device=first.device),
        rates=torch.tensor(rates, dtype=first.dtype, device=first.device),
    )


def _chosen(vector: Parameters, lanes: Tensor) -> Parameters:
    return {name: value[lanes] if value.ndim else value for name, value in vector.items()}


def _along(per_lane: Tensor, value: Tensor) -> Tensor:
    """Return numbers of lanes in the shape that multiplies a tensor whose first axis is over lanes."""
    return per_lane.view(-1, *(1 for _ in value.shape[1:]))
