"""Losses as curvature sees them: convex functions of a sample's outputs, with a square root of their Hessian.

For each sample i the Hessian H_i in the outputs is S_i S_i^T, and the gradient r_i is S_i q_i. With A = S^T J, the
stack of S_i^T J_i, every Gauss-Newton step is a damped least-squares problem in A and q, whichever the loss.

Nothing here is averaged: r, q, S and H are those of one sample's loss. `mean` is what training minimises.

Source: Schraudolph, "Fast curvature matrix-vector products for second-order gradient descent", Neural Computation 14,
2002, section 3 (the generalised Gauss-Newton matrix); the roots follow from H by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int64
    from torch import Tensor

# Below it, the whitened gradient of cross-entropy at the label, about -1/sqrt(p), costs too many digits.
SMALLEST_PROBABILITY = 1e-12


class OutputLoss(Protocol):
    """A loss of outputs (samples, outputs) against targets of the same shape.

    `vectors` may have leading dimensions before (samples, outputs).
    """

    def mean(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean over samples, a scalar."""

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


class MeanSquaredError:
    """Half the squared distance to the target, summed over the outputs: H = S = I, r = q = f - y."""

    def mean(self, outputs: Float[Tensor, "n c"], targets: Float[Tensor, "n c"]) -> Float[Tensor, ""]:
        return (outputs - targets).square().sum(-1).mean() / 2

    def gradient(self, outputs: Float[Tensor, "n c"], targets: Float[Tensor, "n c"]) -> Float[Tensor, "n c"]:
        return outputs - targets

    def hessian(self, outputs: Float[Tensor, "n c"], vectors: Float[Tensor, "... n c"]) -> Float[Tensor, "... n c"]:
        return vectors

    def root(self, outputs: Float[Tensor, "n c"], vectors: Float[Tensor, "... n c"]) -> Float[Tensor, "... n c"]:
        return vectors

    def root_transposed(
        self, outputs: Float[Tensor, "n c"], vectors: Float[Tensor, "... n c"]
    ) -> Float[Tensor, "... n c"]:
        return vectors

    def whitened_gradient(self, outputs: Float[Tensor, "n c"], targets: Float[Tensor, "n c"]) -> Float[Tensor, "n c"]:
        return outputs - targets

    def whitens(self, outputs: Float[Tensor, "n c"], targets: Float[Tensor, "n c"]) -> bool:
        return True


class CrossEntropy:
    """Cross-entropy of softmax(f), in nats, to one-hot targets: r = p - y, H = diag(p) - p p^T.

    S = diag(sqrt p) - p sqrt(p)^T, and q = r / sqrt(p) because the entries of r sum to 0.
    """

    def mean(self, outputs: Float[Tensor, "n c"], targets: Float[Tensor, "n c"]) -> Float[Tensor, ""]:
        return -(targets * functional.log_softmax(outputs, -1)).sum(-1).mean()

    def gradient(self, outputs: Float[Tensor, "n c"], targets: Float[Tensor, "n c"]) -> Float[Tensor, "n c"]:
        return outputs.softmax(-1) - targets

    def hessian(self, outputs: Float[Tensor, "n c"], vectors: Float[Tensor, "... n c"]) -> Float[Tensor, "... n c"]:
        probabilities = outputs.softmax(-1)
        weighted = probabilities * vectors
        return weighted - probabilities * weighted.sum(-1, keepdim=True)

    def root(self, outputs: Float[Tensor, "n c"], vectors: Float[Tensor, "... n c"]) -> Float[Tensor, "... n c"]:
        probabilities = outputs.softmax(-1)
        weighted = probabilities.sqrt() * vectors
        return weighted - probabilities * weighted.sum(-1, keepdim=True)

    def root_transposed(
        self, outputs: Float[Tensor, "n c"], vectors: Float[Tensor, "... n c"]
    ) -> Float[Tensor, "... n c"]:
        probabilities = outputs.softmax(-1)
        centred = vectors - (probabilities * vectors).sum(-1, keepdim=True)
        return probabilities.sqrt() * centred

    def whitened_gradient(self, outputs: Float[Tensor, "n c"], targets: Float[Tensor, "n c"]) -> Float[Tensor, "n c"]:
        half_logarithms = functional.log_softmax(outputs, -1) / 2
        at_target = torch.where(targets > 0, targets * torch.exp(-half_logarithms), 0.0)
        return torch.exp(half_logarithms) - at_target

    def whitens(self, outputs: Float[Tensor, "n c"], targets: Float[Tensor, "n c"]) -> bool:
        # Where p is tiny away from the label, q = sqrt(p) is harmless; the rounding of p - 1 at the label is not.
        return bool(((outputs.softmax(-1) > SMALLEST_PROBABILITY) | (targets == 0)).all())


OUTPUT_LOSSES: Mapping[str, OutputLoss] = MappingProxyType({"mse": MeanSquaredError(), "cross_entropy": CrossEntropy()})


def one_hot(labels: Int64[Tensor, " n"], classes: int) -> Float[Tensor, "n classes"]:
    """Return targets with one output a class, 1 at the label and 0 elsewhere."""
    return functional.one_hot(labels, classes).to(torch.float64)


def signs(labels: Int64[Tensor, " n"], classes: int) -> Float[Tensor, "n 1"]:
    """Return targets with one output, -1 for the first of two classes and +1 for the second.

    Raises:
        ValueError: There are not two classes.
    """
    if classes != 2:
        raise ValueError(f"target_coding=sign needs two classes, the data have {classes}")
    return (2.0 * labels - 1)[:, None].to(torch.float64)


CODINGS = MappingProxyType({"one_hot": one_hot, "sign": signs})


def right_answers(outputs: Float[Tensor, "n c"], targets: Float[Tensor, "n c"]) -> Bool[Tensor, " n"]:
    """Return where the output says what the target does: its largest entry, or its sign if there is one only."""
    if outputs.shape[1] == 1:
        return ((outputs > 0) == (targets > 0))[:, 0]
    return outputs.argmax(1) == targets.argmax(1)
