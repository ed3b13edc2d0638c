"""Transforms of a batch of images, each row by four numbers in [0, 1) of its own.

Pixels are black at 0: transforms come before the images are normalised. A transform that mixes pixels returns floats.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, pad

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Float32, Int64, Shaped

PADDING_PIXEL = 0
"""Value of a pixel beyond the border of an image, before it is normalised: black."""
OPERATIONS, MAGNITUDE, ERASED_SHARE = 2, 9, 0.25
_SEEDS = 2**24  # what a number of float32 below 1 can tell apart


@dataclass(frozen=True, kw_only=True)
class Transform:
    """What is done to a row.

    Attributes:
        apply: (images (batch, channels, height, width), numbers (batch, 4)) -> images.
        keeps: numbers (batch, 4) -> which rows the transform leaves as they are.
        padding_pixel: Value of what lies beyond a border, before images are normalised; None where it is grey.
    """

    apply: Callable[[Tensor, Tensor], Tensor]
    keeps: Callable[[Tensor], Tensor]
    padding_pixel: int | None = PADDING_PIXEL


def on_grey(transform: Transform, grey: Float32[Tensor, "channels 1 1"] | float) -> Transform:
    """Return the transform with grey in place of black, wherever an image has no pixel to show.

    It is what comes out where images are normalised first and padded with zeros afterwards, if grey is the pixel that
    is normalised to 0. Transforms of bytes alone have no grey.
    """
    return replace(
        transform, apply=lambda images, numbers: transform.apply(images - grey, numbers) + grey, padding_pixel=None
    )


def shifted(
    images: Shaped[Tensor, "batch channels height width"],
    down: Int64[Tensor, " batch"],
    right: Int64[Tensor, " batch"],
    flipped: Bool[Tensor, " batch"] | None,
    padding: int,
) -> Shaped[Tensor, "batch channels height width"]:
    """Return for each image a window of its size, taken from the image with borders of zeros, and mirrored or not.

    Args:
        images: Pixels of any type, black at 0: to be shifted before they are normalised.
        down: First row of the window in the padded image, 0 to 2 `padding`; `padding` itself shifts nothing.
        right: First column of the window, likewise.
        flipped: Which windows are mirrored left to right; None for none.
        padding: Width of the border.
    """
    batch, channels, height, width = images.shape
    padded = pad(images, (padding,) * 4)
    rows = down[:, None] + torch.arange(height, device=images.device)
    columns = right[:, None] + torch.arange(width, device=images.device)
    if flipped is not None:
        columns = torch.where(flipped[:, None], columns.flip(1), columns)
    places = (rows[:, :, None] * padded.shape[3] + columns[:, None, :]).view(batch, 1, -1).expand(-1, channels, -1)
    return padded.view(batch, channels, -1).gather(2, places).view(images.shape)


def _places(numbers: Float32[Tensor, " batch"], count: int) -> Int64[Tensor, " batch"]:
    """Return whole numbers below `count`, each as likely as any other."""
    return (numbers * count).long()


def _window(
    images: Shaped[Tensor, "batch channels height width"],
    numbers: Float32[Tensor, "batch 4"],
    *,
    padding: int,
    mirrors: bool,
) -> Shaped[Tensor, "batch channels height width"]:
    down, right = (_places(numbers[:, lane], 2 * padding + 1) for lane in (0, 1))
    return shifted(images, down, right, _mirrored(numbers) if mirrors else None, padding)


def _window_keeps(numbers: Float32[Tensor, "batch 4"], *, padding: int, mirrors: bool) -> Bool[Tensor, " batch"]:
    centred = (_places(numbers[:, :2], 2 * padding + 1) == padding).all(1)
    return centred & ~_mirrored(numbers) if mirrors else centred


def _mirrored(numbers: Float32[Tensor, "batch 4"]) -> Bool[Tensor, " batch"]:
    return numbers[:, 2] < 0.5


def _cutout(
    images: Shaped[Tensor, "batch channels height width"], numbers: Float32[Tensor, "batch 4"], *, side: int
) -> Shaped[Tensor, "batch channels height width"]:
    """Blacken a square around a pixel drawn of all, as much of it as lies in the image.

    Source: DeVries and Taylor, arXiv 1708.04552, section 3.2.
    """
    rows, columns = (
        _covered(_places(numbers[:, lane], length), length, side) for lane, length in enumerate(images.shape[2:])
    )
    return images.masked_fill(rows[:, None, :, None] & columns[:, None, None, :], PADDING_PIXEL)


def _covered(centres: Int64[Tensor, " batch"], length: int, side: int) -> Bool[Tensor, "batch length"]:
    distance = torch.arange(length, device=centres.device) - centres[:, None] + side // 2
    return (distance >= 0) & (distance < side)


def _rotated(
    images: Shaped[Tensor, "batch channels height width"], numbers: Float32[Tensor, "batch 4"], *, degrees: float
) -> Float[Tensor, "batch channels height width"]:
    """Turn each image about its middle by an angle drawn from +-`degrees`, bilinearly, with black around it."""
    angle = (2 * numbers[:, 3] - 1) * math.radians(degrees)
    cosine, sine, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    aspect = images.shape[3] / images.shape[2]  # coordinates of the grid go from -1 to 1 along either side
    turns = torch.stack([cosine, -sine / aspect, zero, sine * aspect, cosine, zero], 1).view(-1, 2, 3)
    pixels = images.to(turns.dtype)
    grid = affine_grid(turns, list(pixels.shape), align_corners=False)
    return grid_sample(pixels, grid, padding_mode="zeros", align_corners=False)


def _never(numbers: Float32[Tensor, "batch 4"]) -> Bool[Tensor, " batch"]:
    return torch.zeros(len(numbers), dtype=torch.bool, device=numbers.device)


def _strengthened(
    images: Shaped[Tensor, "batch channels height width"], numbers: Float32[Tensor, " batch"]
) -> Shaped[Tensor, "batch channels height width"]:
    """Return each image after two random operations and, for a quarter of them, a black rectangle.

    Torchvision draws from PyTorch's global generator, which is set for every row and left as it was: a row's result is
    a function of its number.

    Source: Cubuk et al., arXiv 1909.13719, section 3; Zhong et al., arXiv 1708.04896, section 3.
    """
    transform = _random_augment()
    rows = []
    with torch.random.fork_rng(devices=[]):
        for image, seed in zip(images, (numbers * _SEEDS).long().tolist(), strict=True):
            torch.default_generator.manual_seed(seed)
            rows.append(transform(image))
    return torch.stack(rows)


@cache
def _random_augment() -> Callable[[Tensor], Tensor]:
    from torchvision.transforms import v2

    return v2.Compose([v2.RandAugment(OPERATIONS, MAGNITUDE), v2.RandomErasing(ERASED_SHARE)])


def _advanced(
    images: Shaped[Tensor, "batch channels height width"], numbers: Float32[Tensor, "batch 4"]
) -> Shaped[Tensor, "batch channels height width"]:
    return _strengthened(_window(images, numbers, padding=4, mirrors=True), numbers[:, 3])


def _cropping(padding: int, *, mirrors: bool = False) -> Transform:
    return Transform(
        apply=partial(_window, padding=padding, mirrors=mirrors),
        keeps=partial(_window_keeps, padding=padding, mirrors=mirrors),
    )


TRANSFORMS: Mapping[str, Transform] = MappingProxyType(
    {
        "flip+crop4": _cropping(4, mirrors=True),
        "flip": _cropping(0, mirrors=True),
        "crop1": _cropping(1),
        "crop2": _cropping(2),
        "crop4": _cropping(4),
        "crop8": _cropping(8),
        "cutout8": Transform(apply=partial(_cutout, side=8), keeps=_never),
        "rotation10": Transform(apply=partial(_rotated, degrees=10), keeps=_never),
        "advanced": Transform(apply=_advanced, keeps=_never),
    }
)
