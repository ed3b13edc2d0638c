"""The birds that a trial sees: the released Waterbirds, or composites of another data set with its structure."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn.functional import adaptive_avg_pool2d, interpolate

from trials.core.data.arrays import ValidatedArrays
from trials.freeze_depth.birds.composites import composite_birds
from trials.freeze_depth.birds.groups import Birds, BirdSplit

if TYPE_CHECKING:
    from jaxtyping import UInt8

    from trials.core.data.arrays import Arrays
    from trials.freeze_depth.birds.knobs import BirdData

CHANNELS = 3
_PORTION = 512  # images


@lru_cache(maxsize=2)
def birds_of(arrays: Arrays, data: BirdData) -> Birds:
    """Return the three splits in colour and at the size asked for, made once a process for each (arrays, data).

    Raises:
        ValueError: The data do not suit the knobs.
    """
    data.refuse_misfit(arrays)
    if isinstance(arrays, ValidatedArrays):
        splits = {
            name: BirdSplit(images=getattr(arrays, f"{name}_inputs"), groups=getattr(arrays, f"{name}_labels"))
            for name in ("train", "validation", "test")
        }
    else:
        splits = vars(composite_birds(arrays, data.composition))
    return Birds(**{name: replace(of, images=as_seen(of.images, data.side)) for name, of in splits.items()})


def as_seen(
    images: UInt8[np.ndarray, "images channels height width"], side: int
) -> UInt8[np.ndarray, "images 3 side side"]:
    """Return images in three channels and at another side in pixels, rounded to bytes; 0 = as they are.

    Means over areas where that is less than they have, bicubic where it is more.
    """
    coloured = np.broadcast_to(images, (len(images), CHANNELS, *images.shape[2:]))
    if side in (0, images.shape[-1]):
        return np.ascontiguousarray(coloured)
    return np.concatenate([_resized(coloured[at : at + _PORTION], side) for at in range(0, len(images), _PORTION)])


def _resized(images: np.ndarray, side: int) -> np.ndarray:
    pixels = torch.from_numpy(images.astype(np.float32))
    if side < images.shape[-1]:
        changed = adaptive_avg_pool2d(pixels, side)
    else:
        changed = interpolate(pixels, (side, side), mode="bicubic", antialias=True)
    return changed.round().clamp(0, 255).byte().numpy()
