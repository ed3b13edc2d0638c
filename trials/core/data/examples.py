"""Examples: a data set as a trial sees it, cut to size, pooled, normalised and on the trial's device."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from trials.core.data.arrays import Arrays
from trials.core.data.knobs import DataKnobs, classes_of
from trials.core.data.records import data_set

if TYPE_CHECKING:
    from jaxtyping import Float32, Int64


class TrainingSet(Protocol):
    """Labelled inputs that are asked for by index: held as one array, or formed of one where they are asked for."""

    @property
    def labels(self) -> Int64[Tensor, " samples"]: ...

    @property
    def classes(self) -> int: ...

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


@lru_cache(maxsize=4)
def examples_of(arrays: Arrays, knobs: DataKnobs, device: torch.device) -> tuple[Examples, Examples]:
    """Return the training and the test examples, prepared once a process for each (arrays, knobs, device).

    Trials of one pack share the result, which none may change in place. Arrays count as the same when they are the
    same object.

    Raises:
        ValueError: More images are asked for than there are, or squares that do not tile the images.
    """
    knobs.refuse_misfit(arrays)
    record, classes = data_set(knobs.name), classes_of(arrays)

    def part(split: str) -> Examples:
        chosen = knobs.chosen(split)
        # A copy: arrays from shared memory are read-only, which tensors cannot express.
        values = torch.from_numpy(getattr(arrays, f"{split}_inputs")[chosen].astype(np.float32))
        pooled = avg_pool2d(values, knobs.average_pool) if knobs.average_pool > 1 else values
        inputs = ((pooled / record.largest - record.mean) / record.deviation).to(device)
        labels = torch.from_numpy(getattr(arrays, f"{split}_labels")[chosen].astype(np.int64))
        return Examples(inputs=inputs, labels=labels.to(device), classes=classes)

    return part("train"), part("test")
