"""Examples: a data set as a trial sees it, cut to size, pooled, normalised and on the trial's device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch.nn.functional import avg_pool2d

from trials.core.data.arrays import SOURCES, Arrays
from trials.core.knobs import Knobs, knob

if TYPE_CHECKING:
    from jaxtyping import Float32, Int64, UInt8
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class DataKnobs(Knobs):
    """Which data a trial sees. Where they lie is not a knob: it decides no outcome."""

    name: str = knob("data set", "digits", choices=tuple(SOURCES))
    train_size: int = knob("first training images used, 0 = all", 0, unit="images", at_least=0)
    test_size: int = knob("first test images used, 0 = all", 0, unit="images", at_least=0)
    average_pool: int = knob("side of the squares averaged into one pixel, 1 = none", 1, unit="pixels", at_least=1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Examples:
    """Labelled inputs on one device."""

    inputs: Float32[Tensor, "samples channels height width"]
    labels: Int64[Tensor, " samples"]
    classes: int

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, dtype: torch.dtype) -> Examples:
        """Return the examples with inputs of another precision."""
        return replace(self, inputs=self.inputs.to(dtype))


class _Scaling(NamedTuple):
    """Inputs are (byte / largest - mean) / deviation."""

    largest: float
    mean: float
    deviation: float


# One mean and one deviation for all pixels and channels, of the training images and rounded. Digits stay in [0, 1],
# and parity has signs.
_SCALINGS: Mapping[str, _Scaling] = MappingProxyType(
    {
        "digits": _Scaling(16, 0, 1),
        "cifar10": _Scaling(255, 0.47, 0.25),
        "cat_dog": _Scaling(255, 0.47, 0.25),
        "mnist": _Scaling(255, 0.13, 0.31),
        "sparse_parity": _Scaling(1, 0.5, 0.5),
    }
)


def refuse_misfit(arrays: Arrays, knobs: DataKnobs) -> None:
    """Compare the knobs with the data, at no cost.

    Raises:
        ValueError: More images are asked for than there are, or squares that do not tile the images.
    """
    for split, size in (("train", knobs.train_size), ("test", knobs.test_size)):
        images = getattr(arrays, f"{split}_inputs")
        if size > len(images):
            raise ValueError(f"data_{split}_size={size} exceeds the {len(images)} {split} images of {knobs.name}")
    height, width = arrays.train_inputs.shape[2:]
    if height % knobs.average_pool or width % knobs.average_pool:
        raise ValueError(f"data_average_pool={knobs.average_pool} does not divide images of {height}x{width} pixels")


@lru_cache(maxsize=4)
def prepared(arrays: Arrays, knobs: DataKnobs, device: torch.device) -> tuple[Examples, Examples]:
    """Return the training and the test examples, prepared once a process for each (arrays, knobs, device).

    Trials of one pack share the result, which none may change in place. Arrays count as the same when they are the
    same object.

    Raises:
        ValueError: More images are asked for than there are, or squares that do not tile the images.
    """
    refuse_misfit(arrays, knobs)
    classes = int(max(arrays.train_labels.max(), arrays.test_labels.max())) + 1
    train = _inputs_and_labels(knobs, knobs.train_size, arrays.train_inputs, arrays.train_labels)
    test = _inputs_and_labels(knobs, knobs.test_size, arrays.test_inputs, arrays.test_labels)
    train_examples, test_examples = (
        Examples(inputs=inputs.to(device), labels=labels.to(device), classes=classes)
        for inputs, labels in (train, test)
    )
    return train_examples, test_examples


def _inputs_and_labels(
    knobs: DataKnobs,
    size: int,
    images: UInt8[np.ndarray, "all channels height width"],
    labels: Int64[np.ndarray, " all"],
) -> tuple[Tensor, Tensor]:
    count = size or len(images)
    # A copy: arrays from shared memory are read-only, which tensors cannot express.
    return _normalised(images[:count].astype(np.float32), knobs), torch.from_numpy(labels[:count].astype(np.int64))


def _normalised(
    images: Float32[np.ndarray, "samples channels height width"], knobs: DataKnobs
) -> Float32[Tensor, "samples channels pooled_height pooled_width"]:
    scaling = _SCALINGS[knobs.name]
    pooled = avg_pool2d(torch.from_numpy(images), knobs.average_pool)
    return (pooled / scaling.largest - scaling.mean) / scaling.deviation
