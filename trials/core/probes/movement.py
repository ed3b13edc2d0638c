"""How far training has moved the parameters: all of them, and layer by layer.

A layer is what one name before the first dot stands for: a stage of residual blocks is one.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import torch

from trials.core.parameters import Parameters, difference
from trials.core.probes.columns import LAYERS, PARTS

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor


def lengths(displacement: Parameters) -> Float[Tensor, " parts"]:
    """Return the Euclidean length of a displacement in each of `PARTS`; 0 for a layer that the network lacks."""
    squares = torch.stack([value.flatten().dot(value.flatten()) for value in displacement.values()])
    return (_parts(tuple(displacement), squares.dtype, squares.device) @ squares).sqrt()


def lengths_of_each(displacements: Parameters) -> Float[Tensor, "displacements parts"]:
    """Return `lengths` of several displacements, the first axis of every tensor over them."""
    squares = torch.stack([value.flatten(1).square().sum(1) for value in displacements.values()])
    return (_parts(tuple(displacements), squares.dtype, squares.device) @ squares).sqrt().T


@lru_cache(maxsize=16)
def _parts(names: tuple[str, ...], dtype: torch.dtype, device: torch.device) -> Float[Tensor, "parts names"]:
    """Return which of the parameters belong to each of `PARTS`."""
    layers = [name.partition(".")[0] for name in names]
    distinct = list(dict.fromkeys(layers))
    numbered = [distinct[number : number + 1] for number in range(LAYERS)]
    belongs = [[layer in part for layer in layers] for part in (layers, layers[:1], layers[-1:], *numbered)]
    return torch.tensor(belongs, dtype=dtype, device=device)


def movement(
    parameters: Parameters, anchor: Parameters, initial: Parameters, path: Float[Tensor, "*trainings parts"]
) -> dict[str, Float[Tensor, "*trainings"]]:
    """Return the columns of distance and path, over the norms at initialisation, of the layers that there are.

    Args:
        parameters: Where training is; of several trainings, with a first axis over them, as all that follows.
        anchor: Where the present round began.
        initial: Where training began.
        path: Lengths that the rounds before this one covered, added up.
    """
    length = lengths if path.ndim == 1 else lengths_of_each
    scale = length(initial).double()
    moved = {"param_dist": length(difference(parameters, initial))}
    moved["param_path"] = path + length(difference(parameters, anchor))
    return {
        f"{column}{part}": each
        for column, covered in moved.items()
        for part, each in zip(present_parts(initial), (covered / scale).unbind(-1), strict=False)
    }


def present_parts(parameters: Parameters) -> tuple[str, ...]:
    """Return those of `PARTS` that the parameters have: the first of them, for layers are counted from the input."""
    layers = len({name.partition(".")[0] for name in parameters})
    return PARTS[: len(PARTS) - LAYERS + min(layers, LAYERS)]
