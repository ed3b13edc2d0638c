"""Freezing: the first parts of a network keep their parameters and their running statistics."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trials.core.choices import refuse_depth

if TYPE_CHECKING:
    from torch import Tensor

    from trials.core.layer_groups.groups import LayerGroups


@dataclass(frozen=True, kw_only=True)
class Freezing:
    """What is frozen and what trains.

    Attributes:
        frozen: Names of the parameters that stay.
        trainable: Names of the parameters that train.
        num_frozen: How many numbers stay.
        num_trainable: How many numbers train.
    """

    frozen: tuple[str, ...]
    trainable: tuple[str, ...]
    num_frozen: int
    num_trainable: int


def freeze(groups: LayerGroups, depth: int, *, statistics: bool = False, spared: Collection[str] = ()) -> Freezing:
    """Freeze the first `depth` parts, free the others, and return what is frozen.

    Frozen parts have no gradients and are in eval mode even after `groups.train()`.

    Args:
        groups: The network, changed in place.
        depth: How many parts are frozen.
        statistics: Whether batch normalisation of the trainable parts uses and keeps its running statistics as well.
        spared: Names of parameters that train at every depth; what a frozen part makes of an image then changes.

    Raises:
        ValueError: The network has no such depth.
    """
    refuse_depth(depth, groups.names)
    groups.frozen_depth, groups.keep_statistics = depth, statistics
    for number, name in enumerate(groups.names):
        groups.get_submodule(name).requires_grad_(number >= depth)
    for name in spared:
        groups.get_parameter(name).requires_grad_(True)
    groups.train(groups.training)
    named = dict(groups.named_parameters())
    frozen = {name: value for name, value in named.items() if not value.requires_grad}
    trainable = {name: value for name, value in named.items() if value.requires_grad}
    return Freezing(
        frozen=tuple(frozen),
        trainable=tuple(trainable),
        num_frozen=_numbers(frozen.values()),
        num_trainable=_numbers(trainable.values()),
    )


def _numbers(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() for tensor in tensors)
