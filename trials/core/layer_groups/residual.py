"""Residual networks with batch normalisation for small images, as layer groups.

Source: He et al., arXiv 1512.03385, section 4.2 (three stages of widths w, 2w and 4w on 32x32 images, shortcuts of
option A, which have no parameters).
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from trials.core.layer_groups.groups import LayerGroups
from trials.core.layer_groups.knobs import RESIDUAL_PARTS as PARTS

if TYPE_CHECKING:
    from jaxtyping import Float


def residual_groups(channels: int, classes: int, *, width: int = 16, blocks: int = 3) -> LayerGroups:
    """Return a residual network of 6 * `blocks` + 2 layers: 3 blocks of width 16 make ResNet-20.

    ResNet-20 has 269,722 parameters on 3 channels with 10 classes. Weights begin as PyTorch draws them, uniform with
    variance 1 / (3 fan-in). Behind a normalisation their scale does not change the function, only how fast a step turns
    it: larger ones learn more slowly.

    The first stage has `width` channels, the others twice and four times as many; the last block ends with the mean
    over places.
    """
    widths = [width, 2 * width, 4 * width]
    parts: OrderedDict[str, nn.Module] = OrderedDict({PARTS[0]: _Stem(channels, width)})
    for name, (entering, leaving) in zip(PARTS[1:-1], pairwise([width, *widths]), strict=True):
        parts[name] = nn.Sequential(*(_Branched(leaving if block else entering, leaving) for block in range(blocks)))
    parts[PARTS[-2]] = nn.Sequential(*parts[PARTS[-2]].children(), _MeanOverPlaces())
    parts[PARTS[-1]] = nn.Linear(widths[-1], classes)
    return LayerGroups(parts)


class _Stem(nn.Module):
    def __init__(self, entering: int, leaving: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(entering, leaving, 3, padding=1, bias=False)
        self.normalisation = nn.BatchNorm2d(leaving)

    def forward(self, images: Float[Tensor, "batch channels h w"]) -> Float[Tensor, "batch width h w"]:
        # Channels last in memory, which all later layers keep: a step of ResNet-20 takes a sixth less on a CPU.
        features = self.convolution(images.contiguous(memory_format=torch.channels_last))
        return self.normalisation(features).relu_()


class _Branched(nn.Module):
    """Two convolutions beside a shortcut; where channels double, places halve."""

    def __init__(self, entering: int, leaving: int) -> None:
        super().__init__()
        self._stride, self._added = (1, 0) if entering == leaving else (2, leaving - entering)
        self.first = nn.Conv2d(entering, leaving, 3, stride=self._stride, padding=1, bias=False)
        self.first_normalisation = nn.BatchNorm2d(leaving)
        self.second = nn.Conv2d(leaving, leaving, 3, padding=1, bias=False)
        self.second_normalisation = nn.BatchNorm2d(leaving)

    def forward(self, features: Float[Tensor, "batch entering h w"]) -> Float[Tensor, "batch leaving h2 w2"]:
        inner = self.first_normalisation(self.first(features)).relu_()
        return (self.second_normalisation(self.second(inner)) + self._shortcut(features)).relu_()

    def _shortcut(self, features: Tensor) -> Tensor:
        if self._stride == 1:
            return features
        return pad(features[:, :, :: self._stride, :: self._stride], (0, 0, 0, 0, 0, self._added))


class _MeanOverPlaces(nn.Module):
    def forward(self, features: Float[Tensor, "batch channels h w"]) -> Float[Tensor, "batch channels"]:
        return features.mean((2, 3))
