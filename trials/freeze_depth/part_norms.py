"""Norms of a network's parts: of their gradients, of their weights and of how far these have moved."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from trials.core.layer_groups.groups import LayerGroups
    from trials.core.rows import Row

WHOLE = "all"
"""Stands for the whole network among the names of parts."""


def gradients_squared(groups: LayerGroups, gradient: Mapping[str, Tensor]) -> Float[Tensor, " parts"]:
    """Return the squared norm of each part's gradient, 0 where it has none, without waiting for the device."""
    named = [[gradient[name] for name in own if name in gradient] for _, own in _parts(groups)]
    return torch.stack([_squared(gradients, next(groups.parameters())) for gradients in named])


def part_rows(
    groups: LayerGroups, initial: Mapping[str, Tensor], gradients: Float[Tensor, " parts"] | None
) -> list[Row]:
    """Return the columns of each part in their order, those of the whole network last; waits for the device.

    `initial` are its parameters at first, `gradients` what `gradients_squared` returned at the last step, if there was.
    """
    like = next(groups.parameters())
    squares, counts = [], []
    for _, own in _parts(groups):
        before = [initial[name] for name in own]
        moved = [value.detach() - first for value, first in zip(own.values(), before, strict=True)]
        squares.append(torch.stack([_squared(each, like) for each in (own.values(), before, moved)]))
        counts.append(sum(value.numel() for value in own.values() if value.requires_grad))
    columns = torch.stack([*squares, torch.stack(squares).sum(0)]).tolist()
    of_gradients = [None] * len(columns) if gradients is None else [*gradients.tolist(), float(gradients.sum())]
    parts = zip((*groups.names, WHOLE), (*counts, sum(counts)), of_gradients, columns, strict=True)
    return [_row(*part) for part in parts]


def _row(name: str, count: int, gradient: float | None, squares: list[float]) -> Row:
    now, before, moved = squares
    norm = None if gradient is None or not count else math.sqrt(gradient)
    return {
        "part": name,
        "grad_norm": norm,
        "grad_norm_per_sqrt_param": None if norm is None else norm / math.sqrt(count),
        "weight_norm": math.sqrt(now),
        "weight_drift_rel": math.sqrt(moved / before) if before else None,
    }


def _parts(groups: LayerGroups) -> Iterator[tuple[str, dict[str, Tensor]]]:
    for part in groups.names:
        yield part, {f"{part}.{name}": value for name, value in groups.get_submodule(part).named_parameters()}


def _squared(tensors: Iterable[Tensor], like: Tensor) -> Float[Tensor, ""]:
    total = torch.zeros((), device=like.device)
    for tensor in tensors:
        total = total + tensor.detach().square().sum()
    return total
