"""Mixtures of the images of a batch, and of their labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch

from trials.core.streams import generator

if TYPE_CHECKING:
    from jaxtyping import Float, Int64
    from torch import Tensor

MIXUP_CONCENTRATION, CUTMIX_CONCENTRATION = 0.8, 1.0
Batch = tuple["Tensor", "Tensor"]
Mixing = Callable[["Tensor", "Tensor", int, int, int], Batch]


def unmixed(
    inputs: Float[Tensor, "batch ..."], labels: Int64[Tensor, " batch"], classes: int, seed: int, step: int
) -> Batch:
    """Return the batch as it is."""
    return inputs, labels


def mixup_or_cutmix(
    inputs: Float[Tensor, "batch channels height width"],
    labels: Int64[Tensor, " batch"],
    classes: int,
    seed: int,
    step: int,
) -> tuple[Float[Tensor, "batch channels height width"], Float[Tensor, "batch classes"]]:
    """Return each image mixed with its neighbour in the batch by one of two rules, and the labels in proportion.

    Which rule, and the share, are functions of (seed, step).

    Source: Zhang et al., arXiv 1710.09412, section 2; Yun et al., arXiv 1905.04899, section 3.1.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(generator(seed, "mixing", step).initial_seed())
        return _rule(classes)(inputs, labels)


@lru_cache(maxsize=4)
def _rule(classes: int) -> Callable[[Tensor, Tensor], Batch]:
    from torchvision.transforms import v2

    mixup = v2.MixUp(alpha=MIXUP_CONCENTRATION, num_classes=classes)
    return v2.RandomChoice([mixup, v2.CutMix(alpha=CUTMIX_CONCENTRATION, num_classes=classes)])


MIXINGS: Mapping[str, Mixing] = MappingProxyType({"none": unmixed, "mixup_or_cutmix": mixup_or_cutmix})
