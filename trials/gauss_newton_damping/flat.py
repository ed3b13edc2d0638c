"""Points in parameter space as one vector, in the order of the network's parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from trials.core.parameters import Parameters

Shapes = Mapping[str, tuple[int, ...]]


def flattened(parameters: Parameters) -> Float[Tensor, " parameters"]:
    """Return all parameters as one vector."""
    return torch.cat([value.flatten() for value in parameters.values()])


def unflattened(vector: Float[Tensor, " parameters"], shapes: Shapes) -> Parameters:
    """Return the parameters that a vector holds, as views of it."""
    parts = vector.split([math.prod(shape) for shape in shapes.values()])
    return {name: part.view(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}
