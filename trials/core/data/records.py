"""Data sets: what is known of each before any of it is read, one record each."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np

_FOLDER = __name__.rpartition(".")[0]


class ByChannel(NamedTuple):
    """Means and deviations of each channel, or one of each for all, over the largest value."""

    means: tuple[float, ...]
    deviations: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """What is known of a data set before it is read.

    Inputs are normalised as (value / largest - mean) / deviation.

    Attributes:
        name: By which it is asked for.
        reader: `module:function` of this folder: (a path, or None for the data set's own place; nothing where there is
            no path to give) -> the arrays of `Arrays`, `train_inputs` and so on, by name. It is imported to be read.
        no_path: Why there is no path to give; empty where there is one.
        pair: The labels of what is read whose samples alone are kept, as 0 and 1; None for all.
        shape: Of a sample: channels, height and width of an image, dimensions of a vector.
        training: Number of training samples; None where the files decide.
        classes: Number of labels, which count from 0.
        chiral: Whether a mirrored image may show another sign, as of digits and letters; None for what is no image. It
            has no default: who adds a data set decides whether transforms may mirror it.
        splits: What it is published in.
        largest: Largest value, white in an image; 1 where values are as their law has them.
        mean: Of all values of the training samples over the largest, rounded.
        deviation: Their standard deviation, rounded.
        by_channel: The same by channel, for recipes that change pixels before they normalise them; None where none may.
        brought: Whether a user brings it, so that the ids of trials go by what it holds and not by its name alone.
    """

    name: str
    reader: str
    no_path: str = ""
    pair: tuple[int, int] | None = None
    shape: tuple[int, ...]
    training: int | None = None
    classes: int
    chiral: bool | None
    splits: tuple[str, ...] = ("train", "test")
    largest: float
    mean: float = 0.0
    deviation: float = 1.0
    by_channel: ByChannel | None = None
    brought: bool = False

    def read(self, path: str | None = None) -> Mapping[str, np.ndarray]:
        """Return the arrays by name, from a folder or URL, or from the data set's own place.

        Raises:
            ValueError: The path cannot be read, its files are not this data set's, or it takes none.
        """
        if self.no_path and path is not None:
            raise ValueError(f"the data set {self.name} {self.no_path} and takes no path, got {path!r}")
        reader = pkgutil.resolve_name(f"{_FOLDER}.{self.reader}")
        arrays = reader() if self.no_path else reader(path)
        return _pair(arrays, *self.pair) if self.pair else arrays

    @property
    def reader_module(self) -> str:
        """Full name of the module that reads it."""
        return f"{_FOLDER}.{self.reader.partition(':')[0]}"

    @property
    def has_images(self) -> bool:
        return len(self.shape) == 3

    @property
    def black(self) -> float:
        """What a pixel of 0 is once it is normalised."""
        return 0.0 - self.mean / self.deviation


def _pair(whole: Mapping[str, np.ndarray], zero: int, one: int) -> Mapping[str, np.ndarray]:
    """Return the samples of two classes in the order of the whole data set, labelled 0 and 1."""
    arrays: dict[str, np.ndarray] = {}
    for split in ("train", "test"):
        labels = whole[f"{split}_labels"]
        chosen = (labels == zero) | (labels == one)
        arrays[f"{split}_inputs"] = whole[f"{split}_inputs"][chosen]
        arrays[f"{split}_labels"] = (labels[chosen] == one).astype("int64")
    return arrays


_DIGITS = DataSet(
    name="digits",
    reader="digits:read",
    no_path="comes with scikit-learn",
    shape=(1, 8, 8),
    training=1000,
    classes=10,
    chiral=True,
    largest=16.0,
    by_channel=ByChannel((0.0,), (1.0,)),  # digits stay in [0, 1]
)
_JITTERED = replace(_DIGITS, name="jittered_digits", reader="digits:jittered", shape=(1, 12, 12))
_CIFAR10 = DataSet(
    name="cifar10",
    reader="cifar10:read",
    shape=(3, 32, 32),
    classes=10,
    chiral=False,
    largest=255.0,
    mean=0.47,
    deviation=0.25,
    by_channel=ByChannel((0.4914, 0.4822, 0.4465), (0.247, 0.243, 0.261)),
)
_MNIST = DataSet(
    name="mnist",
    reader="mnist:read",
    shape=(1, 28, 28),
    classes=10,
    chiral=True,
    largest=255.0,
    mean=0.13,
    deviation=0.31,
    by_channel=ByChannel((0.1307,), (0.3081,)),
)
_WATERBIRDS = DataSet(
    name="waterbirds",
    reader="waterbirds:read",
    shape=(3, 224, 224),
    classes=4,  # a bird of two kinds on a background of two kinds
    chiral=False,
    splits=("train", "validation", "test"),
    largest=255.0,
    mean=0.47,
    deviation=0.25,
)
_PARITY = DataSet(
    name="sparse_parity",
    reader="generated:sparse_parity",
    no_path="is generated",
    shape=(40,),
    training=16_000,
    classes=2,
    chiral=None,
    largest=1.0,
)
OWN = "own"
"""Name of data of a user's own, which differ by what they hold."""
_OWN = DataSet(
    name=OWN,
    reader="own:read",
    shape=(1, 1, 1),
    classes=2,
    chiral=False,
    largest=255.0,
    by_channel=ByChannel((0.5,), (0.5,)),
    brought=True,
)
"""What is said of data of a user's own before they are read: nothing that would speak against them."""
_RECORDS = (
    _DIGITS,
    _CIFAR10,
    _MNIST,
    replace(_CIFAR10, name="cat_dog", pair=(3, 5), classes=2),
    _WATERBIRDS,
    replace(_DIGITS, name="digit_pair", pair=(3, 8), training=200, classes=2),
    _JITTERED,
    replace(_JITTERED, name="jittered_digit_draws", reader="digits:jittered_draws", training=10_000),
    _PARITY,
    replace(_PARITY, name="single_index", reader="generated:single_index"),
    _OWN,
)
DATA_SETS: Mapping[str, DataSet] = MappingProxyType({record.name: record for record in _RECORDS})


_brought: dict[str, DataSet] = {}


def bring(record: DataSet) -> None:
    """Let this process know what data of a user's own are like, those that it read last."""
    _brought[OWN] = record


def data_set(name: str) -> DataSet:
    """Return the record of a data set, or raise a `ValueError` where there is none of this name."""
    if name in _brought:
        return _brought[name]
    if name not in DATA_SETS:
        raise ValueError(f"unknown data set {name!r}; it must be one of {', '.join(DATA_SETS)}")
    return DATA_SETS[name]
