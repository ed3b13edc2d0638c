"""Stochastic gradient descent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from trials.core.parameters import Parameters


def sgd_step(parameters: Parameters, gradient: Parameters, learning_rate: float) -> Parameters:
    """Return the parameters after one step against the gradient."""
    return {name: torch.sub(value, gradient[name], alpha=learning_rate) for name, value in parameters.items()}
