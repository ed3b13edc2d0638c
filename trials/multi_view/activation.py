"""The activation of the patchwise network: one layer of channels that looks at each patch alike.

Source: Shen, Bubeck and Gunasekar, arXiv 2203.01572; the data model descends from Allen-Zhu and Li, arXiv 2012.09816.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

# |z|^(q-1) for |z| <= 1. Products: a general power takes ten times as long.
_POWERS: Mapping[int, Callable[[Tensor], Tensor]] = MappingProxyType(
    {1: torch.ones_like, 2: torch.abs, 3: torch.square, 4: lambda z: z.abs() * z.square()}
)


def activation(z: Float[Tensor, " ..."], exponent: int) -> Float[Tensor, " ..."]:
    """Return psi: sign(z) |z|^q / q where |z| <= 1, beyond it the tangent."""
    clamped, slope = clamped_and_slope(z, exponent)
    return torch.addcmul(z - clamped, clamped, slope, value=1 / exponent)


def clamped_and_slope(z: Float[Tensor, " ..."], exponent: int) -> tuple[Tensor, Tensor]:
    """Return z cut to [-1, 1] and psi'(z) = min(|z|, 1)^(q-1), which is even, not negative and at most 1."""
    clamped = z.clamp(-1.0, 1.0)
    return clamped, _POWERS[exponent](clamped)
