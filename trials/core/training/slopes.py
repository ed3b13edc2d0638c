"""The loss of a step's batch as a function of where training is, and what its slope there tells."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import torch

from trials.core.training.places import Vector, is_own

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jaxtyping import Float
    from torch import Tensor

    from trials.core.losses.loss import Loss
    from trials.core.training.batches import Batch


class Told(NamedTuple):
    """What a pass through a batch tells.

    Attributes:
        gradient: In what trains.
        outputs: Before the step; None where the pass makes none of its own.
        value: What the gradient is of, there; None likewise.
        notes: What else is told of the step, by name.
    """

    gradient: Vector
    outputs: Tensor | None = None
    value: Tensor | None = None
    notes: Mapping[str, Any] = {}


class BatchLoss(Protocol):
    """The loss of what a step sees, in the coordinates of what trains."""

    @property
    def batch(self) -> Batch:
        """What the step sees."""

    def slope(self, point: Vector, weights: Float[Tensor, " batch"] | None = None) -> Told:
        """Return the gradient of the mean loss, or of the sum of the samples' losses times weights."""

    def norms(self, point: Vector) -> Float[Tensor, " batch"]:
        """Return the norm of the gradient of each sample's loss."""

    def drawn_back(self, gradient: Vector, point: Vector) -> Vector:
        """Return a gradient with what draws the point to where the function was linearised; itself if nothing does."""


Forward = Callable[[Vector, "Tensor"], "Tensor"]


def taped(forward: Forward, point: Vector, batch: Batch, loss: Loss, weights: Tensor | None = None) -> Told:
    """Return what a pass by PyTorch's tape tells; at a module's own parameters they are the leaves."""
    leaves = point if is_own(point) else {name: value.detach().requires_grad_() for name, value in point.items()}
    inputs, targets = batch.shown
    outputs = forward(leaves, inputs)
    value = loss.weighted(outputs, targets, weights)
    gradients = torch.autograd.grad(value, list(leaves.values()))
    return Told(dict(zip(leaves, gradients, strict=True)), outputs.detach(), value.detach())


def slope_of(function: Callable[[Vector], Tensor], point: Vector) -> Vector:
    """Return the gradient of a number by PyTorch's tape."""
    leaves = {name: value.detach().requires_grad_() for name, value in point.items()}
    return dict(zip(leaves, torch.autograd.grad(function(leaves), list(leaves.values())), strict=True))


def taped_norms(forward: Forward, point: Vector, batch: Batch, loss: Loss) -> Float[Tensor, " batch"]:
    """Return the norms of samples' gradients of any function, formed side by side: batch x parameters numbers."""
    values = {name: value.detach() for name, value in point.items()}

    def of_one(leaves: Vector, sample: Tensor, target: Tensor) -> Tensor:
        return loss.weighted(forward(leaves, sample[None]), target[None], sample.new_ones(1))

    with warnings.catch_warnings():  # the first `vmap` of a process imports what PyTorch itself warns of
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        gradients = torch.func.vmap(torch.func.grad(of_one), in_dims=(None, 0, 0))(values, *batch.shown)
    return torch.stack([each.flatten(1).square().sum(1) for each in gradients.values()]).sum(0).sqrt()
