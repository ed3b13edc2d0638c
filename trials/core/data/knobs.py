"""Knobs of the data that a trial sees, and what can be said of these data before tensors are made of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from trials.core.data.records import DATA_SETS, data_set
from trials.core.knobs import Knobs, knob

if TYPE_CHECKING:
    from trials.core.data.arrays import Arrays


@dataclass(frozen=True, kw_only=True)
class DataKnobs(Knobs):
    """Which data a trial sees. Where they lie is not a knob: it decides no outcome.

    Data sets of this project go by their name. Those that a user brings have names that say nothing to others, so a
    trial has the fingerprint of what they hold among its knobs, and with it in its id.
    """

    name: str = knob("data set", "digits", choices=tuple(DATA_SETS))
    train_size: int = knob("training samples used, 0 = all", 0, unit="images", at_least=0)
    test_size: int = knob("test samples used, 0 = all", 0, unit="images", at_least=0)
    train_offset: int = knob("training samples skipped before the first used", 0, unit="images", at_least=0)
    test_offset: int = knob("test samples skipped before the first used", 0, unit="images", at_least=0)
    average_pool: int = knob("side of the squares averaged into one pixel, 1 = none", 1, unit="pixels", at_least=1)
    content: str = knob("fingerprint of data that a user brings, filled in by itself; empty for data known by name", "")

    def __post_init__(self) -> None:
        super().__post_init__()
        if every := data_set(self.name).training:
            _refuse_too_many("train", every, self.train_size, self.train_offset, self.name)

    @property
    def known_samples(self) -> int | None:
        """How many training samples are used, before any data are read; None where the files decide."""
        every = data_set(self.name).training
        return self.train_size or (None if every is None else every - self.train_offset)

    def refuse_misfit(self, arrays: Arrays) -> None:
        """Compare these knobs with the data, at no cost.

        Raises:
            ValueError: More images are asked for than there are, or squares that do not tile the images.
        """
        _refuse_too_many("train", len(arrays.train_inputs), self.train_size, self.train_offset, self.name)
        _refuse_too_many("test", len(arrays.test_inputs), self.test_size, self.test_offset, self.name)
        if self.average_pool == 1:
            return
        if arrays.train_inputs.ndim != 4:
            raise ValueError(f"data_average_pool={self.average_pool} needs images, and {self.name} has vectors")
        height, width = arrays.train_inputs.shape[2:]
        if height % self.average_pool or width % self.average_pool:
            raise ValueError(f"data_average_pool={self.average_pool} does not divide images of {height}x{width} pixels")

    def refuse_no_pixels(self) -> None:
        """Compare these knobs with what a recipe needs that changes pixels before it normalises them.

        Raises:
            ValueError: The data have no such pixels, or pixels are to be averaged.
        """
        if not data_set(self.name).by_channel:
            allowed = ", ".join(name for name, record in DATA_SETS.items() if record.by_channel)
            raise ValueError(f"data_name={self.name!r} has no images; take one of {allowed}")
        if self.average_pool != 1:
            raise ValueError(f"data_average_pool must be 1 where pixels are transformed, got {self.average_pool}")

    def chosen(self, split: str) -> slice:
        """Return which samples of "train" or "test" are used."""
        offset, size = (self.train_offset, self.train_size) if split == "train" else (self.test_offset, self.test_size)
        return slice(offset, offset + size if size else None)


class Extent(NamedTuple):
    """How many samples there are to train on, of how many classes, and the shape of one."""

    samples: int
    classes: int
    shape: tuple[int, ...]


def training_extent(arrays: Arrays, knobs: DataKnobs) -> Extent:
    """Return the extent of the training set that the knobs choose, before it is made."""
    samples = knobs.train_size or len(arrays.train_labels) - knobs.train_offset
    channels, *sides = arrays.train_inputs.shape[1:]
    return Extent(samples, classes_of(arrays), (channels, *(side // knobs.average_pool for side in sides)))


def _refuse_too_many(split: str, available: int, size: int, offset: int, name: str) -> None:
    if size > available:
        raise ValueError(f"data_{split}_size={size} exceeds the {available} {split} images of {name}")
    if offset + max(size, 1) > available:
        raise ValueError(f"data_{split}_offset={offset} leaves too few of the {available} {split} images of {name}")


def classes_of(arrays: Arrays) -> int:
    """Return the number of classes: labels count from 0."""
    return int(max(arrays.train_labels.max(), arrays.test_labels.max())) + 1
