"""Rounds of several trainings together: their linearisations, with a first axis over lanes in every tensor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, Self

import torch

from trials.core.gradients import linearised_gradient
from trials.core.parameters import Parameters, difference
from trials.core.probes.columns import PARTS
from trials.core.probes.movement import lengths_of_each
from trials.core.rounds.in_rounds import Counted
from trials.core.rounds.round import drawn_back
from trials.core.training.places import of_lanes
from trials.core.training.slopes import Told

if TYPE_CHECKING:
    from jaxtyping import Float, Float64, Int64
    from torch import Tensor

    from trials.core.losses.loss import Loss
    from trials.core.networks.chain import Chain
    from trials.core.rounds.in_rounds import Rounds
    from trials.core.training.batches import Batch
    from trials.core.training.places import Place


class StackLoss(NamedTuple):
    """The losses of the batches of several trainings in rounds, and what draws each to its anchor."""

    stack: Stack
    batch: Batch

    def slope(self, point: Parameters, weights: Float[Tensor, " batch"] | None = None) -> Told:
        if weights is not None:
            raise TypeError("trainings that go together give their samples no weights")
        loss, anchor, chain = self.stack.loss, self.stack.anchor, self.stack.chain
        of_outputs, displacement = loss.slope or loss.sensitivity, difference(point, anchor)
        return Told(linearised_gradient(chain, anchor, displacement, *self.batch.shown, of_outputs))

    def norms(self, point: Parameters) -> Float[Tensor, " batch"]:
        raise TypeError("trainings that go together do not tell their samples' gradients apart")

    def drawn_back(self, gradient: Parameters, point: Parameters) -> Parameters:
        dampings = self.stack.dampings
        return gradient if dampings is None else drawn_back(gradient, point, self.stack.anchor, dampings)


@dataclass(frozen=True, kw_only=True, eq=False)
class Stack:
    """The linearisations that several trainings train.

    Attributes:
        chain: The network of all.
        loss: What all minimise.
        rounds: What all rounds of each have in common; they end by their length alone.
        counts: How the round of each came about.
        ends: Step before which it ends.
        anchor: Where the networks were linearised.
        path: Lengths that the earlier rounds covered, added up; see `lengths`.
        dampings: What draws each to its anchor; None where nothing draws any.
    """

    chain: Chain
    loss: Loss
    rounds: Sequence[Rounds]
    counts: Sequence[Counted]
    ends: Sequence[int]
    anchor: Parameters
    path: Float64[Tensor, "lanes parts"]
    dampings: Float[Tensor, " lanes"] | None

    def on(self, batch: Batch) -> StackLoss:
        return StackLoss(self, batch)

    def due(self, step: int) -> list[int]:
        """Return the places of those whose round ends before a step."""
        return [place for place, end in enumerate(self.ends) if end <= step]

    def renewed(self, step: int, place: Place) -> tuple[Self, Place]:
        """Return the stack after some have begun a round, the place as it is."""
        due = self.due(step)
        if not due:
            return self, place
        counts, ends = list(self.counts), list(self.ends)
        for each in due:
            counts[each], ends[each] = counts[each].at(step), self.rounds[each].end_of(step)
        chosen = torch.tensor(due, device=self.path.device)
        point, before = of_lanes(place.point, chosen), of_lanes(self.anchor, chosen)
        anchor = {name: value.index_copy(0, chosen, point[name]) for name, value in self.anchor.items()}
        path = self.path.index_add(0, chosen, lengths_of_each(difference(point, before)).to(self.path))
        return replace(self, counts=counts, ends=ends, anchor=anchor, path=path), place

    def only(self, places: Int64[Tensor, " chosen"]) -> Self:
        listed = places.tolist()
        return replace(
            self,
            rounds=[self.rounds[place] for place in listed],
            counts=[self.counts[place] for place in listed],
            ends=[self.ends[place] for place in listed],
            anchor=of_lanes(self.anchor, places),
            path=self.path[places],
            dampings=None if self.dampings is None else self.dampings[places],
        )


def stack_of(chain: Chain, rounds: Sequence[Rounds], initial: Parameters) -> Stack:
    """Return what trainings of one network train before their first step."""
    first = next(iter(initial.values()))
    dampings = [each.damping for each in rounds]
    return Stack(
        chain=chain,
        loss=rounds[0].problem.loss,
        rounds=rounds,
        counts=[Counted()] * len(rounds),
        ends=[0] * len(rounds),
        anchor=initial,
        path=torch.zeros(len(rounds), len(PARTS), dtype=torch.float64, device=first.device),
        dampings=first.new_tensor(dampings) if any(dampings) else None,
    )
