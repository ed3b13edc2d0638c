"""The arms of part A: what training sees of an image and its feature."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Arm:
    """What training sees in one arm of part A.

    Attributes:
        feature: Whether the images have the feature.
        moves: Whether it is elsewhere at each visit, over an image that stays.
        transform: What is done to the whole image at each visit, by name; empty for nothing.
    """

    feature: bool = True
    moves: bool = False
    transform: str = ""


ARMS: Mapping[str, Arm] = MappingProxyType(
    {
        "baseline": Arm(),
        "random_noise_position": Arm(moves=True),
        "random_crop": Arm(transform="crop4"),
        "clean": Arm(feature=False),
        "crop_only": Arm(feature=False, transform="crop4"),
    }
)
