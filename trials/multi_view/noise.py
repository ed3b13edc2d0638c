"""Noise and initialisation: unit directions of all patches, and the channels' first projections on them.

Weights start as normal numbers of variance sigma_0^2. All tensors here are for sigma_0 = 1 and patches of norm 1, so
that trials that differ in magnitudes alone share them. By rotation invariance the features are the first coordinate
axes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import torch

from trials.core.streams import generator

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from trials.multi_view.knobs import MultiViewKnobs, PatchShape


@dataclass(frozen=True, eq=False)
class Geometry:
    """All that training needs to know of the patches' directions. A direction of noise is that of label times noise.

    Attributes:
        features: First projections on the features.
        noise: First projections on the noise.
        gram: Inner products of the directions, features first; None where they are orthonormal.
        weights_product: Inner products of the channels' first weights; None where fresh noise has no use for them.
    """

    features: Float[Tensor, "channels features"]
    noise: Float[Tensor, "channels noises draws"]
    gram: Float[Tensor, "directions directions"] | None = None
    weights_product: Float[Tensor, "channels channels"] | None = None

    @cached_property
    def gram_inverse(self) -> Float[Tensor, "directions directions"]:
        """The Gram matrix's pseudoinverse: more directions than dimensions depend on each other."""
        assert self.gram is not None
        return torch.linalg.pinv(self.gram, hermitian=True)


class Drawn(NamedTuple):
    """What decides the directions and the first weights; `samples` are those of a copy, which each has its stream."""

    seed: int
    channels: int
    dimension: int
    samples: int
    shape: PatchShape


def drawn(knobs: MultiViewKnobs) -> Drawn:
    """Return what decides the directions and the first weights of a trial."""
    return Drawn(knobs.seed, knobs.channels, knobs.dimension, knobs.samples, knobs.shape)


def orthonormal(drawn: Drawn) -> Geometry:
    """Return projections on orthonormal directions, which are independent normal numbers, whatever the dimension."""
    # A stream each: further features or copies leave the first ones as they are.
    features = [_normal(drawn, "features", feature, drawn.channels) for feature in range(drawn.shape.features)]
    noise_shape = (drawn.channels, drawn.shape.noises, drawn.samples)
    noise = [_normal(drawn, "noise", copy, *noise_shape) for copy in _copies(drawn)]
    return Geometry(torch.stack(features, dim=1), torch.cat(noise, dim=2))


def gaussian(drawn: Drawn) -> Geometry:
    """Return the projections on normal noise of covariance I/d, and how it overlaps."""
    directions, weights = gaussian_directions(drawn)
    shape = drawn.shape
    projections = weights @ directions.T
    return Geometry(
        features=projections[:, : shape.features],
        noise=projections[:, shape.features :].reshape(drawn.channels, shape.noises, shape.draws),
        gram=directions @ directions.T,
        weights_product=weights @ weights.T,
    )


def gaussian_directions(drawn: Drawn) -> tuple[Tensor, Tensor]:
    """Return directions (directions, dimension), features first, and weights (channels, dimension)."""
    shape = drawn.shape
    axes = torch.eye(shape.features, drawn.dimension, dtype=torch.float64)
    draws = [_normal(drawn, "noise", copy, shape.noises, drawn.samples, drawn.dimension) for copy in _copies(drawn)]
    noise = torch.cat(draws, dim=1).flatten(0, 1) / drawn.dimension**0.5
    return torch.cat([axes, noise]), _normal(drawn, "initialisation", 0, drawn.channels, drawn.dimension)


@lru_cache(maxsize=4)
def geometry(noise: str, drawn: Drawn) -> Geometry:
    """Return the geometry of one of `NOISES`, once for the trials of a group that share it."""
    return NOISES[noise](drawn)


NOISES: Mapping[str, Callable[[Drawn], Geometry]] = MappingProxyType({"orthonormal": orthonormal, "gaussian": gaussian})


def _copies(drawn: Drawn) -> range:
    return range(drawn.shape.draws // drawn.samples)


def _normal(drawn: Drawn, stream: str, index: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator(drawn.seed, stream, index), dtype=torch.float64)
