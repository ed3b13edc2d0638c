"""The spectrum of a Gauss-Newton model: one decomposition that serves every damping and every descent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from trials.gauss_newton_damping.quadratic import QuadraticModel


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Eigenvalues w of A A^T (or of A^T A), and the gradient's coordinates in the eigenvectors.

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
