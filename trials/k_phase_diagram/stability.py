"""How near training is to the learning rate at which it blows up: the curvature of a linearisation on the probe."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch.linalg import matrix_norm

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from trials.core.networks.network import Forward
    from trials.core.parameters import Parameters

Curvature = Callable[["Tensor"], "Tensor"]
"""(..., samples, classes) outputs -> (..., samples, classes, classes) Hessians of the loss in them."""

ITERATIONS = 15


def largest_gauss_newton_eigenvalue(
    forward: Forward,
    parameters: Parameters,
    inputs: Float[Tensor, "samples ..."],
    curvature: Curvature,
    iterations: int = ITERATIONS,
) -> Float[Tensor, ""]:
    """Return the largest eigenvalue of J^T H J / n at the parameters, from below, by power iteration.

    H is the loss's curvature at the outputs for the n inputs. Neither J nor J J^T is formed, so it serves any network:
    J^T v is a reverse pass, and J u the derivative of <J^T v, u> in v.
    """
    leaves = {name: value.detach().requires_grad_() for name, value in parameters.items()}
    weights = list(leaves.values())
    with torch.enable_grad():
        outputs = forward(leaves, inputs)
        cotangent = torch.zeros_like(outputs, requires_grad=True)
        pulled = torch.autograd.grad(outputs, weights, cotangent, create_graph=True)

    def kernel_times(vector: Tensor) -> Tensor:
        back = torch.autograd.grad(outputs, weights, vector, retain_graph=True)
        return torch.autograd.grad(pulled, cotangent, back, retain_graph=True)[0]

    return _by_power_iteration(kernel_times, curvature(outputs.detach()), iterations)


def largest_eigenvalue_by_kernel(
    kernel: Float[Tensor, "*trainings n*c n*c"],
    outputs: Float[Tensor, "*trainings n c"],
    curvature: Curvature,
) -> Float[Tensor, "*trainings"]:
    """Return the same of each training from J J^T, where that is at hand, by the same iteration from the same start."""

    def kernel_times(vector: Tensor) -> Tensor:
        return (kernel @ vector.flatten(-2).unsqueeze(-1)).view_as(vector)

    return _by_power_iteration(kernel_times, curvature(outputs), ITERATIONS)


def _by_power_iteration(
    kernel_times: Callable[[Tensor], Tensor], hessians: Float[Tensor, "*trainings n c c"], iterations: int
) -> Float[Tensor, "*trainings"]:
    """Return the largest eigenvalue of J J^T H / n, which has those of J^T H J / n and lives in output space."""

    def weighted(vector: Tensor) -> Tensor:
        return (hessians @ vector.unsqueeze(-1)).squeeze(-1)

    samples, classes = hessians.shape[-3:-1]
    random = torch.Generator().manual_seed(0)
    vector = torch.randn(samples, classes, generator=random).to(hessians).expand(hessians.shape[:-1])
    for _ in range(iterations):
        vector = kernel_times(weighted(vector))
        vector = vector / matrix_norm(vector, keepdim=True)
    beside = weighted(vector)
    # The quotient in the inner product of H, in which J J^T H is symmetric.
    return (beside * kernel_times(beside)).sum((-2, -1)) / (vector * beside).sum((-2, -1)) / samples
