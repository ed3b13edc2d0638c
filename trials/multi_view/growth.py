"""Closed forms: how a channel's projection on a feature grows while nothing is fitted yet.

While the outputs are small, each sample pulls with a weight of 1/2, and a projection z of a channel grows by
dz/dt = r psi'(z), whatever the other features do. The rate r is half of frequency times squared magnitude.

Source of the growth law: Shen, Bubeck and Gunasekar, arXiv 2203.01572. Its integrals and the importance ratio are
derived from it here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor


def growth_rate(frequency: Float[Tensor, " ..."], magnitude: Float[Tensor, " ..."]) -> Float[Tensor, " ..."]:
    """Return r = frequency x magnitude^2 / 2."""
    return frequency * magnitude.square() / 2


def learning_time(
    start: Float[Tensor, " ..."], end: float, rate: Float[Tensor, " ..."], exponent: int
) -> Float[Tensor, " ..."]:
    """Return the time in which a projection grows from `start` to `end` <= 1.

    A projection that is not positive never arrives, unless the network is linear (q = 1): it creeps up towards 0.
    """
    if exponent == 1:
        time = (end - start) / rate
    else:
        positive = start.clamp(min=torch.finfo(start.dtype).tiny)
        time = (_transformed(torch.full_like(start, end), exponent) - _transformed(positive, exponent)) / rate
        time = torch.where(start > 0, time, torch.inf)
    return torch.where(start >= end, 0.0, time)


def grown(
    start: Float[Tensor, " ..."], rate: Float[Tensor, " ..."], time: Float[Tensor, " ..."], exponent: int
) -> Float[Tensor, " ..."]:
    """Return a projection after a time; where it has passed 1 it grows linearly.

    Args:
        start: Its initial value, in (-1, 1).
        rate: The rate r.
        time: Learning rate times steps.
        exponent: The network's q.
    """
    if exponent == 1:
        return start + rate * time
    magnitude, sign = start.abs().clamp(min=torch.finfo(start.dtype).tiny), torch.sign(start)
    arrival = (_transformed(torch.ones_like(magnitude), exponent) - _transformed(magnitude, exponent)) / rate
    arrived = (sign > 0) & (time >= arrival)
    moving = torch.where(arrived, 0.0, time)
    below = sign * _inverse(_transformed(magnitude, exponent) + sign * rate * moving, exponent)
    return torch.where(arrived, 1 + rate * (time - arrival), below)


def importance_ratio(
    frequency: Float[Tensor, " ..."],
    magnitude: Float[Tensor, " ..."],
    noise_frequency: float,
    noise_magnitude: Float[Tensor, " ..."],
    exponent: int,
) -> Float[Tensor, " ..."]:
    """Return the score frequency x magnitude^q of a feature over that of a sample's noise: n rho m^q / sigma^q.

    Above 1 the feature is learned before the noise of its samples. At q = 2 this holds up to a ratio of logarithms; at
    q = 1 all features grow at once.
    """
    return frequency * magnitude**exponent / (noise_frequency * noise_magnitude**exponent)


def _transformed(z: Float[Tensor, " ..."], exponent: int) -> Float[Tensor, " ..."]:
    """Return the function of a positive projection that grows linearly, with slope r, for q >= 2."""
    return torch.log(z) if exponent == 2 else -(z ** (2 - exponent)) / (exponent - 2)


def _inverse(value: Float[Tensor, " ..."], exponent: int) -> Float[Tensor, " ..."]:
    return torch.exp(value) if exponent == 2 else (-(exponent - 2) * value) ** (-1 / (exponent - 2))
