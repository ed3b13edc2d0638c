"""Examples: a data set as a trial sees it, cut to size, pooled, normalised and on the trial's device."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import torch
from torch.nn.functional import avg_pool2d

from trials.core.data.arrays import SOURCES, Arrays
from trials.core.knobs import Knobs, knob

if TYPE_CHECKING:
    from jaxtyping import Float32, Int64, Shaped
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class DataKnobs(Knobs):
    """Which data a trial sees. Where they lie is not a knob: it decides no outcome."""

    name: str = knob("data set", "digits", choices=tuple(SOURCES))
    train_size: int = knob("training samples used, 0 = all", 0, unit="images", at_least=0)
    test_size: int = knob("test samples used, 0 = all", 0, unit="images", at_least=0)
    train_offset: int = knob("training samples skipped before the first used", 0, unit="images", at_least=0)
    test_offset: int = knob("test samples skipped before the first used", 0, unit="images", at_least=0)
    average_pool: int = knob("side of the squares averaged into one pixel, 1 = none", 1, unit="pixels", at_least=1)

    def refuse_misfit(self, arrays: Arrays) -> None:
        """Compare these knobs with the data, as `refuse_misfit` below."""
        refuse_misfit(arrays, self)


class TrainingSet(Protocol):
    """Labelled inputs that are asked for by index: held as one array, or formed of one where they are asked for."""

    @property
    def labels(self) -> Int64[Tensor, " samples"]:
        """The labels of all samples."""

    @property
    def classes(self) -> int:
        """Number of classes."""

    def __len__(self) -> int: ...

    def at(self, samples: Int64[Tensor, " chosen"]) -> Examples:
        """Return some of the samples."""

    def chunks(self, size: int) -> Iterator[Float32[Tensor, "chunk ..."]]:
        """Yield the inputs of all samples in turn, `size` at a time."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Examples:
    """Labelled inputs on one device."""

    inputs: Float32[Tensor, "samples ..."]
    labels: Int64[Tensor, " samples"]
    classes: int

    def __len__(self) -> int:
        return len(self.labels)

    def at(self, samples: Int64[Tensor, " chosen"]) -> Examples:
        """Return some of the examples."""
        return replace(self, inputs=self.inputs[samples], labels=self.labels[samples])

    def chunks(self, size: int) -> Iterator[Float32[Tensor, "chunk ..."]]:
        """Yield all inputs in turn, `size` at a time, as views."""
        return (self.inputs[start : start + size] for start in range(0, len(self), size))

    def to(self, dtype: torch.dtype) -> Examples:
        """Return the examples with inputs of another precision."""
        return replace(self, inputs=self.inputs.to(dtype))


class _Scaling(NamedTuple):
    """Inputs are (value / largest - mean) / deviation."""

    largest: float
    mean: float
    deviation: float


# One mean and one deviation for all pixels and channels, of the training images and rounded. Digits stay in [0, 1], and
# what is generated stays as its law has it.
_SCALINGS: Mapping[str, _Scaling] = MappingProxyType(
    {
        "digits": _Scaling(16, 0, 1),
        "jittered_digits": _Scaling(16, 0, 1),
        "jittered_digit_draws": _Scaling(16, 0, 1),
        "digit_pair": _Scaling(16, 0, 1),
        "cifar10": _Scaling(255, 0.47, 0.25),
        "cat_dog": _Scaling(255, 0.47, 0.25),
        "mnist": _Scaling(255, 0.13, 0.31),
        "waterbirds": _Scaling(255, 0.47, 0.25),
        "sparse_parity": _Scaling(1, 0, 1),
        "single_index": _Scaling(1, 0, 1),
    }
)


def black(name: str) -> float:
    """Return what a pixel of 0 is in the examples of a data set."""
    scaling = _SCALINGS[name]
    return -scaling.mean / scaling.deviation


class Extent(NamedTuple):
    """How much there is to train on.

    Attributes:
        samples: Number of training samples.
        classes: Number of classes.
        shape: Of one sample.
    """

    samples: int
    classes: int
    shape: tuple[int, ...]


def training_extent(arrays: Arrays, knobs: DataKnobs) -> Extent:
    """Return the extent of the training set that the knobs choose, before it is made."""
    samples = knobs.train_size or len(arrays.train_labels) - knobs.train_offset
    channels, *sides = arrays.train_inputs.shape[1:]
    return Extent(samples, _classes(arrays), (channels, *(side // knobs.average_pool for side in sides)))


def refuse_misfit(arrays: Arrays, knobs: DataKnobs) -> None:
    """Compare the knobs with the data, at no cost.

    Raises:
        ValueError: More images are asked for than there are, or squares that do not tile the images.
    """
    _refuse_too_many("train", len(arrays.train_inputs), knobs.train_size, knobs.train_offset, knobs.name)
    _refuse_too_many("test", len(arrays.test_inputs), knobs.test_size, knobs.test_offset, knobs.name)
    if knobs.average_pool == 1:
        return
    if arrays.train_inputs.ndim != 4:
        raise ValueError(f"data_average_pool={knobs.average_pool} needs images, and {knobs.name} has vectors")
    height, width = arrays.train_inputs.shape[2:]
    if height % knobs.average_pool or width % knobs.average_pool:
        raise ValueError(f"data_average_pool={knobs.average_pool} does not divide images of {height}x{width} pixels")


def _refuse_too_many(split: str, available: int, size: int, offset: int, name: str) -> None:
    if size > available:
        raise ValueError(f"data_{split}_size={size} exceeds the {available} {split} images of {name}")
    if offset + max(size, 1) > available:
        raise ValueError(f"data_{split}_offset={offset} leaves too few of the {available} {split} images of {name}")


@lru_cache(maxsize=4)
def prepared(arrays: Arrays, knobs: DataKnobs, device: torch.device) -> tuple[Examples, Examples]:
    """Return the training and the test examples, prepared once a process for each (arrays, knobs, device).

    Trials of one pack share the result, which none may change in place. Arrays count as the same when they are the
    same object.

    Raises:
        ValueError: More images are asked for than there are, or squares that do not tile the images.
    """
    refuse_misfit(arrays, knobs)
    classes = _classes(arrays)
    train_chosen, test_chosen = (
        _chosen(knobs.train_offset, knobs.train_size),
        _chosen(knobs.test_offset, knobs.test_size),
    )
    train = _inputs_and_labels(knobs, arrays.train_inputs[train_chosen], arrays.train_labels[train_chosen])
    test = _inputs_and_labels(knobs, arrays.test_inputs[test_chosen], arrays.test_labels[test_chosen])
    train_examples, test_examples = (
        Examples(inputs=inputs.to(device), labels=labels.to(device), classes=classes)
        for inputs, labels in (train, test)
    )
    return train_examples, test_examples


def _classes(arrays: Arrays) -> int:
    return int(max(arrays.train_labels.max(), arrays.test_labels.max())) + 1


def _chosen(offset: int, size: int) -> slice:
    return slice(offset, offset + size if size else None)


def _inputs_and_labels(
    knobs: DataKnobs, inputs: Shaped[np.ndarray, "samples ..."], labels: Int64[np.ndarray, " samples"]
) -> tuple[Tensor, Tensor]:
    # A copy: arrays from shared memory are read-only, which tensors cannot express.
    return _normalised(inputs.astype(np.float32), knobs), torch.from_numpy(labels.astype(np.int64))


def _normalised(inputs: Float32[np.ndarray, "samples ..."], knobs: DataKnobs) -> Float32[Tensor, "samples ..."]:
    scaling = _SCALINGS[knobs.name]
    values = torch.from_numpy(inputs)
    pooled = avg_pool2d(values, knobs.average_pool) if knobs.average_pool > 1 else values
    return (pooled / scaling.largest - scaling.mean) / scaling.deviation
