"""Arms: what fills a training set of fixed size whose distinct samples are few, and batches of it.

Source: Shen, Bubeck and Gunasekar, arXiv 2203.01572, and the slides to it, for copies and fixed transforms at equal
size; the other arms are references added here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch

from trials.core.augmentation.knobs import distinct_count
from trials.core.augmentation.rows import Rows, filled_rows, row_numbers, subset_rows
from trials.core.augmentation.transforms import Transform

if TYPE_CHECKING:
    from jaxtyping import Float32, Int64, Shaped
    from torch import Tensor

    from trials.core.data.images import Images


@dataclass(frozen=True, kw_only=True)
class Arm:
    """What becomes of the rows.

    Attributes:
        rows: (samples, distinct samples, seed) -> the rows.
        originals: Whether the original of a sample is transformed.
        copies: Whether its copies are.
        anew: Whether a row is transformed anew at each visit, rather than once for all.
    """

    rows: Callable[[int, int, int], Rows] = filled_rows
    originals: bool = False
    copies: bool = False
    anew: bool = False


ARMS: Mapping[str, Arm] = MappingProxyType(
    {
        "copies": Arm(),
        "fixed_aug": Arm(copies=True),
        "fresh_aug": Arm(originals=True, copies=True, anew=True),
        "fixed_aug_all": Arm(originals=True, copies=True),
        "subset": Arm(rows=subset_rows),
    }
)


@dataclass(frozen=True, kw_only=True, eq=False)
class AugmentedImages:
    """A training set that holds no transformed image: a batch is taken from the originals and transformed by itself.

    Attributes:
        images: The originals.
        arm: What became of the rows.
        rows: What the rows show, on the device of the images.
        numbers: visit -> the numbers by which each row is transformed.
        transform: The transform.
    """

    images: Images
    arm: Arm
    rows: Rows
    numbers: Callable[[int], Float32[Tensor, "rows 4"]]
    transform: Transform

    def __len__(self) -> int:
        return len(self.rows)

    def pixels(self, chosen: Int64[Tensor, " batch"], visit: int) -> Shaped[Tensor, "batch channels height width"]:
        """Return what rows show at a visit, before it is normalised."""
        # Ten times as fast as indexing, for bytes.
        pixels = self.images.pixels.index_select(0, self.rows.sources[chosen])
        if not (self.arm.originals or self.arm.copies):
            return pixels
        transformed = self.transform.apply(pixels, self.numbers(visit)[chosen])
        if self.arm.originals and self.arm.copies:
            return transformed
        changed = torch.where(self.rows.copies[chosen] == 0, self.arm.originals, self.arm.copies)
        return torch.where(changed[:, None, None, None], transformed, pixels)

    def batch(self, chosen: Int64[Tensor, " batch"], visit: int) -> tuple[Float32[Tensor, "batch ..."], Tensor]:
        """Return the inputs and the labels of rows at a visit."""
        return self.images.normalised(self.pixels(chosen, visit)), self.images.labels[self.rows.sources[chosen]]


def augmented(
    images: Images, arm: Arm, transform: Transform, *, ratio: float, seed: int, exclude_identity: bool = False
) -> AugmentedImages:
    """Return the training set of an arm.

    Args:
        images: All samples.
        arm: The arm.
        transform: What happens to the rows that the arm transforms.
        ratio: Share of distinct samples.
        seed: Seed of the trial.
        exclude_identity: Whether draws that would leave an image as it is are drawn again.

    Raises:
        ValueError: The ratio leaves no sample.
    """
    size, device = len(images), images.pixels.device
    rows = arm.rows(size, distinct_count(size, ratio), seed)

    @lru_cache(maxsize=2)
    def numbers(visit: int) -> Float32[Tensor, "rows 4"]:
        drawn = row_numbers(rows, size, seed, visit, refused=transform.keeps if exclude_identity else None)
        return drawn.to(device)

    return AugmentedImages(
        images=images,
        arm=arm,
        rows=Rows(rows.sources.to(device), rows.copies.to(device)),
        numbers=numbers if arm.anew else lambda visit: numbers(0),
        transform=transform,
    )
