"""Training sets of fixed size whose distinct samples are few, realised once: for recipes that index their examples."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from trials.core.augmentation.arms import ARMS, row_numbers
from trials.core.augmentation.rows import distinct_count, filled_rows
from trials.core.augmentation.transforms import TRANSFORMS
from trials.core.data.examples import black
from trials.core.knobs import Knobs, knob

if TYPE_CHECKING:
    from trials.core.data.examples import DataKnobs, Examples

_FIXED = ("copies", "fixed_aug")


@dataclass(frozen=True, kw_only=True)
class FixedSetKnobs(Knobs):
    """What fills the rows of a training set; with all samples distinct, `fixed_aug` is recorded as `copies`."""

    ratio: float = knob("share of the training rows that are distinct samples", 1.0, above=0, at_most=1)
    aug_arm: str = knob("what the other rows are", "copies", choices=_FIXED)
    transform: str = knob("how fixed_aug transforms them", "crop2", choices=tuple(TRANSFORMS))

    def __post_init__(self) -> None:
        if self.ratio == 1:
            object.__setattr__(self, "aug_arm", "copies")
        super().__post_init__()


def fixed_set(train: Examples, knobs: FixedSetKnobs, data: DataKnobs, seed: int) -> Examples:
    """Return as many examples as there are, of which only a share is distinct.

    Samples, copies and their transforms are those of the study of the augmentation ratio at the same seed.

    Raises:
        ValueError: No sample is left, or what would be transformed is no image.
    """
    if knobs.ratio == 1:
        return train
    size, device = len(train), train.inputs.device
    rows = filled_rows(size, distinct_count(size, knobs.ratio), seed)
    chosen = train.at(rows.sources.to(device))
    if not ARMS[knobs.aug_arm].copies:
        return chosen
    if chosen.inputs.ndim != 4:
        raise ValueError(f"aug_arm={knobs.aug_arm!r} needs images, and {data.name} has vectors")
    border = black(data.name)
    numbers = row_numbers(rows, size, seed).to(device)
    transformed = TRANSFORMS[knobs.transform].apply(chosen.inputs - border, numbers) + border
    changed = (rows.copies > 0).to(device)[:, None, None, None]
    return replace(chosen, inputs=torch.where(changed, transformed, chosen.inputs))
