"""Augmentations of fine-tuning: what training sees of its images in an epoch, drawn by counting."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from trials.core.knobs import NONE
from trials.freeze_depth.fine_tuning.resized_crops import drawn_crops, resized

if TYPE_CHECKING:
    from jaxtyping import Shaped
    from torch import Tensor

Batches = Callable[["Tensor"], "Tensor"]
"""Numbers of images -> what training sees of them."""
Augmentation = Callable[["Tensor", int, int], Batches]
"""(images, seed, visit) -> what a batch of that visit shows."""


def _unchanged(inputs: Shaped[Tensor, "images ..."], seed: int, visit: int) -> Batches:
    return inputs.__getitem__


def _cropped(images: Shaped[Tensor, "images channels height width"], seed: int, visit: int) -> Batches:
    height, width = images.shape[2:]
    crops = drawn_crops(seed, len(images), visit, height, width).to(images.device)
    return lambda rows: resized(images[rows], crops.of(rows))


AUGMENTATIONS: Mapping[str, Augmentation] = MappingProxyType({NONE: _unchanged, "flip+resized_crop": _cropped})
"""Name -> (images, seed, visit) -> what a batch of that visit shows. All but `none` show other images at each visit."""
