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


def group_ids(birds: Int64[Tensor, " images"], places: Int64[Tensor, " images"]) -> Int64[Tensor, " images"]:
    """Return 2y + a."""
    return 2 * birds + places


def group_accuracies(
    right: Bool[Tensor, " images"], groups: Int64[Tensor, " images"], count: int = 4
) -> Float[Tensor, " groups"]:
    """Return the share of right answers in each group, NaN where a group has no image, in one pass.

    Args:
        right: Whether each answer is right.
        groups: Group of each image, from 0.
        count: How many groups there are.
    """
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
