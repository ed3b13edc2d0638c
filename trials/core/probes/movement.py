"""How far training has moved the parameters, all of them and those of the first and the last layer."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import torch

from trials.core.parameters import Parameters, difference, squared_norm

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor


def relative_distance(parameters: Parameters, initial: Parameters) -> float:
    """Return ||theta - theta_0|| / ||theta_0||, Euclidean over all parameters."""
    return float(torch.sqrt(squared_norm(difference(parameters, initial)) / squared_norm(initial)))


def lengths(displacement: Parameters) -> Float[Tensor, " parts"]:
    """Return the Euclidean length of a displacement: of all entries, of the first layer's, of the last layer's."""
    squares = torch.stack([value.flatten().dot(value.flatten()) for value in displacement.values()])
    return (_parts(tuple(displacement), squares.dtype, squares.device) @ squares).sqrt()


def lengths_of_each(displacements: Parameters) -> Float[Tensor, "displacements parts"]:
    """Return `lengths` of several displacements, the first axis of every tensor over them."""
    squares = torch.stack([value.flatten(1).square().sum(1) for value in displacements.values()])
    return (_parts(tuple(displacements), squares.dtype, squares.device) @ squares).sqrt().T


@lru_cache(maxsize=16)
def _parts(names: tuple[str, ...], dtype: torch.dtype, device: torch.device) -> Float[Tensor, "parts names"]:
    """Return which of the parameters belong to all, to the first layer and to the last layer."""
    layers = [name.rpartition(".")[0] for name in names]
    belongs = [[layer in part for layer in layers] for part in (layers, layers[:1], layers[-1:])]
    return torch.tensor(belongs, dtype=dtype, device=device)


def movement(
    parameters: Parameters, anchor: Parameters, initial: Parameters, path: Float[Tensor, " parts"]
) -> dict[str, float]:
    """Return the columns of distance and path, over the norms at initialisation.

    Args:
        parameters: Where training is.
        anchor: Where the present round began.
        initial: Where training began.
        path: Lengths that the rounds before this one covered, added up.
    """
    scale = lengths(initial).double()
    distances = (lengths(difference(parameters, initial)) / scale).tolist()
    paths = ((path + lengths(difference(parameters, anchor))) / scale).tolist()
    parts = ("", "_first", "_last")
    return {f"param_dist{part}": value for part, value in zip(parts, distances, strict=True)} | {
        f"param_path{part}": value for part, value in zip(parts, paths, strict=True)
    }
