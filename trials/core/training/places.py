"""Places: where a training is, and how a step moves it on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from trials.core.parameters import Parameters

if TYPE_CHECKING:
    from jaxtyping import Int64

    from trials.core.checkpoints import State
    from trials.core.training.rules import Memory

Vector = Parameters
"""A vector of parameter space by name of its parts, in the coordinates of whoever trains."""


class Place(NamedTuple):
    """Where training is: in parameter space, or in coordinates that are linear in it.

    Attributes:
        point: What trains.
        memory: What the rule of the step remembers.
    """

    point: Vector
    memory: Memory

    def each(self, function: Callable[[Vector], Vector]) -> Place:
        """Return the place with `function` applied to its vectors."""
        return Place(function(self.point), {name: function(vector) for name, vector in self.memory.items()})

    def only(self, places: Int64[Tensor, " chosen"]) -> Place:
        """Return where the trainings at some places of the first axis are."""
        return self.each(lambda vector: of_lanes(vector, places))

    def state(self) -> State:
        """Return the place as tensors by name; those that change in place are copied."""
        point = (
            {name: value.detach().clone() for name, value in self.point.items()} if is_own(self.point) else self.point
        )
        return {"point": point, "memory": self.memory}


def is_own(point: Vector) -> bool:
    """Return whether a point's tensors are a module's own parameters, which change in place; no others do."""
    return next(iter(point.values())).requires_grad


def moved(point: Vector, direction: Vector, rate: float | Tensor) -> Vector:
    """Return the point after a step of a length against a direction; of several trainings each has its own length."""
    if isinstance(rate, Tensor):
        return {
            name: torch.addcmul(value, along(rate, value), direction[name], value=-1) for name, value in point.items()
        }
    return {name: torch.sub(value, direction[name], alpha=rate) for name, value in point.items()}


def shrunk(point: Vector, factor: float | Tensor) -> Vector:
    """Return a point times a factor; of several trainings each has its own."""
    if isinstance(factor, Tensor):
        return {name: value * along(factor, value) for name, value in point.items()}
    return {name: value * factor for name, value in point.items()}


def plus(vector: Vector, other: Vector, factor: float | Tensor) -> Vector:
    """Return `vector + factor x other` as values; of several trainings each has a factor of its own."""
    if isinstance(factor, Tensor):
        return {name: torch.addcmul(value, along(factor, value), other[name]) for name, value in vector.items()}
    return {name: torch.add(value, other[name], alpha=factor) for name, value in vector.items()}


def norm(vector: Vector) -> Tensor:
    """Return the Euclidean norm over all entries, a scalar left on its device."""
    return torch.stack([value.flatten().dot(value.flatten()) for value in vector.values()]).sum().sqrt()


def along(per_training: Tensor, value: Tensor) -> Tensor:
    """Return numbers of trainings in the shape that multiplies a tensor whose first axis is over them."""
    return per_training.view(-1, *(1 for _ in value.shape[1:]))


def of_lanes(vector: Vector, places: Int64[Tensor, " chosen"]) -> Vector:
    """Return what belongs to the trainings at some places of the first axis; numbers that all share stay."""
    return {name: value[places] if value.ndim else value for name, value in vector.items()}
