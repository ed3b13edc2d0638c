"""Losses and accuracy of a classifier, as means over samples; those of several trainings at once, one for each.

Their derivatives are written out: for few outputs PyTorch's tape takes two to ten times as long as they do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from trials.core.losses.loss import Loss

if TYPE_CHECKING:
    from jaxtyping import Float, Int64


def mean_cross_entropy(
    outputs: Float[Tensor, "*trainings batch classes"], labels: Int64[Tensor, "*trainings batch"]
) -> Float[Tensor, "*trainings"]:
    """Return the mean of -log softmax(outputs) at the label, in nats."""
    if outputs.ndim == 2:
        return functional.cross_entropy(outputs, labels)
    return functional.cross_entropy(outputs.mT.contiguous(), labels, reduction="none").mean(-1)


def mean_of_squares(
    outputs: Float[Tensor, "*trainings batch classes"], labels: Int64[Tensor, "*trainings batch"]
) -> Float[Tensor, "*trainings"]:
    """Return the mean over samples of half the squared distance to the one-hot label, summed over the outputs.

    Many libraries divide by the number of classes as well: their learning rates are that many times larger.
    """
    targets = functional.one_hot(labels, outputs.shape[-1]).to(outputs.dtype)
    return (outputs - targets).square().sum(-1).mean(-1) / 2


def cross_entropy_slope(
    outputs: Float[Tensor, "*trainings batch classes"], labels: Int64[Tensor, "*trainings batch"]
) -> Float[Tensor, "*trainings batch classes"]:
    """Return the derivative of each training's cross-entropy in its outputs, (softmax - one-hot label) / batch."""
    of_labels = torch.zeros_like(outputs).scatter_(-1, labels.unsqueeze(-1), -1).div_(outputs.shape[-2])
    logarithms = functional.log_softmax(outputs, -1)
    # What the tape would call: plain training is PyTorch's to its last bit.
    return torch.ops.aten._log_softmax_backward_data(of_labels, logarithms, -1, outputs.dtype)


def mean_squared_error_slope(
    outputs: Float[Tensor, "*trainings batch classes"], labels: Int64[Tensor, "*trainings batch"]
) -> Float[Tensor, "*trainings batch classes"]:
    """Return the derivative of each training's squared error in its outputs, (outputs - one-hot label) / batch."""
    return (outputs - functional.one_hot(labels, outputs.shape[-1])) * (1 / outputs.shape[-2])


def accuracy(
    outputs: Float[Tensor, "*trainings batch classes"], labels: Int64[Tensor, "*trainings batch"]
) -> Float[Tensor, "*trainings"]:
    """Return the fraction of samples whose largest output is at their label."""
    return (outputs.argmax(-1) == labels).to(outputs.dtype).mean(-1)


def each_cross_entropy(
    outputs: Float[Tensor, "batch classes"], labels: Int64[Tensor, " batch"]
) -> Float[Tensor, " batch"]:
    """Return -log softmax(outputs) at the label of every sample, in nats."""
    return functional.cross_entropy(outputs, labels, reduction="none")


def each_square(outputs: Float[Tensor, "batch classes"], labels: Int64[Tensor, " batch"]) -> Float[Tensor, " batch"]:
    """Return half the squared distance to the one-hot label of every sample."""
    return (outputs - functional.one_hot(labels, outputs.shape[-1])).square().sum(-1) / 2


cross_entropy = Loss(mean_cross_entropy, each_cross_entropy, cross_entropy_slope)
mean_squared_error = Loss(mean_of_squares, each_square, mean_squared_error_slope)
LOSSES: Mapping[str, Loss] = MappingProxyType({"cross_entropy": cross_entropy, "mse": mean_squared_error})


def label_smoothed(share: float) -> Loss:
    """Return cross-entropy against labels of which `share` is spread evenly over the classes."""
    return Loss(
        lambda outputs, labels: functional.cross_entropy(outputs, labels, label_smoothing=share),
        lambda outputs, labels: functional.cross_entropy(outputs, labels, label_smoothing=share, reduction="none"),
    )


def cross_entropy_curvature(outputs: Float[Tensor, "*batch classes"]) -> Float[Tensor, "*batch classes classes"]:
    """Return the Hessian of one sample's cross-entropy in its outputs, diag(p) - p p^T with p = softmax(outputs)."""
    probabilities = outputs.softmax(-1)
    return torch.diag_embed(probabilities) - probabilities[..., :, None] * probabilities[..., None, :]


def squared_error_curvature(outputs: Float[Tensor, "*batch classes"]) -> Float[Tensor, "*batch classes classes"]:
    """Return the Hessian of one sample's squared error in its outputs, the identity."""
    return torch.diag_embed(torch.ones_like(outputs))


CURVATURES: Mapping[str, Callable[[Tensor], Tensor]] = MappingProxyType(
    {"cross_entropy": cross_entropy_curvature, "mse": squared_error_curvature}
)
