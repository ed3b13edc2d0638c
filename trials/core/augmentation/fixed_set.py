"""Training sets of fixed size whose distinct samples are few: what fills their rows, formed where it is asked for.

Source: Shen, Bubeck and Gunasekar, arXiv 2203.01572, and the slides to it, for copies and fixed transforms at equal
size; the other arms are references added here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch

from trials.core.augmentation.knobs import distinct_count
from trials.core.augmentation.rows import Rows, filled_rows, row_numbers, subset_rows
from trials.core.augmentation.transforms import TRANSFORMS, Transform, on_grey
from trials.core.data.examples import Examples
from trials.core.data.records import data_set

if TYPE_CHECKING:
    from jaxtyping import Float, Float32, Int64
    from torch import Tensor

    from trials.core.augmentation.knobs import FixedSetKnobs
    from trials.core.data.examples import TrainingSet


@dataclass(frozen=True, kw_only=True)
class Arm:
    """What becomes of the rows.

    Attributes:
        rows: (samples, distinct samples, seed) -> the rows.
        copies: Whether the copies of a sample are transformed.
        originals: Whether the original is as well.
        anew: Whether a row is transformed anew at each visit, rather than once for all.
    """

    rows: Callable[[int, int, int], Rows] = filled_rows
    copies: bool = False
    originals: bool = False
    anew: bool = False


ARMS: Mapping[str, Arm] = MappingProxyType(
    {
        "copies": Arm(),
        "fixed_aug": Arm(copies=True),
        "fresh_aug": Arm(copies=True, originals=True, anew=True),
        "fixed_aug_all": Arm(copies=True, originals=True),
        "subset": Arm(rows=subset_rows),
    }
)


@dataclass(frozen=True, kw_only=True, eq=False)
class FilledSet:
    """A training set that holds no copy of a sample: rows are gathered and transformed where they are asked for.

    Attributes:
        samples: The samples, of which the rows show some.
        arm: What became of the rows.
        rows: What the rows show, on the device of the samples.
        transform: What is done to those that the arm transforms.
        numbers: Visit -> the numbers by which each row is transformed.
    """

    samples: Examples
    arm: Arm
    rows: Rows
    transform: Transform
    numbers: Callable[[int], Float32[Tensor, "rows 4"]]

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def labels(self) -> Int64[Tensor, " rows"]:
        """The labels of all rows."""
        return self.samples.labels[self.rows.sources]

    @property
    def classes(self) -> int:
        """Number of classes."""
        return self.samples.classes

    def at(self, chosen: Int64[Tensor, " chosen"], visit: int = 0) -> Examples:
        """Return some of the rows at a visit."""
        sources = self.rows.sources[chosen]
        # Ten times as fast as indexing.
        inputs, labels = self.samples.inputs.index_select(0, sources), self.samples.labels[sources]
        if self.arm.copies:
            transformed = self.transform.apply(inputs, self.numbers(visit)[chosen])
            if not self.arm.originals:
                copies = self.rows.copies[chosen] > 0
                transformed = torch.where(copies[:, None, None, None], transformed, inputs)
            inputs = transformed
        return Examples(inputs=inputs, labels=labels, classes=self.classes)

    def chunks(self, size: int) -> Iterator[Float[Tensor, "chunk ..."]]:
        """Yield the inputs of all rows in turn, `size` at a time."""
        for start in range(0, len(self), size):
            yield self.at(torch.arange(start, min(start + size, len(self)), device=self.labels.device)).inputs


def filled(
    samples: Examples, arm: Arm, transform: Transform, *, ratio: float, seed: int, exclude_identity: bool = False
) -> FilledSet:
    """Return the training set of an arm.

    Args:
        samples: All samples.
        arm: The arm.
        transform: What happens to the rows that the arm transforms.
        ratio: Share of distinct samples.
        seed: Seed of the trial.
        exclude_identity: Whether draws that would leave an image as it is are drawn again.

    Raises:
        ValueError: The ratio leaves no sample.
    """
    size, device = len(samples), samples.labels.device
    rows = arm.rows(size, distinct_count(size, ratio), seed)

    @lru_cache(maxsize=2)
    def numbers(visit: int) -> Tensor:
        return row_numbers(rows, size, seed, visit, refused=transform.keeps if exclude_identity else None).to(device)

    return FilledSet(
        samples=samples,
        arm=arm,
        rows=Rows(rows.sources.to(device), rows.copies.to(device)),
        transform=transform,
        numbers=numbers if arm.anew else lambda visit: numbers(0),
    )


def fixed_set(
    train: Examples, knobs: FixedSetKnobs, data: str, seed: int, *, border: float | None = None
) -> TrainingSet:
    """Return a set of as many rows as there are samples, of which only a share is distinct.

    Samples, copies and their transforms are those of the study of the augmentation ratio at the same seed.

    Args:
        train: The samples.
        knobs: What fills the rows.
        data: Name of the data set that they are from.
        seed: Seed of the trial.
        border: What a transform shows beyond an image; None for black in the normalised images of the data set.

    Raises:
        ValueError: No sample is left, or what would be transformed is no image.
    """
    if knobs.ratio == 1:
        return train
    arm = ARMS[knobs.augmentation]
    if arm.copies and train.inputs.ndim != 4:
        raise ValueError(f"augmentation={knobs.augmentation!r} needs images, and {data} has vectors")
    transform = on_grey(TRANSFORMS[knobs.transform], data_set(data).black if border is None else border)
    return filled(train, arm, transform, ratio=knobs.ratio, seed=seed)


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
        first = held[0]
        # Behind frozen parts, inputs are of the seed.
        if all(each.inputs is first.inputs or torch.equal(each.inputs, first.inputs) for each in held):
            return SetsAbreast(rows=first, begins=torch.zeros_like(begins), length=length)
        inputs, labels = torch.cat([each.inputs for each in held]), torch.cat([each.labels for each in held])
        return SetsAbreast(rows=replace(first, inputs=inputs, labels=labels), begins=begins, length=length)
    formed = [each for each in sets if isinstance(each, FilledSet)]
    like = next((each for each in formed if each.arm.copies), formed[0])
    every = torch.arange(length, device=begins.device)
    whole = replace(like, arm=Arm(), rows=Rows(every, torch.zeros_like(every)))
    shown = [each if isinstance(each, FilledSet) else whole for each in sets]
    numbers = torch.cat([each.numbers(0) for each in shown])
    rows = Rows(
        torch.cat([each.rows.sources for each in shown]),
        torch.cat([each.rows.copies * each.arm.copies for each in shown]),  # what is no copy is not transformed
    )
    return SetsAbreast(rows=replace(like, rows=rows, numbers=lambda visit: numbers), begins=begins, length=length)
