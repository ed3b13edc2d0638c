"""Shifted and mirrored images: a window of each image between black borders, taken for a whole batch at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import pad

if TYPE_CHECKING:
    from jaxtyping import Bool, Int64, Shaped


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
