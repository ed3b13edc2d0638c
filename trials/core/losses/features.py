"""Losses of features against features that are given, a teacher's for instance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from trials.core.losses.loss import Loss, no_answers

if TYPE_CHECKING:
    from jaxtyping import Float


def each_mean_square(
    outputs: Float[Tensor, "batch features"], targets: Float[Tensor, "batch features"]
) -> Float[Tensor, " batch"]:
    """Return the mean over its features of every sample's squared distances to the targets."""
    return (outputs - targets).square().mean(-1)


mean_squares = Loss(
    lambda outputs, targets: each_mean_square(outputs, targets).mean(), each_mean_square, right=no_answers
)
