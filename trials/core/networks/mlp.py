"""The multilayer perceptron with ReLU."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

from torch.nn.functional import linear, relu

from trials.core.networks.network import Network, layer_shapes

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from trials.core.parameters import Parameters


def mlp(input_shape: tuple[int, ...], classes: int, *, width: int, depth: int, bias: bool = True) -> Network:
    """Return a perceptron with `depth` hidden layers of `width` units; depth 0 is a linear classifier."""
    widths = [math.prod(input_shape), *[width] * depth, classes]
    names = [*(f"hidden{layer}" for layer in range(1, depth + 1)), "readout"]
    shapes: dict[str, tuple[int, ...]] = {}
    for name, inputs, outputs in zip(names, widths[:-1], widths[1:], strict=True):
        shapes |= layer_shapes(name, (outputs, inputs), bias)
    return Network(shapes=shapes, forward=partial(_forward, tuple(names)))


def _forward(
    names: tuple[str, ...], parameters: Parameters, inputs: Float[Tensor, "batch ..."]
) -> Float[Tensor, "batch classes"]:
    activations = inputs.flatten(1)
    for name in names[:-1]:
        activations = relu(linear(activations, parameters[f"{name}.weight"], parameters.get(f"{name}.bias")))
    return linear(activations, parameters["readout.weight"], parameters.get("readout.bias"))
