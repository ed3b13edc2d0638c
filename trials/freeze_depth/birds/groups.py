"""Images with two binary attributes, a bird's class and its place, in three splits.

The group of an image is 2y + a: y is 1 for a waterbird, a is 1 for a place on water.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from trials.freeze_depth.fine_tuning.measurements import Grouping

if TYPE_CHECKING:
    from jaxtyping import Int64, UInt8

GROUPING = Grouping(names=("00", "01", "10", "11"), attributes="bird, place", number="2y + a")
GROUPS = len(GROUPING.names)
Attribute = Callable[[Any], Any]

TASKS: Mapping[str, Attribute] = MappingProxyType(
    {"foreground": lambda groups: groups // 2, "background": lambda groups: groups % 2}
)
"""Task -> labels of groups (an array or a tensor of them): what is to be predicted."""

# Images of each group in the released set, by class: landbird on land, on water, waterbird on land, on water.
TRAIN_COUNTS, VALIDATION_COUNTS = (3498, 184, 56, 1057), (467, 466, 133, 133)


@dataclass(frozen=True, kw_only=True, eq=False)
class BirdSplit:
    """Images and their groups."""

    images: UInt8[np.ndarray, "images channels height width"]
    groups: Int64[np.ndarray, " images"]

    def __len__(self) -> int:
        return len(self.groups)

    @property
    def counts(self) -> tuple[int, ...]:
        """Images of each group."""
        return tuple(np.bincount(self.groups, minlength=GROUPS).tolist())


@dataclass(frozen=True, kw_only=True, eq=False)
class Birds:
    """The three splits; two objects are equal only if they are the same object."""

    train: BirdSplit
    validation: BirdSplit
    test: BirdSplit


def confounded_counts(landbirds: int, waterbirds: int, strength: float) -> tuple[int, int, int, int]:
    """Return how many images each group gets where a share `strength` of either class is in its own place."""
    on_water = round((1 - strength) * landbirds), round(strength * waterbirds)
    return landbirds - on_water[0], on_water[0], waterbirds - on_water[1], on_water[1]
