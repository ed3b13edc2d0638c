"""Data of a user's own as a data set: read, arranged, split and described by one record.

The record may stand in a YAML file; whatever it does not say is found out from the data:

```yaml
path: birds/            # beside this file; or a URL
reader: folder          # npz, parquet, folder or function; by default what the path looks like
inputs: [height, width] # columns or arrays, where they do not go by a usual name
labels: species
classes: [cat, dog]     # in the order of their numbers; by default all there are, sorted
side: 32                # pixels to which images are brought
largest: 255            # white in an image
mean: 0.5               # of the training values over the largest; by default measured
deviation: 0.25
may_mirror: true        # whether a mirrored image shows the same; by default nobody has said so
test_share: 0.2         # drawn from a seed where the data have no test part
split_seed: 0
```
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trials.core.data.arrays import Arrays, OwnArrays
from trials.core.data.own_files import READERS, reader_for
from trials.core.data.records import DATA_SETS, OWN, ByChannel, DataSet, bring
from trials.core.fingerprints import fingerprint

if TYPE_CHECKING:
    from jaxtyping import Int64, Shaped, UInt8

_DIGITS, _AT_ONCE = 4, 1000
"""Digits of means and deviations that are measured, and images that are counted at once."""


def _number(low: float, high: float, *, ends: bool = True) -> Callable[[Any], bool]:
    def allowed(value: Any) -> bool:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and (low <= value <= high if ends else low < value < high)

    return allowed


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


_ALLOWED: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "path": (_is_text, "a file, a folder or a URL"),
    "reader": (lambda value: value in READERS, f"one of {', '.join(READERS)}"),
    "inputs": (lambda value: _is_text(value) or isinstance(value, list), "the name of an array or column, or several"),
    "labels": (_is_text, "the name of an array or column"),
    "classes": (lambda value: isinstance(value, list) and len(value) > 1, "a list of at least two labels"),
    "side": (lambda value: isinstance(value, int) and 1 <= value <= 4096, "pixels, from 1 to 4096"),
    "largest": (_number(0, float("inf"), ends=False), "a number above 0"),
    "mean": (_number(float("-inf"), float("inf")), "a number"),
    "deviation": (_number(0, float("inf"), ends=False), "a number above 0"),
    "may_mirror": (lambda value: isinstance(value, bool), "true or false"),
    "test_share": (_number(0, 1, ends=False), "between 0 and 1"),
    "split_seed": (lambda value: isinstance(value, int) and 0 <= value < 2**32, "a whole number of at least 0"),
}


def read(place: str | None = None) -> Mapping[str, np.ndarray]:
    """Return data of a user's own, and let `data_set` know what is known of them.

    Args:
        place: An .npz file, Parquet, a folder of images by class, `package.module:function`, or the YAML file of a
            record.

    Raises:
        ValueError: They cannot be read, or are no labelled samples of one shape; the message is one line.
    """
    if place is None:
        raise ValueError("data of your own need a place: data=FILE.npz, data=FOLDER/ or data=package.module:function")
    said = _record_of(place)
    where = said.get("path", place)
    found = READERS[said.get("reader") or reader_for(where)](where, said)
    parts = _split(found, place, said)
    inputs = {split: _arranged(parts[f"{split}_inputs"], f"{place}, {split}") for split in ("train", "test")}
    train = len(inputs["train"])
    classes, labels = _numbered(parts["train_labels"], parts["test_labels"], place, said)
    bring(_described(inputs["train"], len(classes), said))
    return {
        **{f"{split}_inputs": each for split, each in inputs.items()},
        "train_labels": labels[:train],
        "test_labels": labels[train:],
    }


def own_content(arrays: Arrays) -> str:
    """Return the fingerprint of all that decides what a trial sees: the samples, and how they are scaled."""
    record = arrays.record if isinstance(arrays, OwnArrays) else DATA_SETS[OWN]
    channels = [list(part) for part in record.by_channel or ()]
    return fingerprint([arrays.digest(), record.largest, record.mean, record.deviation, channels])


def _record_of(place: str) -> dict[str, Any]:
    """Return what a YAML file says of the data; nothing for data without one."""
    if not place.endswith((".yaml", ".yml")):
        return {}
    import yaml

    try:
        said = yaml.safe_load(Path(place).read_text(encoding="utf-8"))
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        raise ValueError(f"data={place} cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(said, dict) or "path" not in said:
        raise ValueError(f"data={place} must be a record with a path and any of {', '.join(_ALLOWED)}")
    for name, value in said.items():
        allowed, rule = _ALLOWED.get(name, (None, ""))
        if allowed is None:
            raise ValueError(f"data={place}: {name} is unknown; allowed are {', '.join(_ALLOWED)}")
        if not allowed(value):
            raise ValueError(f"data={place}: {name} must be {rule}, got {value!r}")
    path = said["path"]
    if "://" not in path and said.get("reader") != "function":
        path = str(Path(place).parent / Path(path).expanduser())
    return {**said, "path": path}


def _split(found: Mapping[str, np.ndarray], place: str, said: Mapping[str, Any]) -> Mapping[str, np.ndarray]:
    """Return training and test parts as they were read, or drawn from a seed where nobody has split the data."""
    for split in ("train_", "test_", ""):
        if f"{split}inputs" in found and len(found[f"{split}inputs"]) != len(found[f"{split}labels"]):
            counts = f"{len(found[f'{split}inputs'])} inputs and {len(found[f'{split}labels'])} labels"
            raise ValueError(f"data={place} has {counts}; there must be one label a sample")
    if "inputs" not in found:
        return found
    samples = len(found["inputs"])
    test = round(samples * said.get("test_share", 0.2))
    if not 1 <= test < samples:
        raise ValueError(f"data={place} has {samples} samples, of which {test} would be tests; both need some")
    order = np.random.RandomState(said.get("split_seed", 0)).permutation(samples)  # frozen: the same on every machine
    rows = {"train": order[test:], "test": order[:test]}
    return {f"{split}_{role}": found[role][chosen] for split, chosen in rows.items() for role in ("inputs", "labels")}


def _arranged(inputs: Shaped[np.ndarray, "samples ..."], where: str) -> np.ndarray:
    """Return inputs as a data set has them: bytes or floats (samples, channels, height, width), or float vectors."""
    if inputs.dtype.kind not in "biuf":
        raise ValueError(f"data={where} inputs are of type {inputs.dtype}; they must be numbers")
    if inputs.ndim not in (2, 3, 4) or not inputs.size:
        shapes = "(samples, dimensions), (samples, height, width), or the same with channels"
        raise ValueError(f"data={where} inputs have shape {inputs.shape}; it must be {shapes}")
    if inputs.dtype.kind == "f" and not np.isfinite(inputs).all():
        raise ValueError(f"data={where} inputs have values that are not finite, such as NaN")
    if inputs.ndim == 3:
        inputs = inputs[:, None]
    elif inputs.ndim == 4 and inputs.shape[1] not in (1, 3, 4) and inputs.shape[3] in (1, 3, 4):
        inputs = inputs.transpose(0, 3, 1, 2)
    bytes_of_pixels = inputs.ndim == 4 and inputs.dtype == np.uint8
    return np.ascontiguousarray(inputs if bytes_of_pixels else inputs.astype(np.float32))


def _numbered(
    train: np.ndarray, test: np.ndarray, place: str, said: Mapping[str, Any]
) -> tuple[list[Any], Int64[np.ndarray, " samples"]]:
    """Return the classes in their order, and the labels of all samples as their numbers."""
    for labels in (train, test):
        if labels.ndim != 1:
            raise ValueError(f"data={place} has labels of shape {labels.shape}; there must be one a sample")
        if labels.dtype.kind not in "biufUSO" or (labels.dtype.kind == "f" and (labels != np.rint(labels)).any()):
            raise ValueError(f"data={place} has labels of type {labels.dtype} that are no whole numbers or names")
    written = [_as_class(label) for label in (*train.tolist(), *test.tolist())]
    seen = dict.fromkeys(written[: len(train)])
    classes = [_as_class(each) for each in said["classes"]] if "classes" in said else sorted(seen, key=_in_order)
    numbers = {label: number for number, label in enumerate(classes)}
    for label in dict.fromkeys(written):
        if label not in numbers:
            known = "classes of the record" if "classes" in said else "classes of the training samples"
            raise ValueError(f"data={place} has the label {label!r}, which is none of the {known}")
    if len(numbers) < 2:
        raise ValueError(f"data={place} has one class, {classes[0]!r}; there must be two at least")
    if len(numbers) > len(train):
        raise ValueError(f"data={place} has more classes than training samples")
    return classes, np.array([numbers[label] for label in written], np.int64)


def _as_class(label: Any) -> Any:
    if isinstance(label, bytes):
        return label.decode(errors="replace")
    return int(label) if isinstance(label, float) and label == label and label.is_integer() else label


def _in_order(label: Any) -> tuple[bool, float, str]:
    """Return the place of a label: numbers by their value, names spelt as numbers among them, then other names."""
    number = str(label).lstrip("-").isdigit()
    return not number, float(label) if number else 0.0, str(label)


def _described(inputs: np.ndarray, classes: int, said: Mapping[str, Any]) -> DataSet:
    """Return the record of data: how many there are of what, and how they are scaled."""
    pixels = inputs.dtype == np.uint8
    largest = float(said.get("largest", 255 if pixels else 1))
    *channels, (mean, deviation) = _moments(inputs, largest) if pixels else [(0.0, 1.0)]
    mean, deviation = float(said.get("mean", mean)), float(said.get("deviation", deviation))
    if "mean" in said or "deviation" in said:
        channels = [(mean, deviation)]
    return replace(
        DATA_SETS[OWN],
        shape=tuple(inputs.shape[1:]),
        training=len(inputs),
        classes=classes,
        chiral=(not said["may_mirror"] if "may_mirror" in said else True) if inputs.ndim == 4 else None,
        largest=largest,
        mean=mean,
        deviation=deviation,
        by_channel=ByChannel(*zip(*channels, strict=True)) if pixels else None,
    )


def _moments(pixels: UInt8[np.ndarray, "images channels height width"], largest: float) -> list[tuple[float, float]]:
    """Return mean and deviation of each channel, and at last of all, over the largest value, rounded.

    Of a constant the deviation is 1. Counting the values is exact, so the result is the same on every machine.
    """
    counts = np.zeros((pixels.shape[1], 256), np.int64)
    for start in range(0, len(pixels), _AT_ONCE):
        for channel, count in enumerate(counts):
            count += np.bincount(pixels[start : start + _AT_ONCE, channel].ravel(), minlength=256)
    found, values = [], np.arange(256)
    for count in (*counts, counts.sum(0)):
        mean = float((count * values).sum()) / float(count.sum())
        square = float((count * values**2).sum()) / float(count.sum())
        deviation = round(max(square - mean**2, 0.0) ** 0.5 / largest, _DIGITS)
        found.append((round(mean / largest, _DIGITS), deviation or 1.0))
    return found
