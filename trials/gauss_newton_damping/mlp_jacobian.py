"""The Jacobian of a ReLU perceptron in closed form, layer by layer, without ever forming it.

The row of sample i and output c has, for each layer, the outer product of d_ic, the derivative of the output in the
layer's pre-activations, with the layer's inputs a_i, and d_ic itself for the bias. So the tangent kernel is

    Theta[(i, c), (j, d)] = sum over layers of (a_i . a_j + 1) (d_ic . d_jd),

which costs (n C)^2 times the units of the network instead of (n C)^2 times its parameters. The curvature J^T H J has
for each two layers l and m the block

    sum over samples of (D_i^l)^T H_i D_i^m (x) a_i^l (a_i^m)^T,    D_i the stack of d_ic,

in which outputs are summed first: n P^2 instead of 2 n C P^2.

Source: Jacot, Gabriel and Hongler, arXiv 1806.07572, section 4 (the kernel); the factors are backpropagation by hand.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.functional import linear, relu

from trials.core.networks.network import Network
from trials.gauss_newton_damping.jacobians import Shapes, unflattened

if TYPE_CHECKING:
    from jaxtyping import Float

_MOST_PRODUCTS = 2**24  # numbers that hold products of inputs at a time


class LayerFactors(NamedTuple):
    """What one layer contributes: its inputs, and the outputs' derivatives in its pre-activations."""

    inputs: Float[Tensor, "n inputs"]
    derivatives: Float[Tensor, "n c units"]


@dataclass(frozen=True, eq=False)
class PerceptronJacobian:
    """J as the factors of its layers; see `jacobians.Jacobian` for its methods."""

    outputs: Float[Tensor, "n c"]
    layers: tuple[LayerFactors, ...]
    shapes: Shapes

    def times(self, displacement: Float[Tensor, " p"]) -> Float[Tensor, "n c"]:
        moved = unflattened(displacement, self.shapes)
        total = torch.zeros_like(self.outputs)
        for (inputs, derivatives), (weight, bias) in zip(self.layers, _pairs(moved), strict=True):
            total += torch.einsum("nco,no->nc", derivatives, linear(inputs, weight, bias))
        return total

    def transposed_times(self, cotangents: Float[Tensor, "n c"]) -> Float[Tensor, " p"]:
        parts = []
        for inputs, derivatives in self.layers:
            backward = torch.einsum("nc,nco->no", cotangents, derivatives)
            parts += [(backward.T @ inputs).flatten(), backward.sum(0)]
        return torch.cat(parts)

    def curvature(self, hessian: Callable[[Tensor], Tensor]) -> Float[Tensor, "p p"]:
        sizes = [(layer.inputs.shape[1] + 1) * layer.derivatives.shape[2] for layer in self.layers]
        total = self.outputs.new_empty(sum(sizes), sum(sizes))
        starts = list(itertools.accumulate(sizes, initial=0))
        # Outputs last, before them the units as leading dimension: what a Hessian is applied to.
        curved = [hessian(layer.derivatives.permute(2, 0, 1)).permute(1, 2, 0) for layer in self.layers]
        for row, column in itertools.combinations_with_replacement(range(len(self.layers)), 2):
            block = _block(self.layers[row], self.layers[column], curved[column])
            rows, columns = (slice(starts[layer], starts[layer + 1]) for layer in (row, column))
            total[rows, columns] = block
            total[columns, rows] = block.T
        return total

    @cached_property
    def kernel(self) -> Float[Tensor, "nc nc"]:
        samples, outputs = self.outputs.shape
        total = self.outputs.new_zeros(samples * outputs, samples * outputs)
        for inputs, derivatives in self.layers:
            flat = derivatives.reshape(samples * outputs, -1)
            product = (flat @ flat.T).view(samples, outputs, samples, outputs)
            total += product.mul_((inputs @ inputs.T + 1)[:, None, :, None]).view_as(total)
        return total

    @cached_property
    def matrix(self) -> Float[Tensor, "nc p"]:
        rows = self.outputs.numel()
        parts = []
        for inputs, derivatives in self.layers:
            parts += [
                torch.einsum("nco,ni->ncoi", derivatives, inputs).reshape(rows, -1),
                derivatives.reshape(rows, -1),
            ]
        return torch.cat(parts, 1)


def perceptron_jacobian(
    network: Network, theta: Float[Tensor, " p"], inputs: Float[Tensor, "n ..."]
) -> PerceptronJacobian:
    """Return the Jacobian of a network of `mlp` with biases."""
    layers = list(_pairs(unflattened(theta, network.shapes)))
    activations = [inputs.flatten(1)]
    for weight, bias in layers[:-1]:
        activations.append(relu(linear(activations[-1], weight, bias)))
    outputs = linear(activations[-1], *layers[-1])
    derivatives = torch.eye(outputs.shape[1], dtype=outputs.dtype, device=outputs.device).expand(len(outputs), -1, -1)
    factors = [LayerFactors(activations[-1], derivatives)]
    for layer in range(len(layers) - 1, 0, -1):
        derivatives = (derivatives @ layers[layer][0]) * (activations[layer] > 0)[:, None, :]
        factors.insert(0, LayerFactors(activations[layer - 1], derivatives))
    return PerceptronJacobian(outputs, tuple(factors), network.shapes)


def _block(
    first: LayerFactors, second: LayerFactors, curved: Float[Tensor, "n c units"]
) -> Float[Tensor, "first_parameters second_parameters"]:
    """Return J_1^T H J_2 of two layers, of the second of which H D is given."""
    inputs = [functional.pad(layer.inputs, (0, 1), value=1.0) for layer in (first, second)]
    shape = [*(part.shape[1] for part in inputs), first.derivatives.shape[2], curved.shape[2]]
    total = curved.new_zeros(shape[0] * shape[1], shape[2] * shape[3])
    chunk = max(1, _MOST_PRODUCTS // len(total))
    for samples in torch.arange(len(curved)).split(chunk):
        units = first.derivatives[samples].transpose(1, 2) @ curved[samples]
        products = inputs[0][samples, :, None] * inputs[1][samples, None, :]
        total.addmm_(products.flatten(1).T, units.flatten(1))
    by_parameter = total.view(shape).permute(2, 0, 3, 1)
    # A layer's weights stand before its biases, which are here the last input of every unit.
    weights_first = torch.cat([by_parameter[:, :-1].flatten(0, 1), by_parameter[:, -1]])
    return torch.cat([weights_first[:, :, :-1].flatten(1), weights_first[:, :, -1]], 1)


def _pairs(parameters: object) -> zip[tuple[Tensor, Tensor]]:
    """Return the weight and the bias of every layer."""
    values = list(parameters.values())  # type: ignore[attr-defined]
    return zip(values[::2], values[1::2], strict=True)
