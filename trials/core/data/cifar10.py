"""CIFAR-10: 60,000 colour images of 32x32 pixels, from Parquet files of PNGs or from torchvision's folder.

Source: Krizhevsky, "Learning multiple layers of features from tiny images", 2009, chapter 3.
"""

from __future__ import annotations

import hashlib
import io
import os
import warnings
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from trials.core.data.decoded import decoded_once, download_folder, quiet_download
from trials.core.data.encoded import opened, stacked
from trials.core.data.labels import class_numbers
from trials.core.data.shards import folder_files, refuse_copies, shards

_TORCHVISION_FOLDER = "cifar-10-batches-py"
_SPLITS = ("train", "test")


def read(path: str | None = None) -> Mapping[str, np.ndarray]:
    """Return the images (N, 3, 32, 32) and labels.

    Args:
        path: A folder, or the URL of one, with `train-*.parquet` and `test-*.parquet` whose column `img` holds PNGs
            (`bytes`) and whose column `label` the classes, as on Hugging Face; or the folder of torchvision's
            download. None means torchvision's download into the cache folder.

    Raises:
        ValueError: The path cannot be read, files or columns are missing, or there is no path and no download.
    """
    if path is None:
        with quiet_download("cifar10"):
            return _torchvision_arrays(download_folder(), download=True)
    folder = Path(path)
    if folder.name == _TORCHVISION_FOLDER:
        return _from_torchvision(folder.parent)
    if (folder / _TORCHVISION_FOLDER).is_dir():
        return _from_torchvision(folder)
    return _from_parquet(path.rstrip("/"))


def _from_torchvision(root: Path) -> Mapping[str, np.ndarray]:
    try:
        return _torchvision_arrays(root, download=False)
    except (ImportError, OSError, RuntimeError) as error:
        raise ValueError(f"no CIFAR-10 of torchvision's at {str(root)!r}: {str(error).splitlines()[0]}") from error


def _torchvision_arrays(root: Path, *, download: bool) -> Mapping[str, np.ndarray]:
    from torchvision.datasets import CIFAR10

    arrays: dict[str, np.ndarray] = {}
    for split in _SPLITS:
        with warnings.catch_warnings():
            # The files are pickles of an old NumPy, of which newer ones warn.
            warnings.simplefilter("ignore")
            images = CIFAR10(root, train=split == "train", download=download)
        arrays[f"{split}_inputs"] = images.data.transpose(0, 3, 1, 2)
        arrays[f"{split}_labels"] = np.asarray(images.targets, np.int64)
    return arrays


def _from_parquet(folder: str) -> Mapping[str, np.ndarray]:
    filesystem, files = _parquet_files(folder)
    identity = [(split, file, *_version(filesystem, file)) for split in _SPLITS for file in files[split].values()]

    def decode() -> Mapping[str, np.ndarray]:
        arrays: dict[str, np.ndarray] = {}
        for split in _SPLITS:
            arrays[f"{split}_inputs"], arrays[f"{split}_labels"] = _decoded(filesystem, files[split], folder)
        return arrays

    return decoded_once("cifar10", identity, decode)


def _parquet_files(folder: str) -> tuple[Any, dict[str, dict[str, str]]]:
    """Return the file system of a folder or URL and, for each split, its files: name -> path."""
    filesystem, files = folder_files(folder)
    found = {split: {name: files[name] for name in shards(files, split, ".parquet", folder)} for split in _SPLITS}
    for split in _SPLITS:
        if not found[split]:
            raise ValueError(
                f"no CIFAR-10 at {folder!r}: it must be a folder or URL with train-*.parquet and test-*.parquet, "
                f"or with {_TORCHVISION_FOLDER}; it has no {split}-*.parquet"
            )
    return filesystem, found


def _version(filesystem: Any, file: str) -> tuple[str, ...]:
    """Return what tells a file from a later one of the same name, as far as its file system says."""
    facts = filesystem.info(file)
    return tuple(str(facts.get(key)) for key in ("size", "mtime", "LastModified", "ETag", "etag"))


def _decoded(filesystem: Any, files: Mapping[str, str], folder: str) -> tuple[np.ndarray, np.ndarray]:
    contents = {name: _content(filesystem, file) for name, file in files.items()}
    refuse_copies({name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}, folder)
    tables = {name: _columns(contents[name], file) for name, file in files.items()}
    encoded = [
        (f"row {row} of {name}", image) for name, (images, _) in tables.items() for row, image in enumerate(images)
    ]
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as threads:
        pixels = list(threads.map(_pixels, encoded, chunksize=256))
    return stacked(pixels, folder), np.concatenate([labels for _, labels in tables.values()])


def _content(filesystem: Any, file: str) -> bytes:
    try:
        with filesystem.open(file, "rb") as stream:
            return bytes(stream.read())
    except Exception as error:  # every file system has errors of its own
        raise ValueError(f"cannot read {file!r}: {' '.join(str(error).split())}") from error


def _columns(content: bytes, file: str) -> tuple[list[bytes | None], np.ndarray]:
    """Return the encoded images and the labels of one Parquet file."""
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(io.BytesIO(content), columns=["img", "label"])
        images = table["img"].combine_chunks().field("bytes").to_pylist()
        labels = table["label"].to_numpy()
    except (OSError, KeyError, AttributeError, pyarrow.ArrowException) as error:
        raise ValueError(f"{file!r} must be Parquet with columns img (struct with bytes) and label: {error}") from error
    return images, class_numbers(labels, repr(file))


def _pixels(image: tuple[str, bytes | None]) -> np.ndarray:
    """Return one image, given with its name, as bytes of shape (3, height, width)."""
    name, encoded = image
    return np.asarray(opened(encoded, name)).transpose(2, 0, 1)
