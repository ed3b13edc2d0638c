"""Examples: a data set as a trial sees it, cut to size, pooled, normalised and on the trial's device."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch.nn.functional import avg_pool2d

from trials.core.data.knobs import classes_of, refuse_misfit
from trials.core.data.records import DATA_SETS

if TYPE_CHECKING:
    from jaxtyping import Float32, Int64, Shaped
    from torch import Tensor

    from trials.core.data.arrays import Arrays
    from trials.core.data.knobs import DataKnobs


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


@lru_cache(maxsize=4)
def prepared(arrays: Arrays, knobs: DataKnobs, device: torch.device) -> tuple[Examples, Examples]:
    """Return the training and the test examples, prepared once a process for each (arrays, knobs, device).

    Trials of one pack share the result, which none may change in place. Arrays count as the same when they are the
    same object.

    Raises:
        ValueError: More images are asked for than there are, or squares that do not tile the images.
    """
    refuse_misfit(arrays, knobs)
    classes = classes_of(arrays)
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


def _chosen(offset: int, size: int) -> slice:
    return slice(offset, offset + size if size else None)


def _inputs_and_labels(
    knobs: DataKnobs, inputs: Shaped[np.ndarray, "samples ..."], labels: Int64[np.ndarray, " samples"]
) -> tuple[Tensor, Tensor]:
    # A copy: arrays from shared memory are read-only, which tensors cannot express.
    return _normalised(inputs.astype(np.float32), knobs), torch.from_numpy(labels.astype(np.int64))


def _normalised(inputs: Float32[np.ndarray, "samples ..."], knobs: DataKnobs) -> Float32[Tensor, "samples ..."]:
    record = DATA_SETS[knobs.name]
    values = torch.from_numpy(inputs)
    pooled = avg_pool2d(values, knobs.average_pool) if knobs.average_pool > 1 else values
    return (pooled / record.largest - record.mean) / record.deviation
