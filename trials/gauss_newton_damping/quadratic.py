"""The quadratic model of a mean loss that every Gauss-Newton step minimises, and its spectrum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from trials.core.losses.loss import Loss
from trials.gauss_newton_damping.jacobians import Jacobian

if TYPE_CHECKING:
    from jaxtyping import Float


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


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Eigenvalues w of A A^T (or of A^T A), and the gradient's coordinates: one for every damping and every descent.

    Attributes:
        values: w, at least 0, ascending.
        coordinates: What a filter multiplies: U^T q, or V^T J^T r.
        displacement: Coordinates -> the displacement against the gradient that they stand for.
        samples: n.
    """

    values: Float[Tensor, " k"]
    coordinates: Float[Tensor, " k"]
    displacement: Callable[[Float[Tensor, " k"]], Float[Tensor, " p"]]
    samples: int

    def damped(self, damping: float) -> Float[Tensor, " p"]:
        """Return the damped step; a damping of 0 leaves out the directions whose eigenvalue is rounding."""
        if damping == 0:
            known = self.values > len(self.values) * torch.finfo(self.values.dtype).eps * self.values[-1]
            return self.displacement(self.coordinates * torch.where(known, 1 / self.values, 0))
        return self.displacement(self.coordinates / (self.values + self.samples * damping))

    def descended(self, damping: float, learning_rate: float, steps: int) -> Float[Tensor, " p"]:
        """Return what `steps` steps of gradient descent on the damped model reach from 0.

        Each direction of curvature k = w / n + damping is filtered by (1 - (1 - learning_rate k)^steps) / (n k).

        Source: Ali, Kolter and Tibshirani, arXiv 1810.10082, section 2, for its limit, gradient flow.
        """
        curvatures = self.values / self.samples + damping
        passed = _descended_part(learning_rate * curvatures, steps)
        filtered = torch.where(curvatures > 0, passed / curvatures, learning_rate * steps)
        return self.displacement(self.coordinates * filtered / self.samples)


def spectrum(model: QuadraticModel) -> Spectrum:
    """Return the spectrum, in sample space if that is the smaller one and q is known, else in parameter space."""
    whitened, samples = model.whitened, model.samples
    if whitened is not None and whitened.numel() <= model.gradient.numel():
        values, vectors = torch.linalg.eigh(model.kernel())

        def from_samples(coordinates: Tensor) -> Tensor:
            dual = (vectors @ coordinates).view_as(whitened)
            return -model.jacobian.transposed_times(model.loss.curved.root(model.point, dual))

        return Spectrum(values.clamp_min(0), vectors.T @ whitened.flatten(), from_samples, samples)
    values, vectors = torch.linalg.eigh(model.curvature())
    coordinates = vectors.T @ model.gradient * samples
    return Spectrum(values.clamp_min(0), coordinates, lambda filtered: -(vectors @ filtered), samples)


def _descended_part(rates: Float[Tensor, " k"], steps: int) -> Float[Tensor, " k"]:
    """Return 1 - (1 - rate)^steps, to full precision where the rate is small."""
    small = rates.clamp_max(0.5)
    return torch.where(rates < 0.5, -torch.expm1(steps * torch.log1p(-small)), 1 - (1 - rates) ** steps)
