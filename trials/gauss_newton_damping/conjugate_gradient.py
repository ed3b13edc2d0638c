"""Conjugate gradients for a symmetric positive definite operator."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import torch

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor


class Iterated(NamedTuple):
    """An approximate solution, the iterations it took, and ||b - A x|| / ||b|| as the recursion has it."""

    solution: Float[Tensor, " k"]
    iterations: int
    relative_residual: float


def conjugate_gradient(
    operator: Callable[[Tensor], Tensor], right: Float[Tensor, " k"], tolerance: float, most: int
) -> Iterated:
    """Return x with A x = b, from x = 0, once the residual is below `tolerance` times b or after `most` iterations.

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
    return Iterated(solution, iterations, math.sqrt(squared / first) if first else 0.0)
