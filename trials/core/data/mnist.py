"""MNIST: 70,000 handwritten digits of 28x28 pixels, in the IDX files in which it was published.

Source: LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document recognition", Proc. IEEE, 1998;
the IDX format as described with the files: a magic number 00 00 <type> <dimensions>, big-endian sizes, then the data.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from trials.core.data.decoded import download_folder, quiet_download
from trials.core.data.labels import class_numbers

_FILES = {
    "train_inputs": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_inputs": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}
_UNSIGNED_BYTE = 0x08


def read(path: str | None = None) -> Mapping[str, np.ndarray]:
    """Return the images (N, 1, 28, 28) and labels from a folder of the four IDX files, each plain or .gz.

    Raises:
        ValueError: The folder or one of its files is missing or is not IDX, or there is no path and no download.
    """
    folder = Path(path) if path is not None else _downloaded()
    arrays = {key: _idx(_found(folder, name)) for key, name in _FILES.items()}
    images = {key: array[:, None] for key, array in arrays.items() if key.endswith("inputs")}
    return images | {key: class_numbers(array, _FILES[key]) for key, array in arrays.items() if key.endswith("labels")}


def _downloaded() -> Path:
    with quiet_download("mnist"):
        from torchvision.datasets import MNIST

        for train in (True, False):
            folder = Path(MNIST(str(download_folder()), train=train, download=True).raw_folder)
    return folder


def _found(folder: Path, name: str) -> Path:
    for candidate in (folder / name, folder / f"{name}.gz"):
        if candidate.is_file():
            return candidate
    raise ValueError(f"no MNIST at {str(folder)!r}: it must be a folder with {name} or {name}.gz and the three others")


def _idx(file: Path) -> np.ndarray:
    """Return the array that an IDX file holds."""
    try:
        content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        zeros, kind, dimensions = struct.unpack_from(">HBB", content)
        shape = struct.unpack_from(f">{dimensions}I", content, 4)
        if zeros != 0 or kind != _UNSIGNED_BYTE:
            raise ValueError("its magic number is not that of unsigned bytes")
        return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape)
    except (OSError, EOFError, struct.error, zlib.error, ValueError) as error:
        raise ValueError(f"{str(file)!r} is not an IDX file of unsigned bytes: {error}") from error
