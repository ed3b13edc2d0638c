"""Augmentations of fine-tuning: what training sees of its images in an epoch, drawn by counting.

Resized crops show a box of each image of any size and shape, brought to the image's size, mirrored or not.

Source: Szegedy et al., arXiv 1409.4842, section 6, as torchvision's `RandomResizedCrop` draws boxes and its
`resized_crop` resizes them, bilinearly and with antialiasing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from trials.core.augmentation.draws import draws
from trials.core.knobs import NONE

if TYPE_CHECKING:
    from jaxtyping import Bool, Float32, Float64, Int64, Shaped
    from torch import Tensor

AREA, ASPECT = (0.08, 1.0), (3 / 4, 4 / 3)
"""Bounds of a box's share of the image, which is drawn evenly, and of its width over its height, evenly in its log."""
ATTEMPTS = 10


class Crops(NamedTuple):
    """What is taken of each image, in pixels.

    Attributes:
        top: First row of the box.
        left: First column.
        height: Rows.
        width: Columns.
        flipped: Whether the box is mirrored left to right.
    """

    top: Int64[Tensor, " samples"]
    left: Int64[Tensor, " samples"]
    height: Int64[Tensor, " samples"]
    width: Int64[Tensor, " samples"]
    flipped: Bool[Tensor, " samples"]

    def of(self, rows: Int64[Tensor, " batch"]) -> Crops:
        """Return what is taken of some of the images."""
        return Crops(*(each[rows] for each in self))

    def to(self, device: torch.device) -> Crops:
        """Return the same on a device."""
        return Crops(*(each.to(device) for each in self))


def drawn_crops(seed: int, samples: int, visit: int, height: int, width: int) -> Crops:
    """Return a box for each of the first `samples` samples of a data set: a function of (seed, sample, visit).

    A box that does not fit into the image is drawn again, ten times at most; then the middle of the image is taken, as
    much of it as the bounds of the aspect allow.
    """
    boxes = np.tile(_middle(height, width), (samples, 1))
    waiting = np.ones(samples, dtype=bool)
    for attempt in range(ATTEMPTS):
        found, fits = _boxes(draws(seed, samples, visit=visit, attempt=attempt, stream="resized crops"), height, width)
        boxes = np.where((waiting & fits)[:, None], found, boxes)
        waiting &= ~fits
        if not waiting.any():
            break
    flipped = draws(seed, samples, visit=visit, stream="flips")[:, 0] < 0.5
    top, left, rows, columns = torch.from_numpy(boxes).unbind(1)
    return Crops(top, left, rows, columns, torch.from_numpy(flipped))


def resized(
    images: Shaped[Tensor, "batch channels height width"], crops: Crops
) -> Float32[Tensor, "batch channels height width"]:
    """Return the box of each image, as large as the image: two products with the weights of rows and of columns.

    The whole image unmirrored comes back to the bit. Pixels may be of any type.
    """
    height, width = images.shape[2:]
    down = _weights(crops.top, crops.height, height)
    across = _weights(crops.left, crops.width, width)
    across = torch.where(crops.flipped[:, None, None], across.flip(1), across)
    # Half precision is for products in the network: here it would round the images themselves.
    with torch.autocast(images.device.type, enabled=False):
        return down[:, None] @ images.float() @ across.mT[:, None]


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


def _boxes(
    numbers: Float32[np.ndarray, "samples 4"], height: int, width: int
) -> tuple[Int64[np.ndarray, "samples 4"], Bool[np.ndarray, " samples"]]:
    """Return top, left, height and width of each box by numbers in [0, 1), and which boxes fit."""
    share, shape, down, right = numbers.astype(np.float64).T
    area = height * width * _between(share, *AREA)
    aspect = np.exp(_between(shape, *map(math.log, ASPECT)))
    columns, rows = (np.sqrt(area * ratio).round().astype(np.int64) for ratio in (aspect, 1 / aspect))
    fits = (columns > 0) & (columns <= width) & (rows > 0) & (rows <= height)
    # Drawn in float32, numbers below 1 stay below 1: no box begins beyond the last place.
    top, left = ((at * (room + 1)).astype(np.int64) for at, room in ((down, height - rows), (right, width - columns)))
    return np.stack([top, left, rows, columns], 1), fits


def _between(numbers: Float64[np.ndarray, " samples"], low: float, high: float) -> Float64[np.ndarray, " samples"]:
    return low + (high - low) * numbers


def _middle(height: int, width: int) -> tuple[int, int, int, int]:
    """Return top, left, height and width of the box in the middle."""
    narrowest, widest = ASPECT
    rows, columns = min(height, round(width / narrowest)), min(width, round(height * widest))
    return (height - rows) // 2, (width - columns) // 2, rows, columns


def _weights(
    start: Int64[Tensor, " batch"], length: Int64[Tensor, " batch"], side: int
) -> Float32[Tensor, "batch side side"]:
    """Return what each of `side` pixels between `start` and `start + length` takes of each pixel of the image.

    Triangles as wide as a new pixel, and never narrower than an old one, cut where the box ends.
    """
    places = torch.arange(side, device=start.device)
    step = length / side
    centres = start[:, None] + step[:, None] * (places + 0.5)
    distance = (places + 0.5 - centres[:, :, None]).abs() / step.clamp(min=1)[:, None, None]
    end = start + length
    inside = (places >= start[:, None]) & (places < end[:, None])
    triangle = (1 - distance).clamp(min=0) * inside[:, None, :]
    return triangle / triangle.sum(2, keepdim=True)
