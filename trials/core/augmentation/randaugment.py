"""RandAugment and random erasing, row by row, each row from a random state of its own."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from jaxtyping import Float32, Shaped
    from torch import Tensor

OPERATIONS, MAGNITUDE, ERASED_SHARE = 2, 9, 0.25
_SEEDS = 2**24  # what a number of float32 below 1 can tell apart


def strengthened(
    images: Shaped[Tensor, "batch channels height width"], numbers: Float32[Tensor, " batch"]
) -> Shaped[Tensor, "batch channels height width"]:
    """Return each image after two random operations and, for a quarter of them, a black rectangle.

    Torchvision draws from PyTorch's global generator, which is set for every row and left as it was: a row's result is
    a function of its number.

    Source: Cubuk et al., arXiv 1909.13719, section 3; Zhong et al., arXiv 1708.04896, section 3.
    """
    transform = _transform()
    rows = []
    with torch.random.fork_rng(devices=[]):
        for image, seed in zip(images, (numbers * _SEEDS).long().tolist(), strict=True):
            torch.default_generator.manual_seed(seed)
            rows.append(transform(image))
    return torch.stack(rows)


@cache
def _transform() -> Callable[[Tensor], Tensor]:
    from torchvision.transforms import v2

    return v2.Compose([v2.RandAugment(OPERATIONS, MAGNITUDE), v2.RandomErasing(ERASED_SHARE)])
