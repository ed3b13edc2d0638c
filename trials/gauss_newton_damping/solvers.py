"""Equivalent solvers of the damped step, delta = -(J^T H J / n + damping)^{-1} J^T r / n.

The damping is absolute and in units of the mean loss. A solver takes the model and does what every damping shares; what
it returns takes a damping. With A = S^T J and S q = r, the sample-space forms follow from
(A^T A + n damping)^{-1} A^T = A^T (A A^T + n damping)^{-1}.

Source: Nocedal and Wright, Numerical Optimization, 2nd edition, section 10.3 (Levenberg-Marquardt); Henderson and
Searle, "On deriving the inverse of a sum of matrices", SIAM Review 23, 1981 (the exchange of spaces).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from trials.gauss_newton_damping.quadratic import QuadraticModel, spectrum

if TYPE_CHECKING:
    from jaxtyping import Float

InnerMemory = Mapping[str, "Tensor"]
"""What an optimizer remembers from one inner step to the next, by name."""


@dataclass(frozen=True, eq=False)
class Solution:
    """A step, and what an iterative solver says of it.

    Attributes:
        displacement: delta.
        iterations: Iterations taken, None for a direct solver.
        relative_residual: Norm of what is left of the equation over that of its right side, None for a direct solver.
        memory: What a descent remembers at its end.
    """

    displacement: Float[Tensor, " p"]
    iterations: int | None = None
    relative_residual: float | None = None
    memory: InnerMemory = field(default_factory=dict)


@dataclass(frozen=True)
class InnerSettings:
    """What solvers that iterate need.

    Attributes:
        tolerance: Relative size of the residual, or of the gradient, at which to stop; 0 takes every step.
        steps: Most iterations.
        learning_rate: Of gradient descent and of Adam.
        memory: What a descent remembers when it begins.
    """

    tolerance: float = 1e-6
    steps: int = 1000
    learning_rate: float = 0.1
    memory: InnerMemory = field(default_factory=dict)


Solve = Callable[[float], Solution]
Solver = Callable[["QuadraticModel", InnerSettings], Solve]


def solve_in_parameters(model: QuadraticModel, settings: InnerSettings) -> Solve:
    """Factorise the P x P matrix J^T H J + n damping."""
    curvature = model.curvature()
    gradient = model.gradient * model.samples

    def solve(damping: float) -> Solution:
        return Solution(-_solved(curvature, model.samples * damping, gradient))

    return solve


def solve_in_samples(model: QuadraticModel, settings: InnerSettings) -> Solve:
    """Factorise the nC x nC matrix A A^T + n damping; where q is out of reach, the one that needs no q."""
    if model.whitened is None:
        return solve_in_samples_unwhitened(model, settings)
    kernel, whitened = model.kernel(), model.whitened

    def solve(damping: float) -> Solution:
        dual = _solved(kernel, model.samples * damping, whitened.flatten()).view_as(whitened)
        return Solution(-model.jacobian.transposed_times(model.loss.curved.root(model.point, dual)))

    return solve


def solve_in_samples_unwhitened(model: QuadraticModel, settings: InnerSettings) -> Solve:
    """Factorise the nC x nC matrix H J J^T + n damping, which is not symmetric but needs r alone."""
    kernel = model.jacobian.kernel
    curved = model.loss.curved.hessian(model.point, kernel.view(-1, *model.point.shape)).flatten(1).T
    identity = torch.eye(len(curved), dtype=curved.dtype, device=curved.device)

    def solve(damping: float) -> Solution:
        system = curved + model.samples * damping * identity
        dual = torch.linalg.solve(system, model.residual.flatten())
        return Solution(-model.jacobian.transposed_times(dual.view_as(model.residual)))

    return solve


def solve_by_spectrum(model: QuadraticModel, settings: InnerSettings) -> Solve:
    """Decompose once, in the smaller of the two spaces, and filter for every damping; 0 is the pseudo-inverse."""
    decomposed = spectrum(model)
    return lambda damping: Solution(decomposed.damped(damping))


def descend_by_spectrum(model: QuadraticModel, settings: InnerSettings) -> Solve:
    """Take `settings.steps` steps of gradient descent at once, by what they do to each eigenvector."""
    decomposed = spectrum(model)
    return lambda damping: Solution(
        decomposed.descended(damping, settings.learning_rate, settings.steps), iterations=settings.steps
    )


def conjugate_gradient(
    operator: Callable[[Tensor], Tensor], right: Float[Tensor, " k"], tolerance: float, most: int
) -> Solution:
    """Return x with A x = b, from x = 0, once the residual is below `tolerance` times b or after `most` iterations.

    Its relative residual is ||b - A x|| / ||b|| as the recursion has it.

    Source: Hestenes and Stiefel, "Methods of conjugate gradients for solving linear systems", 1952, section 3.
    """
    solution, residual = torch.zeros_like(right), right
    direction = residual
    squared = first = residual @ residual
    iterations = 0
    # Whether to go on is the one number that the host waits for in an iteration.
    while iterations < most and bool(squared > tolerance**2 * first):
        product = operator(direction)
        length = squared / (direction @ product)
        solution = solution + length * direction
        residual = residual - length * product
        before, squared = squared, residual @ residual
        direction = residual + (squared / before) * direction
        iterations += 1
    return Solution(solution, iterations, math.sqrt(squared / first) if first else 0.0)


def solve_by_conjugate_gradient(model: QuadraticModel, settings: InnerSettings) -> Solve:
    """Iterate with products by J and J^T, and no matrix."""

    def solve(damping: float) -> Solution:
        def damped_curvature(vector: Tensor) -> Tensor:
            return model.curvature_times(vector) + damping * vector

        return conjugate_gradient(damped_curvature, -model.gradient, settings.tolerance, settings.steps)

    return solve


QUADRATIC_SOLVERS: Mapping[str, Solver] = MappingProxyType(
    {
        "parameter": solve_in_parameters,
        "sample": solve_in_samples,
        "sample_unwhitened": solve_in_samples_unwhitened,
        "spectral": solve_by_spectrum,
        "cg": solve_by_conjugate_gradient,
        "gradient_descent_spectral": descend_by_spectrum,
    }
)


def _solved(symmetric: Float[Tensor, "k k"], diagonal: float, right: Float[Tensor, " k"]) -> Float[Tensor, " k"]:
    """Return the solution of (symmetric + diagonal) x = right, for a positive semidefinite matrix.

    Where rounding has made the sum indefinite, eigenvalues below 0 count as 0.
    """
    system = symmetric.clone()
    system.diagonal().add_(diagonal)
    factor, failed = torch.linalg.cholesky_ex(system)
    if not failed:
        return torch.cholesky_solve(right[:, None], factor)[:, 0]
    values, vectors = torch.linalg.eigh(symmetric)
    return vectors @ ((vectors.T @ right) / (values.clamp_min(0) + diagonal))
