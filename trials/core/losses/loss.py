"""What a loss is: a number of a batch's outputs and targets, with what the parts of a training ask of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

Form = Callable[[Tensor, Tensor], Tensor]


class OutputCurvature(Protocol):
    """A loss that is convex in a sample's outputs, as second-order steps see it.

    For each sample i the Hessian H_i in the outputs is S_i S_i^T, and the gradient r_i is S_i q_i. With A = S^T J, the
    stack of S_i^T J_i, every Gauss-Newton step is a damped least-squares problem in A and q, whichever the loss.
    Nothing here is averaged: r, q, S and H are those of one sample's loss. Targets have the outputs' shape, (samples,
    outputs); `vectors` may have leading dimensions before these.

    Source: Schraudolph, "Fast curvature matrix-vector products for second-order gradient descent", Neural Computation
    14, 2002, section 3 (the generalised Gauss-Newton matrix); the roots follow from H by hand.
    """

    def gradient(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return r, the gradient of each sample's loss in its outputs."""

    def hessian(self, outputs: Tensor, vectors: Tensor) -> Tensor:
        """Return H v."""

    def root(self, outputs: Tensor, vectors: Tensor) -> Tensor:
        """Return S v, where S S^T = H."""

    def root_transposed(self, outputs: Tensor, vectors: Tensor) -> Tensor:
        """Return S^T v."""

    def whitened_gradient(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return a q with S q = r."""

    def whitens(self, outputs: Tensor, targets: Tensor) -> bool:
        """Return whether q can be trusted in float64."""


def most_likely(outputs: Float[Tensor, "batch classes"], targets: Tensor) -> Bool[Tensor, " batch"]:
    """Return where the largest output is at the label, or at the most likely one of a distribution.

    A single output says by its sign what a target (batch, 1) does by its own.
    """
    if outputs.shape[1] == 1:
        return ((outputs > 0) == (targets > 0))[:, 0]
    return outputs.argmax(1) == (targets if targets.ndim == 1 else targets.argmax(1))


def no_answers(outputs: Tensor, targets: Tensor) -> Tensor:
    """Raise a `TypeError`: `Loss.right` of a loss that asks for no answers."""
    raise TypeError("this loss compares features: none of its outputs is a right or a wrong answer")


@dataclass(frozen=True)
class Loss:
    """What is minimised of the outputs; called, it is its mean.

    Attributes:
        mean: (outputs, targets) -> the number that is minimised.
        each: (outputs, targets) -> the losses of the samples, of which `mean` is the mean; None where samples are
            coupled, as in contrastive losses: nothing can then be weighted or clipped by sample.
        slope: (outputs, targets) -> the derivative of `mean` in the outputs, written out; None leaves it to the tape.
        right: (outputs, targets) -> which answers are right.
        curvature: What second-order steps need; None for a loss that is not smooth and convex in a sample's outputs.
    """

    mean: Form
    each: Form | None = None
    slope: Form | None = None
    right: Form = most_likely
    curvature: OutputCurvature | None = None

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return self.mean(outputs, targets)

    @property
    def curved(self) -> OutputCurvature:
        """The curvature; a `TypeError` says that the loss has none."""
        if self.curvature is None:
            raise TypeError("a Gauss-Newton step needs a loss that is smooth and convex in each sample's outputs")
        return self.curvature

    def hessians(self, outputs: Float[Tensor, "*batch classes"]) -> Float[Tensor, "*batch classes classes"]:
        """Return the Hessian of each sample's loss in its outputs."""
        return self.curved.hessian(outputs[..., None, :], torch.diag_embed(torch.ones_like(outputs)))

    def weighted(self, outputs: Tensor, targets: Tensor, weights: Float[Tensor, " batch"] | None) -> Tensor:
        """Return the sum of the samples' losses times their weights, `mean` where there are none.

        Raises:
            TypeError: The loss couples its samples.
        """
        if weights is None:
            return self.mean(outputs, targets)
        if self.each is None:
            raise TypeError("this loss couples its samples: none of them has a weight or a gradient of its own")
        return (weights * self.each(outputs, targets)).sum()

    def derivative(self, weights: Float[Tensor, " batch"] | None = None) -> Form:
        """Return (outputs, targets) -> the derivative in the outputs of `weighted`, written out if it can be."""
        return partial(self.sensitivity, weights=weights) if weights is not None else self.slope or self.sensitivity

    def sensitivity(self, outputs: Tensor, targets: Tensor, weights: Float[Tensor, " batch"] | None = None) -> Tensor:
        """Return the derivative in the outputs of `weighted`.

        Raises:
            TypeError: There are weights, and the loss couples its samples.
        """
        if weights is not None and self.each is not None and not len(weights):
            return torch.zeros_like(outputs)
        if self.slope is not None and (weights is None or self.each is not None):
            slope = self.slope(outputs, targets)
            return slope if weights is None else slope * (weights * len(weights))[:, None]
        with torch.enable_grad():
            leaf = outputs.detach().requires_grad_()
            return torch.autograd.grad(self.weighted(leaf, targets, weights), leaf)[0]
