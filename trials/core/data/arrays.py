"""Raw data sets on the host, as executors share them among processes: uint8 images or float32 vectors, and labels."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from trials.core.data.labels import refuse_no_classes
from trials.core.data.records import DataSet, bring, data_set

if TYPE_CHECKING:
    from jaxtyping import Float32, Int64, UInt8


# Images are of shape (N, channels, height, width), vectors of shape (N, dimensions).
_KINDS = frozenset({(4, "uint8"), (2, "float32"), (4, "float32")})


@dataclass(frozen=True, kw_only=True, eq=False)
class Arrays:
    """A labelled data set as plain contiguous arrays, possibly read-only.

    Two objects are equal only if they are the same object, which is what caches of prepared examples go by.
    """

    train_inputs: UInt8[np.ndarray, "train channels height width"] | Float32[np.ndarray, "train dimensions"]
    train_labels: Int64[np.ndarray, " train"]
    test_inputs: UInt8[np.ndarray, "test channels height width"] | Float32[np.ndarray, "test dimensions"]
    test_labels: Int64[np.ndarray, " test"]

    def digest(self) -> str:
        """Return a 20-digit hexadecimal fingerprint of the content, the same on every machine."""
        content = hashlib.sha256()
        for entry in fields(self):
            array = getattr(self, entry.name)
            if not isinstance(array, np.ndarray):
                continue
            content.update(f"{entry.name}:{array.dtype.str}:{array.shape};".encode())
            content.update(np.ascontiguousarray(array).data)
        return content.hexdigest()[:20]


@dataclass(frozen=True, kw_only=True, eq=False)
class ValidatedArrays(Arrays):
    """A labelled data set that was published with a validation split."""

    validation_inputs: UInt8[np.ndarray, "validation channels height width"]
    validation_labels: Int64[np.ndarray, " validation"]


@dataclass(frozen=True, kw_only=True, eq=False)
class OwnArrays(Arrays):
    """Data of a user's own, with what is known of them, which travels along to whoever trains on them."""

    record: DataSet


def bring_records(arrays: Iterable[Arrays]) -> None:
    """Let this process know what the data of a user's own are like that it is handed."""
    for each in arrays:
        if isinstance(each, OwnArrays):
            bring(each.record)


@runtime_checkable
class ChoosesData(Protocol):
    """Knobs that say which data a trial sees, so that they can be held against them before anything runs."""

    @property
    def name(self) -> str: ...

    def refuse_misfit(self, arrays: Arrays) -> None:
        """Raise a `ValueError` where the data do not suit the knobs."""


def load_arrays(name: str, path: str | None = None) -> Arrays:
    """Return a data set by name, decoded at most once on this machine.

    Args:
        name: One of `DATA_SETS`.
        path: Folder or URL of the data set's files, or the place of a user's own data; none means its own place:
            scikit-learn for all sets of digits, a generator for sparse_parity and single_index, a download by
            torchvision for the others.

    Raises:
        ValueError: The name is unknown, the path cannot be read, or its files are not this data set's.
    """
    record = data_set(name)
    found = {key: np.ascontiguousarray(array) for key, array in record.read(path).items()}
    record = data_set(name)  # of a user's own it is known once they are read
    arrays = ValidatedArrays(**found) if "validation" in record.splits else Arrays(**found)
    arrays = OwnArrays(**found, record=record) if record.brought else arrays
    for split in record.splits:
        _check_split(record, split, found[f"{split}_inputs"], found[f"{split}_labels"])
        if found[f"{split}_inputs"].shape[1:] != arrays.train_inputs.shape[1:]:
            shapes = f"{arrays.train_inputs.shape[1:]} in training and {found[f'{split}_inputs'].shape[1:]} in {split}"
            raise ValueError(f"samples of {name} must have one shape, got {shapes}")
    return arrays


def _check_split(record: DataSet, split: str, inputs: np.ndarray, labels: np.ndarray) -> None:
    name = record.name
    if (inputs.ndim, inputs.dtype.name) not in _KINDS or not len(inputs):
        raise ValueError(f"{name} has {split} inputs of shape {inputs.shape} and type {inputs.dtype}")
    if len(inputs) != len(labels):
        raise ValueError(f"{name} has {len(inputs)} {split} inputs but {len(labels)} {split} labels")
    refuse_no_classes(labels, record.classes, f"the {split} split of {name}")
