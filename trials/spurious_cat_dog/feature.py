"""A feature that is added to images: a patch that tells the class, or noise that every image has of its own.

What is added is decided by (seed, index in the data set) alone: by no step, no subset of the data and no other knob.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from trials.core.augmentation.draws import draws
from trials.core.streams import generator

if TYPE_CHECKING:
    from jaxtyping import Float, Int64

    from trials.core.data.images import Images
    from trials.spurious_cat_dog.knobs import FeatureKnobs

CLASSES = 2


@dataclass(frozen=True, kw_only=True)
class Planted:
    """What is added to each image of a set.

    Attributes:
        patches: Every patch there is, in pixels.
        which: The patch of each image.
        weight: The share of the patch in its window, for each image; 0 where nothing is added.
        down: First row of each image's window.
        right: First column.
    """

    patches: Float[Tensor, "patches channels side side"]
    which: Int64[Tensor, " samples"]
    weight: Float[Tensor, " samples"]
    down: Int64[Tensor, " samples"]
    right: Int64[Tensor, " samples"]

    def at(self, samples: Int64[Tensor, " chosen"]) -> Planted:
        """Return what is added to some of the images."""
        names = ("which", "weight", "down", "right")
        return replace(self, **{name: getattr(self, name)[samples] for name in names})

    def on(self, pixels: Float[Tensor, "samples channels h w"]) -> Float[Tensor, "samples channels h w"]:
        """Return the images with the feature: (1 - A) x + A patch in the window."""
        side = torch.arange(self.patches.shape[-1], device=pixels.device)
        image = torch.arange(len(pixels), device=pixels.device)[:, None, None, None]
        channel = torch.arange(pixels.shape[1], device=pixels.device)[None, :, None, None]
        place = (
            image,
            channel,
            (self.down[:, None] + side)[:, None, :, None],
            (self.right[:, None] + side)[:, None, None],
        )
        weight = self.weight[:, None, None, None]
        blended = (1 - weight) * pixels[place] + weight * self.patches[self.which]
        return pixels.index_put(place, blended)


def planted(knobs: FeatureKnobs, seed: int, images: Images, index: Int64[Tensor, " samples"], split: str) -> Planted:
    """Return what is added to the images of a set.

    Args:
        knobs: The feature.
        seed: Seed of the trial.
        images: The images.
        index: Their places in the whole data set, on the CPU.
        split: "train", or "test" for images that all have the feature, and all that of their class.
    """
    channels = images.pixels.shape[1]
    # Who has what is decided on the CPU, whose numbers every device shares.
    device, labels = images.pixels.device, images.labels.cpu()
    patches = PATCHES[knobs.kind](knobs, seed, channels, index, split) * images.white
    prevalence, agreement = (knobs.prevalence, knobs.agreement) if split == "train" else (1.0, 1.0)
    has = _chosen(prevalence, seed, f"prevalence/{split}", labels, index)
    agrees = _chosen(agreement, seed, f"agreement/{split}", labels, index, among=has)
    tells = knobs.kind in OF_CLASSES
    which = torch.where(agrees, labels, CLASSES - 1 - labels) if tells else torch.arange(len(labels))
    added = Planted(
        patches=patches.to(device),
        which=which.to(device),
        weight=torch.where(has, knobs.amplitude, 0.0).to(device),
        down=torch.full_like(images.labels, knobs.offset),
        right=torch.full_like(images.labels, knobs.offset),
    )
    return added if knobs.position == "fixed" else placed_anew(added, seed, images, index, split)


def placed_anew(
    added: Planted, seed: int, images: Images, index: Int64[Tensor, " samples"], split: str, visit: int = 0
) -> Planted:
    """Return the same patches at places drawn evenly for a visit."""
    numbers = torch.from_numpy(draws(seed, _reach(index), visit=visit, stream=f"position/{split}"))[index]
    room = torch.tensor(images.pixels.shape[2:]) - added.patches.shape[-1] + 1
    down, right = (numbers[:, :2] * room).long().to(images.pixels.device).unbind(1)
    return replace(added, down=down, right=right)


def opposite(added: Planted) -> Planted:
    """Return the patches of the other class at the same places."""
    return replace(added, which=CLASSES - 1 - added.which)


def _class_patches(knobs: FeatureKnobs, seed: int, channels: int, index: Tensor, split: str) -> Tensor:
    side = (knobs.size, knobs.size)
    return torch.stack([torch.rand(channels, *side, generator=generator(seed, "pattern", y)) for y in range(CLASSES)])


def _instance_noise(knobs: FeatureKnobs, seed: int, channels: int, index: Tensor, split: str) -> Tensor:
    shape, stream = (channels, knobs.size, knobs.size), f"pattern/{split}"
    return torch.stack([torch.rand(*shape, generator=generator(seed, stream, int(at))) for at in index])


def _class_colors(knobs: FeatureKnobs, seed: int, channels: int, index: Tensor, split: str) -> Tensor:
    colours = [torch.rand(channels, 1, 1, generator=generator(seed, "colour", y)) for y in range(CLASSES)]
    return torch.stack(colours).expand(-1, -1, knobs.size, knobs.size)


# Kind -> (knobs, seed, channels, places in the data set, split) -> patches in [0, 1], one a class or one an image.
PATCHES: Mapping[str, Callable[[FeatureKnobs, int, int, Tensor, str], Tensor]] = MappingProxyType(
    {"class_patch": _class_patches, "instance_noise": _instance_noise, "class_color": _class_colors}
)
OF_CLASSES = ("class_patch", "class_color")
"""The kinds that tell the class."""


def _chosen(share: float, seed: int, stream: str, labels: Tensor, index: Tensor, among: Tensor | None = None) -> Tensor:
    """Return which samples are among the given share of each class, rounded; a larger share keeps all of a smaller."""
    numbers = torch.from_numpy(draws(seed, _reach(index), stream=stream)[:, 0])[index]
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    for label in range(CLASSES):
        own = (labels == label) if among is None else (labels == label) & among
        samples = own.nonzero()[:, 0]
        chosen[samples[numbers[samples].argsort()[: round(share * len(samples))]]] = True
    return chosen


def _reach(index: Tensor) -> int:
    return int(index.max()) + 1
