"""How far training has moved the parameters."""

from __future__ import annotations

import torch

from trials.core.parameters import Parameters, difference, squared_norm


def relative_distance(parameters: Parameters, initial: Parameters) -> float:
    """Return ||theta - theta_0|| / ||theta_0||, Euclidean over all parameters."""
    return float(torch.sqrt(squared_norm(difference(parameters, initial)) / squared_norm(initial)))
