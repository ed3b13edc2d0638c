"""Answers of a network in layer groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from jaxtyping import Int64
    from torch import Tensor

    from trials.core.layer_groups.groups import LayerGroups

_AT_ONCE = 256  # images


def predictions(groups: LayerGroups, inputs: Tensor, start: int = 0) -> Int64[Tensor, " images"]:
    """Return the answers in eval mode.

    Args:
        groups: The network, left in eval mode.
        inputs: Activations after the first `start` parts.
        start: How many parts the inputs have passed already.
    """
    groups.eval()
    with torch.no_grad():
        return torch.cat([groups.forward_range(some, start).argmax(1) for some in inputs.split(_AT_ONCE)])
