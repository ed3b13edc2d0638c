"""Parameters: a network's weights by name, and the arithmetic of points in parameter space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

Parameters = Mapping[str, Tensor]


def moved_to(parameters: Parameters, device: torch.device, dtype: torch.dtype) -> Parameters:
    """Return the parameters on a device and in a precision."""
    return {name: value.to(device, dtype) for name, value in parameters.items()}


def stacked(points: Sequence[Parameters]) -> Parameters:
    """Return several points as one, with a first axis over them."""
    return {name: torch.stack([point[name] for point in points]) for name in points[0]}


def difference(parameters: Parameters, origin: Parameters) -> Parameters:
    """Return the displacement `parameters - origin`."""
    return {name: value - origin[name] for name, value in parameters.items()}
