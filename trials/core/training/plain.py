"""The network itself as what is trained: nothing is linearised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import torch

from trials.core.gradients import linearised_norms
from trials.core.networks.chain import Chain
from trials.core.training.places import Place, Vector, is_own
from trials.core.training.slopes import Forward, Told, taped, taped_norms

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from trials.core.checkpoints import State
    from trials.core.losses.loss import Loss
    from trials.core.training.batches import Batch


class PlainLoss(NamedTuple):
    """The loss of the network on a batch."""

    forward: Forward
    loss: Loss
    batch: Batch

    def slope(self, point: Vector, weights: Float[Tensor, " batch"] | None = None) -> Told:
        return taped(self.forward, point, self.batch, self.loss, weights)

    def norms(self, point: Vector) -> Float[Tensor, " batch"]:
        if isinstance(self.forward, Chain):
            return linearised_norms(self.forward, point, None, *self.batch.shown, self.loss)
        return taped_norms(self.forward, point, self.batch, self.loss)

    def drawn_back(self, gradient: Vector, point: Vector) -> Vector:
        return gradient


@dataclass(frozen=True, eq=False)
class Plain:
    """The network, and what is minimised of its outputs.

    Attributes:
        forward: (what trains, inputs) -> outputs.
        loss: What is minimised.
        buffers: What changes with passes, beside what trains.
    """

    forward: Forward
    loss: Loss
    buffers: Vector | None = None

    def parameters(self, point: Vector) -> Vector:
        return point

    def on(self, batch: Batch) -> PlainLoss:
        return PlainLoss(self.forward, self.loss, batch)

    def renewed(self, step: int, place: Place) -> tuple[Self, Place]:
        return self, place

    def state(self, place: Place) -> State:
        buffers = {name: value.clone() for name, value in (self.buffers or {}).items()}
        return {**place.state(), "buffers": buffers}

    def restored(self, place: Place, state: Any, step: int) -> tuple[Self, Place]:
        into = {**(self.buffers or {}), **(place.point if is_own(place.point) else {})}
        with torch.no_grad():
            for name, value in {**state.get("buffers", {}), **state["point"]}.items():
                if name in into:
                    into[name].copy_(value)
        return self, Place(place.point if is_own(place.point) else state["point"], state.get("memory", {}))
