"""Knobs of training sets whose distinct samples are few, and what transforms may do to which data."""

from __future__ import annotations

from dataclasses import dataclass

from trials.core.choices import MIRRORING, OF_BYTES, TRANSFORMS
from trials.core.data.records import OWN, data_set
from trials.core.knobs import Knobs, knob

_USUAL = "crop2"


@dataclass(frozen=True, kw_only=True)
class FixedSetKnobs(Knobs):
    """What fills the rows of a training set; with all samples distinct, `fixed_aug` is recorded as `copies`."""

    ratio: float = knob("share of the training rows that are distinct samples", 1.0, above=0, at_most=1)
    augmentation: str = knob("what the other rows are", "copies", choices=("copies", "fixed_aug"), was="aug_arm")
    transform: str = knob(
        "how fixed_aug transforms them", _USUAL, choices=tuple(name for name in TRANSFORMS if name not in OF_BYTES)
    )

    def __post_init__(self) -> None:
        if self.ratio == 1:
            object.__setattr__(self, "augmentation", "copies")
        super().__post_init__()
        if self.augmentation == "copies":
            object.__setattr__(self, "transform", _USUAL)  # the same training, one id

    def refuse_ratio(self, reason: str) -> None:
        """Refuse copies of what changes by itself, and say why it does.

        Raises:
            ValueError: Not all rows are distinct samples.
        """
        if self.ratio < 1:
            raise ValueError(f"rows_ratio={self.ratio:g} needs training images that stay as they are: {reason}")

    def refuse_data(self, name: str) -> None:
        """Compare these knobs with the data set.

        Raises:
            ValueError: What would be transformed is no image, or transforms would make other signs of its images.
        """
        if self.augmentation != "copies":
            if not data_set(name).has_images:
                asked = f"rows_augmentation={self.augmentation}"
                raise ValueError(f"{asked} needs images, and {name} has vectors; take copies")
            refuse_mirrored_signs(self.transform, name)


def refuse_mirrored_signs(transform: str, data: str) -> None:
    """Compare a transform with a data set, both by name.

    Raises:
        ValueError: It mirrors what is another sign when mirrored.
    """
    if transform in MIRRORING and data_set(data).chiral:
        allowed = ", ".join(name for name in TRANSFORMS if name not in MIRRORING)
        reason = f"which makes other signs of {data}"
        if data == OWN:
            reason = "and the record of these does not say may_mirror: true"
        raise ValueError(f"transform={transform!r} mirrors images, {reason}; take one of {allowed}")


def distinct_count(size: int, ratio: float) -> int:
    """Return the number of distinct samples, `ratio` of a set's size.

    Raises:
        ValueError: None is left.
    """
    distinct = round(ratio * size)
    if not 1 <= distinct <= size:
        raise ValueError(f"ratio={ratio:g} keeps {distinct} of {size} samples; it must keep at least 1 and at most all")
    return distinct
