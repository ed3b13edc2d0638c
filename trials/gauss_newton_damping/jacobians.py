"""Jacobians of a network's outputs in its parameters, as operators that know three ways to be held.

Points in parameter space are vectors, in the order of the network's parameters, and so are the columns of J; its rows
are ordered by sample, then by output.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.func import jacrev, vmap

from trials.core.linearisation import load_forward_mode
from trials.core.networks.network import Network
from trials.core.parameters import Parameters

if TYPE_CHECKING:
    from jaxtyping import Float

Shapes = Mapping[str, tuple[int, ...]]


def flattened(parameters: Parameters) -> Float[Tensor, " parameters"]:
    """Return all parameters as one vector."""
    return torch.cat([value.flatten() for value in parameters.values()])


def unflattened(vector: Float[Tensor, " parameters"], shapes: Shapes) -> Parameters:
    """Return the parameters that a vector holds, as views of it."""
    parts = vector.split([math.prod(shape) for shape in shapes.values()])
    return {name: part.view(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}


class Jacobian(Protocol):
    """J at one point of parameter space, on one batch, with the outputs there."""

    @property
    def outputs(self) -> Float[Tensor, "n c"]: ...

    def times(self, displacement: Float[Tensor, " p"]) -> Float[Tensor, "n c"]:
        """Return J v."""

    def transposed_times(self, cotangents: Float[Tensor, "n c"]) -> Float[Tensor, " p"]:
        """Return J^T u."""

    @property
    def kernel(self) -> Float[Tensor, "nc nc"]:
        """J J^T, the neural tangent kernel; it must not be changed in place."""

    @property
    def matrix(self) -> Float[Tensor, "nc p"]:
        """J itself; it must not be changed in place."""

    def curvature(self, hessian: Callable[[Tensor], Tensor]) -> Float[Tensor, "p p"]:
        """Return J^T H J, for H as what it makes of vectors (..., samples, outputs)."""


class _ByMatrix:
    """What follows from J as a matrix."""

    @cached_property
    def kernel(self: Jacobian) -> Float[Tensor, "nc nc"]:
        return self.matrix @ self.matrix.T

    def curvature(self: Jacobian, hessian: Callable[[Tensor], Tensor]) -> Float[Tensor, "p p"]:
        return hessian(self.matrix.T.reshape(-1, *self.outputs.shape)).flatten(1) @ self.matrix


@dataclass(frozen=True, eq=False)
class DenseJacobian(_ByMatrix):
    """J as a matrix, from one reverse-mode pass for each sample and output, vectorised over samples."""

    outputs: Float[Tensor, "n c"]
    matrix: Float[Tensor, "nc p"]

    def times(self, displacement: Float[Tensor, " p"]) -> Float[Tensor, "n c"]:
        return (self.matrix @ displacement).view_as(self.outputs)

    def transposed_times(self, cotangents: Float[Tensor, "n c"]) -> Float[Tensor, " p"]:
        return cotangents.flatten() @ self.matrix


def dense_jacobian(network: Network, theta: Float[Tensor, " p"], inputs: Float[Tensor, "n ..."]) -> DenseJacobian:
    """Return the Jacobian of any network as a matrix."""

    def outputs(vector: Tensor, sample: Tensor) -> Tensor:
        return network.forward(unflattened(vector, network.shapes), sample[None])[0]

    rows = vmap(jacrev(outputs), in_dims=(None, 0))(theta, inputs)
    return DenseJacobian(network.forward(unflattened(theta, network.shapes), inputs), rows.flatten(0, 1))


@dataclass(frozen=True, eq=False)
class MatrixFreeJacobian(_ByMatrix):
    """J as two passes through the network: forward mode for J v, reverse mode through a graph that is kept for J^T u.

    It takes the memory of one forward pass, whatever the number of samples and parameters.
    """

    outputs: Float[Tensor, "n c"]
    theta: Float[Tensor, " p"]
    tracked: Float[Tensor, "n c"]
    forward: Callable[[Tensor], Tensor]

    def times(self, displacement: Float[Tensor, " p"]) -> Float[Tensor, "n c"]:
        load_forward_mode()
        with torch.no_grad(), forward_ad.dual_level():
            dual = forward_ad.make_dual(self.theta.detach(), displacement)
            moved = forward_ad.unpack_dual(self.forward(dual)).tangent
        if moved is None:
            raise ValueError("the network's outputs do not depend on its parameters")
        return moved

    def transposed_times(self, cotangents: Float[Tensor, "n c"]) -> Float[Tensor, " p"]:
        (gradient,) = torch.autograd.grad(self.tracked, self.theta, cotangents, retain_graph=True)
        return gradient

    @cached_property
    def matrix(self) -> Float[Tensor, "nc p"]:
        basis = torch.eye(self.tracked.numel(), dtype=self.tracked.dtype, device=self.tracked.device)
        return torch.stack([self.transposed_times(row.view_as(self.tracked)) for row in basis])


def matrix_free_jacobian(
    network: Network, theta: Float[Tensor, " p"], inputs: Float[Tensor, "n ..."]
) -> MatrixFreeJacobian:
    """Return the Jacobian of any network without forming it."""
    leaf = theta.detach().requires_grad_()

    def forward(vector: Tensor) -> Tensor:
        return network.forward(unflattened(vector, network.shapes), inputs)

    tracked = forward(leaf)
    return MatrixFreeJacobian(tracked.detach(), leaf, tracked, forward)
