"""The birds that a trial sees: the released Waterbirds, or composites of another data set with its structure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn.functional import adaptive_avg_pool2d, interpolate

from trials.core.data.arrays import Arrays, ValidatedArrays
from trials.core.knobs import Knobs, knob
from trials.freeze_depth.birds.composites import Composition, composite_birds, refuse_composition
from trials.freeze_depth.birds.groups import GROUPS, Birds, BirdSplit, confounded_counts

if TYPE_CHECKING:
    from jaxtyping import UInt8

WATERBIRDS = "waterbirds"
COMPOSED = ("digits", "cifar10")
CHANNELS = 3
_SIDES: Mapping[str, int] = MappingProxyType({"digits": 16, "cifar10": 64, WATERBIRDS: 224})
_LARGEST: Mapping[str, float] = MappingProxyType({"digits": 16.0})
_PORTION = 512  # images


@dataclass(frozen=True, kw_only=True)
class BirdData(Knobs):
    """Which birds a trial sees. Where their images lie is not a knob: it decides no outcome.

    Variants of Waterbirds differ by their confounder, which is therefore told and held against their groups.
    """

    name: str = knob("data set: Waterbirds, or what composites are made of", "digits", choices=(*COMPOSED, WATERBIRDS))
    confounder_strength: float = knob("share of either class that is in its own place", 0.95, at_least=0, at_most=1)
    scale: float = knob("images as a part of the released set's; composites only", 0.25, above=0, at_most=1)
    test_per_group: int = knob("test images of each group; composites only", 250, unit="images", at_least=1)
    draw: int = knob("which images meet; composites only", 0, at_least=0)
    side: int = knob("pixels of an image's side as the network sees it, 0 = as it is", 0, unit="pixels", at_least=0)

    def refuse_misfit(self, arrays: Arrays) -> None:
        """Compare these knobs with the data, at no cost.

        Raises:
            ValueError: A class has too few images for the composites, or Waterbirds have another confounder.
        """
        if self.name != WATERBIRDS:
            refuse_composition(arrays, self.composition)
            return
        counts = np.bincount(arrays.train_labels, minlength=GROUPS)
        land, water = (int(of_class.sum()) for of_class in np.split(counts, 2))
        expected = confounded_counts(land, water, self.confounder_strength)
        if tuple(counts) != expected:
            raise ValueError(
                f"data_confounder_strength={self.confounder_strength:g} makes training groups of {expected}, "
                f"and these Waterbirds have {tuple(counts.tolist())}"
            )

    @property
    def largest(self) -> float:
        """Value of white."""
        return _LARGEST.get(self.name, 255.0)

    @property
    def pixels(self) -> int:
        """Pixels of an image's side as the network sees it."""
        return self.side or _SIDES[self.name]

    @property
    def composition(self) -> Composition:
        """What composites are made of."""
        return Composition(self.scale, self.confounder_strength, self.test_per_group, self.draw)


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
    """Return images in three channels and at another side, rounded to bytes.

    Args:
        images: The images.
        side: Pixels: means over areas where that is less than they have, bicubic where it is more; 0 = as they are.
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
