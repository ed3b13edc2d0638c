"""Training sets of fixed size whose distinct samples are few, for recipes that index their examples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import torch

from trials.core.augmentation.draws import LANES
from trials.core.augmentation.knobs import distinct_count
from trials.core.augmentation.rows import filled_rows, row_numbers
from trials.core.augmentation.transforms import TRANSFORMS
from trials.core.data.examples import Examples
from trials.core.data.records import DATA_SETS

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Float32, Int64
    from torch import Tensor

    from trials.core.augmentation.knobs import FixedSetKnobs
    from trials.core.data.examples import TrainingSet


class NamedData(Protocol):
    """What says where samples are from."""

    @property
    def name(self) -> str:
        """Name of the data set."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FilledSet:
    """A training set that holds no copy of a sample: rows are gathered and transformed where they are asked for.

    Attributes:
        samples: The samples, of which the rows show some.
        sources: The sample that a row shows.
        transform: (inputs, numbers) -> inputs; None where no row is transformed.
        numbers: What a row is transformed by.
        changed: Which rows are transformed.
    """

    samples: TrainingSet
    sources: Int64[Tensor, " rows"]
    transform: Callable[[Tensor, Tensor], Tensor] | None
    numbers: Float32[Tensor, "rows 4"]
    changed: Bool[Tensor, " rows"]

    def __len__(self) -> int:
        return len(self.sources)

    @cached_property
    def labels(self) -> Int64[Tensor, " rows"]:
        """The labels of all rows."""
        return self.samples.labels[self.sources]

    @property
    def classes(self) -> int:
        """Number of classes."""
        return self.samples.classes

    def at(self, samples: Int64[Tensor, " chosen"]) -> Examples:
        """Return some of the rows."""
        shown = self.samples.at(self.sources[samples])
        if self.transform is None:
            return shown
        transformed = self.transform(shown.inputs, self.numbers[samples])
        changed = self.changed[samples][:, None, None, None]
        return replace(shown, inputs=torch.where(changed, transformed, shown.inputs))

    def chunks(self, size: int) -> Iterator[Float[Tensor, "chunk ..."]]:
        """Yield the inputs of all rows in turn, `size` at a time."""
        for start in range(0, len(self), size):
            yield self.at(torch.arange(start, min(start + size, len(self)), device=self.sources.device)).inputs


def fixed_set(
    train: Examples, knobs: FixedSetKnobs, data: NamedData, seed: int, *, border: float | None = None
) -> TrainingSet:
    """Return a set of as many rows as there are samples, of which only a share is distinct.

    Samples, copies and their transforms are those of the study of the augmentation ratio at the same seed.

    Args:
        train: The samples.
        knobs: What fills the rows.
        data: Where the samples are from.
        seed: Seed of the trial.
        border: What a transform shows beyond an image; None for black in the normalised images of the data set.

    Raises:
        ValueError: No sample is left, or what would be transformed is no image.
    """
    if knobs.ratio == 1:
        return train
    size, device = len(train), train.labels.device
    rows = filled_rows(size, distinct_count(size, knobs.ratio), seed)
    transforms = knobs.augmentation == "fixed_aug"
    if transforms and train.inputs.ndim != 4:
        raise ValueError(f"augmentation={knobs.augmentation!r} needs images, and {data.name} has vectors")
    transform, around = TRANSFORMS[knobs.transform], DATA_SETS[data.name].black if border is None else border
    return FilledSet(
        samples=train,
        sources=rows.sources.to(device),
        transform=(lambda images, by: transform.apply(images - around, by) + around) if transforms else None,
        numbers=(row_numbers(rows, size, seed) if transforms else torch.zeros(size, LANES)).to(device),
        changed=(rows.copies > 0).to(device) & transforms,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class SetsAbreast:
    """Sets over the same samples, asked for those of each at once.

    Attributes:
        rows: The rows of all sets, one set after another, or one set that all share.
        begins: Where the rows of each begin.
        length: Rows of a set.
    """

    rows: TrainingSet
    begins: Int64[Tensor, " sets"]
    length: int

    @property
    def labels(self) -> Int64[Tensor, "sets rows"]:
        """The labels of all rows."""
        if self._shared:
            return self.rows.labels.expand(len(self.begins), -1)
        return self.rows.labels[self.begins[:, None] + self._row_numbers(0, self.length)]

    def at(self, chosen: Int64[Tensor, "sets batch"]) -> tuple[Float[Tensor, "sets batch ..."], Tensor]:
        """Return inputs and labels of some rows of each set."""
        shown = self.rows.at((chosen + self.begins[:, None]).flatten())
        return shown.inputs.unflatten(0, chosen.shape), shown.labels.unflatten(0, chosen.shape)

    def chunks(self, size: int) -> Iterator[Float[Tensor, "sets chunk ..."]]:
        """Yield the inputs of all rows in turn, `size` of each set at a time; as views where the sets are one."""
        if self._shared:
            yield from (inputs.expand(len(self.begins), *inputs.shape) for inputs in self.rows.chunks(size))
            return
        for start in range(0, self.length, size):
            chosen = self._row_numbers(start, min(start + size, self.length))
            yield self.at(chosen.expand(len(self.begins), -1))[0]

    def only(self, sets: Sequence[int]) -> SetsAbreast:
        """Return some of the sets."""
        return replace(self, begins=self.begins[torch.tensor(sets, device=self.begins.device)])

    @property
    def _shared(self) -> bool:
        return len(self.rows) == self.length

    def _row_numbers(self, start: int, end: int) -> Int64[Tensor, " rows"]:
        return torch.arange(start, end, device=self.begins.device)


def abreast(sets: Sequence[TrainingSet]) -> SetsAbreast:
    """Return sets of one size side by side; where they transform samples, these and the transform are the same."""
    length = len(sets[0])
    begins = torch.arange(len(sets), device=sets[0].labels.device) * length
    held = [each for each in sets if isinstance(each, Examples)]
    if len(held) == len(sets):
        if all(_are_the_same(held[0], each) for each in held[1:]):
            return SetsAbreast(rows=held[0], begins=torch.zeros_like(begins), length=length)
        inputs, labels = torch.cat([each.inputs for each in held]), torch.cat([each.labels for each in held])
        return SetsAbreast(rows=replace(held[0], inputs=inputs, labels=labels), begins=begins, length=length)
    filled = [_filled(each) for each in sets]
    return SetsAbreast(
        rows=FilledSet(
            samples=filled[0].samples,
            sources=torch.cat([each.sources for each in filled]),
            transform=next((each.transform for each in filled if each.transform), None),
            numbers=torch.cat([each.numbers for each in filled]),
            changed=torch.cat([each.changed for each in filled]),
        ),
        begins=begins,
        length=length,
    )


def _are_the_same(one: Examples, other: Examples) -> bool:
    """Return whether two sets show the same; behind frozen parts, inputs are of the seed."""
    return one.inputs is other.inputs or torch.equal(one.inputs, other.inputs)


def _filled(train: TrainingSet) -> FilledSet:
    """Return the set itself, or one that shows each of its samples once."""
    if isinstance(train, FilledSet):
        return train
    size, device = len(train), train.labels.device
    return FilledSet(
        samples=train,
        sources=torch.arange(size, device=device),
        transform=None,
        numbers=torch.zeros(size, LANES, device=device),
        changed=torch.zeros(size, dtype=torch.bool, device=device),
    )
