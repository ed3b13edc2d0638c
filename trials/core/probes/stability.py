"""How near training is to the learning rate at which it blows up: the curvature of a linearisation on the probe."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from trials.core.networks.network import Forward
    from trials.core.parameters import Parameters

Curvature = Callable[["Tensor"], "Tensor"]
"""(samples, classes) outputs -> (samples, classes, classes) Hessians of the loss in them."""


def largest_gauss_newton_eigenvalue(
    forward: Forward,
    parameters: Parameters,
    inputs: Float[Tensor, "samples ..."],
    curvature: Curvature,
    iterations: int = 15,
) -> Float[Tensor, ""]:
    """Return the largest eigenvalue of J^T H J / n, from below, by power iteration.

    The iteration is of J J^T H / n, which has the same eigenvalues and lives in output space. Neither J nor J J^T is
    formed, so it serves any network: J^T v is a reverse pass, and J u the derivative of <J^T v, u> in v.

    Args:
        forward: The network.
        parameters: Where J is taken, and H at the network's outputs there.
        inputs: The n samples.
        curvature: Outputs -> H.
        iterations: Steps of the power iteration.
    """
    leaves = {name: value.detach().requires_grad_() for name, value in parameters.items()}
    weights = list(leaves.values())
    with torch.enable_grad():
        outputs = forward(leaves, inputs)
        cotangent = torch.zeros_like(outputs, requires_grad=True)
        pulled = torch.autograd.grad(outputs, weights, cotangent, create_graph=True)
    hessians = curvature(outputs.detach())

    def weighted(vector: Tensor) -> Tensor:
        return torch.einsum("icd,id->ic", hessians, vector)

    def kernel_times(vector: Tensor) -> Tensor:
        back = torch.autograd.grad(outputs, weights, vector, retain_graph=True)
        return torch.autograd.grad(pulled, cotangent, back, retain_graph=True)[0]

    random = torch.Generator().manual_seed(0)
    vector = torch.randn(outputs.shape, generator=random).to(hessians)
    for _ in range(iterations):
        vector = kernel_times(weighted(vector))
        vector = vector / vector.norm()
    beside = weighted(vector)
    # The quotient in the inner product of H, in which J J^T H is symmetric.
    return (beside * kernel_times(beside)).sum() / (vector * beside).sum() / len(outputs)
