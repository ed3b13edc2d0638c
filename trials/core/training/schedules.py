"""Schedules of the learning rate: (steps, warm-up steps) -> the factor of each step.

The factor of step t is what multiplies the learning rate in the update t -> t + 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

Schedule = Callable[[int], float]


def constant(steps: int, warm_steps: int = 0) -> Schedule:
    """Return the factor 1, after a linear rise over the warm-up."""
    return lambda step: _rise(step, warm_steps)


def linear(steps: int, warm_steps: int = 0) -> Schedule:
    """Return a linear rise over the warm-up, then a linear fall that would reach 0 at `steps`."""
    return lambda step: _rise(step, warm_steps) * (1 - _share(step, steps, warm_steps))


def cosine(steps: int, warm_steps: int = 0) -> Schedule:
    """Return a linear rise over the warm-up, then half a cosine that would reach 0 at `steps`.

    Source: Loshchilov and Hutter, arXiv 1608.03983, equation 5, with one period and no floor.
    """
    return lambda step: _rise(step, warm_steps) * (1 + math.cos(math.pi * _share(step, steps, warm_steps))) / 2


SCHEDULES: Mapping[str, Callable[[int, int], Schedule]] = MappingProxyType(
    {"constant": constant, "linear": linear, "cosine": cosine}
)


def _rise(step: int, warm_steps: int) -> float:
    """Return (t + 1) / (w + 1) during the warm-up, so that no step has length 0, and 1 after it."""
    return min(1.0, (step + 1) / (warm_steps + 1))


def _share(step: int, steps: int, warm_steps: int) -> float:
    """Return how much of the training after the warm-up has passed."""
    return min(1.0, max(0, step - warm_steps) / max(1, steps - warm_steps))


def batches_an_epoch(samples: int, batch_size: int, *, whole: bool = True) -> int:
    """Return how many batches an epoch has; what does not fill a `whole` one is left out, else the last and smaller.

    Raises:
        ValueError: The batch is larger than the data set.
    """
    if not 1 <= batch_size <= samples:
        raise ValueError(f"batch_size must be between 1 and the {samples} training samples, got {batch_size}")
    return samples // batch_size if whole else -(-samples // batch_size)
