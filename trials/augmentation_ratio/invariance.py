"""Invariance: how often a network's answer survives a transform of its input."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from jaxtyping import Float32
    from torch import Tensor

    from trials.core.augmentation.transforms import Transform
    from trials.core.data.images import Images
    from trials.core.layer_groups.groups import LayerGroups

_SAMPLES_A_PASS = 512


def invariance_rate(
    groups: LayerGroups, images: Images, transform: Transform, numbers: Float32[Tensor, "samples 4"]
) -> float | None:
    """Return the share of images whose most likely class is that of their transform; None of no images.

    Args:
        groups: The network, left in eval mode.
        images: The images.
        transform: The transform.
        numbers: What each image is transformed by.
    """
    if not len(images):
        return None
    groups.eval()
    with torch.no_grad():
        kept = [
            _answers(groups, images, pixels) == _answers(groups, images, transform.apply(pixels, part))
            for pixels, part in zip(images.pixels.split(_SAMPLES_A_PASS), numbers.split(_SAMPLES_A_PASS), strict=True)
        ]
    return float(torch.cat(kept).float().mean())


def _answers(groups: LayerGroups, images: Images, pixels: Tensor) -> Tensor:
    return groups(images.normalised(pixels)).argmax(1)
