"""What a loss is: a number of a batch's outputs and targets, with what the parts of a training ask of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

Form = Callable[[Tensor, Tensor], Tensor]


def most_likely(outputs: Float[Tensor, "batch classes"], targets: Tensor) -> Bool[Tensor, " batch"]:
    """Return where the largest output is at the label, or at the most likely one of a distribution."""
    return outputs.argmax(1) == (targets if targets.ndim == 1 else targets.argmax(1))


@dataclass(frozen=True)
class Loss:
    """What is minimised of the outputs; called, it is its mean.

    Attributes:
        mean: (outputs, targets) -> the number that is minimised.
        each: (outputs, targets) -> the losses of the samples, of which `mean` is the mean; None where samples are
            coupled, as in contrastive losses: nothing can then be weighted or clipped by sample.
        slope: (outputs, targets) -> the derivative of `mean` in the outputs, written out; None leaves it to the tape.
        right: (outputs, targets) -> which answers are right; None where nothing is.
    """

    mean: Form
    each: Form | None = None
    slope: Form | None = None
    right: Form | None = most_likely

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return self.mean(outputs, targets)

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
        """Return the derivative in the outputs of `weighted`."""
        if weights is not None and not len(weights):
            return torch.zeros_like(outputs)
        if self.slope is not None:
            slope = self.slope(outputs, targets)
            return slope if weights is None else slope * (weights * len(weights))[:, None]
        with torch.enable_grad():
            leaf = outputs.detach().requires_grad_()
            return torch.autograd.grad(self.weighted(leaf, targets, weights), leaf)[0]
