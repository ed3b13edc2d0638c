"""Waterbirds: birds cut out of CUB-200-2011 on backgrounds of Places, from the folder in which it was released.

The label of an image is its group 2y + a: y = 1 is a waterbird, a = 1 a background of water.

Source: Sagawa, Koh, Hashimoto and Liang, arXiv 1911.08731, appendix C.1, and the code and metadata released with it.
"""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from trials.core.data.decoded import decoded_once
from trials.core.data.encoded import opened

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8

SIDE = 224  # pixels
METADATA = "metadata.csv"
COLUMNS = ("img_id", "img_filename", "y", "split", "place", "place_filename")
SPLITS: Mapping[str, str] = MappingProxyType({"0": "train", "1": "validation", "2": "test"})
_READ = ("img_filename", "y", "split", "place")
_RADIUS = 15 / 32  # of a circular mask, over an image's side

Entry = Mapping[str, str]


def read(path: str | None = None) -> Mapping[str, np.ndarray]:
    """Return the images (N, 3, 224, 224) and groups of training, validation and test.

    The path is the released folder, with `metadata.csv` and the images that it names. The shorter side is resized to
    224 (bicubic), then the centre is cut out. Images are decoded once a machine.

    Raises:
        ValueError: There is no path, or no metadata there, or they lack columns, or name images that are not there.
    """
    if path is None:
        raise ValueError("waterbirds has no download: give data.path, the folder with metadata.csv and its images")
    folder = Path(path)
    entries = _entries(folder)
    files = [folder / entry["img_filename"] for entry in entries]
    _refuse_missing(folder, files)

    def decode() -> Mapping[str, np.ndarray]:
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as threads:
            images = np.stack(list(threads.map(_pixels, files, chunksize=64)))
        return _by_split(entries, images)

    return decoded_once("waterbirds", _identity(folder, files), decode)


def pasted(
    objects: UInt8[np.ndarray, "images ..."],
    backgrounds: UInt8[np.ndarray, "images ..."],
    mask: Float[np.ndarray, "images ..."],
) -> UInt8[np.ndarray, "images ..."]:
    """Return objects where the mask, of fractions in [0, 1], is 1, on backgrounds; shapes go with each other.

    round(object x mask) + round(background x (1 - mask)), at most 255: both halves are rounded, so that two bytes of
    255 may add up to 256 at the edge of a mask.
    """
    return np.minimum(np.rint(objects * mask) + np.rint(backgrounds * (1 - mask)), 255).astype(np.uint8)


def circular_mask(side: int) -> Float[np.ndarray, "side side"]:
    """Return clip((15/32 side - r) / 2 + 1/2, 0, 1) with the distance r from the centre of a square, in pixels."""
    place = np.arange(side) - (side - 1) / 2
    return np.clip((_RADIUS * side - np.hypot(place[:, None], place)) / 2 + 0.5, 0.0, 1.0)


def _entries(folder: Path) -> Sequence[Entry]:
    file = folder / METADATA
    try:
        with file.open(newline="", encoding="utf-8") as stream:
            rows = csv.DictReader(stream)
            entries, columns = list(rows), rows.fieldnames or []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"no Waterbirds at {str(folder)!r}: cannot read {METADATA} ({error})") from error
    missing = [name for name in _READ if name not in columns]
    if missing:
        raise ValueError(f"{str(file)!r} lacks the columns {', '.join(missing)}; it must have {', '.join(COLUMNS)}")
    for number, entry in enumerate(entries, start=1):
        if entry["y"] not in ("0", "1") or entry["place"] not in ("0", "1") or entry["split"] not in SPLITS:
            found = {name: entry[name] for name in ("y", "place", "split")}
            raise ValueError(f"{str(file)!r}, entry {number}: y and place must be 0 or 1, split 0 to 2, got {found}")
    absent = [name for code, name in SPLITS.items() if not any(entry["split"] == code for entry in entries)]
    if absent:
        raise ValueError(f"{str(file)!r} has no images of {', '.join(absent)}")
    return entries


def _refuse_missing(folder: Path, files: Sequence[Path]) -> None:
    missing = [file for file in files if not file.is_file()]
    if missing:
        first = missing[0].relative_to(folder)
        raise ValueError(
            f"{len(missing)} of {len(files)} images of {METADATA} are not at {str(folder)!r}: first {first}"
        )


def _identity(folder: Path, files: Sequence[Path]) -> list[object]:
    """Return what tells this folder from a changed one."""
    facts = [(file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    content = hashlib.sha256((folder / METADATA).read_bytes()).hexdigest()
    return [str(folder.resolve()), content, hashlib.sha256(repr(facts).encode()).hexdigest(), SIDE]


def _pixels(file: Path) -> np.ndarray:
    """Return one image as bytes of shape (3, SIDE, SIDE)."""
    from PIL.Image import Resampling

    image = opened(file, repr(str(file)))
    width, height = image.size
    shorter = min(width, height)
    # Whole pixels by the rule of the transforms that the published figures were made with: the longer side is cut off.
    size = int(SIDE * width / shorter), int(SIDE * height / shorter)
    left, top = (round((length - SIDE) / 2) for length in size)
    resized = image.resize(size, Resampling.BICUBIC)
    return np.asarray(resized.crop((left, top, left + SIDE, top + SIDE))).transpose(2, 0, 1)


def _by_split(entries: Sequence[Entry], images: np.ndarray) -> dict[str, np.ndarray]:
    splits = np.array([entry["split"] for entry in entries])
    groups = np.array([2 * int(entry["y"]) + int(entry["place"]) for entry in entries], np.int64)
    arrays: dict[str, np.ndarray] = {}
    for code, name in SPLITS.items():
        arrays[f"{name}_inputs"], arrays[f"{name}_labels"] = images[splits == code], groups[splits == code]
    return arrays
