"""Accuracy by group: of the worst group, and averages under other frequencies of the groups.

Source: Sagawa et al., arXiv 1911.08731, section 2 (worst-group accuracy) and appendix C.1 (the average adjusted to the
training set's groups, since test sets are balanced).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int64
    from torch import Tensor

    from trials.core.layer_groups.groups import LayerGroups

_AT_ONCE = 256  # images


def group_accuracies(
    right: Bool[Tensor, " images"], groups: Int64[Tensor, " images"], count: int
) -> Float[Tensor, " groups"]:
    """Return the share of right answers in each of `count` groups, NaN where a group has no image, in one pass."""
    sums = torch.zeros(2, count, dtype=torch.float64, device=groups.device)
    sums.index_add_(1, groups, torch.stack([right.double(), torch.ones_like(right, dtype=torch.float64)]))
    return sums[0] / sums[1]


def worst_group(accuracies: Sequence[float]) -> tuple[int, float]:
    """Return the number of the group with the lowest accuracy, the first of equals, and its accuracy."""
    worst = min(range(len(accuracies)), key=accuracies.__getitem__)
    return worst, accuracies[worst]


def adjusted_average(accuracies: Sequence[float], counts: Sequence[int]) -> float:
    """Return sum_g n_g acc_g / sum_g n_g: accuracy where groups are as frequent as `counts` says."""
    return sum(count * accuracy for count, accuracy in zip(counts, accuracies, strict=True)) / sum(counts)


def group_columns(
    right: Bool[Tensor, " images"],
    groups: Int64[Tensor, " images"],
    counts: Sequence[int],
    split: str,
    names: Sequence[str],
) -> dict[str, float | None]:
    """Return the columns of one split, which bear its name and those of the groups; waits for the device.

    Args:
        right: Whether each answer is right.
        groups: Group of each image.
        counts: Training images of each group.
        split: Name of the split.
        names: Names of the groups.
    """
    accuracies = group_accuracies(right, groups, len(names)).tolist()
    named = {f"{split}_group_acc_{name}": value for name, value in zip(names, accuracies, strict=True)}
    return {
        **named,
        f"{split}_adjusted_avg": adjusted_average(accuracies, counts),
        f"{split}_worst_group_acc": worst_group(accuracies)[1],
    }


def predictions(groups: LayerGroups, inputs: Tensor, start: int = 0) -> Int64[Tensor, " images"]:
    """Return the answers of a network, left in eval mode, to activations after its first `start` parts."""
    groups.eval()
    with torch.no_grad():
        return torch.cat([groups.forward_range(some, start).argmax(1) for some in inputs.split(_AT_ONCE)])
