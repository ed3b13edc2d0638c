"""The arms of part A: what training sees of an image and its feature."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class FeatureArm:
    """What training sees in one arm of part A.

    Attributes:
        feature: Whether the images have the feature.
        moves: Whether it is elsewhere at each visit, over an image that stays.
        transform: What is done to the whole image at each visit, by name; empty for nothing.
    """

    feature: bool = True
    moves: bool = False
    transform: str = ""


ARMS: Mapping[str, FeatureArm] = MappingProxyType(
    {
        "baseline": FeatureArm(),
        "random_noise_position": FeatureArm(moves=True),
        "random_crop": FeatureArm(transform="crop4"),
        "clean": FeatureArm(feature=False),
        "crop_only": FeatureArm(feature=False, transform="crop4"),
    }
)
