"""Where several trainings in rounds are: the parameters of all in one tensor each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import torch

from trials.core.gradients import linearised_gradient
from trials.core.parameters import Parameters, difference, stacked
from trials.core.probes.movement import PARTS, lengths_of_each
from trials.core.rounds.round import drawn_back
from trials.core.training.places import Place
from trials.core.training.slopes import Told

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from trials.core.losses.loss import Loss
    from trials.core.networks.chain import Chain
    from trials.core.training.descent import Descent
    from trials.core.training.rules import Memory


class StackLoss(NamedTuple):
    """The losses of several trainings' batches, a first axis over the trainings in every tensor."""

    chain: Chain
    anchor: Parameters
    batch: tuple[Tensor, Tensor]
    loss: Loss
    dampings: Float[Tensor, " lanes"] | None

    def slope(self, point: Parameters, weights: Tensor | None = None) -> Told:
        displacement, slope = difference(point, self.anchor), self.loss.slope or self.loss.sensitivity
        return Told(linearised_gradient(self.chain, self.anchor, displacement, *self.batch, slope))

    def drawn_back(self, gradient: Parameters, point: Parameters) -> Parameters:
        return gradient if self.dampings is None else drawn_back(gradient, point, self.anchor, self.dampings)


@dataclass(frozen=True, kw_only=True)
class Stack:
    """Where the lanes are, as trainings that train together are called; every tensor has a first axis over them.

    Attributes:
        point: The parameters.
        anchor: Where the present rounds began.
        memory: What the optimiser's rule remembers.
        path: Lengths that the earlier rounds covered, added up; see `lengths`.
        rates: The learning rates.
        dampings: What draws each to its anchor; None where nothing does.
    """

    point: Parameters
    anchor: Parameters
    memory: Memory
    path: Float[Tensor, "lanes parts"]
    rates: Float[Tensor, " lanes"]
    dampings: Float[Tensor, " lanes"] | None

    def only(self, lanes: list[int]) -> Stack:
        """Return some of the lanes."""
        chosen = torch.tensor(lanes, dtype=torch.int64, device=self.rates.device)
        return Stack(
            point=_chosen(self.point, chosen),
            anchor=_chosen(self.anchor, chosen),
            memory={name: _chosen(vector, chosen) for name, vector in self.memory.items()},
            path=self.path[chosen],
            rates=self.rates[chosen],
            dampings=None if self.dampings is None else self.dampings[chosen],
        )

    def linearised_anew(self, due: list[int]) -> Stack:
        """Return the stack after some lanes have begun a round."""
        chosen = torch.tensor(due, device=self.rates.device)
        point, before = _chosen(self.point, chosen), _chosen(self.anchor, chosen)
        path = self.path.index_add(0, chosen, lengths_of_each(difference(point, before)).to(self.path))
        anchor = {name: value.index_copy(0, chosen, point[name]) for name, value in self.anchor.items()}
        return replace(self, anchor=anchor, path=path)

    def stepped(self, chain: Chain, descent: Descent, loss: Loss, batch: tuple[Tensor, Tensor]) -> Stack:
        """Return the stack after a step of every lane."""
        of_batch = StackLoss(chain, self.anchor, batch, loss, self.dampings)
        (point, memory), _ = replace(descent, rate=lambda step: self.rates)(of_batch, Place(self.point, self.memory), 0)
        return replace(self, point=point, memory=memory)


def stack_of(
    initial: Sequence[Parameters],
    rates: Sequence[float],
    dampings: Sequence[float],
    memory: Callable[[Parameters], Memory],
) -> Stack:
    """Return several trainings at their beginning.

    Args:
        initial: The parameters of each.
        rates: The learning rate of each.
        dampings: What draws each to its anchor.
        memory: Parameters -> what the optimiser's rule of all remembers at first.
    """
    point = stacked(initial)
    first = next(iter(point.values()))
    numbers = {"dtype": first.dtype, "device": first.device}
    return Stack(
        point=point,
        anchor=point,
        memory=memory(point),
        path=torch.zeros(len(initial), len(PARTS), dtype=torch.float64, device=first.device),
        rates=torch.tensor(rates, **numbers),
        dampings=torch.tensor(dampings, **numbers) if any(dampings) else None,
    )


def _chosen(vector: Parameters, lanes: Tensor) -> Parameters:
    return {name: value[lanes] if value.ndim else value for name, value in vector.items()}
