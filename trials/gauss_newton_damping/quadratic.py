"""The quadratic model of a mean loss along a linearised network, which every Gauss-Newton step minimises."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from trials.core.losses.loss import Loss
    from trials.gauss_newton_damping.jacobians import Jacobian


@dataclass(frozen=True, eq=False)
class QuadraticModel:
    """delta -> mean over samples of r . J delta + (J delta) . H (J delta) / 2, up to a constant.

    Attributes:
        jacobian: J, over n samples with C outputs each.
        loss: Gives H and its root S at `point`.
        point: Outputs at which the curvature is taken.
        residual: r.
        whitened: q with S q = r; None where it cannot be had in float64.
    """

    jacobian: Jacobian
    loss: Loss
    point: Float[Tensor, "n c"]
    residual: Float[Tensor, "n c"]
    whitened: Float[Tensor, "n c"] | None

    @property
    def samples(self) -> int:
        """n, the number of samples."""
        return len(self.point)

    @cached_property
    def gradient(self) -> Float[Tensor, " p"]:
        """J^T r / n."""
        return self.jacobian.transposed_times(self.residual) / self.samples

    def curvature_times(self, displacement: Float[Tensor, " p"]) -> Float[Tensor, " p"]:
        """Return J^T H J v / n."""
        curved = self.loss.curved.hessian(self.point, self.jacobian.times(displacement))
        return self.jacobian.transposed_times(curved) / self.samples

    def curvature(self) -> Float[Tensor, "p p"]:
        """Return J^T H J."""
        return self.jacobian.curvature(lambda vectors: self.loss.curved.hessian(self.point, vectors))

    def kernel(self) -> Float[Tensor, "nc nc"]:
        """Return A A^T = S^T J J^T S, which must not be changed in place."""
        kernel = self.jacobian.kernel
        # A row times S is S^T times that row; the transpose in between turns the second product to the other side.
        half = self.loss.curved.root_transposed(self.point, kernel.view(-1, *self.point.shape)).flatten(1)
        return self.loss.curved.root_transposed(self.point, half.T.reshape(-1, *self.point.shape)).flatten(1)

    def change(self, moved: Float[Tensor, "n c"]) -> Float[Tensor, ""]:
        """Return the model's change where the linearised outputs move by J delta = `moved`."""
        curved = self.loss.curved.hessian(self.point, moved)
        return (moved * (self.residual + curved / 2)).sum() / self.samples


def gauss_newton_model(jacobian: Jacobian, loss: Loss, targets: Float[Tensor, "n c"]) -> QuadraticModel:
    """Return the generalised Gauss-Newton model at the network's own outputs."""
    return newton_model(jacobian, loss, targets, torch.zeros_like(jacobian.outputs))


def newton_model(
    jacobian: Jacobian, loss: Loss, targets: Float[Tensor, "n c"], moved: Float[Tensor, "n c"]
) -> QuadraticModel:
    """Return the loss of the linearised network to second order around a displacement with J delta = `moved`.

    It is a model of the whole displacement, not of what is added to it: r becomes r(f + moved) - H moved. Minimising it
    with a damping again and again is Newton's method on the damped loss of the linearised network.
    """
    point = jacobian.outputs + moved
    curved, whitened = loss.curved, None
    if curved.whitens(point, targets):
        whitened = curved.whitened_gradient(point, targets) - curved.root_transposed(point, moved)
    residual = curved.gradient(point, targets) - curved.hessian(point, moved)
    return QuadraticModel(jacobian, loss, point, residual, whitened)


def largest_curvature(model: QuadraticModel, iterations: int = 15) -> float:
    """Return the largest eigenvalue of J^T H J / n, from below, by power iterations that begin at the gradient."""
    direction = model.gradient
    value = direction.new_zeros(())
    least = torch.finfo(direction.dtype).tiny  # a gradient of 0 stays 0
    for _ in range(iterations):
        unit = direction / torch.linalg.vector_norm(direction).clamp_min(least)
        direction = model.curvature_times(unit)
        value = unit @ direction
    return float(value)
