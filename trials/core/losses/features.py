"""Losses of features: against features that are given, a teacher's for instance, and of pairs of views of one thing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from trials.core.losses.loss import Loss, no_answers

if TYPE_CHECKING:
    from jaxtyping import Float


def each_mean_square(
    outputs: Float[Tensor, "batch features"], targets: Float[Tensor, "batch features"]
) -> Float[Tensor, " batch"]:
    """Return the mean over its features of every sample's squared distances to the targets."""
    return (outputs - targets).square().mean(-1)


def mean_spectral(outputs: Float[Tensor, "2*pairs features"], targets: Tensor) -> Float[Tensor, ""]:
    """Return -2 E[f(x) . f(x+)] + E[(f(x) . f(x-))^2], over pairs of views and over views of different pairs.

    A batch holds the first view of every pair, then the second; samples are coupled, and targets are not read.

    Source: HaoChen, Wei, Gaidon and Ma, arXiv 2106.04156, equation 6.
    """
    one, other = outputs.chunk(2)
    products = one @ other.T
    apart = ~torch.eye(len(one), dtype=torch.bool, device=outputs.device)
    return -2 * (one * other).sum(1).mean() + products[apart].square().mean()


mean_squares = Loss(
    lambda outputs, targets: each_mean_square(outputs, targets).mean(), each_mean_square, right=no_answers
)
spectral = Loss(mean_spectral, right=no_answers)
