"""Composites of labelled images with the structure of Waterbirds, for where Waterbirds cannot be had.

The background is an image of a ship (land) or a truck (water) of CIFAR-10 at twice its size; a deer (landbird) or a car
(waterbird) is pasted on its centre. No image serves twice, none both in front and behind, and what is tested comes
from the test images. Digits do as well, by the same numbers of their classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn.functional import interpolate

from trials.core.data.waterbirds import circular_mask, pasted
from trials.core.streams import generator
from trials.freeze_depth.birds.groups import (
    GROUPS,
    VALIDATION_COUNTS,
    Birds,
    BirdSplit,
    confounded_counts,
)

if TYPE_CHECKING:
    from jaxtyping import Int64, UInt8

    from trials.core.data.arrays import Arrays
    from trials.freeze_depth.birds.knobs import Composition

BIRDS, PLACES = (4, 1), (8, 9)
"""Classes pasted in front (y = 0 and 1) and behind (a = 0 and 1)."""
OTHERS = (0, 2, 3, 5, 6, 7)
"""Classes that are neither, for pretraining."""


@lru_cache(maxsize=2)
def composite_birds(arrays: Arrays, composition: Composition) -> Birds:
    """Return the composites.

    Raises:
        ValueError: A class has too few images.
    """
    made = {
        split: _composites(arrays, split, counts, composition.draw) for split, counts in _sizes(composition).items()
    }
    return Birds(**made["train"], **made["test"])


def refuse_composition(arrays: Arrays, composition: Composition) -> None:
    """Compare what composites take with the images that there are, making none.

    Raises:
        ValueError: A class has too few images.
    """
    for split, counts in _sizes(composition).items():
        _meeting(arrays, split, np.concatenate(list(_groups(counts).values())), composition.draw)


def _sizes(composition: Composition) -> dict[str, dict[str, Sequence[int]]]:
    """Return by the images that they are made of the splits, and how many composites of each group these have."""
    training: dict[str, Sequence[int]] = {
        "train": confounded_counts(*composition.birds, composition.strength),
        "validation": tuple(round(composition.scale * count) for count in VALIDATION_COUNTS),
    }
    return {"train": training, "test": {"test": (composition.test_per_group,) * GROUPS}}


@lru_cache(maxsize=4)
def independent_composites(
    arrays: Arrays, split: str, count: int, draw: int
) -> tuple[UInt8[np.ndarray, "images c h w"], Int64[np.ndarray, " images"], Int64[np.ndarray, " images"]]:
    """Return composites of the other classes, in front and behind drawn apart, and both classes from 0 to 5.

    Raises:
        ValueError: There are too few images: every composite takes two.
    """
    images, labels = getattr(arrays, f"{split}_inputs"), getattr(arrays, f"{split}_labels")
    front, behind = np.split(_others(labels, 2 * count, split, draw), 2)
    classes = (np.searchsorted(OTHERS, labels[chosen]) for chosen in (front, behind))
    return _composed(images, front, behind), *classes


def plain_images(
    arrays: Arrays, split: str, count: int, draw: int
) -> tuple[UInt8[np.ndarray, "images c h w"], Int64[np.ndarray, " images"]]:
    """Return images of the other classes as they are, and their classes from 0 to 5.

    Raises:
        ValueError: There are too few images.
    """
    images, labels = getattr(arrays, f"{split}_inputs"), getattr(arrays, f"{split}_labels")
    order = _others(labels, count, split, draw)
    return images[order], np.searchsorted(OTHERS, labels[order])


def _others(labels: Int64[np.ndarray, " images"], count: int, split: str, draw: int) -> Int64[np.ndarray, " chosen"]:
    """Return the first images of a permutation of the other classes."""
    order = _shuffled(np.flatnonzero(np.isin(labels, OTHERS)), draw, f"{split} others")
    if count > len(order):
        raise ValueError(
            f"pretraining takes {count} {split} images and classes {OTHERS} have {len(order)}; lower pretrain_images"
        )
    return order[:count]


def _composites(arrays: Arrays, split: str, counts: Mapping[str, Sequence[int]], draw: int) -> dict[str, BirdSplit]:
    """Return the splits that are made of the training or of the test images."""
    groups = _groups(counts)
    front, behind = _meeting(arrays, split, np.concatenate(list(groups.values())), draw)
    composed = _composed(getattr(arrays, f"{split}_inputs"), front, behind)
    ends = np.cumsum([len(of_split) for of_split in groups.values()])[:-1]
    parts = zip(groups.items(), np.split(composed, ends), strict=True)
    return {name: BirdSplit(images=part, groups=of_split) for (name, of_split), part in parts}


def _groups(counts: Mapping[str, Sequence[int]]) -> dict[str, Int64[np.ndarray, " composites"]]:
    return {name: np.repeat(np.arange(GROUPS, dtype=np.int64), of_groups) for name, of_groups in counts.items()}


def _meeting(
    arrays: Arrays, split: str, groups: Int64[np.ndarray, " composites"], draw: int
) -> tuple[Int64[np.ndarray, " composites"], Int64[np.ndarray, " composites"]]:
    """Return the images in front and those behind."""
    labels = getattr(arrays, f"{split}_labels")
    front = _images_of(labels, groups // 2, BIRDS, draw, split)
    return front, _images_of(labels, groups % 2, PLACES, draw, split)


def _images_of(
    labels: Int64[np.ndarray, " images"],
    wanted: Int64[np.ndarray, " composites"],
    classes: Sequence[int],
    draw: int,
    split: str,
) -> Int64[np.ndarray, " composites"]:
    """Return an image for each composite, of the class that its attribute wants, none of them twice."""
    chosen = np.empty_like(wanted)
    for attribute, number in enumerate(classes):
        places = np.flatnonzero(wanted == attribute)
        available = _shuffled(np.flatnonzero(labels == number), draw, f"{split} class {number}")
        if len(places) > len(available):
            raise ValueError(
                f"the composites take {len(places)} {split} images of class {number} and there are {len(available)}; "
                "lower data_scale or data_test_per_group"
            )
        chosen[places] = available[: len(places)]
    return chosen


def _shuffled(images: Int64[np.ndarray, " images"], draw: int, what: str) -> Int64[np.ndarray, " images"]:
    return images[torch.randperm(len(images), generator=generator(draw, what)).numpy()]


def _composed(
    images: UInt8[np.ndarray, "all channels side side"], front: np.ndarray, behind: np.ndarray
) -> UInt8[np.ndarray, "images channels 2*side 2*side"]:
    """Return images pasted on the centre of others at twice their size."""
    side = images.shape[-1]
    margin = [(0, 0), (0, 0), (side // 2, side - side // 2), (side // 2, side - side // 2)]
    mask = np.pad(circular_mask(side), margin[2:])
    composites = [_pasted(images, *part, margin, mask) for part in _portions(front, behind)]
    return np.concatenate(composites)


def _pasted(
    images: np.ndarray, front: np.ndarray, behind: np.ndarray, margin: Sequence[tuple[int, int]], mask: np.ndarray
) -> np.ndarray:
    backgrounds = interpolate(torch.from_numpy(images[behind]).float(), scale_factor=2, mode="bilinear")
    objects = np.pad(images[front], margin)
    return pasted(objects, np.rint(backgrounds.numpy()).astype(np.uint8), mask)


def _portions(front: np.ndarray, behind: np.ndarray, size: int = 1024) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return both in portions: floating-point images take eight times the memory of bytes."""
    return [(front[first : first + size], behind[first : first + size]) for first in range(0, len(front), size)]
