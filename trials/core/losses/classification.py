"""Losses and accuracy of a classifier, as means over samples; those of several trainings at once, one for each.

Targets are whole labels, or of the outputs' shape: one-hot, signs, distributions over the classes. Those of margins
are labels of -1 and +1. Derivatives are written out: for few outputs PyTorch's tape takes two to ten times as long.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from trials.core.losses.loss import Form, Loss

if TYPE_CHECKING:
    from jaxtyping import Float, Int64

# Below it, the whitened gradient of cross-entropy at the label, about -1/sqrt(p), costs too many digits.
SMALLEST_PROBABILITY = 1e-12


def accuracy(
    outputs: Float[Tensor, "*trainings batch classes"], labels: Int64[Tensor, "*trainings batch"]
) -> Float[Tensor, "*trainings"]:
    """Return the fraction of samples whose largest output is at their label."""
    return (outputs.argmax(-1) == labels).to(outputs.dtype).mean(-1)


def each_cross_entropy(outputs: Float[Tensor, "batch classes"], targets: Tensor) -> Float[Tensor, " batch"]:
    """Return -log softmax(outputs) at the label of every sample, in nats."""
    if targets.is_floating_point():
        return -(targets * functional.log_softmax(outputs, -1)).sum(-1)
    return functional.cross_entropy(outputs, targets, reduction="none")


def mean_cross_entropy(
    outputs: Float[Tensor, "*trainings batch classes"], targets: Tensor
) -> Float[Tensor, "*trainings"]:
    """Return the mean of -log softmax(outputs) at the label, in nats."""
    if targets.is_floating_point():
        return each_cross_entropy(outputs, targets).mean(-1)
    if outputs.ndim == 2:
        return functional.cross_entropy(outputs, targets)
    return functional.cross_entropy(outputs.mT.contiguous(), targets, reduction="none").mean(-1)


def cross_entropy_slope(
    outputs: Float[Tensor, "*trainings batch classes"], targets: Tensor
) -> Float[Tensor, "*trainings batch classes"]:
    """Return the derivative of each training's cross-entropy in its outputs, (softmax - target) / batch."""
    if targets.is_floating_point():
        return (outputs.softmax(-1) - targets) / outputs.shape[-2]
    of_labels = torch.zeros_like(outputs).scatter_(-1, targets.unsqueeze(-1), -1).div_(outputs.shape[-2])
    logarithms = functional.log_softmax(outputs, -1)
    # What the tape would call: plain training is PyTorch's to its last bit.
    return torch.ops.aten._log_softmax_backward_data(of_labels, logarithms, -1, outputs.dtype)


def each_square(
    outputs: Float[Tensor, "*trainings batch classes"], targets: Tensor
) -> Float[Tensor, "*trainings batch"]:
    """Return half the squared distance to the target of every sample, summed over the outputs.

    Many libraries divide by the number of classes as well: their learning rates are that many times larger.
    """
    return (outputs - _wide(outputs, targets)).square().sum(-1) / 2


def mean_of_squares(outputs: Float[Tensor, "*trainings batch classes"], targets: Tensor) -> Float[Tensor, "*trainings"]:
    """Return the mean of `each_square` over samples."""
    return each_square(outputs, targets).mean(-1)


def mean_squared_error_slope(
    outputs: Float[Tensor, "*trainings batch classes"], targets: Tensor
) -> Float[Tensor, "*trainings batch classes"]:
    """Return the derivative of each training's squared error in its outputs, (outputs - target) / batch."""
    return (outputs - _wide(outputs, targets)) * (1 / outputs.shape[-2])


class SquaredErrorCurvature:
    """Of half the squared distance to the target: H = S = I, r = q = f - y."""

    def gradient(self, outputs: Float[Tensor, "n c"], targets: Float[Tensor, "n c"]) -> Float[Tensor, "n c"]:
        return outputs - targets

    def hessian(self, outputs: Float[Tensor, "n c"], vectors: Float[Tensor, "... n c"]) -> Float[Tensor, "... n c"]:
        return vectors

    root = root_transposed = hessian
    whitened_gradient = gradient

    def whitens(self, outputs: Float[Tensor, "n c"], targets: Float[Tensor, "n c"]) -> bool:
        return True


class CrossEntropyCurvature:
    """Of cross-entropy to one-hot targets, with p = softmax(f): r = p - y, H = diag(p) - p p^T.

    S = diag(sqrt p) - p sqrt(p)^T, and q = r / sqrt(p) because the entries of r sum to 0.
    """

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


cross_entropy = Loss(mean_cross_entropy, each_cross_entropy, cross_entropy_slope, curvature=CrossEntropyCurvature())
mean_squared_error = Loss(mean_of_squares, each_square, mean_squared_error_slope, curvature=SquaredErrorCurvature())
LOSSES: Mapping[str, Loss] = MappingProxyType({"cross_entropy": cross_entropy, "mse": mean_squared_error})


def label_smoothed(share: float) -> Loss:
    """Return cross-entropy against labels of which `share` is spread evenly over the classes."""
    return Loss(
        lambda outputs, labels: functional.cross_entropy(outputs, labels, label_smoothing=share),
        lambda outputs, labels: functional.cross_entropy(outputs, labels, label_smoothing=share, reduction="none"),
    )


def _margins(outputs: Float[Tensor, "batch 1"], labels: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
    return outputs[:, 0] * labels


def _of_margins(each: Form) -> Loss:
    return Loss(lambda outputs, labels: each(outputs, labels).mean(), each, right=lambda *shown: _margins(*shown) > 0)


MARGIN_LOSSES: Mapping[str, Loss] = MappingProxyType(
    {
        "logistic": _of_margins(lambda outputs, labels: functional.softplus(-_margins(outputs, labels))),
        "hinge": _of_margins(lambda outputs, labels: (1 - _margins(outputs, labels)).clamp(min=0)),
        "squared": _of_margins(lambda outputs, labels: (1 - _margins(outputs, labels)).square()),
    }
)
"""Losses of margins, output times label, of one output."""


def _wide(outputs: Float[Tensor, "*trainings batch classes"], targets: Tensor) -> Tensor:
    return targets if targets.is_floating_point() else functional.one_hot(targets, outputs.shape[-1])
