"""Images as bytes on a trial's device, for a recipe that changes pixels before it normalises them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from trials.core.data.arrays import Arrays
from trials.core.data.examples import Examples
from trials.core.data.knobs import DataKnobs, classes_of
from trials.core.data.records import data_set

if TYPE_CHECKING:
    from jaxtyping import Float32, Int64, Shaped, UInt8


@dataclass(frozen=True, kw_only=True, eq=False)
class Images:
    """Labelled images on one device, black at 0, `white` the largest pixel, of a set of so many classes.

    What a network sees of a channel is slope * pixel + offset.
    """

    pixels: UInt8[Tensor, "samples channels height width"]
    labels: Int64[Tensor, " samples"]
    classes: int
    white: float = 255
    slope: Float32[Tensor, "channels 1 1"]
    offset: Float32[Tensor, "channels 1 1"]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def grey(self) -> Float32[Tensor, "channels 1 1"]:
        """The pixel of each channel that is normalised to 0."""
        return -self.offset / self.slope

    def at(self, samples: Int64[Tensor, " chosen"]) -> Images:
        """Return some of the images."""
        return replace(self, pixels=self.pixels[samples], labels=self.labels[samples])

    def held_out(self, size: int) -> tuple[Images, Images]:
        """Return all but the last `size` images, and these."""
        first, last = torch.arange(len(self), device=self.labels.device).tensor_split([len(self) - size])
        return self.at(first), self.at(last)

    def examples(self) -> Examples:
        """Return the images as a network's inputs, all at once."""
        return Examples(inputs=self.normalised(self.pixels), labels=self.labels, classes=self.classes)

    def normalised(self, pixels: Shaped[Tensor, "batch channels height width"]) -> Float32[Tensor, "batch ..."]:
        """Return pixels, bytes or floats, as a network's inputs."""
        return pixels.to(self.slope.dtype, copy=True).mul_(self.slope).add_(self.offset)


@lru_cache(maxsize=4)
def prepared_images(arrays: Arrays, knobs: DataKnobs, device: torch.device) -> tuple[Images, Images]:
    """Return the training and the test images, once a process for each (arrays, knobs, device).

    Trials of one pack share the result, which none may change in place.

    Raises:
        ValueError: The data are no images, more are asked for than there are, or pixels are to be averaged.
    """
    knobs.refuse_no_pixels()
    knobs.refuse_misfit(arrays)
    classes, record = classes_of(arrays), data_set(knobs.name)
    means, deviations = record.by_channel or ((record.mean,), (record.deviation,))
    slopes = [1 / (record.largest * deviation) for deviation in deviations]
    offsets = [-mean / deviation for mean, deviation in zip(means, deviations, strict=True)]
    slope, offset = (
        torch.tensor(values, dtype=torch.float32).view(-1, 1, 1).to(device) for values in (slopes, offsets)
    )

    def part(split: str) -> Images:
        chosen = knobs.chosen(split)
        pixels, labels = (getattr(arrays, f"{split}_{name}")[chosen] for name in ("inputs", "labels"))
        return Images(
            # A copy: arrays from shared memory are read-only, which tensors cannot express.
            pixels=torch.from_numpy(pixels.copy()).to(device),
            labels=torch.from_numpy(labels.astype(np.int64)).to(device),
            classes=classes,
            white=record.largest,
            slope=slope,
            offset=offset,
        )

    return part("train"), part("test")
